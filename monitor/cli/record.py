"""The command `driftline record`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import embedded_option, load_config, output_option
from monitor.cli.exits import FAILED
from monitor.cli.ranges import BOUND_HELP

if TYPE_CHECKING:
    from monitor.adapters.recorder import Plan
    from monitor.adapters.recording_format import Manifest, Topic
    from monitor.config.types import Config
    from monitor.ports import Log


@click.group("record", invoke_without_command=True)
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Configuration file; repeat it to layer files, later ones win.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value.")
@embedded_option
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Where the recording goes.")
@click.option("--decisions", is_flag=True, help="Also what the namespace decided and published: for replay --verify.")
@click.option("--from", "starts", multiple=True, metavar="BOUND", help=BOUND_HELP)
@click.option("--until", "ends", multiple=True, metavar="BOUND", help="Likewise, the first that is left out.")
@click.option("--resume", is_flag=True, help="Go on with a recording that was interrupted, over the ranges of then.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def command(
    context: click.Context,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    directory: Path | None,
    decisions: bool,
    starts: tuple[str, ...],
    ends: tuple[str, ...],
    resume: bool,
    quiet: bool,
) -> None:
    """Copy the source topics of a configuration to files: partition, offset, time, key, headers and value as they are.

    What is there when it begins is copied, or the part of it between --from and --until. A recording that was
    interrupted is finished with --resume.

    \b
    Examples:
      driftline record -c driftline.yaml --to monday
      driftline record -c driftline.yaml --to monday --decisions
      driftline record -c driftline.yaml --to monday --from 2013-01-07 --until 2013-01-08
      driftline record -c driftline.yaml --to monday --resume
      driftline record verify monday
    """
    if context.invoked_subcommand is not None:
        return
    if not files or directory is None:
        raise click.UsageError("say what and where to: driftline record -c FILE --to DIR")
    if resume and (starts or ends or decisions):
        raise click.UsageError("--resume goes on over what was said when the recording was begun; leave the rest out")
    from monitor.adapters.recorder import Recorder
    from monitor.cli.progress import StepProgress
    from monitor.cli.scan import open_existing
    from monitor.cli.show import note

    config = load_config(files, overrides)
    log = open_existing(config, embedded)
    try:
        with StepProgress(quiet=quiet) as progress:

            def tell(done: int, total: int) -> None:
                progress.show("recording", done, total)

            if resume:
                recorder = Recorder.resume(log, directory, tell)
            else:
                recorder = Recorder.begin(log, directory, _plan(log, config, decisions, starts, ends), tell)
            manifest = recorder.run()
    finally:
        log.close()
    if not quiet:
        records = sum(part.records for topic in manifest.topics for part in topic.parts)
        before = f", {recorder.resumed:,} of them before" if resume else ""
        note(f"{records:,} records of {len(manifest.topics)} topics recorded in {directory}{before}; {manifest.digest}")


def _plan(log: Log, config: Config, decisions: bool, starts: tuple[str, ...], ends: tuple[str, ...]) -> Plan:
    """What is copied. Of a namespace that runs meanwhile, `evals` ends first and the sources last: what is compared later
    is covered by what it is compared with."""
    from monitor.adapters.recorder import Plan, planned
    from monitor.adapters.recording_format import FORMAT
    from monitor.cli.ranges import spans_of
    from monitor.cli.scan import need_topic

    roles, spans = dict[str, str](), dict[str, list[tuple[int, int]]]()
    if decisions:
        topics = config.topics()
        for role in ("evals", "windows", "alerts", "alerts_state", "ledger", "configs"):
            name = getattr(topics, role)
            need_topic(log, name, "Has `driftline run` been started with this configuration's `namespace`?")
            roles[name] = role
            spans[name] = list(zip(log.begin_offsets(name), log.end_offsets(name), strict=True))
    streams = config.streams
    sources = {streams.predictions.topic: "predictions"}
    if streams.labels is not None:
        sources[streams.labels.topic] = "labels"
    for name in sources:
        need_topic(log, name, "Correct `streams` in the configuration.")
    spans |= spans_of(log, tuple(sources), starts, ends)
    entries = planned(log, {**sources, **roles}, spans)
    return Plan(FORMAT, log.cluster_id(), config.namespace if decisions else None, tuple(entries))


@command.command("verify")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@output_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def verify(directory: Path, output: str, quiet: bool) -> None:
    """Read every row of a recording and compare its digests. Exit code 1 when a file is not as it was written.

    \b
    Example:
      driftline record verify monday
    """
    from monitor.adapters.recording import RecordedLog
    from monitor.adapters.recording_check import findings
    from monitor.cli.progress import StepProgress
    from monitor.cli.show import note, print_json

    log = RecordedLog(directory)
    with StepProgress(quiet=quiet) as progress:
        found = list(findings(log, lambda done, total: progress.show("verifying", done, total)))
    if output == "json":
        print_json({"digest": log.manifest.digest, "intact": not found, "findings": found})
    for sentence in found[:20]:
        note(sentence)
    if found:
        sys.exit(FAILED)
    if output != "json":
        note(f"every row is as it was recorded; {log.manifest.digest}")


@command.command("show")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@output_option
def show(directory: Path, output: str) -> None:
    """What a recording holds: topics, ranges, times. Nothing but the manifest is read.

    \b
    Example:
      driftline record show monday
    """
    from monitor.adapters.recording import read_manifest
    from monitor.cli import show as showing

    manifest = read_manifest(directory)
    if output == "json":
        showing.print_json(_document(manifest))
        return
    numbers = ("partitions", "records", "offsets", "MB")
    table = showing.table(None, "topic", "as", *numbers, "from", "until", right=numbers)
    for line in _document(manifest)["topics"]:
        times = ["-" if line[n] is None else showing.minute(line[n] // 1000 * 1000) for n in ("first_ms", "last_ms")]
        counts = (line["partitions"], line["records"], line["offsets"])
        table.add_row(line["name"], line["role"], *(f"{c:,}" for c in counts), f"{line['bytes'] / 1e6:.1f}", *times)
    showing.console().print(table)
    for each in _document(manifest)["redactions"]:
        when = showing.minute(each["at_ms"] // 60_000 * 60_000)
        said = (
            f"{each['records']:,} records of {each['ids']:,} ids taken out by {each['actor']}, {when}: {each['reason']}"
        )
        showing.console().print(showing.plain(said))
    showing.console().print(f"cluster {manifest.cluster_id}, namespace {manifest.namespace or '-'}, {manifest.digest}")


def _document(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": manifest.format,
        "cluster_id": manifest.cluster_id,
        "namespace": manifest.namespace,
        "digest": manifest.digest,
        "redactions": [
            {
                "at_ms": each.at_ms,
                "actor": each.actor,
                "reason": each.reason,
                "ids": len(each.digests),
                "records": each.records,
            }
            for each in manifest.redactions or ()
        ],
        "topics": [_topic(topic) for topic in manifest.topics],
    }


def _topic(topic: Topic) -> dict[str, Any]:
    segments = [segment for part in topic.parts for segment in part.segments if segment.records]
    return {
        "name": topic.name,
        "role": topic.role,
        "topic_id": topic.topic_id,
        "timestamp_type": topic.config.get("message.timestamp.type", "CreateTime"),
        "partitions": len(topic.parts),
        "ranges": [[part.start, part.end] for part in topic.parts],
        "records": sum(part.records for part in topic.parts),
        "offsets": sum(part.end - part.start for part in topic.parts),
        "bytes": sum(segment.bytes for segment in segments),
        "first_ms": min((segment.first_ms for segment in segments), default=None),
        "last_ms": max((segment.last_ms for segment in segments), default=None),
    }
