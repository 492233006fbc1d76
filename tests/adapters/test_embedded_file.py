"""Looking at an embedded log without the right to write, and without leaving a trace."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.embedded_file import use_write_ahead_log
from monitor.errors import LogError
from monitor.ports import OutRecord, Reader, TopicSpec
from tests.adapters.strangers import looked_at


@pytest.fixture
def folder() -> Iterator[Path]:
    """A log of one topic with the records 0, 1 and 2, closed, where another user can reach it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        made = Path(parent) / "log"
        log = EmbeddedLog(made)
        log.ensure(TopicSpec("t", 1))
        append(log, 0, 3)
        log.close()
        yield made


def append(log: EmbeddedLog, first: int, after: int) -> None:
    appender = log.appender()
    for i in range(first, after):
        appender.append("t", 0, OutRecord(b"%d" % i))
    appender.close()


def values(reader: Reader) -> list[bytes | None]:
    return [value for batch in reader.poll(100, 50) for value in batch.values]


def test_who_may_not_write_reads_and_leaves_no_trace(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with looked_at(folder):
        log = EmbeddedLog(folder, read_only=True)
        reader = log.reader()
        reader.assign({("t", 0): 0})
        assert (log.end_offsets("t"), values(reader)) == ([3], [b"0", b"1", b"2"])
        reader.close()
        log.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_who_may_write_leaves_no_trace_either(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    log = EmbeddedLog(folder, read_only=True)
    reader = log.reader()
    reader.assign({("t", 0): 0})
    assert len(values(reader)) == 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    reader.close()
    log.close()


def test_who_may_not_write_reads_beside_a_writer_what_he_just_wrote(folder: Path) -> None:
    writer = EmbeddedLog(folder)
    append(writer, 3, 5)
    with looked_at(folder):
        log = EmbeddedLog(folder, read_only=True)
        reader = log.reader()
        reader.assign({("t", 0): 0})
        assert len(values(reader)) == 5
    append(writer, 5, 6)
    with looked_at(folder):
        assert values(reader) == [b"5"]
        reader.close()
        log.close()
    writer.close()


def test_a_writer_who_comes_later_is_seen_by_who_reads_already(folder: Path) -> None:
    log = EmbeddedLog(folder, read_only=True)
    reader = log.reader()
    reader.assign({("t", 0): 0})
    assert len(values(reader)) == 3
    writer = EmbeddedLog(folder)
    append(writer, 3, 4)
    writer.close()
    assert (values(reader), log.end_offsets("t")) == ([b"3"], [4])
    append(writer_again := EmbeddedLog(folder), 4, 5)
    assert (values(reader), log.end_offsets("t")) == ([b"4"], [5])
    for each in (reader, log, writer_again):
        each.close()


def test_what_a_killed_writer_left_behind_is_refused_with_advice_where_nothing_may_be_written(folder: Path) -> None:
    writer = EmbeddedLog(folder)
    append(writer, 3, 4)
    left = folder.parent / "left"
    left.mkdir()
    for name in ("log.db", "log.db-wal"):
        shutil.copy(folder / name, left)
    writer.close()
    with looked_at(left), pytest.raises(LogError, match=r"ended without closing it.*start `driftline run` there once"):
        EmbeddedLog(left, read_only=True)
    log = EmbeddedLog(left, read_only=True)  # by its owner
    assert log.end_offsets("t") == [4]
    log.close()


def test_a_log_that_is_only_read_gives_nothing_to_write_with(folder: Path) -> None:
    log = EmbeddedLog(folder, read_only=True)
    for refused in (log.appender, lambda: log.leases("t", "g"), lambda: log.ensure(TopicSpec("u", 1))):
        with pytest.raises(LogError, match="was opened to be read"):
            refused()
    log.close()


def test_a_directory_without_a_log_is_no_log_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be opened"):
        EmbeddedLog(tmp_path, read_only=True)
    assert not list(tmp_path.iterdir())


class Contended(sqlite3.Connection):
    """A connection to a file that somebody else makes at the same time: SQLite refuses the switch at once, twice."""

    refusals = 2
    code = sqlite3.SQLITE_BUSY_RECOVERY

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if "journal_mode" in sql and self.refusals:
            self.refusals -= 1
            refusal = sqlite3.OperationalError("database is locked")
            refusal.sqlite_errorcode = self.code
            raise refusal
        return super().execute(sql, parameters)


def test_who_is_refused_while_another_makes_the_file_asks_again(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "log.db", factory=Contended)
    use_write_ahead_log(db)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.refusals == 0
    db.close()


def test_another_refusal_is_an_error_at_once(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "log.db", factory=Contended)
    db.code = sqlite3.SQLITE_READONLY
    with pytest.raises(sqlite3.OperationalError):
        use_write_ahead_log(db)
    assert db.refusals == 1
    db.close()


def test_threads_that_make_one_log_at_the_same_time_all_get_it(tmp_path: Path) -> None:
    barrier = threading.Barrier(3)

    def make(n: int) -> None:
        barrier.wait(10)
        EmbeddedLog(tmp_path / str(n)).close()

    with ThreadPoolExecutor(3) as pool:
        for n in range(50):
            for made in [pool.submit(make, n) for _ in range(3)]:
                made.result(20)
