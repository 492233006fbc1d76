"""Records as rows: what an envelope holds, and each element of an array, as if it had been a record of its own.

A stream without either is not touched: its records are its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, overload

import numpy as np

from monitor.config.sources import AROUND, Source, TimeUnit
from monitor.config.streams import LabelStream, PredictionStream
from monitor.events import Headers, Int64s, Reason, RecordBatch
from monitor.ingest.careful import Failure, check_size
from monitor.ingest.envelopes import Inner, Skip, unwrapper_of, with_data
from monitor.ingest.formats import Framed
from monitor.ingest.mapping import Leaf, each_place
from monitor.ingest.members import Part, elements_of, heads_of, is_null, leaves_of, members_of, spliced

ELEMENTS_MAX: Final = 10_000
"""Elements of one record: its rows are decoded and joined at once, some megabytes at most, and a commit has room for them."""
AVRO_AS_JSON: Final = 16
"""Times as long as in Avro a record may be as JSON."""
PORTION_BYTES: Final = 1 << 19
"""Records of a stream whose records hold several rows are taken in portions of so many bytes of values, or one record."""

T = TypeVar("T")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Picked(Sequence[T]):
    """Some of a sequence, taken when somebody looks."""

    __slots__ = ("_of", "_places")

    def __init__(self, of: Sequence[T], places: Sequence[int]) -> None:
        self._of, self._places = of, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._of[place] for place in self._places[index]]
        return self._of[self._places[index]]

    def __iter__(self) -> Iterator[T]:
        return (self._of[place] for place in self._places)


@dataclass(frozen=True, slots=True)
class Rows(RecordBatch):
    """A batch that was opened: a row has the offset, the time, key and headers of its record.

    `records` are the places of the records in the batch that was opened, `index` those of rows in the array of their record,
    -1 where a row is its record as a whole. `around` has for each kind of
    place around a row what is there, by row. Rows in `failed` could not be opened; those in `decided` have fields that the
    envelope decides, by name. `skipped` counts records that are no rows.
    """

    records: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    index: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    around: Mapping[str, Sequence[object]] = field(default_factory=dict)
    failed: Mapping[int, Failure] = field(default_factory=dict)
    decided: Mapping[int, Mapping[str, object]] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Building:
    """Rows so far: per row the place of its record, its place in the array, its value and what is around it."""

    places: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    outer: list[object] = field(default_factory=list)
    envelope: list[object] = field(default_factory=list)
    failed: dict[int, Failure] = field(default_factory=dict)
    decided: dict[int, Mapping[str, object]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, place: int, index: int, value: bytes | None, outer: object, envelope: object) -> None:
        self.places.append(place)
        self.index.append(index)
        self.values.append(value)
        self.outer.append(outer)
        self.envelope.append(envelope)

    def fail(self, place: int, failure: Failure) -> None:
        self.failed[len(self.places)] = failure
        self.add(place, -1, None, None, None)


class Opener:
    """Opens the records of one stream that has an envelope or an array."""

    def __init__(self, stream: PredictionStream | LabelStream, leaves: Sequence[Leaf]) -> None:
        """`leaves`: those that are mapped."""
        paths: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in AROUND}
        for leaf in each_place(leaves):
            if leaf.source.kind in AROUND:
                paths[leaf.source.kind].append(leaf.source.path)
        self._max_bytes, self._json_bytes = stream.max_bytes, value_bytes(stream)
        self._framed = None if stream.format in (None, "json") else Framed(str(stream.format), stream.schemas)
        self._unwrap = None if stream.envelope is None else unwrapper_of(stream.envelope, paths["envelope"]).unwrap
        cloudevents = stream.envelope is not None and stream.envelope.format == "cloudevents"
        self.needs_headers = cloudevents or self._framed is not None
        self._array = None if stream.each is None else _Array(stream.each, paths["outer"])
        self._time = _time_writer(stream.fields.at.unit)

    def open(self, batch: RecordBatch) -> Rows:
        """The rows of a batch, in its order. A batch without the headers that the envelope is in is a bug (AssertionError)."""
        assert batch.headers is not None or not self.needs_headers, "the envelope is in headers, and the batch has none"
        made = _Building()
        headers: Sequence[Headers | None] = batch.headers if self.needs_headers and batch.headers is not None else ()
        times = batch.timestamps_ms.tolist()
        for place, value in enumerate(batch.values):
            self._open(made, place, value, (headers[place] or ()) if headers else (), times[place])
        places = np.array(made.places, np.int64)
        return Rows(
            batch.topic,
            batch.partition,
            batch.offsets[places],
            batch.timestamps_ms[places],
            made.values,
            batch.next_offset,
            None if batch.keys is None else _Picked(batch.keys, made.places),
            None if batch.headers is None else _Picked(batch.headers, made.places),
            records=places,
            index=np.array(made.index, np.int64),
            around={"outer": made.outer, "envelope": made.envelope},
            failed=made.failed,
            decided=made.decided,
            skipped=made.skipped,
        )

    def ready(self, batch: RecordBatch) -> None:
        """Have everything at hand that a batch is opened with. Raises SchemasUnreachable."""
        if self._framed is None:
            return
        headers = batch.headers or [()] * len(batch)
        for value, own in zip(batch.values, headers, strict=True):
            if value:
                self._framed.ready(value, own or ())

    def only(self, value: bytes, headers: Headers, keep: Callable[[int], bool]) -> bytes | None:
        """The value of a record with some of the elements of its array alone, everything else byte by byte as it was; None
        where that cannot be."""
        if self._array is None:
            return None
        frame = b""
        if self._framed is not None:  # Avro would have to be written anew, with its schema
            found = self._framed.open(value, headers)
            if isinstance(found, Failure) or not value.endswith(found):
                return None
            frame, value = value[: len(value) - len(found)], found
        left = self._only(value, headers, keep)
        return None if left is None else frame + left

    def _only(self, value: bytes, headers: Headers, keep: Callable[[int], bool]) -> bytes | None:
        assert self._array is not None, "only an array has elements"
        if check_size(value, self._json_bytes) is not None:
            return None
        found = self._unwrap(value, headers, 0) if self._unwrap else Inner(value, {})
        if not isinstance(found, Inner):
            return None
        if found.way is not None:
            return spliced(value, (*found.way, *self._array.path), keep)
        inner = spliced(found.value, self._array.path, keep)
        return None if inner is None else with_data(value, inner)

    def _open(self, made: _Building, place: int, value: bytes | None, headers: Headers, broker_ms: int) -> None:
        found: Inner | Failure | Skip | None = None
        if value and self._framed is not None:
            framed = _opened(self._framed, value, headers, self._max_bytes)
            found, value = (framed, None) if isinstance(framed, Failure) else (None, framed)
        if value and found is None:
            found = check_size(value, self._json_bytes)
        if found is None:
            found = self._unwrap(value, headers, broker_ms) if self._unwrap else Inner(value or b"", {})
        if isinstance(found, Skip):
            made.skipped[found] += 1
        elif isinstance(found, Failure):
            made.fail(place, found)
        else:
            self._rows(made, place, found)

    def _rows(self, made: _Building, place: int, inner: Inner) -> None:
        first = len(made.places)
        if self._array is None:
            made.add(place, -1, inner.value, None, inner.envelope)
        else:
            found = self._array.open(inner.value)
            if isinstance(found, Failure):
                made.fail(place, found)
                return
            elements, outer = found
            for index, element in enumerate(elements):
                made.add(place, index, bytes(element), outer, inner.envelope)
        if inner.deleted_ms is not None:
            decided = {"label": None, "withdrawn": True, "at": self._time(inner.deleted_ms)}
            made.decided |= dict.fromkeys(range(first, len(made.places)), decided)


class _Array:
    """The array of a record, and what is mapped beside it."""

    def __init__(self, source: Source, paths: Sequence[Sequence[str]]) -> None:
        self.path, self._name, self._heads = source.path, source.text(), heads_of(paths)

    def open(self, value: bytes) -> tuple[Sequence[Part], Mapping[str, object]] | Failure:
        """The elements, and the leaves beside them."""
        if not value:
            return Failure(Reason.EMPTY, "the record has no value")
        whole = members = members_of(value)
        if isinstance(whole, Failure):
            return whole
        array: Part = value
        for step in self.path:
            if array is not value:
                members = members_of(array)
            if isinstance(members, Failure):
                return Failure(Reason.TYPE, f"on the way to {self._name}: {members.detail}")
            part = members.get(step)
            if part is None or is_null(part):
                return Failure(Reason.MISSING, f"{self._name} is absent or null")
            array = part
        elements = elements_of(array)
        if isinstance(elements, Failure):
            return Failure(elements.reason, f"{self._name}: {elements.detail}")
        if len(elements) > ELEMENTS_MAX:
            return Failure(Reason.OVERSIZED, f"{self._name}: {len(elements)} elements; allowed: {ELEMENTS_MAX}")
        return elements, leaves_of(whole, self._heads)


def opener_of(stream: PredictionStream | LabelStream, leaves: Sequence[Leaf]) -> Opener | None:
    """How the records of a stream are opened; None where they are its rows."""
    plain = stream.envelope is None and stream.each is None and stream.format in (None, "json")
    return None if plain else Opener(stream, leaves)


def value_bytes(stream: PredictionStream | LabelStream) -> int:
    """How long a value may be as JSON, which names its fields in every record where Avro does not."""
    return stream.max_bytes * (AVRO_AS_JSON if stream.format == "avro" else 1)


def _opened(framed: Framed, value: bytes, headers: Headers, max_bytes: int) -> bytes | Failure:
    if len(value) > max_bytes:
        return Failure(Reason.OVERSIZED, f"{len(value)} bytes; allowed: {max_bytes}")
    return framed.open(value, headers)


def portions(batch: RecordBatch) -> Iterator[RecordBatch]:
    """A batch in parts of at most `PORTION_BYTES` of values, or of one record."""
    start, size, values = 0, 0, batch.values
    for place, value in enumerate(values):
        length = len(value or b"")
        if size and size + length > PORTION_BYTES:
            yield batch.rows(start, place, int(batch.offsets[place - 1]) + 1)
            start, size = place, 0
        size += length
    yield batch if not start else batch.rows(start, len(batch), batch.next_offset)


def _time_writer(unit: TimeUnit) -> Callable[[int], object]:
    """From ms to what a time of this unit is read from."""
    if unit == "iso":
        return lambda ms: (_EPOCH + timedelta(milliseconds=ms)).isoformat()
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    return lambda ms: ms * per_second / 1_000
