"""What `driftline doctor` looks at: each part gives findings and texts for the bundle, and none can end the whole."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.adapters.findings import Finding, Level

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.view import View

LOG_BYTES: Final = 2 << 20
"""Of each log file, its end."""
_LIBRARIES: Final = ("confluent-kafka", "numpy", "scipy", "river", "orjson", "msgspec", "pydantic", "uvicorn")
_LOW_SHARE: Final = 0.1
"""A disk with less than this share free deserves a warning."""
_GIB: Final = 1 << 30


@dataclass(slots=True)
class Look:
    """What was found so far: findings in order, texts by the name of their file in the bundle, the secrets of the
    configuration by value, None where it cannot be read at all."""

    findings: list[Finding] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    secrets: set[str] | None = field(default_factory=set)
    config: Config | None = None

    def say(self, level: Level, what: str, value: str, hint: str = "") -> None:
        """One more finding."""
        self.findings.append(Finding(level, what, value, hint))

    def part(self, what: str, look: Callable[[], None]) -> None:
        """Look at one thing. What goes wrong there is a finding: a doctor that stops at the first wound is of no use."""
        try:
            look()
        except Exception as error:  # noqa: BLE001  # see above; what it is stands in the finding
            self.say(Level.ERROR, what, str(error) or type(error).__name__)


def about_machine(look: Look) -> None:
    """Versions, processors, memory, files that may be open, names of the environment's own variables; no values."""
    from importlib.metadata import PackageNotFoundError, version

    from monitor.cli.version import release

    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "not installed"
    look.texts["machine.json"] = _json({
        "driftline": release(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "libraries": libraries,
        "open_files_limit": _open_files(),
        "memory_limit_bytes": _memory_limit(),
        "environment": sorted(name for name in os.environ if name.startswith(("DRIFTLINE_", "KAFKA_"))),
    })  # fmt: skip
    look.say(Level.OK, "versions", f"driftline {release()}, Python {platform.python_version()}")


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _memory_limit() -> int | None:
    """Of the container, None without one."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def configuration(look: Look, files: tuple[Path, ...], overrides: tuple[str, ...]) -> None:
    """The configuration as it is in force, or every mistake in it."""
    from monitor.cli.common import load_config
    from monitor.config import secrets
    from monitor.config.render import render
    from monitor.errors import ConfigError

    try:
        look.secrets = secrets(files, overrides, dict(os.environ))
    except ConfigError:
        look.secrets = None
    try:
        config = load_config(files, overrides)
    except ConfigError as error:
        look.texts["configuration.txt"] = "\n".join(error.problems) + "\n"
        for problem in error.problems:
            look.say(Level.ERROR, "configuration", problem)
        return
    look.config = config
    look.texts["configuration.yaml"] = render(config)
    look.say(Level.OK, "configuration", f"sound, namespace {config.namespace}, digest {config.digest}")


def disks(look: Look) -> None:
    """Room where the configuration has the worker write."""
    assert look.config is not None
    state = look.config.state
    places = {"state.directory": state.directory, "state.snapshots": state.snapshots}
    for name, place in places.items():
        if place is None or "://" in str(place) or str(place) == "topic":
            continue
        folder = Path(str(place)).expanduser()
        there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
        usage = shutil.disk_usage(there)
        value = f"{usage.free / _GIB:,.1f} GiB of {usage.total / _GIB:,.1f} free at {folder}"
        low = usage.free < _LOW_SHARE * usage.total
        hint = "When it is full, predictions wait and the alert `join-full` tells so: make room." if low else ""
        look.say(Level.WARNING if low else Level.OK, name, value, hint)


def topics(look: Look, embedded: Path | None) -> None:
    """The brokers, the topics and the rights on them; the configurations that held; the records of the ledger by verdict."""
    from monitor.adapters.preflight import preflight
    from monitor.cli.check_ledger import findings as ledger
    from monitor.cli.config_history import generations
    from monitor.cli.scan import open_existing

    assert look.config is not None
    with closing(open_existing(look.config, embedded)) as log:
        found = [*preflight(log, look.config), *ledger(log, look.config)]
        look.findings += found
        plain = [
            {"level": str(each.level), "what": each.what, "value": each.value, "hint": each.hint} for each in found
        ]
        look.texts["topics.json"] = _json(plain)
        names = look.config.topics()
        ends = {name: log.end_offsets(name) for name in astuple(names) if log.topic(name) is not None}
        look.texts["internal-topics.json"] = _json({name: list(offsets) for name, offsets in ends.items()})
        if names.configs in ends:
            look.texts["generations.json"] = _json(list(generations(log, names.configs)))


def daemon(look: Look, url: str, token_file: str | None) -> None:
    """A running process: is it alive, ready, of this release and configuration, and does it get on?"""
    from monitor.adapters.http_asking import ask
    from monitor.view import decode

    token_file = _with_token(look, token_file)
    alive = ask(url, "/livez", token_file)
    look.texts["livez.txt"] = alive.text
    if alive.code != 200:
        look.say(Level.ERROR, "alive", alive.text.strip(), "It is stuck: the log says where; a restart is safe.")
    _readiness(look, url, token_file)
    status = ask(url, "/api/v1/status", token_file)
    if status.code == 401:
        hint = "Give the one that it was started with: --token-file, or http.token_file of the configuration."
        given = "none was sent" if token_file is None else f"that in {token_file} is not its own"
        look.say(Level.ERROR, "token", f"{url} tells its numbers only to who has its token, and {given}", hint)
        return
    look.texts["metrics.txt"] = ask(url, "/metrics", token_file).text
    look.texts["status.json"] = status.text
    if status.code != 200:
        look.say(Level.ERROR, "status", f"{url}/api/v1/status answers {status.code}: {status.text[:200].strip()}")
        return
    for finding in of_view(decode(status.body), look.config):
        look.findings.append(finding)


def _with_token(look: Look, path: str | None) -> str | None:
    """The file if a token is in it, which is a secret from here on."""
    from monitor.adapters.http_token import TokenFileError, token_of

    if path is None:
        return None
    try:
        token = token_of(path)
    except TokenFileError as error:
        look.say(Level.ERROR, "token", str(error))
        return None
    if look.secrets is not None:
        look.secrets.add(token)
    return path


def _readiness(look: Look, url: str, token_file: str | None) -> None:
    """Which checks do not hold; without its token a daemon tells their names only."""
    from monitor.adapters.http_asking import ask

    answer = ask(url, "/readyz?verbose", token_file)
    look.texts["readyz.txt"] = answer.text
    if answer.code == 200:
        look.say(Level.OK, "ready", f"every check of {url}/readyz?verbose holds")
        return
    failed = [line.removeprefix("[-] ") for line in answer.text.splitlines() if line.startswith("[-] ")]
    for line in failed or [answer.text.strip()]:
        look.say(Level.ERROR, "ready", line)


def of_view(view: View, config: Config | None) -> Iterator[Finding]:
    """What the status of a process says that deserves a look."""
    from monitor.cli.version import release

    if view.build.release != release():
        hint = "Look with the release that runs: another one may tell other things."
        yield Finding(Level.ADVICE, "release", f"{view.build.release} runs, this is {release()}", hint)
    if config is not None and view.config_digest != config.digest:
        hint = "Give the files and --set that it was started with, or it has yet to read them again (SIGHUP)."
        yield Finding(Level.WARNING, "configuration in use", f"{view.config_digest}, another than these files", hint)
    if sentence := view.configuration.sentence:
        yield Finding(Level.WARNING, "configuration", sentence, "docs/operating.md, Changing the configuration.")
    for each in view.partitions:
        what = f"partition {each.partition}"
        if not each.conservation.holds:
            said = f"records were lost or counted twice: {each.conservation.sentence()}"
            yield Finding(
                Level.ERROR, what, said, "This is a defect of Driftline: `driftline ledger audit`, and report both."
            )
        for name, stream in each.streams():
            lag = "not known" if stream.lag is None else f"{stream.lag:,}"
            yield Finding(Level.OK, f"{what}, {name}", f"{each.state}, lag {lag}, {stream.pending_rows:,} wait")
            if stream.stalled:
                hint = "Ask who produces it; see the runbook of the alert."
                yield Finding(Level.WARNING, f"{what}, {name}", "no records come while the other stream goes on", hint)
    if not view.partitions:
        yield Finding(Level.OK, "partitions", "none owned; others may have them all")
    firing = [alert for alert in view.alerts if alert.state == "firing"]
    rules = ", ".join(sorted({alert.rule for alert in firing}))
    yield Finding(Level.OK, "alerts", f"{len(firing)} firing" + (f": {rules}" if rules else ""))


def logs(look: Look, files: tuple[Path, ...]) -> None:
    """The end of each file, from a whole line on. None of them while the secrets are not known that they may hold."""
    if look.secrets is None and files:
        look.say(Level.WARNING, "log files", "left out: the configuration cannot be read, so nobody knows its secrets")
        return
    for path in files:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            data = file.read()
        if size > LOG_BYTES:
            data = data[data.find(b"\n") + 1 :]
        name = f"logs/{path.name}"
        while name in look.texts:
            name += "_"
        look.texts[name] = data.decode("utf-8", "replace")


def _json(document: Any) -> str:
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
