"""Snapshots in a topic: whole or none, two of each partition, and none that is damaged is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.adapters import snapshot_topic
from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.snapshot_topic import PART_BYTES, SnapshotTopic
from monitor.errors import LogError
from monitor.ledger.snapshots import SnapshotError
from monitor.ports import Log, OutRecord, TopicSpec
from tests.adapters.memory import Landing, ManualClock, MemoryLog

COLUMNS: list[NDArray[Any]] = [np.arange(100_000), np.zeros(0, np.float32), np.arange(6, dtype="<u2").reshape(2, 3)]


GOLDEN = Path(__file__).parents[1] / "golden" / "snapshot-topic-v1.txt"


def make(log: Log) -> SnapshotTopic:
    log.ensure(TopicSpec("one.ledger", 2))
    return SnapshotTopic(log, "one")


@pytest.fixture(params=["memory", "embedded"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made: Log = MemoryLog(ManualClock(1_700_000_000_000)) if request.param == "memory" else EmbeddedLog(tmp_path)
    yield made
    made.close()


def assert_whole(store: SnapshotTopic, where: str, header: bytes) -> None:
    kept = store.open(where)
    assert (kept.where, kept.header) == (where, header)
    for column in COLUMNS:
        found = kept.column(column.dtype.str, column.shape)
        assert found.dtype == column.dtype
        np.testing.assert_array_equal(found, column)


def test_what_was_written_is_read_by_whoever_asks_and_the_newest_two_are_kept(log: Log) -> None:
    store = make(log)
    assert store.paths(0) == []
    for name in ("01-a", "02-b", "03-c"):
        assert store.write(1, name, name.encode(), COLUMNS) == 8 + 4 + 800_000 + 12
    for reader in (store, make(log)):
        assert reader.paths(0) == []
        assert reader.paths(1) == ["one.snapshots[1]/03-c", "one.snapshots[1]/02-b"]
        assert_whole(reader, "one.snapshots[1]/03-c", b"03-c")
        assert_whole(reader, "one.snapshots[1]/02-b", b"02-b")
    assert log.begin_offsets("one.snapshots")[1] == 3, "two parts and a manifest of the first are deleted"
    info = log.topic("one.snapshots")
    assert info is not None
    assert info.partitions == 2
    with pytest.raises(SnapshotError, match="it is not there any more"):
        store.open("one.snapshots[1]/01-a")


def test_no_record_is_larger_than_what_brokers_take(log: Log) -> None:
    store = make(log)
    store.write(0, "01-a", b"h" * (2 * PART_BYTES + 5), [np.arange(1_000_000), *COLUMNS])
    reader = log.reader()
    reader.assign({("one.snapshots", 0): 0})
    sizes: list[int] = []
    while len(sizes) < log.end_offsets("one.snapshots")[0]:
        sizes += [len(value or b"") for batch in reader.poll(100, 100) for value in batch.values]
    reader.close()
    assert max(sizes) == PART_BYTES
    assert sum(sizes[:-1]) == 8 + 2 * PART_BYTES + 5 + 8_000_000 + 800_000 + 12
    assert store.open(store.paths(0)[0]).header == b"h" * (2 * PART_BYTES + 5)


def test_one_that_was_not_finished_is_none_and_is_withdrawn_with_the_next(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(log)
    store.write(0, "01-a", b"a", COLUMNS)
    monkeypatch.setattr(snapshot_topic, "WRITE_MS", -1)
    with pytest.raises(SnapshotError, match=r"one.snapshots\[0\]/02-b .*took longer than .* in a folder instead"):
        store.write(0, "02-b", b"b", COLUMNS)
    monkeypatch.undo()
    again = make(log)
    assert again.paths(0) == ["one.snapshots[0]/01-a"]
    assert_whole(again, "one.snapshots[0]/01-a", b"a")
    assert again._unfinished[0] == {b"02-b/000000"}
    again.write(0, "03-c", b"c", COLUMNS)
    last = make(log)
    assert last.paths(0) == ["one.snapshots[0]/03-c", "one.snapshots[0]/01-a"]
    assert last._unfinished[0] == set()


def test_who_was_replaced_writes_beside_his_successor_and_over_nothing(log: Log) -> None:
    old, new = make(log), make(log)
    old.write(0, "01-a", b"a", COLUMNS)
    new.paths(0)
    new.write(0, "02-b", b"b", COLUMNS)
    new.write(0, "03-c", b"c", COLUMNS)
    old.write(0, "02-x", b"x", COLUMNS)
    again = make(log)
    assert again.paths(0)[:2] == ["one.snapshots[0]/03-c", "one.snapshots[0]/02-x"]
    for where in again.paths(0):
        assert_whole(again, where, where[-1].encode())


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (b"01-a/000001", b"another part", "its digest is not that of its contents"),
        (b"01-a/000001", None, "its digest is not that of its contents"),
        (b"01-a", b"\xff", "its manifest is damaged"),
        (b"01-a", b"\x84\xa6format\x02\xa5parts\x01\xa4size\x01\xa6digest\xc4\x00", "it has format 2"),
    ],
)
def test_a_damaged_one_is_refused_with_the_reason(key: bytes, value: bytes | None, why: str) -> None:
    log = MemoryLog(ManualClock(1_700_000_000_000))
    store = make(log)
    store.write(0, "01-a", b"a", COLUMNS)
    records = log._topics["one.snapshots"].partitions[0].records
    at = next(i for i, stored in enumerate(records) if stored.record.key == key)
    records[at] = type(records[at])(records[at].offset, records[at].timestamp_ms, OutRecord(value, key))
    (where,) = (again := make(log)).paths(0)
    with pytest.raises(SnapshotError, match=why):
        again.open(where)


def test_a_log_that_takes_nothing_is_a_snapshot_that_was_not_written() -> None:
    log = MemoryLog(ManualClock(1_700_000_000_000))
    store = make(log)
    log.fail_next(Landing.LOST)
    with pytest.raises(SnapshotError, match="it cannot be written"):
        store.write(0, "01-a", b"a", COLUMNS)
    assert store.paths(0) == []


def test_who_may_not_delete_is_left_with_compaction(
    log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise LogError("not authorized")

    monkeypatch.setattr(log, "delete_records", refuse)
    store = make(log)
    for name in ("01-a", "02-b", "03-c"):
        store.write(0, name, name.encode(), COLUMNS)
    assert "older snapshots of partition 0 stay in one.snapshots: not authorized" in caplog.text
    assert make(log).paths(0) == ["one.snapshots[0]/03-c", "one.snapshots[0]/02-b"]


def test_the_records_that_are_written_now_are_those_that_were_written_then() -> None:
    log = MemoryLog(ManualClock(1_700_000_000_000))
    make(log).write(0, "000000000000007-0123abcd", b"the header", [np.arange(3)])
    lines = [
        f"{(s.record.key or b'').decode()} {(s.record.value or b'').hex()}" for s in log.records("one.snapshots", 0)
    ]
    assert lines == GOLDEN.read_text().splitlines()


def test_all_can_be_removed_and_the_next_is_written_as_before(log: Log) -> None:
    store = make(log)
    assert (store.all(), store.clear()) == ([], 0)
    for name in ("01-a", "02-b"):
        store.write(1, name, name.encode(), COLUMNS)
    assert store.all() == ["one.snapshots[1]/01-a", "one.snapshots[1]/02-b"]
    assert make(log).clear() == 2
    assert log.begin_offsets("one.snapshots") == log.end_offsets("one.snapshots")
    assert (store.clear(), store.paths(1)) == (0, [])
    store.write(1, "03-c", b"03-c", COLUMNS)
    again = make(log)
    assert again.paths(1) == ["one.snapshots[1]/03-c"]
    assert_whole(again, "one.snapshots[1]/03-c", b"03-c")
