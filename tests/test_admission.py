"""From when on windows of a model lack nothing that was rejected for it."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.admission import FAR_MAX, Admission
from monitor.events import PredictionColumns, Unlisted
from monitor.ingest.clocks import NEVER, ClockState
from monitor.ingest.interner import Interner
from monitor.ledger.records import Commit
from tests.ledger.records import RECORDS

JUMP_MS = 1_000
NOTHING = np.zeros(0, np.int64)


def columns(offset: int, rows: list[tuple[int, int, bool]]) -> PredictionColumns:
    """Predictions (id, at, whether their model is listed) from an offset on."""

    def taken(listed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = [(offset + i, who, at) for i, (who, at, known) in enumerate(rows) if known is listed]
        table = np.array(own, np.int64).reshape(-1, 3)
        return table[:, 0], np.column_stack([table[:, 1]] * 2).astype(np.uint64), table[:, 2]

    offsets, ids, at_ms = taken(True)
    n, others = len(offsets), Unlisted(*taken(False))
    return PredictionColumns(
        offsets=offsets,
        broker_ms=at_ms,
        ids=ids,
        at_ms=at_ms,
        model=np.zeros(n, np.int32),
        version=np.zeros(n, np.int32),
        score=np.zeros(n),
        predicted=np.zeros(n),
        withdrawn=np.zeros(n, np.bool_),
        unlisted=others if len(others.at_ms) else None,
    )


def after(rows: list[tuple[int, int, bool]], cuts: list[int] | None = None) -> Admission:
    """What is known once these were taken, in batches."""
    admission = Admission(None, Interner(["m"]))
    edges = [0, *sorted(cuts or ()), len(rows)]
    for start, stop in pairwise(edges):
        part = columns(start, rows[start:stop])
        admission.take(part)
        admission.advance(ClockState(), [part], JUMP_MS)
    return admission


@pytest.mark.parametrize(
    ("rejected", "near_ms", "newest_ms"),
    [
        ([100, 110, 130], NEVER, 130),  # they agree
        ([100, 110, 130, 9_000], NEVER, 130),  # one lies far ahead
        ([100, 110, 130, 9_000, 9_100, 9_050], 8_900, 9_100),  # three do, and it is that late
        ([100, 110, 130, 9_000, 9_100, 9_050], 500, 1_500),  # three do, and it is not
        ([100], NEVER, 100),  # too few to agree, and nothing to hold them to
        ([100, 9_000], 500, 100),  # too few, but it is known how late it is
        ([9_000], 500, NEVER),
    ],
)
def test_what_lies_far_ahead_of_everything_else_holds_nothing_up(
    rejected: list[int], near_ms: int, newest_ms: int
) -> None:
    admission = after([(who, at, False) for who, at in enumerate(rejected)])
    assert admission.unlisted_ms == max(rejected)
    assert admission.newest_near_ms(max(rejected), ClockState(), near_ms, JUMP_MS) == newest_ms


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5_000), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=3),
)
def test_how_they_were_cut_into_batches_cannot_be_seen(rows: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    rows = [(0, 0, False), *rows]
    whole, parts = after(rows), after(rows, [min(cut, len(rows)) for cut in cuts])
    assert (whole.clock, whole.unlisted_ms) == (parts.clock, parts.unlisted_ms)
    assert whole.ahead_to_say() == parts.ahead_to_say()


def test_what_an_earlier_version_rejected_is_not_taken_for_less() -> None:
    """Its commits say how far it went, and have no clock of what was rejected."""
    admission = after([(i, 100 + i * 500, False) for i in range(10)])
    admission.clock = None
    assert admission.newest_near_ms(4_600, ClockState(130), 6_000, JUMP_MS) == 4_600
    assert admission.newest_near_ms(9_000_000, ClockState(130), 6_000, JUMP_MS) == 6_000 + JUMP_MS


def test_what_the_clock_came_within_reach_of_is_not_forgotten_when_another_lies_farther_ahead() -> None:
    agreed = [(0, 100, True), (1, 110, True), (2, 130, True)]
    reached = [*agreed, (3, 1_140, False), (4, 200, True), (5, 9_000, False)]
    #  1140 is far ahead of 130 and not of 200; the clock forgets it when 9000 comes
    admission = after(reached)
    assert admission.clock == ClockState(200, ((9_000, 5),))
    assert admission.newest_near_ms(9_000, ClockState(200), NEVER, JUMP_MS) == 1_140
    assert admission.ahead_to_say() == (1_140, 9_000)
    farther = after([*reached, (6, 1_100, True), (7, 2_050, True), (8, 8_500, True)])
    assert farther.newest_near_ms(9_000, ClockState(2_050), NEVER, JUMP_MS) == 2_050
    assert farther.newest_near_ms(9_000, ClockState(8_500), NEVER, JUMP_MS) == 9_000, "it was reached as well"


def test_the_times_of_one_id_that_lie_far_ahead_are_all_known() -> None:
    agreed = [(0, 100, True), (1, 110, True), (2, 130, True)]
    admission = after([*agreed, (3, 1_140, False), (3, 1_180, False), (4, 200, True), (5, 9_000, False)])
    assert admission.newest_near_ms(9_000, ClockState(200), NEVER, JUMP_MS) == 1_180
    many = after([*agreed, *((3, 5_000 + i, False) for i in range(3 * FAR_MAX))])
    assert many.ahead_to_say() == (NEVER, *range(5_000, 5_000 + FAR_MAX))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5_000), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_a_restart_goes_on_with_what_a_commit_says(rows: list[tuple[int, int, bool]], cut: int) -> None:
    rows = [(0, 0, False), *rows]
    cut = min(cut, len(rows))
    before, whole = after(rows[:cut]), after(rows)
    says = msgspec.structs.replace(
        RECORDS["commit"],
        prediction_outcomes={"rejected": sum(not listed for *_, listed in rows[:cut])},
        unlisted_ms=before.newest_rejected(1),
        unlisted_clock=before.clock_to_say(),
        unlisted_ahead=before.ahead_to_say(),
    )
    assert isinstance(says, Commit)
    resumed = Admission(None, Interner(["m"]))
    resumed.resume(says, JUMP_MS)
    part = columns(cut, rows[cut:])
    resumed.take(part)
    resumed.advance(ClockState(), [part], JUMP_MS)
    assert (resumed.clock, resumed.unlisted_ms) == (whole.clock, whole.unlisted_ms)
    assert resumed.ahead_to_say() == whole.ahead_to_say()
