"""Ticks that are closed together: what they bring, the windows it goes to, and what is handed out tick by tick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.windows.arrivals import Arrival
from monitor.windows.course import Course
from monitor.windows.crossed import Addition
from monitor.windows.store import WindowStore
from monitor.windows.view import SeriesKey, WindowKey, WindowView
from monitor.windows.waiting import Slots

CELLS_AT_ONCE = 1 << 18
"""Cells of the windows that are measured at once: 2 MB, so that a formula's columns stay in the cache."""
ASKED_CELLS = 16
"""So many cells of a window count where only those are worked out that somebody asks for."""


@dataclass(frozen=True, slots=True)
class ClosedTick:
    """What closing a tick did to the windows of one kind, everything sorted.

    `revised` got a revision; of those of them that are told, `told`, the published bytes are in `payloads`. `ended` did not
    get one, but this tick reached their end.
    `vanished` became final with nothing left in them. `active` are the series that had rows.
    """

    tick: int
    revised: list[WindowView]
    told: list[WindowView]
    payloads: list[bytes]
    ended: list[WindowView]
    vanished: list[WindowView]
    active: frozenset[SeriesKey]
    arrivals: Sequence[Arrival] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """What several ticks bring one model: `slots`, and of each contribution to a window its slot, its row in the store and
    the place of its tick."""

    slots: Slots
    slot: Int64s
    row: Int64s
    at: Int64s

    def part(self, start: int, stop: int) -> tuple[Int64s, Int64s, Int64s]:
        """The contributions in the ticks from `start` on before `stop`, whose places count from there."""
        first, last = np.searchsorted(self.at, (start, stop)).tolist()
        return self.slot[first:last], self.row[first:last], self.at[first:last] - start


class InTurn:
    """A course tick by tick: its revisions in each, and the series that had rows."""

    __slots__ = ("_active", "_came", "_cuts", "_order", "_places", "course")

    def __init__(self, course: Course, ticks: int) -> None:
        self.course = course
        order = np.argsort(course.tick, kind="stable")
        self._cuts = np.searchsorted(course.tick[order], np.arange(ticks + 1)).tolist()
        self._places, self._came = course.place[order], course.came[order]
        self._order: list[int] = order.tolist()
        self._active: dict[bytes, frozenset[SeriesKey]] = {}

    def revisions(self, tick: int) -> list[int]:
        """The revisions in the tick at that place, by key."""
        return self._order[self._cuts[tick] : self._cuts[tick + 1]]

    def came(self, tick: int) -> list[WindowKey]:
        """The windows that rows came for in it."""
        part = slice(self._cuts[tick], self._cuts[tick + 1])
        return [self.course.keys[place] for place in self._places[part][self._came[part]].tolist()]

    def active(self, tick: int) -> frozenset[SeriesKey]:
        """Their series."""
        part = slice(self._cuts[tick], self._cuts[tick + 1])
        places = self._places[part][self._came[part]]
        known = self._active.get(own := places.tobytes())
        if known is None:
            keys = self.course.keys
            known = self._active[own] = frozenset(keys[place].series for place in places.tolist())
        return known


@dataclass(slots=True)
class Stack:
    """Ticks whose contributions are in their windows and that are handed out one after the other."""

    ticks: list[int]
    over: list[set[WindowKey]]
    """The windows that each tick reaches the end of."""
    turns: dict[str, InTurn]
    """By sense of a model, sorted."""
    arrived: list[list[Arrival]] | None = None
    """What each tick brought, in the first cells, where somebody asks for it."""
    brought: list[list[Arrival]] | None = None
    """The same in all cells, where windows say what to expect."""
    crossed: list[list[Addition]] = field(init=False)
    """What each tick adds to combinations of segments."""

    def __post_init__(self) -> None:
        self.crossed = [[] for _ in self.ticks]


def cuts(
    ticks: int,
    brought: Mapping[str, Brought],
    due: Mapping[int, Iterable[tuple[str, WindowKey]]],
    cost: Mapping[str, int],
) -> list[int]:
    """Where ticks are cut into stacks; `due`: by place of the tick the windows that get a revision anyhow, each with the sense
    of its model, `cost`: cells that a revision of each sense takes."""
    cells = np.zeros(ticks, np.int64)
    for model, own in brought.items():
        cells += np.bincount(own.at, minlength=ticks) * cost[model]
    for at, keys in due.items():
        cells[at] += sum(cost[model] for model, _ in keys)
    total, found = 0, [0]
    for at, more in enumerate(cells.tolist()):
        if at > found[-1] and total >= CELLS_AT_ONCE:
            found.append(at)
            total = 0
        total += more
    return [*found, ticks]


def courses(
    stores: Mapping[str, tuple[ModelPlan, WindowStore]],
    brought: Mapping[str, Brought],
    due: Mapping[int, Iterable[tuple[str, WindowKey]]],
    span: tuple[int, int],
    final_before_ms: Int64s,
) -> Iterator[tuple[str, Course]]:
    """Move the windows on to the last tick of a span of places; what became of those of each sense of a model in its ticks.
    `due` as in `cuts`."""
    start, stop = span
    owed: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for at in range(start, stop):
        for model, key in due.get(at, ()):
            owed[model].append((stores[model][1].row(key), at - start))
    nothing = np.zeros(0, np.int64)
    for model in sorted({*brought, *owed}):
        own, store = brought.get(model), stores[model][1]
        slots = own.slots if own is not None else Slots(*[nothing] * 6)
        goes = own.part(start, stop) if own is not None else (nothing, nothing, nothing)
        rows, places = np.array(owed[model], np.int64).reshape(-1, 2).T
        if len(goes[0]) or len(rows):
            yield model, Course(store, slots, goes, (rows, places), final_before_ms[start:stop])
