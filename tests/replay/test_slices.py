"""What a replay hands to the worker: ranges of topics that are only read, and a log of its own beside them."""

from __future__ import annotations

import pytest

from monitor.daemon.replay.slices import SlicedLog
from monitor.errors import LogError
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog

SPANS = {"p": ((2, 7), (0, 0)), "q": ((0, 3), (1, 4))}


@pytest.fixture
def source() -> MemoryLog:
    log = MemoryLog()
    appender = log.appender()
    for name in SPANS:
        log.ensure(TopicSpec(name, 2))
        for i in range(20):
            appender.append(name, i % 2, OutRecord(b"%d" % (i // 2), timestamp_ms=i // 2))
    return log


@pytest.fixture
def sliced(source: MemoryLog) -> SlicedLog:
    return SlicedLog(source, MemoryLog(source.clock), SPANS, ["mine"], source.clock)


def read(log: SlicedLog, positions: dict[tuple[str, int], int], most: int = 2) -> dict[tuple[str, int], list[int]]:
    reader = log.reader()
    reader.assign(positions)
    found: dict[tuple[str, int], list[int]] = {where: [] for where in positions}
    for _ in range(40):
        for batch in reader.poll(most, 1):
            found[batch.topic, batch.partition] += batch.offsets.tolist()
            assert batch.next_offset <= SPANS[batch.topic][batch.partition][1]
    reader.close()
    return found


def test_only_the_ranges_are_there(sliced: SlicedLog) -> None:
    assert sliced.begin_offsets("p") == [2, 0]
    assert sliced.end_offsets("q") == [3, 4]
    assert sliced.offsets_at("p", 5) == [5, 0]
    assert sliced.offsets_at("p", 1) == [2, 0]
    assert sliced.offsets_at("p", 9) == [7, 0]
    assert read(sliced, {("p", 0): 2, ("p", 1): 0}) == {("p", 0): [2, 3, 4, 5, 6], ("p", 1): []}
    assert read(sliced, {("q", 0): 0, ("q", 1): 3}, most=50) == {("q", 0): [0, 1, 2], ("q", 1): [3]}


def test_ranges_stay_as_they_are_while_the_topics_grow(source: MemoryLog, sliced: SlicedLog) -> None:
    source.appender().append("p", 0, OutRecord(b"later"))
    assert sliced.end_offsets("p") == [7, 0]


def test_a_paused_partition_is_left_alone_and_goes_on(sliced: SlicedLog) -> None:
    reader = sliced.reader()
    reader.assign({("q", 0): 0, ("q", 1): 1})
    reader.pause([("q", 0)])
    seen = [o for _ in range(9) for b in reader.poll(1, 1) for o in b.offsets.tolist() if b.partition == 1]
    assert seen == [1, 2, 3]
    assert reader.poll(10, 1) == []
    reader.pause([])
    assert [o for b in reader.poll(10, 1) for o in b.offsets.tolist()] == [0, 1, 2]


def test_what_is_not_its_own_is_never_written(source: MemoryLog, sliced: SlicedLog) -> None:
    before = [source.end_offsets(name) for name in SPANS]
    sliced.ensure(TopicSpec("mine", 1))
    appender = sliced.appender()
    assert appender.append("mine", 0, OutRecord(b"v")) == 0
    for name in ("p", "q", "live.windows"):
        with pytest.raises(LogError, match=f"a replay never writes to topic '{name}'"):
            appender.append(name, 0, OutRecord(b"v"))
        with pytest.raises(LogError, match=f"a replay never writes to topic '{name}'"):
            appender.send(name, OutRecord(b"v"))
        with pytest.raises(LogError, match=f"a replay never writes to topic '{name}'"):
            sliced.ensure(TopicSpec(name, 1))
    appender.close()
    assert [source.end_offsets(name) for name in SPANS] == before
    assert source.topic("mine") is None
    assert sliced.end_offsets("mine") == [1]


def test_a_topic_cannot_be_read_and_written(source: MemoryLog) -> None:
    with pytest.raises(LogError, match="would write to topic 'q', which it reads: choose another namespace"):
        SlicedLog(source, source, SPANS, ["x", "q"], source.clock)
