"""Sampled records as columns: one per place a field could be read from (value, key, header), with its scalars."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitor.config.sources import Source

MOST_COLUMNS = 400
"""Wider records are cut: nobody watches more, and every pair of columns may be compared."""
DEEPEST = 8
LONGEST_TEXT = 200
USUAL_SHARE = 0.95
"""Share of a place's values from which on the others are slips."""

_EARLIEST_S, _LATEST_S = 631_152_000, 4_102_444_800  # 1990 to 2100: what is outside is not taken for a time
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_NO_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?(\.\d+)?\Z", re.ASCII)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One record as the log returned it, or what is in its envelope, and the leaves of that. `timestamp_ms` is the broker's."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int
    partition: int = 0
    envelope: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """The scalars found at one place, by the position of their record; records without the place are not in it."""

    source: Source
    values: Mapping[int, Scalar]
    records: int  # how many records there are in all

    @property
    def name(self) -> str:
        """The last step of the place, as the producer calls it."""
        return self.source.path[-1] if self.source.path else self.source.name or self.source.kind

    @property
    def parent(self) -> str:
        """The step before the last, or nothing."""
        return self.source.path[-2] if len(self.source.path) > 1 else ""

    def filled(self) -> dict[int, str | int | float | bool]:
        """The values that are not null."""
        return {row: value for row, value in self.values.items() if value is not None}

    def texts(self) -> dict[int, str]:
        """The values that could be an id, as text: text and whole numbers."""
        return {
            row: str(v) for row, v in self.filled().items() if isinstance(v, (str, int)) and not isinstance(v, bool)
        }

    def numbers(self) -> dict[int, float]:
        """The values that are numbers."""
        found = self.filled().items()
        return {row: float(v) for row, v in found if isinstance(v, (int, float)) and not isinstance(v, bool)}

    def counts(self) -> Counter[Scalar]:
        """How often each value occurs."""
        return Counter(self.filled().values())

    @property
    def presence(self) -> float:
        """Share of the records that have a value here."""
        return len(self.filled()) / self.records if self.records else 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """A sampled topic as columns. `unreadable`: records whose value is no JSON object."""

    columns: tuple[Column, ...]
    broker_ms: tuple[int, ...]
    partitions: tuple[int, ...]
    unreadable: int

    @property
    def records(self) -> int:
        """How many records were sampled."""
        return len(self.broker_ms)


def table(samples: Sequence[Sample]) -> Table:
    """Columns in the order in which their places were first seen, values before keys, headers and envelopes."""
    found: dict[Source, dict[int, Scalar]] = {}
    unreadable = 0
    for row, sample in enumerate(samples):
        document = _json(sample.value)
        unreadable += not isinstance(document, dict)
        if isinstance(document, dict):
            _flatten("value", document, (), row, found)
    for row, sample in enumerate(samples):
        text = _text(sample.key)
        document = _json(sample.key)
        if isinstance(document, dict):
            _flatten("key", document, (), row, found)
        elif text:
            found.setdefault(Source("key"), {})[row] = text
        for name, value in sample.headers:
            if name and (header := _text(value)) is not None:
                found.setdefault(Source("header", name=name), {})[row] = header
        _flatten("envelope", sample.envelope, (), row, found)
    columns = tuple(
        Column(source, _without_slips(values), len(samples)) for source, values in list(found.items())[:MOST_COLUMNS]
    )
    times = tuple(sample.timestamp_ms for sample in samples)
    return Table(columns, times, tuple(sample.partition for sample in samples), unreadable)


def _without_slips(values: Mapping[int, Scalar]) -> Mapping[int, Scalar]:
    """Without the few values that are not of the kind that nearly all are: they will be rejected or counted as bad, and
    must not decide what a field is."""
    kinds = {row: _kind(value) for row, value in values.items() if value is not None}
    counts = Counter(kinds.values())
    if len(counts) < 2:
        return values
    usual, times = counts.most_common(1)[0]
    if times < USUAL_SHARE * len(kinds):
        return values
    return {row: value for row, value in values.items() if kinds.get(row, usual) == usual}


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _json(raw: bytes | None) -> Any:
    if not raw or len(raw) > 1 << 20:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw is not None and len(raw) <= LONGEST_TEXT else None
    except UnicodeDecodeError:
        return None


def _flatten(kind: Any, node: Mapping[str, Any], at: tuple[str, ...], row: int, found: Any) -> None:
    """Scalars of nested objects; lists are left alone, because a field has one place."""
    for key, value in node.items():
        path = (*at, key)
        if isinstance(value, Mapping) and len(path) < DEEPEST:
            _flatten(kind, value, path, row, found)
        elif key and "'" not in key and (value is None or isinstance(value, (str, int, float, bool))):
            found.setdefault(Source(kind, path=path), {})[row] = value


@dataclass(frozen=True, slots=True)
class Times:
    """A column read as event times."""

    column: Column
    unit: str  # s, ms, us, ns or iso
    at_ms: Mapping[int, int]


def as_times(column: Column) -> Times | None:
    """The column as times, if nearly all of its values are: by magnitude (1990 to 2100) or by form."""
    filled = column.filled()
    if not filled:
        return None
    numbers = column.numbers() or _numbers_in_text(column)
    if len(numbers) > 0.9 * len(filled):
        for unit, scale in (("ms", 1.0), ("s", 1e3), ("us", 1e-3), ("ns", 1e-6)):
            low, high = _EARLIEST_S * 1000 / scale, _LATEST_S * 1000 / scale
            fitting = {row: round(number * scale) for row, number in numbers.items() if low <= number <= high}
            if len(fitting) > 0.9 * len(filled):
                return Times(column, unit, fitting)
        return None
    parsed = {row: ms for row, value in filled.items() if isinstance(value, str) and (ms := _iso_ms(value)) is not None}
    return Times(column, "iso", parsed) if len(parsed) > 0.9 * len(filled) else None


def _numbers_in_text(column: Column) -> dict[int, float]:
    """Whole numbers of a key or header, where they can only be text."""
    if column.source.kind == "value" or column.source.path:
        return {}
    return {row: float(v) for row, v in column.filled().items() if isinstance(v, str) and re.fullmatch(r"\d{1,19}", v)}


def lacks_offset(column: Column) -> bool:
    """Whether the column holds ISO 8601 times without an offset: nobody can know which instant they mean."""
    filled = column.filled().values()
    return bool(filled) and all(isinstance(value, str) and _NO_OFFSET.match(value) for value in filled)


def _iso_ms(text: str) -> int | None:
    if not _RFC3339.match(text):
        return None
    try:
        # At most six digits of a fraction: more do not matter here, and not every version of Python reads them.
        parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).upper())
    except ValueError:
        return None
    return round(parsed.astimezone(UTC).timestamp() * 1000)
