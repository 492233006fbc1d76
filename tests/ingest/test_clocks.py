"""The running maximum of a partition: record by record, whatever the batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.clocks import AGREEING_IDS, NEVER, ClockState, advance

JUMP = 100


def one_at_a_time(records: list[tuple[int, int]]) -> tuple[int, list[int]]:
    """The rule as the module states it, for one record after the other: the maximum at the end, and before each."""
    maximum, ahead, before = NEVER, dict[int, int](), list[int]()
    for at, who in records:
        before.append(maximum)
        if maximum != NEVER and at <= maximum + JUMP:
            maximum = max(maximum, at)
            continue
        ahead = {i: a for i, a in ahead.items() if maximum == NEVER or a > maximum + JUMP}
        ahead.setdefault(who, at)
        if len(ahead) < AGREEING_IDS:
            continue
        maximum = min(ahead.values())
        for far in sorted(ahead.values()):
            if far <= maximum + JUMP:
                maximum = far
    return maximum, before


def in_batches(records: list[tuple[int, int]], sizes: list[int]) -> tuple[int, list[int]]:
    state, before, start = ClockState(), list[int](), 0
    for size in [*sizes, len(records)]:
        part = records[start : start + size]
        ids = np.array([[who, 0] for _, who in part], np.uint64).reshape(-1, 2)
        state, found = advance(state, np.array([at for at, _ in part], np.int64), ids, JUMP)
        before += found.tolist()
        start += size
    return state.maximum_ms, before


near = st.integers(0, 60)
far = st.integers(0, 2_000)
steps = st.lists(st.tuples(st.one_of(near, near, near, far), st.integers(0, 9)), max_size=150)


@given(steps, st.lists(st.integers(1, 70), max_size=6))
def test_batches_are_not_seen_in_the_clock(records: list[tuple[int, int]], sizes: list[int]) -> None:
    assert in_batches(records, sizes) == one_at_a_time(records)


@given(st.lists(st.integers(0, 90), min_size=40, max_size=200), st.lists(st.integers(1, 70), max_size=4))
def test_a_log_that_runs_on_is_followed(gaps: list[int], sizes: list[int]) -> None:
    records = [(int(at), row) for row, at in enumerate(np.cumsum(gaps))]
    assert in_batches(records, sizes) == one_at_a_time(records)


def test_one_absurd_record_moves_nothing() -> None:
    records = [(at, at) for at in range(50)] + [(10**9, 99)] + [(50 + at, at) for at in range(50)]
    assert in_batches(records, [])[0] == 99


def test_a_record_that_was_reached_meanwhile_agrees_with_no_later_one() -> None:
    records = [(0, 0), (1, 1), (2, 2), (150, 3), (60, 4), (300, 5), (310, 6), (320, 7)]
    #  150 is held; within 100 of 60 it says nothing of 300, so that takes three of its own
    assert in_batches(records, [])[1] == [NEVER, NEVER, NEVER, 2, 2, 60, 60, 60]
    assert in_batches(records, [])[0] == 320
    state, _ = advance(ClockState(60, ((150, 3),)), np.array([300]), np.array([[5, 0]], np.uint64), JUMP)
    assert state == ClockState(60, ((300, 5),)), "it is forgotten, so that what is kept stays small"
    assert in_batches(records, [3, 1, 1, 1, 1]) == in_batches(records, []), "and that depends on no batch"
