"""Ranges of topics on the command line: times of the log, or offsets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from monitor.cli.show import iso_ms
from monitor.config.suggest import listing

if TYPE_CHECKING:
    from monitor.ports import Log

Span = tuple[int, int]

BOUND_HELP = (
    "An ISO time of the log (of appending, not event time), or TOPIC=OFFSET, or TOPIC:PARTITION=OFFSET (repeatable)."
)
_OFFSET = re.compile(r"([A-Za-z0-9._-]+)(?::(\d+))?=(\d+)")


def spans_of(log: Log, topics: Sequence[str], starts: Sequence[str], ends: Sequence[str]) -> dict[str, list[Span]]:
    """[start, end) of every partition of these topics; what is not said begins and ends where the log does now.

    Raises UsageError for what cannot be read, for a topic that is not one of these, for bounds the wrong way round, and
    for a range that the log does not hold.
    """
    times = [[text for text in given if _OFFSET.fullmatch(text) is None][-1:] for given in (starts, ends)]
    if all(times) and iso_ms(times[1][0]) < iso_ms(times[0][0]):
        raise click.UsageError(f"--until {times[1][0]} is before --from {times[0][0]}")
    held = {name: list(zip(log.begin_offsets(name), log.end_offsets(name), strict=True)) for name in topics}
    first = _bounds(log, held, starts, {name: [start for start, _ in spans] for name, spans in held.items()}, "--from")
    last = _bounds(log, held, ends, {name: [end for _, end in spans] for name, spans in held.items()}, "--until")
    found = {}
    for name, spans in held.items():
        found[name] = list(zip(first[name], last[name], strict=True))
        for partition, ((start, end), (begin, stop)) in enumerate(zip(found[name], spans, strict=True)):
            if end < start and (starts and ends):
                raise click.UsageError(
                    f"topic {name!r} partition {partition}: --until is offset {end}, which is before --from, offset {start}"
                )
            if not begin <= start <= end <= stop:
                raise click.UsageError(
                    f"topic {name!r} partition {partition} holds offsets [{begin}, {stop}), not [{start}, {end})"
                )
    return found


def _bounds(
    log: Log, held: Mapping[str, Sequence[Span]], given: Sequence[str], default: dict[str, list[int]], option: str
) -> dict[str, list[int]]:
    found = {name: list(offsets) for name, offsets in default.items()}
    for text in given:
        said = _OFFSET.fullmatch(text)
        if said is None:
            at_ms = iso_ms(text)
            for name in held:
                found[name] = log.offsets_at(name, at_ms)
            continue
        name, partition, offset = said[1], said[2], int(said[3])
        if name not in held:
            raise click.UsageError(f"{option}: {name!r} is not read here; there are {listing(tuple(held))}")
        if partition is not None and int(partition) >= len(held[name]):
            raise click.UsageError(
                f"{option}: topic {name!r} has partitions 0 to {len(held[name]) - 1}, not {partition}"
            )
        for number in range(len(held[name])) if partition is None else [int(partition)]:
            found[name][number] = offset
    return found
