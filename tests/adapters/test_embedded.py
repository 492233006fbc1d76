"""What is particular to the embedded log: several processes on one directory, its file, its promises when killed."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.embedded_io import pack_headers, unpack_headers
from monitor.errors import LogError, UnknownOutcome
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.contract.worlds import drain, settle
from tests.adapters.memory import ManualClock
from tests.timing import quickest

APPEND_FOREVER = """
import sys
from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import OutRecord
appender = EmbeddedLog(sys.argv[1]).appender()
for i in range(1_000_000):
    print(appender.append("t", 0, OutRecord(b"%s-%d" % (sys.argv[2].encode(), i))), i, flush=True)
"""


@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_headers_come_back_from_their_bytes(headers: list[tuple[str, bytes | None]]) -> None:
    try:
        packed = pack_headers(headers)
    except UnicodeEncodeError:  # half of a surrogate pair: no header of any log has it
        return
    assert unpack_headers(packed) == (headers or None)


def test_a_file_of_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    EmbeddedLog(tmp_path).close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("UPDATE meta SET value = '9' WHERE name = 'format'")
    db.close()
    with pytest.raises(LogError, match="has format 9, this version reads up to 1"):
        EmbeddedLog(tmp_path)


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="file/log"):
        EmbeddedLog(tmp_path / "file" / "log")


def test_two_processes_append_to_one_partition_and_nothing_acknowledged_is_lost_when_they_are_killed(
    tmp_path: Path,
) -> None:
    log = EmbeddedLog(tmp_path)
    log.ensure(TopicSpec("t", 1))
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", APPEND_FOREVER, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    }
    acknowledged: dict[int, bytes] = {}
    for name, writer in writers.items():
        assert writer.stdout is not None
        for _ in range(200):
            offset, number = map(int, writer.stdout.readline().split())
            acknowledged[offset] = f"{name}-{number}".encode()
    for name, writer in writers.items():
        writer.kill()
        assert writer.stdout is not None
        for line in writer.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                offset, number = map(int, line.split())
                acknowledged[offset] = f"{name}-{number}".encode()
        writer.wait()
        writer.stdout.close()
    (end,) = log.end_offsets("t")
    reader = log.reader()
    reader.assign({("t", 0): 0})
    rows = drain(reader, end)["t", 0]
    assert [offset for offset, _ in rows] == list(range(end))
    values = dict(rows)
    assert {offset: values.get(offset) for offset in acknowledged} == acknowledged
    assert len(acknowledged) >= 400
    reader.close()
    log.close()


def test_a_killed_holder_is_succeeded_within_two_seconds(tmp_path: Path) -> None:
    log, groups = EmbeddedLog(tmp_path), itertools.count()
    log.ensure(TopicSpec("tasks", 4))

    def succeeded() -> float:
        group = f"g{next(groups)}"
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.holder", "embedded", str(tmp_path), "tasks", group],
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        leases = log.leases("tasks", group)
        settle([leases], lambda held: len(held[0]) == 2)
        holder.kill()
        killed = time.monotonic()
        settle([leases], lambda held: len(held[0]) == 4)
        took = time.monotonic() - killed
        holder.wait()
        holder.stdout.close()
        leases.close()
        return took

    assert quickest(succeeded, 2.5) < 2.5  # 1.6 s, and something for a busy machine
    log.close()


def test_an_owner_that_stops_polling_is_succeeded_although_its_process_lives(tmp_path: Path) -> None:
    clock = ManualClock()
    log = EmbeddedLog(tmp_path, clock=clock)
    log.ensure(TopicSpec("tasks", 1))
    hung, next_one = log.leases("tasks", "g"), log.leases("tasks", "g")
    assert hung.poll(0) == {0}
    clock.advance(200)
    assert next_one.poll(0) == frozenset()
    for _ in range(59):
        clock.advance(1_000)
        hung.beat()  # what its thread does
        assert next_one.poll(0) == frozenset()
    for _ in range(3):
        clock.advance(1_000)
        hung.beat()
        next_one.poll(0)
    assert next_one.poll(0) == {0}
    hung.close()
    next_one.close()
    log.close()


def test_a_commit_that_fails_leaves_the_outcome_open_and_the_appender_unusable(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    log.ensure(TopicSpec("t", 1))
    appender = log.appender()

    class FailingCommit:
        def __init__(self, db: sqlite3.Connection) -> None:
            self.db = db

        def __getattr__(self, name: str) -> object:
            return getattr(self.db, name)

        def execute(self, sql: str, *rest: tuple[int, ...]) -> object:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self.db.execute(sql, *rest)

    appender._db = FailingCommit(appender._db)  # type: ignore[assignment]
    with pytest.raises(UnknownOutcome, match="disk I/O error"):
        appender.append("t", 0, OutRecord(b"v"))
    with pytest.raises(LogError, match="make a new one"):
        appender.append("t", 0, OutRecord(b"v"))
    appender.close()
    log.close()


def test_many_records_are_written_before_anybody_flushes(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    log.ensure(TopicSpec("t", 2))
    appender = log.appender()
    for i in range(10_001):
        appender.send("t", OutRecord(b"v"), i % 2)
    assert sum(log.end_offsets("t")) == 10_000
    appender.close()
    assert sum(log.end_offsets("t")) == 10_001
    log.close()


def test_a_topic_deleted_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    log.ensure(TopicSpec("t", 1))
    reader = log.reader()
    reader.assign({("t", 0): 0})
    log.delete_topic("t")
    log.ensure(TopicSpec("t", 1))
    with pytest.raises(LogError, match="was deleted while it was read"):
        reader.poll(1, 0)
    reader.close()
    log.close()
