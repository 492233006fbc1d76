"""Watched inputs and segments, guessed from sampled predictions; identifiers are left out and named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.config.infer_columns import Column, Table, as_times, lacks_offset
from monitor.config.infer_roles import RARE_SHARE, is_input, snake

MOST_FEATURES = 40
MOST_SEGMENT_VALUES = 20
MOST_SEGMENTS = 3
"""Each segment is counted like a model of its own, in every window."""
MOST_CATEGORIES = 200
"""A text with more values than this tells identifiers apart, not kinds."""

_IDENTIFIER = re.compile(r"(^|_)(id|uid|uuid|guid|key|hash|token|email|phone|ip|name|address|url|session|trace|span)$")


@dataclass(frozen=True, slots=True)
class Feature:
    """A column to watch under a name that metric names can carry."""

    name: str
    column: Column
    type: str  # numeric or categorical


@dataclass(frozen=True, slots=True)
class Features:
    """What to watch, what to count apart, and what was left out with the reason."""

    watched: tuple[Feature, ...]
    segments: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: tuple[tuple[str, str], ...]


def find_features(table: Table, taken: Iterable[Column]) -> Features:
    """Columns of an object called features or inputs if there is one, else all that play no other part."""
    used = {column.source for column in taken}
    free = [column for column in table.columns if column.source.kind == "value" and column.source not in used]
    inside = [column for column in free if is_input(column)]
    chosen: list[tuple[Column, str]] = []
    left_out: list[tuple[str, str]] = []
    for column in inside or free:
        kind, why = _type(column)
        if kind is None or len(chosen) == MOST_FEATURES:
            left_out.append((column.source.text(), why or f"more than {MOST_FEATURES} features"))
        else:
            chosen.append((column, kind))
    left_out += [(column.source.text(), "outside the features") for column in free if inside and column not in inside]
    names = _names([column for column, _ in chosen])
    watched = tuple(Feature(name, column, kind) for name, (column, kind) in zip(names, chosen, strict=True))
    return Features(watched, _segments(watched), tuple(left_out))


def _type(column: Column) -> tuple[str | None, str]:
    """numeric, categorical, or None with the reason."""
    filled = column.filled()
    if not filled:
        return None, "always null"
    if len(column.numbers()) == len(filled):
        why = _why_not_numeric(column)
        return (None, why) if why else ("numeric", "")
    why = "numbers and text mixed" if column.numbers() else _why_not_categorical(column)
    return (None, why) if why else ("categorical", "")


def _why_not_numeric(column: Column) -> str:
    if as_times(column) is not None:
        return "a time"
    counts = column.counts()
    distinct = len(counts) > 20 and len(counts) > 0.5 * len(column.filled())
    whole = all(number.is_integer() for number in column.numbers().values())
    return "an identifier, by its name" if whole and distinct and _named_identifier(column) else ""


def _why_not_categorical(column: Column) -> str:
    if as_times(column) is not None or lacks_offset(column):
        return "a time"
    distinct = len(column.counts())
    if distinct > MOST_CATEGORIES or (distinct > 10 and distinct > 0.5 * len(column.filled())):
        return "an identifier: too many different values"
    return "an identifier, by its name" if distinct > MOST_SEGMENT_VALUES and _named_identifier(column) else ""


def _named_identifier(column: Column) -> bool:
    return bool(_IDENTIFIER.search(snake(column.name)))


def _names(columns: Sequence[Column]) -> list[str]:
    """The last step of each place; as much of the place as is needed to tell two apart."""
    names = [_clean(column.name) for column in columns]
    for index, column in enumerate(columns):
        if names.count(_clean(column.name)) > 1 and len(column.source.path) > 1:
            names[index] = _clean("_".join(column.source.path))
    for index, name in enumerate(names):
        earlier = names[:index]
        number = 2
        while names[index] in earlier:
            names[index] = f"{name}_{number}"
            number += 1
    return names


def _clean(name: str) -> str:
    return re.sub(r"[\s:=,]+", "_", name).lstrip("$")[:100] or "feature"


def _segments(watched: Sequence[Feature]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The categoricals with the fewest values, at most three; the values in the order of how often they occur."""
    found = []
    for feature in watched:
        if feature.type != "categorical":
            continue
        found_counts = feature.column.counts()
        least = RARE_SHARE * sum(found_counts.values())
        counts = [str(value) for value, n in found_counts.most_common() if isinstance(value, str) and n >= least]
        values = tuple(value for value in counts if value and value != "other" and len(value) <= 100)
        if 2 <= len(values) <= MOST_SEGMENT_VALUES:
            found.append((feature.name, values))
    return tuple(sorted(found, key=lambda item: len(item[1]))[:MOST_SEGMENTS])
