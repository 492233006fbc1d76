"""Reading and appending on the embedded log's file. See `monitor.adapters.embedded` for what is promised."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from monitor.adapters.embedded_file import Sight, connect
from monitor.adapters.partitioner import murmur2_partitions
from monitor.errors import LogError, OffsetLost, UnknownOutcome
from monitor.events import Headers, RecordBatch
from monitor.ports import OutRecord, WallClock

OFFSET_BITS = 40
"""A record's primary key is partition id * 2**40 + offset: a partition may hold 10**12 records."""

_OFFSETS = (1 << OFFSET_BITS) - 1
_QUEUE_RECORDS = 10_000  # records sent and not yet written; more are written at once, so that memory stays bounded
_QUEUE_BYTES = 16 << 20
RUN_RECORDS = 1_000  # of one partition at a time where it has so many: what is done once a batch is spread over more
_NAP_MS = 2  # between two looks at an idle file: bounds the latency, costs about half a percent of a core


def pack_headers(headers: Headers) -> bytes | None:
    """Headers as bytes: per header two little-endian int32 lengths (value: -1 for null), the name in UTF-8, the
    value."""
    parts = []
    for name, value in headers:
        raw = name.encode()
        parts.append(struct.pack("<ii", len(raw), -1 if value is None else len(value)) + raw + (value or b""))
    return b"".join(parts) or None


def unpack_headers(packed: bytes | None) -> list[tuple[str, bytes | None]] | None:
    """The headers in `pack_headers`' bytes; None when there are none."""
    if packed is None:
        return None
    headers: list[tuple[str, bytes | None]] = []
    at = 0
    while at < len(packed):
        name, value = struct.unpack_from("<ii", packed, at)
        at += 8
        end = at + name + max(value, 0)
        headers.append((packed[at : at + name].decode(), None if value < 0 else packed[at + name : end]))
        at = end
    return headers


def _number(db: sqlite3.Connection, where: tuple[str, int]) -> tuple[int] | None:
    found: tuple[int] | None = db.execute("SELECT id FROM partitions WHERE topic = ? AND number = ?", where).fetchone()
    return found


class EmbeddedReader:
    """See `monitor.ports.Reader`. Looks at the file every 2 ms while there is nothing to read. A `read_only` one leaves
    no trace beside it."""

    def __init__(self, path: Path, clock: WallClock, *, keys: bool, headers: bool, read_only: bool = False) -> None:
        self._file = Sight(path, read_only=read_only)
        self._clock = clock
        self._keys, self._headers = keys, headers
        self._columns = "id, at_ms, value" + (", key" if keys else "") + (", headers" if headers else "")
        self._positions: dict[tuple[str, int], int] = {}
        self._ids: dict[tuple[str, int], int] = {}
        self._paused: frozenset[tuple[str, int]] = frozenset()
        self._turn = 0

    def assign(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Read exactly these partitions from these offsets on. Raises LogError for one that does not exist."""
        ids = {}
        for topic, partition in positions:
            where = (topic, partition)
            row = self._file.look(lambda db, where=where: _number(db, where))  # type: ignore[misc]
            if row is None:
                raise LogError(
                    f"the embedded log has no topic {topic!r} with a partition {partition}",
                    topic=topic,
                    partition=partition,
                )
            ids[topic, partition] = row[0]
        self._positions, self._ids = dict(positions), ids
        self._paused &= ids.keys()

    def pause(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Replace the set of partitions that poll leaves alone."""
        self._paused = frozenset(partitions) & self._ids.keys()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """At most one batch per partition; waits for the first record only."""
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        seen = None
        while True:
            version = self._file.version()
            if version != seen:
                seen = version
                if batches := self._file.look(lambda db: self._read(db, max_records)):
                    self._positions.update({(batch.topic, batch.partition): batch.next_offset for batch in batches})
                    self._turn += 1
                    return batches
            left_ms = deadline_ms - self._clock.monotonic_ms()
            if left_ms <= 0:
                return []
            self._clock.sleep_ms(min(_NAP_MS, left_ms))

    def close(self) -> None:
        """Close the connection; the reader is not used again."""
        self._file.close()

    def _read(self, db: sqlite3.Connection, max_records: int) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        db.execute("BEGIN")  # one snapshot for the bounds and the records
        try:
            ready = self._ready(db)
            start = self._turn % len(ready) if ready else 0
            for left, where in zip(range(len(ready), 0, -1), ready[start:] + ready[:start], strict=True):
                if room := min(max_records, max(-(-max_records // left), RUN_RECORDS)):
                    batches.append(self._batch(db, where, room))
                    max_records -= len(batches[-1])
        finally:
            db.execute("COMMIT")
        return batches

    def _ready(self, db: sqlite3.Connection) -> list[tuple[str, int]]:
        bounds = {row[0]: row[1:] for row in db.execute("SELECT id, first, next FROM partitions")}
        ready = []
        for where, number in self._ids.items():
            if where in self._paused:
                continue
            if number not in bounds:
                raise LogError(f"topic {where[0]!r} was deleted while it was read", topic=where[0], partition=where[1])
            first, end = bounds[number]
            position = self._positions[where]
            if not first <= position <= end:
                raise OffsetLost(*where, position, first, end)
            if position < end:
                ready.append(where)
        return ready

    def _batch(self, db: sqlite3.Connection, where: tuple[str, int], room: int) -> RecordBatch:
        base = self._ids[where] << OFFSET_BITS
        rows = db.execute(
            f"SELECT {self._columns} FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608  our own names
            (base + self._positions[where], base + _OFFSETS, room),
        ).fetchall()
        ids, at_ms, values, *rest = zip(*rows, strict=True)
        offsets = np.array(ids, np.int64) & _OFFSETS
        return RecordBatch(
            *where,
            offsets,
            np.array(at_ms, np.int64),
            values,
            int(offsets[-1]) + 1,
            rest[0] if self._keys else None,
            [unpack_headers(packed) for packed in rest[-1]] if self._headers else None,
        )


class EmbeddedAppender:
    """See `monitor.ports.Appender`. Records sent are written by `flush`, `append`, `close`, or once 10,000 records or
    16 MiB wait."""

    def __init__(self, path: Path, clock: WallClock) -> None:
        self._db = connect(path)
        self._clock = clock
        self._topics: dict[str, int] = {}
        self._by_partition: dict[tuple[str, int], list[tuple[int, OutRecord]]] = {}
        self._by_key: dict[str, list[tuple[int, OutRecord]]] = {}
        self._waiting = self._waiting_bytes = 0
        self._keyless = 0
        self._usable = True

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        """Append one record, after everything sent before it, and return its offset."""
        self.send(topic, record, partition)
        return self._write()[topic, partition] - 1

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        """Queue a record; raises LogError at once for a topic or partition that does not exist."""
        if not self._usable:
            raise LogError("this appender is closed, or an outcome of it is unknown: make a new one", topic=topic)
        count = self._topics.get(topic) or self._look_up(topic)
        at_ms = self._clock.now_ms() if record.timestamp_ms is None else record.timestamp_ms
        if partition is None and record.key is None:
            self._keyless += 1
            partition = self._keyless % count
        if partition is None:
            self._by_key.setdefault(topic, []).append((at_ms, record))
        elif 0 <= partition < count:
            self._by_partition.setdefault((topic, partition), []).append((at_ms, record))
        else:
            raise LogError(f"topic {topic!r} has no partition {partition}", topic=topic, partition=partition)
        self._waiting += 1
        self._waiting_bytes += len(record.value or b"")
        if self._waiting >= _QUEUE_RECORDS or self._waiting_bytes >= _QUEUE_BYTES:
            self._write()

    def flush(self, timeout_ms: int) -> None:
        """Write and sync what was sent. Another writer is waited for at most 10 s, whatever `timeout_ms` says."""
        if not self._usable:
            raise LogError("this appender is closed, or an outcome of it is unknown: make a new one")
        self._write()

    def close(self) -> None:
        """Write what was sent, then close the connection."""
        try:
            if self._usable:
                self._write()
        finally:
            self._usable = False
            self._db.close()

    def _look_up(self, topic: str) -> int:
        row = self._db.execute("SELECT partitions FROM topics WHERE name = ?", (topic,)).fetchone()
        if row is None:
            raise LogError(
                f"there is no topic {topic!r} in the embedded log; create it or correct the name", topic=topic
            )
        self._topics[topic] = int(row[0])
        return self._topics[topic]

    def _write(self) -> dict[tuple[str, int], int]:
        """Write everything that waits in one transaction; returns the end offset of each partition written."""
        groups, self._by_partition = self._by_partition, {}
        by_key, self._by_key = self._by_key, {}
        self._waiting = self._waiting_bytes = 0
        for topic, rows in by_key.items():
            numbers = murmur2_partitions([record.key or b"" for _, record in rows], self._topics[topic])
            for number, row in zip(numbers.tolist(), rows, strict=True):
                groups.setdefault((topic, number), []).append(row)
        ends: dict[tuple[str, int], int] = {}
        if groups:
            with self._transaction():
                for where, rows in groups.items():
                    ends[where] = self._insert(where, rows)
        return ends

    def _insert(self, where: tuple[str, int], rows: list[tuple[int, OutRecord]]) -> int:
        found = self._db.execute("SELECT id, next FROM partitions WHERE topic = ? AND number = ?", where).fetchone()
        if found is None:
            raise LogError(
                f"topic {where[0]!r} was deleted while records were sent to it", topic=where[0], partition=where[1]
            )
        number, start = found
        base = number << OFFSET_BITS
        self._db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            [
                (at, at_ms, record.value, record.key, pack_headers(record.headers) if record.headers else None)
                for at, (at_ms, record) in enumerate(rows, base + start)
            ],
        )
        self._db.execute("UPDATE partitions SET next = ? WHERE id = ?", (start + len(rows), number))
        return int(start + len(rows))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Until COMMIT is asked for a failure is certain (LogError); a failing COMMIT leaves the
        outcome unknown."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
        except BaseException as e:
            self._usable = False
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(e, sqlite3.Error):
                raise LogError(f"the embedded log refused the records, none of them was written: {e}") from e
            raise
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as e:
            self._usable = False
            raise UnknownOutcome(f"the embedded log did not confirm the records: {e}; read the log to know") from e
