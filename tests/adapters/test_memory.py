"""What the in-memory twin can do beyond the contract: tests of others rest on it."""

from __future__ import annotations

import pytest

from monitor.errors import UnknownOutcome
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import Landing, MemoryLog


def values(log: MemoryLog) -> list[bytes | None]:
    return [stored.record.value for stored in log.records("t")]


def test_an_unknown_outcome_landed_was_lost_or_lands_later_as_the_test_says() -> None:
    for landing, before, after in (
        (Landing.LANDED, [b"a"], [b"a", b"b"]),
        (Landing.LOST, [], [b"b"]),
        (Landing.LATER, [], [b"b", b"a"]),
    ):
        log = MemoryLog()
        log.ensure(TopicSpec("t", 1))
        log.fail_next(landing)
        with pytest.raises(UnknownOutcome):
            log.appender().append("t", 0, OutRecord(b"a"))
        assert values(log) == before
        log.appender().append("t", 0, OutRecord(b"b"))
        log.land()
        assert values(log) == after


def test_markers_take_offsets_and_are_passed_by_an_empty_batch() -> None:
    log = MemoryLog()
    log.ensure(TopicSpec("t", 1))
    appender = log.appender()
    appender.append("t", 0, OutRecord(b"a"))
    assert log.mark("t", 0) == 1
    assert appender.append("t", 0, OutRecord(b"b")) == 2
    reader = log.reader()
    reader.assign({("t", 0): 0})
    (batch,) = reader.poll(10, 0)
    assert (batch.offsets.tolist(), list(batch.values), batch.next_offset) == ([0, 2], [b"a", b"b"], 3)
    log.mark("t", 0)
    (batch,) = reader.poll(10, 0)
    assert (len(batch), batch.next_offset) == (0, 4)
    assert reader.poll(10, 0) == []
    assert values(log) == [b"a", b"b"]


def test_a_lost_tail_frees_its_offsets_for_other_records() -> None:
    log = MemoryLog()
    log.ensure(TopicSpec("t", 1))
    for value in (b"a", b"b", b"c"):
        log.appender().append("t", 0, OutRecord(value))
    log.cut("t", 0, 1)
    assert log.appender().append("t", 0, OutRecord(b"d")) == 1
    assert values(log) == [b"a", b"d"]
