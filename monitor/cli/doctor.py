"""The command `driftline doctor`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, output_option
from monitor.cli.exits import FAILED

if TYPE_CHECKING:
    from monitor.cli.doctor_look import Look

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("doctor")
@config_options
@embedded_option
@click.option("--url", help="A running daemon, e.g. http://127.0.0.1:9187. Default: http.host and http.port.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="File with its token. Default: http.token_file.")
@click.option("--no-daemon", is_flag=True, help="Do not ask a daemon.")
@click.option(
    "--log", "logs", multiple=True, type=_FILE, help="A log file of the daemon; its end goes into the bundle."
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="Write what was looked at into this new tar.gz."
)
@output_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    url: str | None,
    token_file: str | None,
    no_daemon: bool,
    logs: tuple[Path, ...],
    to: Path | None,
    output: str,
) -> None:
    """Look at everything that may be wrong: machine, configuration, brokers, topics, a running daemon; and bundle it.

    Nothing is changed, and one part that cannot be looked at does not keep the others from being told. The bundle is for
    whoever helps you: versions, the configuration in force, topics with their offsets, the configurations that held, what
    the daemon serves, ends of log files. No record of a topic is in it. Secrets of the configuration, the daemon's token among
    them, are taken out of every text by value, and what looks like one by its name; names of hosts, topics, models, features
    and segments stay. Read it before you send it.

    Exit code 1 when something is an error. JSON: {"ok", "findings": [{"level", "what", "value", "hint"}], "bundle",
    "files": {name: digest}}; levels are ok, advice, warning and error, "bundle" is null without --to.

    \b
    Examples:
      driftline doctor -c driftline.yaml
      driftline doctor -c driftline.yaml --log /var/log/driftline.log --to bundle.tar.gz
      driftline doctor -c driftline.yaml --url http://worker-3:9187 -o json | jq '.findings[] | select(.level == "error")'
    """
    from monitor.adapters.clock import SystemClock
    from monitor.cli.doctor_bundle import Redactor, write_bundle
    from monitor.cli.show import note, print_json

    if url is not None and no_daemon:
        raise click.UsageError("--url says which daemon to ask and --no-daemon to ask none; give one of them")
    if url is not None and not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url {url!r} is no address; write http://HOST:PORT")
    if to is not None and to.exists():
        raise click.UsageError(f"--to {to}: there is a file already; name a new one")
    look = _examine(files, overrides, embedded, logs, (url, token_file), daemon=not no_daemon)
    redact = Redactor(look.secrets or ())
    findings = [
        {"level": str(f.level), "what": redact(f.what), "value": redact(f.value), "hint": redact(f.hint)}
        for f in look.findings
    ]
    digests: dict[str, str] = {}
    if to is not None:
        import orjson

        look.texts["findings.json"] = orjson.dumps(findings, option=orjson.OPT_INDENT_2).decode() + "\n"
        digests = write_bundle(to, look.texts, redact, SystemClock().now_ms())
    failed = [each for each in findings if each["level"] == "error"]
    if output == "json":
        print_json({"ok": not failed, "findings": findings, "bundle": str(to) if to else None, "files": digests})
    else:
        _print(findings)
    if to is not None:
        note(f"{to}: {len(digests)} files, without the secrets of the configuration; read it before you send it")
    note(f"{len(failed)} of {len(findings)} findings are errors" if failed else f"{len(findings)} findings, no error")
    if failed:
        sys.exit(FAILED)


def _examine(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    logs: tuple[Path, ...],
    asked: tuple[str | None, str | None],
    *,
    daemon: bool,
) -> Look:
    """One part after the other. `asked`: the daemon's address and the file of its token, where the command line says them."""
    from monitor.cli import doctor_look

    look, (url, token_file) = doctor_look.Look(), asked
    look.part("machine", partial(doctor_look.about_machine, look))
    look.part("configuration", partial(doctor_look.configuration, look, files, overrides))
    if look.config is not None:
        look.part("disk", partial(doctor_look.disks, look))
        look.part("brokers and topics", partial(doctor_look.topics, look, embedded))
        url, token_file = url or _address(look.config), token_file or look.config.http.token_path
    if daemon and url is not None:
        look.part("daemon", partial(doctor_look.daemon, look, url.rstrip("/"), token_file))
    look.part("log files", partial(doctor_look.logs, look, logs))
    return look


def _address(config: Any) -> str | None:
    """Where the configuration has the daemon listen; None where that is not known before it starts."""
    if not config.http.port:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.http.host, config.http.host)  # noqa: S104  # asked, not bound
    return f"http://{host}:{config.http.port}"


def _print(findings: list[dict[str, str]]) -> None:
    from monitor.cli import show

    made = show.table(None, "", "what", "found")
    for each in findings:
        found = f"{each['value']}. {each['hint']}" if each["hint"] else each["value"]
        level = each["level"] if each["level"] == "ok" else each["level"].upper()
        made.add_row(level, show.plain(each["what"]), show.plain(found))
    show.console().print(made)
