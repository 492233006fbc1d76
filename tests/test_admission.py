"""From when on windows of a model lack nothing that was rejected for it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.admission import Admission
from monitor.events import PredictionColumns, Unlisted
from monitor.ingest.clocks import NEVER, ClockState
from monitor.ingest.interner import Interner

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


def test_what_an_earlier_version_rejected_is_not_taken_for_less() -> None:
    """Its commits say how far it went, and have no clock of what was rejected."""
    admission = after([(i, 100 + i * 500, False) for i in range(10)])
    admission.clock = None
    assert admission.newest_near_ms(4_600, ClockState(130), 6_000, JUMP_MS) == 4_600
    assert admission.newest_near_ms(9_000_000, ClockState(130), 6_000, JUMP_MS) == 6_000 + JUMP_MS
