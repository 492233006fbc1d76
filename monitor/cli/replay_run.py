"""Replays into nothing, files, or topics of their own."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from monitor.adapters.replay_files import Spec
    from monitor.cli.replay_processes import Origin
    from monitor.config.types import Config
    from monitor.daemon.replay.sharing import Share
    from monitor.daemon.worker import Worker
    from monitor.evaluator import TickOutput
    from monitor.ports import Log

Spans = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Wanted:
    """What was asked for. `kept`: what is done so far outlives an interruption."""

    starts: tuple[str, ...]
    ends: tuple[str, ...]
    resume: bool
    output: str
    quiet: bool
    kept: bool = True
    what: str = "replay"
    """What people called it: a backtest is a replay of which more is asked."""
    origin: Origin | None = None
    """What other processes open, where some may share the work."""


@dataclass
class Counted:
    """What the ticks of this process decided."""

    revisions: int = 0
    finals: int = 0
    alerts: dict[str, int] = field(default_factory=dict)

    def observe(self, output: TickOutput) -> None:
        """A tick closed."""
        self.revisions += output.revisions
        self.finals += sum(view.final for view in output.windows)
        for event in output.events:
            self.alerts[str(event.change)] = self.alerts.get(str(event.change), 0) + 1


def to_files(source: Log, config: Config, directory: Path | None, wanted: Wanted) -> None:
    """Into a directory, or into nothing when there is none."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="driftline-replay-") as temporary:
            summary = replayed(source, config, Path(temporary), replace(wanted, kept=False))
            _say({name: value for name, value in summary.items() if name not in ("to", "files")}, config, wanted)
        return
    _say(replayed(source, config, directory, wanted), config, wanted)


def replayed(
    source: Log,
    config: Config,
    directory: Path,
    wanted: Wanted,
    then: Callable[[Log, int], None] | None = None,
    observe: Callable[[TickOutput], None] | None = None,
) -> dict[str, Any]:
    """Run into a directory; what there was to it. `then` is given the settled log of the replay and its number of
    partitions, before that log is removed; `observe` sees every tick that closes in this process."""
    from monitor.adapters import replay_files
    from monitor.adapters.embedded import EmbeddedLog

    if wanted.resume:
        spec = replay_files.resumed(directory)
    else:
        spec = _spec(source, config, wanted)
        replay_files.begin(directory, spec)
    with replay_files.alone(directory):
        if wanted.resume:
            refuse_another(source, config, wanted, spec, directory)
        own = EmbeddedLog(directory / replay_files.WORK)
        try:
            summary = _run(source, own, config, spec.spans, wanted, observe, work=directory / replay_files.WORK)
            result = replay_files.finish(directory, own, config.topics(), spec)
            if then is not None:
                then(own, len(next(iter(spec.spans.values()))))
        finally:
            own.close()
        replay_files.clear(directory)
    return {**summary, "to": str(directory), "files": result["files"]}


def to_topics(source: Log, target: Log, config: Config, namespace: str, wanted: Wanted) -> None:
    """Into the topics of a namespace of its own on `target`. Live topics are refused by name."""
    from monitor.daemon.sources import source_topics
    from monitor.errors import MonitorError

    if namespace == config.namespace:
        raise MonitorError(
            f"a replay never writes to the live topics of namespace {namespace!r}: choose another --namespace for it"
        )
    own = config.model_copy(update={"namespace": namespace}).with_references(config.references)
    ledger = own.topics().ledger
    if not wanted.resume and target.topic(ledger) is not None:
        raise MonitorError(
            f"topic {ledger!r} exists: namespace {namespace!r} is in use. --resume goes on with a replay that was "
            "interrupted; otherwise choose another --namespace."
        )
    from monitor.cli.ranges import spans_of

    spans = spans_of(source, source_topics(source, config).names, wanted.starts, wanted.ends)
    _say({**_run(source, target, own, spans, wanted), "to": namespace}, own, wanted)


def _spec(source: Log, config: Config, wanted: Wanted, begun: Spec | None = None) -> Spec:
    from monitor.adapters.replay_files import FORMAT, Spec
    from monitor.cli.ranges import spans_of
    from monitor.config.canonical import digest_bytes
    from monitor.daemon.sources import source_topics

    sources = source_topics(source, config)
    asked = {"from": wanted.starts, "until": wanted.ends} if wanted.starts or wanted.ends else None
    if begun is not None and asked == begun.asked and not _stands_still(source):
        spans: Spans = begun.spans  # a live log has grown, and what was read of it may have left it
    else:
        spans = spans_of(source, sources.names, wanted.starts, wanted.ends)
    return Spec(
        FORMAT,
        source.cluster_id(),
        digest_bytes(config.document().encode()),
        config.digest,
        {info.name: info.topic_id for info in (sources.predictions, sources.labels) if info is not None},
        {name: tuple((start, end) for start, end in ranges) for name, ranges in spans.items()},
        asked,
    )


def _stands_still(source: Log) -> bool:
    from monitor.adapters.recording import RecordedLog

    return isinstance(source, RecordedLog)


def refuse_another(source: Log, config: Config, wanted: Wanted, begun: Spec, directory: Path) -> None:
    """Raise ReplayDirectoryError unless what was begun in the directory is what is asked for now."""
    from monitor.adapters.replay_files import ReplayDirectoryError

    def refuse(name: str, then: object, this: object) -> None:
        if then != this:
            raise ReplayDirectoryError(
                f"{str(directory)!r}: the {wanted.what} was begun with {name} {then}, this is {this}. Go on with "
                "the configuration, the range and the log that it was begun with, or begin again in a new directory."
            )

    if begun.cluster_id != source.cluster_id():  # before its topics are looked for: it may have others
        refuse("cluster id", begun.cluster_id, source.cluster_id())
    now = _spec(source, config, wanted, begun)
    for name in ("config", "meaning", "topic_ids"):
        refuse(name.replace("_", " "), getattr(begun, name), getattr(now, name))
    if begun.spans != now.spans:
        refuse("range", _range(begun), _range(now))


def _range(spec: Spec) -> str:
    given = " ".join(f"--{name} {text}" for name, texts in (spec.asked or {}).items() for text in texts)
    offsets = ", ".join(f"{name} {[list(span) for span in spans]}" for name, spans in spec.spans.items())
    return f"{given or 'all there is'} (offsets of {offsets})"


def _run(
    source: Log,
    own: Log,
    config: Config,
    spans: Spans,
    wanted: Wanted,
    observe: Callable[[TickOutput], None] | None = None,
    *,
    work: Path | None = None,
) -> dict[str, Any]:
    """Run to the end, and what there was to it. `work`: the directory of `own`, where that is files: windows are told once,
    when they are final, and other processes may share the work."""
    from monitor.adapters import dead_letters
    from monitor.adapters.allocator import keep_freed_memory
    from monitor.adapters.clock import SystemClock
    from monitor.cli.progress import RunProgress
    from monitor.cli.replay_processes import Helpers
    from monitor.cli.run import Signals
    from monitor.config.canonical import digest_bytes
    from monitor.daemon.counted import as_begun
    from monitor.daemon.replay.rerun import rerun
    from monitor.plan import plan_of

    keep_freed_memory()
    counted, began = Counted(), time.monotonic()
    bar = None if wanted.quiet else RunProgress()
    share, others = _shared(wanted, spans) if work is not None else (None, [])

    def tell(worker: Worker) -> None:
        reached = helpers.look()
        if bar is not None:
            bar.show(worker, reached)

    def closed(output: TickOutput) -> None:
        counted.observe(output)
        if observe is not None:
            observe(output)

    plan, digest = as_begun(source, config, plan_of(config)), digest_bytes(config.document().encode())
    clock, finals_only = SystemClock(), work is not None
    worker = rerun(
        source, own, config, plan, spans, clock, dead_letters, closed, tell, finals_only=finals_only, share=share
    )
    with Signals(worker) as signals, Helpers(wanted.origin, digest, work or Path(), spans, others) as helpers:
        worker.run()
        if worker.finished:
            helpers.wait()
    if bar is not None:
        bar.close(worker, helpers.consumed)
    if not worker.finished:
        _interrupted(wanted, signals.number)
    return {
        "records": {name: sum(end - start for start, end in ranges) for name, ranges in spans.items()},
        "ranges": {name: [list(span) for span in ranges] for name, ranges in spans.items()},
        "rejected": _together([worker.statistics.rejected, *helpers.rejected]),
        "revisions": counted.revisions,
        "windows": counted.finals,
        "alerts": counted.alerts,
        "seconds": round(time.monotonic() - began, 3),
    }


def _interrupted(wanted: Wanted, signal: int) -> NoReturn:
    then = "--resume goes on" if wanted.kept else "nothing of it is kept"
    click.echo(f"driftline: the {wanted.what} was interrupted before its end; {then}", err=True)
    sys.exit(128 + signal)


def _shared(wanted: Wanted, spans: Spans) -> tuple[Share | None, list[Share]]:
    """What this process does and what others do."""
    from monitor.daemon.replay.sharing import shares

    partitions = len(next(iter(spans.values())))
    records = sum(end - start for ranges in spans.values() for start, end in ranges)
    own, *others = shares(partitions, 1 if wanted.origin is None else wanted.origin.wanted(records, partitions))
    return own, others


def _together(rejected: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """By topic and reason, of all processes."""
    found: dict[str, dict[str, int]] = {}
    for own in rejected:
        for topic, reasons in own.items():
            known = found.setdefault(topic, {})
            for reason, count in reasons.items():
                known[str(reason)] = known.get(str(reason), 0) + count
    return found


def _say(summary: Mapping[str, Any], config: Config, wanted: Wanted) -> None:
    from monitor.cli.backtest_checks import why_rejected
    from monitor.cli.show import note, print_json

    if wanted.output == "json":
        print_json(summary)
        return
    alerts = ", ".join(f"{count} {change}" for change, count in sorted(summary["alerts"].items())) or "no alert"
    note(
        f"{sum(summary['records'].values()):,} records replayed: {summary['windows']:,} windows in "
        f"{summary['revisions']:,} revisions, {alerts}; {summary['seconds']:.1f} s"
    )
    for line in why_rejected(config, summary["rejected"]):
        note(line)
    for name, file in summary.get("files", {}).items():
        note(f"{summary['to']}/{name}: {file['lines']:,} lines, {file['sha256']}")
