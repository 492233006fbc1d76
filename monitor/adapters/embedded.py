"""The embedded log: topics in one SQLite file, for demos, tests and one-machine installations. No broker.

`EmbeddedLog(directory)` satisfies the port `Log` and its contract suite. Several processes on one machine may append,
read and hold leases at once.

What it promises
- Offsets of a partition are contiguous: 0, 1, 2, ...
- What `append` or `flush` acknowledged survives kill -9 and a power cut (write-ahead log, synchronous=FULL). A crash
  cuts the log, if at all, at ONE point of one common order of all topics: a record is never kept while an older one of
  another topic is lost.
- Keys go to the partition that a Java producer would choose.

What it does not do
- Compaction and expiry by time: a compacted topic keeps every record and readers take the latest of a key, which gives
  the same answer. `delete_records` frees space.
- Several machines: SQLite's locks are not safe on network file systems.

Layout: one row a record, its primary key being partition id * 2**40 + offset, so that appends go to the end of a
partition's key range and a batch is one range scan. Leases live in a second file (`embedded_leases`), so heartbeats
never wait for data to be synced.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from pathlib import Path

from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded_file import Sight
from monitor.adapters.embedded_io import OFFSET_BITS, EmbeddedAppender, EmbeddedReader
from monitor.adapters.embedded_leases import EmbeddedLeases
from monitor.errors import LogError
from monitor.ports import TopicInfo, TopicSpec, WallClock, cleanup_policy

FORMAT = 1
"""Version of the file's layout. A file with a higher one is refused."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY, topic_id TEXT NOT NULL, partitions INTEGER NOT NULL, config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, number INTEGER NOT NULL,
    first INTEGER NOT NULL, next INTEGER NOT NULL, UNIQUE (topic, number));
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, value BLOB, key BLOB, headers BLOB);
"""

_PARTITIONS = "SELECT id, first, next FROM partitions WHERE topic = ? ORDER BY number"


class EmbeddedLog:
    """A log in `directory`, which is created if it does not exist. `session_ms`: a lease of a dead process is free
    after this time."""

    def __init__(
        self,
        directory: str | Path,
        *,
        clock: WallClock | None = None,
        session_ms: int = 1_500,
        read_only: bool = False,
    ) -> None:
        """`read_only`: the log must be there; nothing is written into the directory, and no right to write is needed.
        Whoever writes is not disturbed."""
        self.directory, self.read_only = Path(directory), read_only
        self._clock = clock or SystemClock()
        self._session_ms = session_ms
        self._path = self.directory / "log.db"
        self._lock = threading.Lock()
        try:
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
            self._file = Sight(self._path, read_only=read_only, shared=True)
            try:
                self._cluster_id = self._prepare()
            except BaseException:
                self._file.close()
                raise
        except (OSError, sqlite3.Error) as e:
            raise LogError(f"the embedded log in {str(directory)!r} cannot be opened: {e}; {self._advice()}") from e

    def cluster_id(self) -> str:
        """A random id given to the directory when the log was made."""
        return self._cluster_id

    def topic(self, name: str) -> TopicInfo | None:
        """None when there is no such topic."""
        with self._lock:
            query = "SELECT topic_id, partitions, config FROM topics WHERE name = ?"
            row = self._file.look(lambda db: db.execute(query, (name,)).fetchone())
        return None if row is None else TopicInfo(name, row[0], row[1], json.loads(row[2]))

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Create the topic unless it exists. `compacted` and `retention_ms` are recorded and shown, not acted on."""
        config = {
            "cleanup.policy": cleanup_policy(spec),
            "retention.ms": str(-1 if spec.retention_ms is None else spec.retention_ms),
            "message.timestamp.type": "CreateTime",
        }
        self._need_to_write(f"topic {spec.name!r}")
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            made = self._db.execute(
                "INSERT OR IGNORE INTO topics VALUES (?, ?, ?, ?)",
                (spec.name, uuid.uuid4().hex, spec.partitions, json.dumps(config)),
            )
            if made.rowcount:
                numbers = [(spec.name, number) for number in range(spec.partitions)]
                self._db.executemany("INSERT INTO partitions (topic, number, first, next) VALUES (?, ?, 0, 0)", numbers)
        info = self.topic(spec.name)
        assert info is not None, "nobody deletes a topic between its creation and this look"
        return info

    def begin_offsets(self, topic: str) -> list[int]:
        """First offset held, per partition."""
        return [first for first, _ in self._bounds(topic)]

    def end_offsets(self, topic: str) -> list[int]:
        """One past the last offset, per partition."""
        return [end for _, end in self._bounds(topic)]

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """First offset dated at or after a time, per partition; the end where there is none. Looks at every record."""
        self._bounds(topic)  # raises for a topic that does not exist
        with self._lock:
            return self._file.look(lambda db: [_offset_at(db, row, at_ms) for row in db.execute(_PARTITIONS, (topic,))])

    def reader(self, *, keys: bool = True, headers: bool = True) -> EmbeddedReader:
        """A reader with a connection of its own; use it from one thread at a time."""
        return EmbeddedReader(self._path, self._clock, keys=keys, headers=headers, read_only=self.read_only)

    def appender(self) -> EmbeddedAppender:
        """An appender with a connection of its own; use it from one thread at a time."""
        self._need_to_write("an appender")
        return EmbeddedAppender(self._path, self._clock)

    def leases(self, topic: str, group: str) -> EmbeddedLeases:
        """Join the holders of `topic`'s partitions under the name `group`."""
        self._need_to_write("a lease")
        return EmbeddedLeases(
            self.directory / "leases.db", f"{topic}/{group}", len(self._bounds(topic)), self._clock, self._session_ms
        )

    def close(self) -> None:
        """Readers, appenders and leases made here stay open."""
        self._file.close()

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Free the space of a partition's records below offset `before`; they are lost for every reader."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute(
                "SELECT id, next FROM partitions WHERE topic = ? AND number = ?", (topic, partition)
            ).fetchone()
            if row is None:
                raise LogError(f"topic {topic!r} has no partition {partition}", topic=topic, partition=partition)
            base, before = row[0] << OFFSET_BITS, min(before, row[1])
            self._db.execute("DELETE FROM records WHERE id >= ? AND id < ?", (base, base + before))
            self._db.execute("UPDATE partitions SET first = max(first, ?) WHERE id = ?", (before, row[0]))

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records; made again, it has a new id. Nothing happens when there is none."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for (number,) in self._db.execute("SELECT id FROM partitions WHERE topic = ?", (topic,)).fetchall():
                base = number << OFFSET_BITS
                self._db.execute("DELETE FROM records WHERE id >= ? AND id < ?", (base, base + (1 << OFFSET_BITS)))
            self._db.execute("DELETE FROM partitions WHERE topic = ?", (topic,))
            self._db.execute("DELETE FROM topics WHERE name = ?", (topic,))

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    def _need_to_write(self, what: str) -> None:
        if self.read_only:
            raise LogError(f"the embedded log in {str(self.directory)!r} was opened to be read: it gives no {what}")

    def _advice(self) -> str:
        if self.read_only and Path(f"{self._path}-wal").exists():
            return (
                "its last writer ended without closing it, and to read what he left takes the right to write: run the "
                "command as his user, or start `driftline run` there once"
            )
        return "check the directory and its rights"

    def _prepare(self) -> str:
        if not self.read_only:
            self._db.executescript(_SCHEMA)
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                new = [("format", str(FORMAT)), ("cluster_id", uuid.uuid4().hex)]
                self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", new)
        meta = dict(self._file.look(lambda db: db.execute("SELECT name, value FROM meta").fetchall()))
        if int(meta["format"]) > FORMAT:
            raise LogError(
                f"the embedded log in {str(self.directory)!r} has format {meta['format']}, this version reads up to "
                f"{FORMAT}; use the version that wrote it, or another directory"
            )
        return str(meta["cluster_id"])

    def _bounds(self, topic: str) -> list[tuple[int, int]]:
        with self._lock:
            query = "SELECT first, next FROM partitions WHERE topic = ? ORDER BY number"
            rows: list[tuple[int, int]] = self._file.look(lambda db: db.execute(query, (topic,)).fetchall())
        if not rows:
            raise LogError(
                f"there is no topic {topic!r} in {str(self.directory)!r}; create it or correct the name", topic=topic
            )
        return rows


def _offset_at(db: sqlite3.Connection, partition: tuple[int, int, int], at_ms: int) -> int:
    number, first, end = partition
    base = number << OFFSET_BITS
    query = "SELECT min(id) FROM records WHERE id >= ? AND id < ? AND at_ms >= ?"
    (found,) = db.execute(query, (base + first, base + end, at_ms)).fetchone()
    return end if found is None else int(found) - base
