"""Contributions that wait are the same sums however the commits were cut and however many ticks are added up at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.groups import Group
from monitor.windows import pieces
from monitor.windows.arrivals import arrivals
from monitor.windows.pieces import Piece, add_up_waiting, added_up

WIDTH = 5
GROUPS = [Group("m", version, (("d", value),)) for version in "12" for value in "xy"]
Slot = tuple[int, int]
Cell = tuple[Slot, int]

amounts = st.dictionaries(
    st.tuples(st.tuples(st.integers(0, len(GROUPS) - 1), st.integers(0, 2)), st.integers(0, WIDTH - 1)),
    st.integers(-2, 2),
    max_size=8,
)
ticks = st.lists(st.lists(amounts, min_size=1, max_size=3), min_size=1, max_size=4)


def piece(content: dict[Cell, int], first: int) -> Piece:
    """A commit's piece; `first` turns its groups, whose numbers are its own."""
    names = GROUPS[first:] + GROUPS[:first]
    slots: dict[Slot, dict[int, int]] = defaultdict(dict)
    for (slot, cell), amount in sorted(content.items()):
        slots[slot][cell] = amount
    columns = [
        [names.index(GROUPS[group]) for group, _ in slots],
        [60_000 * pane for _, pane in slots],
        [len(own) for own in slots.values()],
        [cell for own in slots.values() for cell in own],
        [amount for own in slots.values() for amount in own.values()],
    ]
    return Piece(names, *(np.array(column, np.int64) for column in columns))


def sums(found: Piece) -> dict[tuple[Group, int, int], int]:
    slots = np.repeat(np.arange(len(found.group)), found.length).tolist()
    return {
        (found.groups[found.group[slot]], int(found.pane_ms[slot]), cell): amount
        for slot, cell, amount in zip(slots, found.cells.tolist(), found.amounts.tolist(), strict=True)
    }


def expected(tick: Sequence[dict[Cell, int]]) -> dict[tuple[Group, int, int], int]:
    total: Counter[tuple[Group, int, int]] = Counter()
    for content in tick:
        for ((group, pane), cell), amount in content.items():
            total[GROUPS[group], 60_000 * pane, cell] += amount
    return {key: amount for key, amount in total.items() if amount}


@given(ticks)
def test_each_tick_has_the_sums_of_its_commits_without_what_cancels(contents: list[list[dict[Cell, int]]]) -> None:
    whole = added_up([[piece(own, i % 4) for i, own in enumerate(tick)] for tick in contents], WIDTH)
    assert [sums(own) for own in whole] == [expected(tick) for tick in contents]
    for own in whole:
        assert own.whole
        assert (own.length > 0).all()
        assert len({*zip(own.group.tolist(), own.pane_ms.tolist(), strict=True)}) == len(own.group)


@given(ticks, st.integers(0, 12), st.integers(0, 5))
def test_how_many_are_added_up_at_once_cannot_be_seen(
    contents: list[list[dict[Cell, int]]], at_once: int, below: int
) -> None:
    waiting = {7 * i: [("m", piece(own, i % 4)) for own in tick] for i, tick in enumerate(contents)}
    before, pieces.CELLS_AT_ONCE = pieces.CELLS_AT_ONCE, at_once
    try:
        for i, tick in enumerate(contents[:below]):
            if not all(own.whole for _, own in waiting[7 * i]):
                add_up_waiting(waiting, 7 * below, lambda _: WIDTH)
            assert [sums(own) for _, own in waiting.pop(7 * i)] == [expected(tick)]
    finally:
        pieces.CELLS_AT_ONCE = before
    for i in range(below, len(contents)):
        assert [own.whole for _, own in waiting[7 * i]] == [False] * len(contents[i])


@given(ticks)
def test_what_arrives_is_the_sum_over_segments_where_something_is_left(contents: list[list[dict[Cell, int]]]) -> None:
    for tick in contents:
        total: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0] * WIDTH)
        for (group, pane_ms, cell), amount in expected(tick).items():
            total[group.model, group.version, pane_ms][cell] += amount
        (whole,) = added_up([[piece(own, 0) for own in tick]], WIDTH)
        found = {(a.model, a.version, a.pane_ms): a.cells.tolist() for a in arrivals(whole, WIDTH)}
        assert found == {key: cells for key, cells in total.items() if any(cells)}
