"""Leases for processes of one machine: a table of members with heartbeats, and the rule of `shares.settle`.

A member is alive while its last heartbeat is younger than the session. A thread keeps the heartbeat up, so a long
batch loses nothing, but only while the owner polled within `SILENCE_MS`: a hung owner is succeeded as a dead one is. A
killed process is succeeded after one session plus one look of the successor (1.6 s by default). Clocks that jump can
cost a lease or delay a hand-over, never correctness: exclusivity is advisory, the ledger's fence decides.

The file is not synced: leases do not outlive the machine's boot anyway.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from monitor.adapters.embedded_file import use_write_ahead_log
from monitor.adapters.shares import settle
from monitor.errors import LogError
from monitor.ports import WallClock

SILENCE_MS = 60_000
"""A member whose owner has not polled for this long is left to expire."""

_LOOK_MS = 100  # at most one look at the table in this time; what a poll in between returns is that old
_SCHEMA = """
CREATE TABLE IF NOT EXISTS members (
    joined INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, member TEXT NOT NULL UNIQUE, seen_ms INTEGER NOT
    NULL);
CREATE TABLE IF NOT EXISTS owners (
    scope TEXT NOT NULL, number INTEGER NOT NULL, member TEXT NOT NULL, PRIMARY KEY (scope, number));
CREATE TABLE IF NOT EXISTS offsets (
    scope TEXT NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (scope,
    topic, number));
"""


class EmbeddedLeases:
    """See `monitor.ports.Leases`. Members of one `scope` share `partitions` partitions evenly."""

    def __init__(self, path: Path, scope: str, partitions: int, clock: WallClock, session_ms: int) -> None:
        self._scope, self._partitions, self._clock, self._session_ms = scope, partitions, clock, session_ms
        self._member = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        use_write_ahead_log(self._db)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)
        self._held: frozenset[int] = frozenset()
        self.joined = False
        """Whether the table counts this member: since its first look."""
        self._looked_ms = self._polled_ms = clock.monotonic_ms() - _LOOK_MS
        self._closed = threading.Event()
        self._heart = threading.Thread(target=self._beat_forever, name=f"lease {scope}", daemon=True)
        self._heart.start()

    def poll(self, timeout_ms: int) -> frozenset[int]:
        """The partitions held now; waits up to `timeout_ms` for a change."""
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        before = self._held
        while True:
            self._polled_ms = now_ms = self._clock.monotonic_ms()
            if now_ms - self._looked_ms >= _LOOK_MS:
                self._looked_ms = now_ms
                self._held = self._look()
                self.joined = True
            if self._held != before or now_ms >= deadline_ms:
                return self._held
            self._clock.sleep_ms(min(_LOOK_MS // 4, deadline_ms - now_ms))

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep the offsets, for whoever looks at the file; errors are swallowed by contract."""
        rows = [(self._scope, topic, number, after) for (topic, number), after in offsets.items()]
        try:
            with self._lock:
                self._db.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error:
            return

    def beat(self) -> None:
        """One heartbeat, unless the owner has been silent for too long. A thread calls this; nobody else needs to."""
        if self._clock.monotonic_ms() - self._polled_ms > SILENCE_MS:
            return
        try:
            with self._lock:  # an expired member stays expired: there is no row to update, the next poll joins anew
                self._db.execute(
                    "UPDATE members SET seen_ms = ? WHERE member = ?", (self._clock.now_ms(), self._member)
                )
        except sqlite3.Error:
            return  # a busy file; the next beat comes soon, and a lost lease is noticed by poll

    def close(self) -> None:
        """Give everything back at once."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._heart.join()
        self._held, self.joined = frozenset(), False
        with self._lock:
            with suppress(sqlite3.Error):  # a full disk, say: then the leases run out by themselves
                self._db.execute("DELETE FROM members WHERE member = ?", (self._member,))
                self._db.execute("DELETE FROM owners WHERE member = ?", (self._member,))
            self._db.close()

    def _look(self) -> frozenset[int]:
        try:
            with self._lock, self._db:
                self._db.execute("BEGIN IMMEDIATE")
                return self._settle(self._clock.now_ms())
        except sqlite3.Error as e:
            raise LogError(f"the lease file of the embedded log failed: {e}") from e

    def _settle(self, now_ms: int) -> frozenset[int]:
        db, scope = self._db, self._scope
        # A heartbeat far in the future is a clock that was set back: no reason to keep a dead member until then.
        db.execute(
            "DELETE FROM members WHERE scope = ? AND member <> ? AND abs(? - seen_ms) > ?",
            (scope, self._member, now_ms, self._session_ms),
        )
        if not db.execute("UPDATE members SET seen_ms = ? WHERE member = ?", (now_ms, self._member)).rowcount:
            db.execute("INSERT INTO members (scope, member, seen_ms) VALUES (?, ?, ?)", (scope, self._member, now_ms))
        members = [row[0] for row in db.execute("SELECT member FROM members WHERE scope = ? ORDER BY joined", (scope,))]
        owners = dict(db.execute("SELECT number, member FROM owners WHERE scope = ?", (scope,)).fetchall())
        mine = settle(self._member, members, owners, self._partitions)
        if mine != {number for number, member in owners.items() if member == self._member}:
            db.execute("DELETE FROM owners WHERE scope = ? AND member = ?", (scope, self._member))
            db.executemany(
                "INSERT OR REPLACE INTO owners VALUES (?, ?, ?)", [(scope, number, self._member) for number in mine]
            )
        return mine

    def _beat_forever(self) -> None:
        while not self._closed.wait(self._session_ms / 5000):
            self.beat()
