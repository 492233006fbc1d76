"""What waits for its tick, as columns: commits bring it in any order, and it leaves for many ticks at once, added up.

Commits of several partitions bring cells of the same windows for the same tick. They are added up before they reach a
window: added in one commit and taken back in another must look like never added, or the cuts between commits could be seen.
A call of NumPy costs as much as adding up what a tick brings, so it is done for as many ticks as stay small together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.events import Bools, Int64s
from monitor.groups import Group
from monitor.sketches import sparse
from monitor.windows.pieces import Piece

CELLS_AT_ONCE = 1 << 17
"""Cells that are added up in one go: what is done once a go is spread over many ticks, and the columns stay small."""
_TABLE = 1 << 20
"""Slots are numbered by a table of every possible one up to so many, by sorting beyond."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Contributions to the windows of one model as S slots: slot s is (group[s], pane[s]) in tick[s], its cells are the next
    `length[s]` of `cells`, with `amounts` beside them, ascending. `group` is a place in the names of `Waiting`, `pane` the
    number of a pane of event time."""

    tick: Int64s
    group: Int64s
    pane: Int64s
    length: Int64s
    cells: Int64s
    amounts: Int64s

    def __len__(self) -> int:
        return len(self.tick)

    def part(self, start: int, stop: int, first: int, last: int) -> Slots:
        """The slots from `start` on before `stop`, whose cells are those from `first` on before `last`."""
        own = slice(start, stop)
        columns = (self.tick[own], self.group[own], self.pane[own], self.length[own])
        return Slots(*columns, self.cells[first:last], self.amounts[first:last])

    def only(self, wanted: Bools) -> Slots:
        """Some of the slots."""
        inner = np.repeat(wanted, self.length)
        columns = (self.tick[wanted], self.group[wanted], self.pane[wanted], self.length[wanted])
        return Slots(*columns, self.cells[inner], self.amounts[inner])

    def below(self, width: int) -> Slots:
        """Their first so many cells; slots may be empty then."""
        inside = self.cells < width
        if inside.all():
            return self
        slot = np.repeat(np.arange(len(self)), self.length)[inside]
        length = np.bincount(slot, minlength=len(self)).astype(np.int64)
        return Slots(self.tick, self.group, self.pane, length, self.cells[inside], self.amounts[inside])

    def pieces(self, ticks: Sequence[int], names: Sequence[Group], pane_ms: int) -> Iterator[Piece]:
        """What each of these ticks, which ascend, brings; the slots are sorted by their tick, a pane is so long."""
        cuts = np.searchsorted(self.tick, ticks).tolist(), np.searchsorted(self.tick, ticks, side="right").tolist()
        ends = np.concatenate([[0], np.cumsum(self.length)]).tolist()
        for start, stop in zip(*cuts, strict=True):
            own, inner = slice(start, stop), slice(ends[start], ends[stop])
            columns = (self.pane[own] * pane_ms, self.length[own], self.cells[inner], self.amounts[inner])
            yield Piece(names, self.group[own], *columns)


class Waiting:
    """The contributions to the windows of one model that wait. Groups have numbers from 0 on, in order of first sight."""

    def __init__(self, width: int) -> None:
        self.names: list[Group] = []
        self.width = width
        """Cells of a vector. It may grow: what is added then lies behind what there was."""
        self._numbers: dict[Group, int] = {}
        self._chunks: list[_Chunk] = []

    def number(self, group: Group) -> int:
        """The number of a group."""
        number = self._numbers.get(group)
        if number is None:
            number = self._numbers[group] = len(self.names)
            self.names.append(group)
        return number

    def add(self, slots: Slots) -> list[int]:
        """What one commit brings, its groups being ours; gives the ticks in it. Slots may come in any order."""
        order = np.argsort(slots.tick, kind="stable")
        length = slots.length[order]
        after = np.cumsum(length)
        first = (np.cumsum(slots.length) - slots.length)[order]
        place = np.repeat(first - (after - length), length)
        place += np.arange(len(place))
        own = slots.tick[order], slots.group[order], slots.pane[order]
        sorted_ = Slots(*own, length, slots.cells[place], slots.amounts[place])
        if len(slots):
            self._chunks.append(_Chunk(sorted_, np.concatenate([[0], after])))
        ticks: list[int] = sorted_.tick[np.flatnonzero(np.diff(sorted_.tick, prepend=-1))].tolist()
        return ticks

    def cells_by_tick(self, below: int) -> tuple[Int64s, Int64s]:
        """Ticks before `below`, ascending for each commit, and how many cells wait for each of them in it."""
        parts = [chunk.ahead(below) for chunk in self._chunks]
        nothing = np.zeros(0, np.int64)
        ticks, cells = (
            (np.concatenate([nothing, *columns]) for columns in zip(*parts, strict=True))
            if parts
            else (
                nothing,
                nothing,
            )
        )
        return ticks, cells

    def take(self, below: int) -> Slots | None:
        """What waits for ticks before `below`, added up: sorted by tick, no slot twice, no amount 0, no slot empty. It waits
        no longer. None where nothing does."""
        parts = [part for chunk in self._chunks if (part := chunk.take(below)) is not None]
        self._chunks = [chunk for chunk in self._chunks if chunk]
        return added_up(parts, self.width, len(self._numbers)) if parts else None

    def rest(self) -> Slots | None:
        """What waits, added up, as `take` would give it; it goes on waiting."""
        parts = [chunk.rest() for chunk in self._chunks]
        return added_up(parts, self.width, len(self._numbers)) if parts else None


class _Chunk:
    """What one commit brought, sorted by tick, of which the first ticks may have left."""

    __slots__ = ("_after", "_slots", "_start")

    def __init__(self, slots: Slots, after: Int64s) -> None:
        self._slots, self._after, self._start = slots, after, 0

    def __bool__(self) -> bool:
        return self._start < len(self._slots)

    def _part(self, stop: int) -> Slots:
        return self._slots.part(self._start, stop, int(self._after[self._start]), int(self._after[stop]))

    def ahead(self, below: int) -> tuple[Int64s, Int64s]:
        own = slice(self._start, int(np.searchsorted(self._slots.tick, below)))
        return self._slots.tick[own], self._slots.length[own]

    def take(self, below: int) -> Slots | None:
        stop = int(np.searchsorted(self._slots.tick, below))
        if stop <= self._start:
            return None
        part, self._start = self._part(stop), stop
        return part

    def rest(self) -> Slots:
        return self._part(len(self._slots))


def until(waiting: Iterable[Waiting], below: int) -> int:
    """The tick before which so much waits as is best added up in one go, `below` at most; always more than nothing."""
    parts = [own.cells_by_tick(below) for own in waiting]
    ticks = np.concatenate([ticks for ticks, _ in parts]) if parts else np.zeros(0, np.int64)
    if not len(ticks):
        return below
    cells = np.concatenate([cells for _, cells in parts])
    if int(cells.sum()) <= CELLS_AT_ONCE:
        return below
    order = np.argsort(ticks, kind="stable")
    last = int(np.searchsorted(np.cumsum(cells[order]), CELLS_AT_ONCE, side="right"))
    return int(ticks[order[min(last, len(order) - 1)]]) + 1


def added_up(parts: Sequence[Slots], width: int, groups: int) -> Slots:
    """The sums of contributions to vectors of `width` cells of a model with so many groups, sorted by tick."""
    tick, group, pane, length, cells, amounts = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("tick", "group", "pane", "length", "cells", "amounts")
    )
    first, oldest = int(tick.min()), int(pane.min())
    (when, ticks), (pane, panes) = numbered(tick - first), numbered(pane - oldest)
    # Each of the three is below the number of slots of a go: two million of them at once would have to be all different.
    slot, slots = numbered((when * groups + group) * len(panes) + pane)
    keys = np.repeat(slot * width, length)
    keys += cells
    found, sums = sparse.add_up(keys, amounts, len(slots) * width)
    starts = np.arange(len(slots)) * width
    own = np.diff(np.append(np.searchsorted(found, starts), len(found)))
    found -= np.repeat(starts, own)
    kept = np.flatnonzero(own)
    slots, own = slots[kept], own[kept]
    rest, pane = np.divmod(slots, len(panes))
    when, group = np.divmod(rest, groups)
    return Slots(ticks[when] + first, group, panes[pane] + oldest, own, found, sums)


def numbered(values: Int64s) -> tuple[Int64s, Int64s]:
    """The place of each value, none negative, among the distinct ones, and those, ascending."""
    size = int(values.max(initial=0)) + 1
    if size > _TABLE:
        distinct, places = np.unique(values, return_inverse=True)
        return places.reshape(-1), distinct
    table = np.zeros(size, np.int64)
    table[values] = 1
    distinct = np.flatnonzero(table)
    table[distinct] = np.arange(len(distinct))
    return table[values], distinct
