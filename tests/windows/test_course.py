"""The sums of a window at the end of each of many ticks, asked for in whole, for some cells, or for one revision."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.windows import Window
from monitor.groups import Group
from monitor.sketches.cells import CellLayout, CellSlice
from monitor.sketches.fixed_point import CELL_LIMIT
from monitor.windows.course import Course, CourseCells
from monitor.windows.schedule import Schedule
from monitor.windows.store import Ticking, WindowStore
from monitor.windows.view import WindowKey
from monitor.windows.waiting import Slots

LAYOUT = CellLayout((CellSlice("seen"), CellSlice("bins", 3), CellSlice("right")))
MINUTE_MS = 60_000
TICKING = Ticking(MINUTE_MS, MINUTE_MS, 4 * MINUTE_MS)
GROUPS = [Group("m", "1", (("d", value),)) for value in "xy"]
TICKS = 12
Row = tuple[int, int, int, int, int]
"""Tick, how many panes before that it is of, group, cell, amount."""

rows = st.lists(
    st.tuples(
        st.integers(0, TICKS - 1), st.integers(0, 3), st.integers(0, 1), st.integers(0, 4), st.sampled_from([1, 2, -1])
    ),
    min_size=1,
    max_size=20,
)


def slots_of(of: list[Row]) -> Slots:
    """Each row a slot of its own, by tick."""
    of = sorted((tick, max(0, tick - back), *rest) for tick, back, *rest in of)  # type: ignore[misc]
    tick, pane, group, cell, amount = (np.array(column, np.int64) for column in zip(*of, strict=True))
    return Slots(tick, group, pane, np.ones(len(of), np.int64), cell, amount)


def store() -> WindowStore:
    return WindowStore("m", LAYOUT, Schedule([Window.parse("2m"), Window.parse("3m/1m")]), TICKING)


def course(held: WindowStore, of: list[Row], first: int, stop: int) -> Course | None:
    """What the rows of some ticks do to the windows; every window that is final by the last of them gets a last revision."""
    own = [row for row in of if first <= row[0] < stop]
    nothing = np.zeros(0, np.int64)
    slots, goes = Slots(*[nothing] * 6), (nothing, nothing, nothing)
    if own:
        slots = slots_of(own)
        reach = held.reach(slots, GROUPS)
        goes = reach.slot, reach.row, slots.tick[reach.slot] - first
    due = [(held.row(key), TICKING.reaches(key.end_ms + TICKING.settling_ms) - first) for key in held.live()]
    due = [(row, at) for row, at in due if 0 <= at < stop - first]
    row, at = (np.array([one[i] for one in due], np.int64) for i in (0, 1))
    if not len(goes[0]) and not due:
        return None
    return Course(held, slots, goes, (row, at), TICKING.final_before_ms(np.arange(first, stop)))


def by_hand(of: list[Row]) -> dict[tuple[WindowKey, int], list[int]]:
    """The sums of every window after each tick in which anything came for it, or in which it is final."""
    held, sums, found = store(), dict[WindowKey, Counter[int]](), dict[tuple[WindowKey, int], list[int]]()
    for tick in range(TICKS + 8):
        changed = set()
        for at, back, group, cell, amount in of:
            if at != tick:
                continue
            for key in held._keys_of(GROUPS[group], max(0, at - back)):
                if key in sums or key.end_ms > TICKING.final_before_ms(tick):
                    sums.setdefault(key, Counter())[cell] += amount
                    changed.add(key)
        final = {key for key in sums if key.end_ms <= TICKING.final_before_ms(tick)}
        for key in changed | final:
            found[key, tick] = [sums[key][cell] for cell in range(LAYOUT.size)]
        for key in final:
            del sums[key]
    return found


@given(rows, st.lists(st.integers(1, TICKS), max_size=3))
def test_each_revision_has_the_sums_of_its_tick(of: list[Row], stops: list[int]) -> None:
    held, found, first = store(), dict[tuple[WindowKey, int], list[int]](), 0
    for stop in [*sorted(set(stops)), TICKS + 8]:
        made = course(held, of, first, stop)
        if made is not None:
            lazily = CourseCells(made)
            narrow = [lazily.count("seen"), *lazily.histogram("bins").T, lazily.count("right")]
            singly = [made.one(revision).tolist() for revision in range(len(made))]
            for revision, cells in enumerate(np.stack(narrow, axis=1).tolist()):
                found[made.keys[made.place[revision]], first + int(made.tick[revision])] = cells
                assert singly[revision] == cells == made.whole()[revision].tolist() == made.one(revision).tolist()
                assert lazily.rows([revision]).array.tolist() == [cells]
        first = stop
    assert found == by_hand(of)
    assert not len(held)


@given(rows)
def test_the_sums_of_a_window_can_be_asked_for_as_of_a_tick(of: list[Row]) -> None:
    made, told = course(store(), of, 0, TICKS), by_hand(of)
    assert made is not None
    for key in made.keys:
        now: list[int] | None = None
        for tick in range(TICKS):
            now = told.get((key, tick), now)
            final = key.end_ms <= TICKING.final_before_ms(tick)
            assert key in made
            row = made.at(key, tick)
            assert (None if row is None else row.tolist()) == (None if final else now)


def test_a_sum_that_runs_over_on_the_way_is_found_though_nobody_asks() -> None:
    large = CELL_LIMIT - 1
    of = [(0, 0, 0, 4, large), (1, 1, 0, 4, large), (2, 2, 0, 4, -large)]
    with pytest.raises(OverflowError, match="the cells 'right' of a window"):
        course(store(), of, 0, 3)
