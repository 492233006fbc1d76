"""A table on disk of what was decided again: comparing takes no more memory for ten times the records.

SQLite in a private temporary file, which nobody else sees and which is gone with the connection. A record is found by a
digest of all of it; only one that differs is looked up by its key.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Sequence

from monitor.ports import Decided

_SCHEMA = """
CREATE TABLE decided (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL, topic TEXT NOT NULL, key BLOB NOT NULL, revision INTEGER NOT NULL,
    tick_ms INTEGER NOT NULL, value BLOB, place INTEGER NOT NULL, published INTEGER NOT NULL DEFAULT 0);
CREATE INDEX by_digest ON decided (digest);
CREATE INDEX by_key ON decided (topic, key, revision);
"""
_COLUMNS = "topic, key, revision, tick_ms, value, place"


class DiskDecisions:
    """See `monitor.ports.Decisions`."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA cache_size = -16384")  # 16 MiB
        self._db.executescript(_SCHEMA)

    def add(self, records: Sequence[Decided]) -> None:
        """Remember these."""
        self._db.execute("BEGIN")
        self._db.executemany(
            f"INSERT INTO decided (digest, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  our own names
            [(_digest(r), r.topic, r.key, r.revision, r.tick_ms, r.value, r.order) for r in records],
        )
        self._db.execute("COMMIT")

    def strike(self, records: Sequence[Decided]) -> list[int]:
        """Mark those that were decided just so as published; gives the places of the others."""
        strange = []
        self._db.execute("BEGIN")
        for place, record in enumerate(records):
            struck = self._db.execute("UPDATE decided SET published = 1 WHERE digest = ?", (_digest(record),))
            if not struck.rowcount:
                strange.append(place)
        self._db.execute("COMMIT")
        return strange

    def like(self, record: Decided) -> Decided | None:
        """What was decided under the same topic, key and revision."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM decided WHERE topic = ? AND key = ? AND revision = ?",  # noqa: S608  our own names
            (record.topic, record.key, record.revision),
        ).fetchone()
        return None if found is None else Decided(*found)

    def unpublished(self, topic: str, below: int, *, newest_only: bool) -> Decided | None:
        """The first that was not marked and stands before `below`; with `newest_only` it must be the last of its key, and
        have a value."""
        later = "SELECT 1 FROM decided b WHERE b.topic = a.topic AND b.key = a.key AND b.id > a.id"
        newest = f"AND value IS NOT NULL AND NOT EXISTS ({later})" if newest_only else ""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM decided a WHERE topic = ? AND place < ? AND NOT published {newest} "  # noqa: S608  our own names
            "ORDER BY id LIMIT 1",
            (topic, below),
        ).fetchone()
        return None if found is None else Decided(*found)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()


def _digest(record: Decided) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(record.topic.encode())
    digest.update(struct.pack("<qqq", len(record.key), record.revision, record.tick_ms))
    digest.update(record.key)
    digest.update(b"-" if record.value is None else b"+" + record.value)
    return digest.digest()
