"""The commands `driftline archive write | show | verify | count | dataset`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import FAILED
from monitor.cli.show import iso_ms
from registry.cli.common import actor_option, now_ms, store_option

if TYPE_CHECKING:
    from monitor.cli.archive_write import Written
    from pipelines.dataset.archive import Archive, State
    from registry.location import Location, OpenedStore


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they were added."""
        return list(self.commands)


@click.group("archive", cls=_InOrder)
def command() -> None:
    """Keep the joined rows of panes that have closed, so that they outlive the retention of the topics.

    A pane is a stretch of event time. Its rows (predictions with the labels they have) are written once it can get no more
    predictions; labels that come later give it a successor. Datasets are made of an archive, and windows counted again.

    \b
    Examples:
      driftline archive write -c driftline.yaml --store ./registry
      driftline archive dataset fraud --store ./registry --name 2013-01 --from 2013-01-01 --until 2013-02-01
      driftline archive count fraud --store ./registry --window 1d
    """


def _duration(text: str) -> int:
    from monitor.config.durations import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if found <= 0:
        raise click.BadParameter(f"{text!r} is no length of time; write one such as 1h or 1d")
    return found


@command.command("write")
@config_options
@embedded_option
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read a recording of the topics instead.",
)
@store_option
@click.option("--name", help="Of the archive; the configuration's namespace unless given.")
@click.option(
    "--pane",
    "pane_ms",
    type=_duration,
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="How much is one segment.",
)
@click.option("--ids", is_flag=True, help="Keep ids as they are. Without it only their hashes are kept.")
@click.option(
    "--until-end", is_flag=True, help="Nothing more comes: all panes are closed, and what they hold is final."
)
@actor_option
@output_option
def write(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    recording: Path | None,
    store: Location,
    name: str | None,
    pane_ms: int,
    ids: bool,
    until_end: bool,
    actor: str,
    output: str,
) -> None:
    """Write the panes that have closed since the last time, and successors of those whose labels changed.

    Run it again and again, more often than the topics' retention; two at once do no harm. Nothing new is no error.

    \b
    Examples:
      driftline archive write -c driftline.yaml --store s3://bucket/registry
      driftline archive write -c driftline.yaml --recording monday --store ./registry --name monday --until-end
    """
    from monitor.cli.archive_write import Asked
    from monitor.cli.archive_write import write as written
    from monitor.cli.scan import open_existing
    from pipelines.dataset import parquet
    from pipelines.dataset.archive import Archive
    from registry.location import open_location

    parquet.require()
    config = load_config(files, overrides)
    if embedded is not None and recording is not None:
        raise click.UsageError("--embedded and --recording are two places to read; leave one out")
    opened = open_location(store)
    archive = Archive(opened, name or config.namespace)
    if recording is not None:
        from monitor.adapters.recording import RecordedLog

        log: Any = RecordedLog(recording)
    else:
        log = open_existing(config, embedded)
    try:
        asked = Asked(pane_ms, ids, until_end, actor, now_ms())
        done = list(written(config, log, archive, opened, asked))
    finally:
        log.close()
    _told(archive.name, opened.where, done, output)


@command.command("show")
@click.argument("name", required=False)
@store_option
@output_option
def show(name: str | None, store: Location, output: str) -> None:
    """Show the panes of an archive, or which archives there are.

    \b
    Examples:
      driftline archive show
      driftline archive show fraud -o json
    """
    from monitor.cli import show as shown
    from pipelines.dataset.archive import names

    opened = _open(store)
    if name is None:
        held = names(opened)
        if output == "json":
            shown.print_json({"archives": held})
        else:
            click.echo("\n".join(held) or "there is none yet; `driftline archive write` makes one")
        return
    _, state = _archive(opened, name)
    panes = _panes(state)
    if output == "json":
        begun = state.begun
        shown.print_json({
            "archive": name, "pane_ms": begun.pane_ms, "cluster": begun.cluster, "topic": begun.predictions.name,
            "commits": state.last - 1, "panes": panes,
            "lost_offsets": {str(partition): list(lost) for partition, lost in sorted(state.lost.items()) if any(lost)},
        })  # fmt: skip
        return
    table = shown.table(None, "pane", "partition", "rows", "labelled", "", right=("partition", "rows", "labelled"))
    for pane in panes:
        said = [word for word in ("final", "partial") if pane[word]] + [pane["why"]]
        at = shown.minute(pane["from_ms"])
        counts = (f"{pane['rows']:,}", f"{pane['rows'] - pane['unlabelled_rows']:,}")
        table.add_row(at, str(pane["partition"]), *counts, ", ".join(said))
    shown.console().print(table)


@command.command("verify")
@click.argument("name")
@store_option
def verify(name: str, store: Location) -> None:
    """Read every row of an archive and compare it with what its log says. Exit code 1 when one is not as it was written.

    \b
    Example:
      driftline archive verify fraud --store ./registry
    """
    from monitor.cli.show import note
    from registry.errors import StoreError

    archive, state = _archive(_open(store), name)
    faults = list(archive.check(state, (StoreError,)))
    for fault in faults[:20]:
        note(fault)
    if faults:
        sys.exit(FAILED)
    note(f"every row of {len(state.current):,} panes is as it was archived")


@command.command("count")
@click.argument("name")
@store_option
@click.option(
    "--window",
    "window_ms",
    type=_duration,
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="Length of a window.",
)
@click.option("--from", "from_ms", type=iso_ms, metavar="ISO", help="Predictions made at or after this time …")
@click.option("--until", "until_ms", type=iso_ms, metavar="ISO", help="… and before this one (event time).")
def count(name: str, store: Location, window_ms: int, from_ms: int | None, until_ms: int | None) -> None:
    """Count archived rows again by window, model, version and segment, as JSON lines: what was seen and labelled, and how many
    of each label got which prediction.

    \b
    Example:
      driftline archive count fraud --store ./registry --window 1d --from 2013-01-01
    """
    import orjson

    from pipelines.dataset.manifest import Selection
    from pipelines.dataset.redaction import erased
    from pipelines.dataset.unpacking import windows

    opened = _open(store)
    archive, state = _archive(opened, name)
    for each in windows(archive, state, Selection(from_ms, until_ms), window_ms, erased(opened)):
        cells = [{"label": label, "prediction": guess, "rows": n} for (label, guess), n in each.cells.items()]
        click.echo(
            orjson.dumps({
                "start_ms": each.start_ms, "end_ms": each.start_ms + window_ms, "model": each.model,
                "version": each.version, "segment": each.segment, "seen": each.seen, "labelled": each.labelled,
                "cells": cells,
            })
        )  # fmt: skip


@command.command("dataset")
@click.argument("archive")
@store_option
@click.option("--name", help="A name for the version; names are given once and do not move.")
@click.option("--from", "from_ms", type=iso_ms, metavar="ISO", help="Predictions made at or after this time …")
@click.option("--until", "until_ms", type=iso_ms, metavar="ISO", help="… and before this one (event time).")
@click.option("--model", "models", multiple=True, help="This model only; may be repeated.")
@actor_option
def dataset(
    archive: str,
    store: Location,
    name: str | None,
    from_ms: int | None,
    until_ms: int | None,
    models: tuple[str, ...],
    actor: str,
) -> None:
    """Make a dataset version of archived rows: the rows, and their digest, are those that the topics gave. Printed is the
    digest of the version.

    \b
    Example:
      driftline archive dataset fraud --store ./registry --name 2013-01 --from 2013-01-01 --until 2013-02-01
    """
    from monitor.cli import dataset_show as shown
    from pipelines.dataset.manifest import Selection
    from pipelines.dataset.selection import checked
    from pipelines.dataset.shelf import Shelf
    from pipelines.dataset.unpacking import dataset as make

    opened = _open(store)
    held, state = _archive(opened, archive)
    shelf = Shelf(opened)
    selection = checked(Selection(from_ms, until_ms, models=tuple(sorted(set(models))) or None))
    manifest = make(held, state, shelf, selection)
    digest, new = shelf.add(manifest, name)
    if name is not None:
        shelf.name(name, digest, actor, now_ms())
    click.echo(digest)
    shown.made(name or digest, manifest, new)


def _told(name: str, where: str, done: list[Written], output: str) -> None:
    """What `write` wrote."""
    from monitor.cli.show import note, print_json

    segments = [segment for each in done for segment in each.segments]
    lost = sum(sum(each.lost) for each in done)
    crossed = any(each.crossed for each in done)
    if output == "json":
        kinds = [str(segment.why) for segment in segments]
        counts = {why: kinds.count(why) for why in sorted(set(kinds))}
        rows = sum(segment.rows for segment in segments)
        print_json({"archive": name, "segments": counts, "rows": rows, "lost_offsets": lost,
                    "crossed_erasure": crossed})  # fmt: skip
    else:
        rows = sum(segment.rows for segment in segments)
        note(f"{name}: {len(segments):,} segments with {rows:,} rows written in {where}")
    if lost:
        note(
            f"{lost:,} offsets of panes that were still open had left the topics: those panes are marked as partial. Run it "
            "more often than retention"
        )
    if crossed:
        note(
            "ids were erased while this was written: they are in no pane; run that `driftline redact` once more, for the files"
        )


def _open(location: Location) -> OpenedStore:
    from registry.cli.common import open_store

    return open_store(location)


def _archive(store: OpenedStore, name: str) -> tuple[Archive, State]:
    from pipelines.dataset.archive import Archive

    archive = Archive(store, name)
    return archive, archive.state()


def _panes(state: State) -> list[dict[str, Any]]:
    return [
        {
            "partition": partition, "from_ms": segment.from_ms, "until_ms": segment.until_ms, "why": str(segment.why),
            "rows": segment.rows, "unlabelled_rows": segment.unlabelled_rows, "final": segment.final,
            "partial": segment.partial, "rows_digest": segment.rows_digest, "commit": number,
        }
        for (partition, _), (number, _, segment) in sorted(state.current.items(), key=lambda each: each[0][::-1])
    ]  # fmt: skip
