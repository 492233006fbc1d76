"""Connections to the embedded log's file: to write, or to look at it and leave no trace.

Who only looks needs no right to write, and must not get into a writer's way by what he leaves behind: SQLite's reader of
a write-ahead log makes two files beside it when they are not there. So a file whose log is empty is taken for one that
does not change ("immutable": no lock, no file), and after each look it is checked that it did not: if a writer came
meanwhile, what was read is dropped and read again beside him. Beside a writer the ordinary reader is used, read-only.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from monitor.errors import LogError

T = TypeVar("T")

_Signature = tuple[int, int, int]

_PATIENCE_SECS = 10.0


def connect(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """A connection that waits up to 10 s for another writer. `shared` ones are guarded by their owner's lock."""
    db = sqlite3.connect(path, timeout=_PATIENCE_SECS, isolation_level=None, check_same_thread=not shared)
    db.execute("PRAGMA page_size = 16384")  # takes effect when the file is made; fewer pages split by appends
    use_write_ahead_log(db)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 2048")  # 32 MiB of pages between copies into the file
    db.execute("PRAGMA cache_size = -16384")  # 16 MiB
    return db


def use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Let `db`'s file have a write-ahead log; waits up to 10 s for others. `sqlite3.OperationalError` after that.

    The connection's own patience does not serve here: of two processes that make one file at the same time each may hold
    what the other waits for, so SQLite answers one of them at once that the file is locked. That one asks again.
    """
    until = time.monotonic() + _PATIENCE_SECS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class Sight:
    """Looks at the file, with a connection of its own. `shared` ones are guarded by their owner's lock."""

    def __init__(self, path: Path, *, read_only: bool, shared: bool = False) -> None:
        self._path, self._shared = path, shared
        self._frozen: _Signature | None = None  # what an unchanging file looked like when it was opened
        self._opened = 0
        self.db = self._open() if read_only else connect(path, shared=shared)
        """For who writes; looks go through `look`."""

    def look(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What `read` finds. It may be called again, so it must change nothing of its own before it returns."""
        while True:
            try:
                found = read(self.db)
            except (sqlite3.DatabaseError, LogError):
                if self._holds():
                    raise
            else:
                if self._holds():
                    return found
            self.db.close()
            self.db = self._open()

    def version(self) -> tuple[int, int]:
        """Changes when somebody else wrote."""
        (version,) = self.look(lambda db: db.execute("PRAGMA data_version").fetchone())
        return self._opened, version

    def close(self) -> None:
        """Close the connection; it is not used again."""
        self.db.close()

    def _holds(self) -> bool:
        return self._frozen is None or self._signature() == self._frozen

    def _open(self) -> sqlite3.Connection:
        self._opened += 1
        signature = self._signature()
        self._frozen = signature if not signature[2] else None
        how = "mode=ro" if self._frozen is None else "mode=ro&immutable=1"
        db = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?{how}",
            uri=True,
            timeout=_PATIENCE_SECS,
            isolation_level=None,
            check_same_thread=not self._shared,
        )
        try:
            db.execute("PRAGMA cache_size = -16384")
            db.execute("SELECT 1 FROM sqlite_master").fetchone()  # SQLite opens files when it needs them
        except BaseException:
            db.close()
            raise
        return db

    def _signature(self) -> _Signature:
        """When the file was changed last, its size, and that of its write-ahead log (0 without one)."""
        file = self._path.stat()
        try:
            waiting = Path(f"{self._path}-wal").stat().st_size
        except FileNotFoundError:
            waiting = 0
        return file.st_mtime_ns, file.st_size, waiting
