"""`driftline replay --verify`: what is compared, and what is said about it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.exits import GATE

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.daemon.counted import Counted
    from monitor.daemon.replay.published import Published
    from monitor.daemon.replay.verify import Verified
    from monitor.plan import Plan
    from monitor.ports import Decisions, Log

HELD = "held"
"""`--from held`: begin at the first commit whose records the sources still hold."""


def run(log: Log, config: Config, without: bool, starts: tuple[str, ...], output: str, *, quiet: bool) -> None:
    """Compare and report. Exits with 3 when something differs."""
    from monitor.adapters.allocator import keep_freed_memory
    from monitor.adapters.comparison import DiskDecisions
    from monitor.daemon.counted import counted
    from monitor.plan import plan_of

    keep_freed_memory()
    decisions = DiskDecisions()
    try:
        by = counted(log, config, plan_of(config))
        if without:
            if starts:
                raise click.UsageError("--without-decisions runs the whole period again: no --from")
            report = _without_decisions(log, config, by.plan, decisions, quiet=quiet)
        else:
            report = _with_decisions(log, config, by, decisions, starts, quiet=quiet)
    finally:
        decisions.close()
    report["redacted_records"] = _redacted(log)
    _say(report, output)
    if not report["identical"]:
        sys.exit(GATE)


def _with_decisions(
    log: Log, config: Config, by: Counted, decisions: Decisions, starts: Sequence[str], *, quiet: bool
) -> dict[str, Any]:
    from monitor.cli.progress import StepProgress
    from monitor.cli.show import iso_ms
    from monitor.daemon.replay.verify import verify

    if len(starts) > 1:
        raise click.UsageError("with --verify say --from once: a time, or held")
    held = HELD in starts
    from_ms = 0 if held or not starts else iso_ms(starts[0])
    with StepProgress(quiet=quiet) as progress:
        done = verify(log, config, by, decisions, held=held, from_ms=from_ms, tell=progress.show)
    return {
        "identical": not done.differences,
        "compared": "with recorded decisions",
        "commits": done.commits,
        "skipped_commits": sum(each.skipped for each in done.partitions),
        "records": sum(each.records for each in done.partitions),
        "evaluations": done.evaluations,
        "trimmed": _trimmed(done),
        "published": _published(done.published),
        "differences": [difference.document() for difference in done.differences],
        "sentences": [difference.sentence() for difference in done.differences],
    }


def _without_decisions(log: Log, config: Config, plan: Plan, decisions: Decisions, *, quiet: bool) -> dict[str, Any]:
    from monitor.adapters import dead_letters
    from monitor.adapters.clock import SystemClock
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.cli.progress import RunProgress
    from monitor.cli.run import Signals
    from monitor.daemon.replay.compare import Again, live_run
    from monitor.daemon.replay.rerun import rerun
    from monitor.daemon.sources import source_topics

    live = live_run(log, config, plan, source_topics(log, config))
    again, plan = Again(config, live, decisions), plan.of_edition(live.edition)
    bar = None if quiet else RunProgress()
    with tempfile.TemporaryDirectory(prefix="driftline-replay-") as temporary:
        own = EmbeddedLog(Path(temporary))
        try:
            tell = bar.show if bar is not None else None
            worker = rerun(log, own, config, plan, live.spans, SystemClock(), dead_letters, again.observe, tell)
            with Signals(worker) as signals:
                worker.run()
        finally:
            own.close()
    if bar is not None:
        bar.close(worker)
    if not worker.finished:
        click.echo("driftline: interrupted; nothing was compared", err=True)
        sys.exit(128 + signals.number)
    found = again.compare(log)
    differences = [each.difference for each in found if each.difference is not None]
    return {
        "identical": not differences,
        "compared": "without recorded decisions",
        "same_configuration": live.same_config,
        "recorded_decisions": dict(live.decisions),
        "records": sum(end - start for ranges in live.spans.values() for start, end in ranges),
        "windows": again.finals,
        "alerts": again.alerts,
        "published": _published(found),
        "differences": [difference.document() for difference in differences],
        "sentences": [difference.sentence() for difference in differences],
    }


def _trimmed(done: Verified) -> dict[str, Any] | None:
    """Where the proof begins above what was trimmed; None when it begins with the first records."""
    if done.begin is None:
        return None
    return {"ledger": done.begins, "evaluation": done.begin.evaluation.sequence + 1, "checkpoint": done.begin.where}


def _redacted(log: Log) -> int:
    """How many records were taken out of a recording for erasure requests."""
    from msgspec import UNSET

    from monitor.adapters.recording import RecordedLog

    held = log.manifest.redactions if isinstance(log, RecordedLog) else UNSET
    return 0 if held is UNSET else sum(each.records for each in held)


def _published(found: Sequence[Published]) -> dict[str, Any]:
    return {each.topic: {"records": each.records, "whole": each.whole} for each in found}


def _say(report: dict[str, Any], output: str) -> None:
    from monitor.cli.show import note, print_json

    sentences = report.pop("sentences")
    if output == "json":
        print_json(report)
    counts = ", ".join(f"{each['records']:,} of {topic}" for topic, each in report["published"].items())
    if report["identical"] and output != "json":
        made = (
            f"{report['commits']:,} commits over {report['records']:,} records and {report['evaluations']:,} evaluations"
            if "commits" in report
            else f"{report['windows']:,} final windows and {report['alerts']:,} alerts over {report['records']:,} records"
        )
        note(f"identical: {made} made again, byte for byte as recorded; published: {counts}")
    if trimmed := report.get("trimmed"):
        note(
            f"the ledger is trimmed: {trimmed['checkpoint']} is taken as it stands, evaluations are proved from "
            f"{trimmed['evaluation']:,} on, commits from offsets {trimmed['ledger']} on"
        )
    if report.get("skipped_commits"):
        note(f"{report['skipped_commits']:,} commits before the beginning were not made again")
    for sentence in sentences:
        note(f"different: {sentence}")
    if report["redacted_records"]:
        note(
            f"{report['redacted_records']:,} records were taken out of this recording for erasure requests: what was decided "
            "with them cannot be made again"
        )
    if sentences and report.get("recorded_decisions"):
        told = ", ".join(f"{count} {name}" for name, count in report["recorded_decisions"].items())
        note(f"the live run decided while it ran ({told} in its commits and evaluations), which may be the reason")
