"""Ticks whose contributions are in their windows and that are not handed out yet: what is kept of them meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.events import Int64s
from monitor.windows.arrivals import Arrival
from monitor.windows.asked import Together
from monitor.windows.crossed import Addition
from monitor.windows.measure import Revision
from monitor.windows.store import WindowStore
from monitor.windows.view import SeriesKey, WindowKey, WindowView


@dataclass(slots=True)
class Stack:
    """Revisions of one model's windows, one after the other, as the ticks made them: what is measured at once."""

    revisions: list[Revision] = field(default_factory=list)
    cells: list[Int64s] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measured:
    """The views of a stack, each with the bytes that are published, None where none are; their sums, a row each; `asked`: what
    computes metrics of theirs that somebody asks for."""

    views: list[tuple[WindowView, bytes | None]]
    cells: Int64s
    asked: Together | None = None


@dataclass(frozen=True, slots=True)
class Summed:
    """A tick whose contributions are in their windows and that waits for its views: how many each model revised."""

    tick: int
    revised: dict[str, int]
    over: set[WindowKey]
    active: frozenset[SeriesKey]
    arrivals: Sequence[Arrival]
    crossed: Sequence[Addition]


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


class Standing:
    """The sums of the windows at the end of the tick that is handed out, while later ones are in the stores already.

    Without it what an alert says of a window's bins would depend on how many ticks were closed in one go: on how a run was cut.
    """

    def __init__(self, stores: Iterable[WindowStore]) -> None:
        """As the stores are now: at the end of the first tick of several."""
        self._cells = {key: row for store in stores for key, row in store.live()}

    def follow(self, views: Iterable[WindowView], cells: Int64s) -> None:
        """The revisions of the next tick, with their sums: a row each."""
        for view, row in zip(views, cells, strict=True):
            if view.final:
                self._cells.pop(view.key, None)
            else:
                self._cells[view.key] = row

    def get(self, key: WindowKey) -> Int64s | None:
        """The sums of a window; None of one that is final or has none."""
        return self._cells.get(key)
