"""Where the copies of records go when a topic is re-keyed, and what each copy holds.

A record goes where its id does. The elements of an array may belong to several partitions: then there is a copy for each of
them, which holds its own elements alone, byte by byte as they were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from monitor.events import Headers, RecordBatch
from monitor.ingest.id_texts import IdTexts
from monitor.ingest.interner import is_unicode
from monitor.ingest.rows import Rows

FROM: Final = "driftline.rekeyed-from"
"""Header of a copy: TOPIC/PARTITION/OFFSET of the record it is of."""

Place = Callable[[Sequence[bytes], int], Iterable[int]]
"""Keys and a number of partitions -> the partition of each."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy to be made: of the record at a place of its batch, into a partition. `unplaced`: no id could be read."""

    place: int
    partition: int
    value: bytes | None
    key: bytes | None
    unplaced: bool = False


def routed(batch: RecordBatch, ids: IdTexts, place: Place, partitions: int) -> Iterator[Copy]:
    """The copies of a batch, in its order. What has no id goes to the partition with the number of its own, modulo
    `partitions`; so does a record that holds no row, such as a tombstone."""
    rows = ids.open(batch)
    texts = {row: text.encode() for row, text in ids.read(rows) if text and is_unicode(text)}
    where = dict(zip(texts, map(int, place(list(texts.values()), partitions)), strict=True))
    records = rows.records.tolist() if isinstance(rows, Rows) else range(len(rows))
    own: dict[int, list[int]] = defaultdict(list)  # rows with an id, by place of their record
    for row in where:
        own[records[row]].append(row)
    holding = set(records)
    for at, value in enumerate(batch.values):
        kept = batch.keys[at] if batch.keys is not None else None
        parts = _parts(batch, at, rows, {row: where[row] for row in own.get(at, ())}, ids)
        if not parts:
            yield Copy(at, batch.partition % partitions, value, kept, unplaced=at in holding)
        for target, (part, first) in parts.items():
            yield Copy(at, target, part, kept if ids.reads_keys else texts[first])


def _parts(
    batch: RecordBatch, at: int, rows: RecordBatch, own: dict[int, int], ids: IdTexts
) -> dict[int, tuple[bytes | None, int]]:
    """By partition what of a record goes there, and the first of its rows; empty where nothing can be placed. `own`: rows with
    an id and their partitions. Elements without an id go where the first one goes."""
    value = batch.values[at]
    targets = {target: row for row, target in reversed(own.items())}
    if len(targets) < 2 or value is None or ids.opener is None or not isinstance(rows, Rows):
        return {target: (value, row) for target, row in targets.items()}
    first = next(iter(own.values()))
    by_index = {int(rows.index[row]): target for row, target in own.items()}
    headers = () if batch.headers is None else batch.headers[at] or ()
    found: dict[int, tuple[bytes | None, int]] = {}
    for target in sorted(targets):
        part = ids.opener.only(value, headers, partial(_belongs, by_index, target, first))
        if part is None:
            return {}
        found[target] = part, targets[target]
    return found


def _belongs(by_index: dict[int, int], target: int, first: int, index: int) -> bool:
    return by_index.get(index, first) == target


def mark_of(batch: RecordBatch, offset: int) -> bytes:
    """The value of the header that says where a copy is from."""
    return f"{batch.topic}/{batch.partition}/{offset}".encode()


def origin_of(headers: Headers, source: str) -> tuple[int, int] | None:
    """Partition and offset in a source topic of a copy; None where a record is none."""
    for name, value in reversed(headers):
        if name == FROM and value is not None:
            topic, *numbers = value.decode("utf-8", "replace").rsplit("/", 2)
            if topic == source and len(numbers) == 2 and all(map(str.isdecimal, numbers)):
                return int(numbers[0]), int(numbers[1])
    return None
