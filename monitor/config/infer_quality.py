"""What the data must look like, proposed from a sample: with a margin, because a sample never holds the extremes.

A unit bug that stays within the margin is not seen; who knows the true limits writes them in place of these.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from monitor.config.durations import format_duration
from monitor.config.infer_columns import Column, Table, Times
from monitor.config.infer_features import Feature
from monitor.config.infer_guess import nice_ms
from monitor.config.infer_lines import comment, indent
from monitor.config.quality import VIOLATIONS_MOST
from monitor.config.yaml_text import flow, scalar

FEWEST_VALUES = 100
"""Fewer values than this say too little about what is right."""
MOST_VALUES = 40
"""A feature with more values than this has too many to list."""
MOST_NEW = 0.02
"""Where more values in a hundred than this came only once, the list is not complete (Good and Turing), so none is made."""
_MISSING_MOST = 0.45
"""A feature that is missing more often than this is not worth a limit."""
_DAY_MS = 86_400_000
_PAUSES = 4
"""How much longer than the longest pause seen a silence may be."""
_VOLUME_SHARE = 0.25
"""The least that must come in a day, of what came on an average one."""


def quality_lines(
    part: Table, at: Times | None, watched: Sequence[Feature], rows: Collection[int] | None, *, traffic: bool = True
) -> list[str]:
    """`quality` of a model, or nothing where the sample is too small. `rows`: the model's records, None for all of the sample;
    `traffic` False: of many models, which have each their own."""
    own = _readable(part) if rows is None else set(rows)
    features = [line for feature in watched for line in _feature(feature, own)]
    come = _traffic(part, at, own) if traffic else []
    if not features and not come:
        return []
    lines = comment("what its data must look like; an alert of these pages, and blocks retraining")
    lines.append("quality:")
    if features:
        lines += ["  features:", *indent(features, 4)]
    return [*lines, *indent(come)]


def _readable(part: Table) -> set[int]:
    """The records that have anything in their value: those without will be rejected, and lack nothing."""
    return {row for column in part.columns if column.source.kind == "value" for row in column.values}


def _feature(feature: Feature, rows: Collection[int]) -> Iterator[str]:
    whole = feature.column
    column = Column(whole.source, {row: value for row, value in whole.values.items() if row in rows}, len(rows))
    filled = len(column.filled())
    if filled < FEWEST_VALUES:
        return
    declared, seen = _numeric(column) if feature.type == "numeric" else _categorical(column)
    missing = 1 - filled / column.records
    if missing <= _MISSING_MOST:
        declared["missing"] = {"at_most": _rounded_up(max(2 * missing, 0.0) + VIOLATIONS_MOST)}
    if declared:
        without = column.records - filled
        yield from comment(f"{seen}; without a value in {without:,} of {column.records:,} records")
        yield f"{scalar(feature.name)}: {flow(declared)}"


def _numeric(column: Column) -> tuple[dict[str, Any], str]:
    """Limits half a span beyond what was seen; 0 where nothing below it was."""
    numbers = [number for number in column.numbers().values() if math.isfinite(number)]
    low, high = min(numbers), max(numbers)
    span = high - low or abs(high) or 1.0
    if not math.isfinite(span):
        return {}, "numbers too far apart for a margin"
    unit = 10.0 ** math.floor(math.log10(span) - 0.3)
    seen = f"seen between {_tidy(low, unit, math.floor):g} and {_tidy(high, unit, math.ceil):g}"
    least = _tidy(low - span / 2, unit, math.floor)
    return {
        "min": 0 if low >= 0 > least else _plain(least),
        "max": _plain(_tidy(high + span / 2, unit, math.ceil)),
    }, seen


def _categorical(column: Column) -> tuple[dict[str, Any], str]:
    """The values seen, when they seem to be all there are."""
    counts = {value: n for value, n in column.counts().items() if isinstance(value, str) and len(value) <= 100}
    total = sum(column.counts().values())
    once = sum(n == 1 for n in counts.values())
    seen = f"{len(counts)} values seen"
    if len(counts) != len(column.counts()) or len(counts) > MOST_VALUES or once > MOST_NEW * total:
        return {}, seen
    declared: dict[str, Any] = {"values": sorted(counts)}
    if once:
        declared["unexpected"] = {"at_most": _rounded_up(VIOLATIONS_MOST + 2 * once / total)}
        seen += f", {once} of them once, so there may be others"
    return declared, seen


def _traffic(part: Table, at: Times | None, rows: Collection[int]) -> list[str]:
    """Volume and freshness, from pauses between records that follow each other in their partition."""
    pauses, covered = _pauses(part, at, rows)
    if len(pauses) < FEWEST_VALUES:
        return []
    silence = max(nice_ms(_PAUSES * pauses[-1]), 900_000)
    said = comment(
        f"the longest pause in the sample was {format_duration(max(1_000, pauses[-1] // 1000 * 1000))}; nights and holidays "
        "may be longer",
        mark=True,
    )
    freshness = f"freshness: {flow({'at_most': format_duration(silence)})}"
    if covered < _DAY_MS:  # it says nothing about a night
        return [*said, f"# {freshness}"]
    least = int(len(pauses) * _DAY_MS / covered * _VOLUME_SHARE)
    volume = {"at_least": max(1, least), "window": "1d"}
    about = comment(f"a quarter of what came on an average day, {int(least / _VOLUME_SHARE):,} predictions", mark=True)
    return [*about, f"volume: {flow(volume)}", *said, freshness]


def _pauses(part: Table, at: Times | None, rows: Collection[int]) -> tuple[list[int], int]:
    """Times between neighbours, sorted, and how much time they cover together. Of each partition the longest is left out:
    it may be what lies between the records of its start and those of its end."""
    by_partition: dict[int, list[int]] = {}
    for row, at_ms in sorted(at.at_ms.items()) if at is not None else ():
        if row not in rows:
            continue
        by_partition.setdefault(part.partitions[row], []).append(at_ms)
    pauses: list[int] = []
    covered = 0
    for times in by_partition.values():
        own = sorted(_differences(sorted(times)))[:-1]
        pauses += own
        covered = max(covered, sum(own))
    return sorted(pauses), covered


def _differences(times: Sequence[int]) -> Iterable[int]:
    return (after - before for before, after in pairwise(times))


def _tidy(value: float, unit: float, towards: Any) -> float:
    """The next whole number of units."""
    return float(towards(value / unit) * unit)


def _plain(value: float) -> float | int:
    """Without a point where none is needed, and without the dust of the division."""
    rounded = float(f"{value:.12g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _rounded_up(share: float) -> float:
    """To a whole percent."""
    return min(1.0, math.ceil(round(share * 100, 6)) / 100)
