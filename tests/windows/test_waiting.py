"""Contributions that wait are the same sums however the commits were cut and however many ticks leave at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.groups import Group
from monitor.windows import waiting
from monitor.windows.arrivals import arrivals
from monitor.windows.waiting import Slots, Waiting, numbered, until

WIDTH, PANE_MS, STEP = 5, 60_000, 7
GROUPS = [Group("m", version, (("d", value),)) for version in "12" for value in "xy"]
Slot = tuple[int, int, int]
"""Tick, group, pane."""
Commit = dict[tuple[Slot, int], int]
"""Amounts by slot and cell."""
Sums = dict[tuple[int, Group, int, int], int]

slots = st.tuples(st.integers(0, 4), st.integers(0, len(GROUPS) - 1), st.integers(0, 2))
commits = st.lists(
    st.dictionaries(st.tuples(slots, st.integers(0, WIDTH - 1)), st.integers(-2, 2), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


def add(waits: Waiting, commit: Commit, turn: int) -> list[int]:
    """A commit, whose slots come in the order in which they are named; `turn` says which groups are seen first."""
    numbers = {group: waits.number(GROUPS[group]) for group in np.roll(np.arange(len(GROUPS)), turn).tolist()}
    by_slot: dict[Slot, dict[int, int]] = defaultdict(dict)
    for (slot, cell), amount in commit.items():
        by_slot[slot][cell] = amount
    own = [sorted(cells.items()) for cells in by_slot.values()]
    columns = [
        [STEP * tick for tick, _, _ in by_slot],
        [numbers[group] for _, group, _ in by_slot],
        [pane for _, _, pane in by_slot],
        [len(cells) for cells in own],
        [cell for cells in own for cell, _ in cells],
        [amount for cells in own for _, amount in cells],
    ]
    return waits.add(Slots(*(np.array(column, np.int64) for column in columns)))


def filled(of: Sequence[Commit]) -> Waiting:
    waits = Waiting(WIDTH)
    for turn, commit in enumerate(of):
        assert add(waits, commit, turn) == sorted({STEP * tick for (tick, _, _), _ in commit})
    return waits


def sums(found: Slots | None, waits: Waiting) -> Sums:
    """What slots say, once it is sure that no slot is there twice or empty and that they are sorted by tick."""
    if found is None:
        return {}
    named = list(zip(found.tick.tolist(), found.group.tolist(), found.pane.tolist(), strict=True))
    assert len(set(named)) == len(named)
    assert (found.length > 0).all()
    assert (np.diff(found.tick) >= 0).all()
    place = np.repeat(np.arange(len(found)), found.length).tolist()
    return {
        (named[i][0], waits.names[named[i][1]], named[i][2], cell): amount
        for i, cell, amount in zip(place, found.cells.tolist(), found.amounts.tolist(), strict=True)
    }


def expected(of: Sequence[Commit], first: int = 0, below: int = 99) -> Sums:
    total: Counter[tuple[int, Group, int, int]] = Counter()
    for commit in of:
        for ((tick, group, pane), cell), amount in commit.items():
            if first <= tick < below:
                total[STEP * tick, GROUPS[group], pane, cell] += amount
    return {key: amount for key, amount in total.items() if amount}


@given(commits, st.lists(st.integers(0, 5), max_size=3))
def test_what_leaves_are_the_sums_of_the_commits_without_what_cancels(of: list[Commit], stops: list[int]) -> None:
    waits, first = filled(of), 0
    for stop in [*sorted(stops), 5]:
        assert sums(waits.rest(), waits) == expected(of, first)
        assert sums(waits.take(STEP * stop), waits) == expected(of, first, stop)
        first = stop
    assert waits.take(STEP * 5) is None


@given(commits, commits, st.integers(0, 5))
def test_more_may_come_when_some_has_left(before: list[Commit], after: list[Commit], stop: int) -> None:
    waits = filled(before)
    waits.take(STEP * stop)
    for turn, commit in enumerate(after):
        add(waits, commit, turn)
    left: Counter[tuple[int, Group, int, int]] = Counter(expected(before, stop))
    left.update(expected(after))
    assert sums(waits.take(STEP * 5), waits) == {key: amount for key, amount in left.items() if amount}


@given(commits, st.integers(0, 40), st.integers(1, 5))
def test_so_many_ticks_leave_as_have_few_cells_together(of: list[Commit], at_once: int, below: int) -> None:
    cells = Counter(tick for commit in of for (tick, _, _), _ in commit)
    waits, taken = filled(of), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "CELLS_AT_ONCE", at_once)
        while (stop := until([waits], STEP * below)) < STEP * below:
            waits.take(stop)
            last, first = (stop - 1) // STEP, taken
            taken = last + 1
            assert cells[last] > 0
            assert sum(cells[tick] for tick in range(first, last)) <= at_once  # the tick before was not enough
            assert sum(cells[tick] for tick in range(first, last + 1)) > 0
    assert sum(cells[tick] for tick in range(taken, below)) <= at_once


@given(commits)
def test_a_tick_by_itself_brings_its_slots(of: list[Commit]) -> None:
    waits = filled(of)
    found = waits.take(STEP * 5)
    assert found is not None
    ticks = [STEP * tick for tick in range(5)]
    for tick, piece in zip(ticks, found.pieces(ticks, waits.names, PANE_MS), strict=True):
        place = np.repeat(np.arange(len(piece.group)), piece.length).tolist()
        own = {
            (tick, piece.groups[piece.group[i]], int(piece.pane_ms[i]) // PANE_MS, cell): amount
            for i, cell, amount in zip(place, piece.cells.tolist(), piece.amounts.tolist(), strict=True)
        }
        assert own == expected(of, tick // STEP, tick // STEP + 1)


@given(commits)
def test_what_arrives_is_the_sum_over_segments_where_something_is_left(of: list[Commit]) -> None:
    waits = filled(of)
    found = waits.take(STEP * 5)
    assert found is not None
    for tick, piece in enumerate(found.pieces([STEP * tick for tick in range(5)], waits.names, PANE_MS)):
        total: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0] * WIDTH)
        for (_, group, pane, cell), amount in expected(of, tick, tick + 1).items():
            total[group.model, group.version, pane * PANE_MS][cell] += amount
        came = {(a.model, a.version, a.pane_ms): a.cells.tolist() for a in arrivals(piece, WIDTH)}
        assert came == {key: cells for key, cells in total.items() if any(cells)}


@given(st.lists(st.integers(0, 1 << 62) | st.integers(0, 9), min_size=1))
def test_values_are_numbered_in_their_order(values: list[int]) -> None:
    places, distinct = numbered(np.array(values, np.int64))
    assert distinct.tolist() == sorted(set(values))
    assert distinct[places].tolist() == values
