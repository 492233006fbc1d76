"""Reading many partitions ahead hands over what reading each by itself would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.daemon import ahead
from monitor.daemon.ahead import ReadAhead
from monitor.daemon.tail import Stored, follow_from_start
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Fence, encode
from monitor.ports import OutRecord, TopicSpec
from tests.simulation.world import World

PARTITIONS = 3
records = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.booleans()), max_size=60)
steps = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.integers(0, 9)), max_size=30)


@given(records, steps, st.integers(1, 7), st.integers(1, 4))
def test_partitions_are_caught_up_in_any_steps_past_markers_of_the_log(
    put: list[tuple[int, bool]], asked: list[tuple[int, int]], pace: int, kept: int
) -> None:
    log = World()
    log.ensure(TopicSpec("ledger", PARTITIONS))
    for epoch, (partition, marker) in enumerate(put, 1):
        if marker:
            log.mark("ledger", partition)
        else:
            log.appender().append("ledger", partition, OutRecord(encode(Fence(1, epoch, "o"))))
    log.paces = {"ledger": pace}
    ends = log.end_offsets("ledger")
    one, other = ([follow_from_start(log, "ledger", p) for p in range(PARTITIONS)] for _ in range(2))
    heard: list[list[int]] = [[], []]
    before, ahead._KEPT = ahead._KEPT, kept
    reading = ReadAhead(log, "ledger", one)
    try:
        at = [0] * PARTITIONS
        for partition, more in [*asked, *enumerate(ends)]:
            at[partition] = min(ends[partition], at[partition] + more)
            reading.catch_up(partition, at[partition], _into(heard[0]))
            other[partition].catch_up(log, at[partition], _into(heard[1]))
            assert one[partition] == other[partition]
    finally:
        reading.close()
        ahead._KEPT = before
    assert heard[0] == heard[1]
    assert [f.next_offset for f in one] == ends


def _into(offsets: list[int]):  # type: ignore[no-untyped-def]
    def hear(stored: Stored, verdict: Verdict) -> None:
        assert verdict is Verdict.ACCEPTED
        offsets.append(stored.offset)

    return hear
