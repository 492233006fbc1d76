"""The command `driftline ledger`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import FAILED
from monitor.cli.ledger_gap import gap

if TYPE_CHECKING:
    from monitor.config.types import Topics
    from monitor.daemon.tail import Stored
    from monitor.ledger.audit import Audit
    from monitor.ports import Log


@click.group("ledger")
def command() -> None:
    """The ledger: what was counted, by whom, in which order; and what is lost.

    \b
    Examples:
      driftline ledger audit -c driftline.yaml
      driftline ledger cat -c driftline.yaml --partition 0
    """


command.add_command(gap)


@command.command("cat")
@config_options
@embedded_option
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option("--deltas", is_flag=True, help="Decode what each commit adds to the windows.")
def cat(
    files: tuple[Path, ...], overrides: tuple[str, ...], embedded: Path | None, partition: int | None, deltas: bool
) -> None:
    """Print every record as a JSON line, with its offset and whether it counts.

    \b
    Example:
      driftline ledger cat -c driftline.yaml | jq 'select(.verdict != "accepted")'
    """
    import orjson

    from monitor.cli.scan import open_existing

    config = load_config(files, overrides)
    log = open_existing(config, embedded)
    try:
        for audit, stored, verdict in _walk(log, config.topics(), partition):
            line = {
                "partition": audit.partition,
                "offset": stored.offset,
                "verdict": str(verdict),
                **_plain(stored, deltas),
            }
            click.echo(orjson.dumps(line))
    finally:
        log.close()


@command.command("audit")
@config_options
@embedded_option
@output_option
def audit(files: tuple[Path, ...], overrides: tuple[str, ...], embedded: Path | None, output: str) -> None:
    """Prove from the ledger alone that nothing was lost or counted twice. Exit code 1 when it does not hold.

    Of a trimmed ledger it says from which offset on it was read: what stood before is taken from the checkpoint there.

    \b
    Example:
      driftline ledger audit -c driftline.yaml -o json
    """
    import orjson

    from monitor.cli.scan import open_existing

    config = load_config(files, overrides)
    log = open_existing(config, embedded)
    try:
        audits: dict[int, Audit] = {}
        for one, _, _ in _walk(log, config.topics(), None):
            audits[one.partition] = one
        lines = [_summary(a) for _, a in sorted(audits.items())]
    finally:
        log.close()
    if output == "json":
        click.echo(orjson.dumps({"partitions": lines, "holds": not any(line["violations"] for line in lines)}))
    else:
        _table(lines)
    for line in lines:
        if line["from_offset"]:
            said = (
                f"partition {line['partition']}: trimmed; read from the checkpoint at offset {line['from_offset']} on"
            )
            click.echo(f"driftline: {said}", err=True)
    broken = [f"partition {line['partition']}: {v}" for line in lines for v in line["violations"]]
    for sentence in broken[:20]:
        click.echo(f"driftline: {sentence}", err=True)
    if broken:
        sys.exit(FAILED)


def _walk(log: Log, topics: Topics, partition: int | None) -> Iterator[tuple[Audit, Stored, Any]]:
    from monitor.daemon.tail import read_range
    from monitor.errors import LedgerError

    topic = topics.ledger
    if log.topic(topic) is None:
        raise LedgerError(f"there is no ledger: topic {topic!r} does not exist", "Has `driftline run` been started?")
    begins, ends = log.begin_offsets(topic), log.end_offsets(topic)
    if partition is not None and partition >= len(ends):
        raise click.UsageError(f"there is no partition {partition}; topic {topic!r} has 0 to {len(ends) - 1}")
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if partition is not None and number != partition:
            continue
        one = _begin(log, topics, number, begin)
        for stored in read_range(log, topic, number, max(begin, one.begun_at), end):
            yield one, stored, one.feed(stored.offset, stored.record, stored.raw)


def _begin(log: Log, topics: Topics, partition: int, begin: int) -> Audit:
    """The audit of a partition at its first record; of a trimmed one at the oldest checkpoint that can be used. A log
    that ends before a checkpoint, or has other records there, has lost some."""
    from monitor.daemon.checkpoints import of_ledger, usable
    from monitor.errors import LedgerError
    from monitor.ledger.audit import Audit

    one = Audit(partition)
    try:
        found = list(usable(log, topics.ledger, partition, of_ledger(log, topics.checkpoints, partition)))
    except LedgerError as error:
        one.violations.append(error.why)
        return one
    if begin > 0 and found:
        manifest = found[-1].manifest
        one.state, one.begun_at = manifest.fold.state(), manifest.place.next_offset
    return one


def _plain(stored: Stored, deltas: bool) -> dict[str, Any]:
    import msgspec

    from monitor.ledger.records import Commit

    record = stored.record
    document: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
    for name, value in document.items():
        if isinstance(value, bytes):
            document[name] = value.hex()
    if isinstance(record, Commit):
        for name in ("inputs", "performance"):
            delta = getattr(record, name)
            columns = ("group", "pane", "tick", "length", "cell", "amount")
            if delta is None:
                continue
            if deltas:
                document[name] = {column: delta.column(column).tolist() for column in columns}
            else:
                document[name] = {"slots": len(delta.column("group")), "cells": len(delta.column("cell"))}
    return document


def _summary(one: Audit) -> dict[str, Any]:
    commit, state = one.state.commit, one.state
    return {
        "partition": one.partition,
        "from_offset": one.begun_at,
        "records": dict(one.records),
        "ignored": {str(v): n for v, n in sorted(one.verdicts.items()) if v != "accepted"},
        "epoch": state.epoch,
        "commits": state.sequence,
        "predictions_read": one.read[0],
        "labels_read": one.read[1],
        "lost": [state.lost_predictions, state.lost_labels],
        "prediction_outcomes": dict(commit.prediction_outcomes) if commit else {},
        "label_outcomes": dict(commit.label_outcomes) if commit else {},
        "ended": state.ended,
        "violations": one.violations,
    }


def _table(lines: list[dict[str, Any]]) -> None:
    from monitor.cli import show

    numbers = ("partition", "epoch", "commits", "ignored", "predictions", "labels", "lost")
    made = show.table(None, *numbers, "verdict", right=numbers)
    for line in lines:
        counts = (
            line["partition"],
            line["epoch"],
            line["commits"],
            sum(line["ignored"].values()),
            line["predictions_read"],
            line["labels_read"],
            sum(line["lost"]),
        )
        violations = len(line["violations"])
        made.add_row(*(f"{count:,}" for count in counts), f"{violations} violations" if violations else "holds")
    show.console().print(made)
