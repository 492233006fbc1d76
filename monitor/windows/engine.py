"""Ticks close, windows move: one kind of window of every model.

Contributions wait under the tick they became known in. Closing a tick adds them to their windows, gives every window that
changed or became final its next revision, and says which series had rows.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.config.windows import Window
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import CellLayout
from monitor.windows import measure
from monitor.windows.store import Entry, WindowStore
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

FINALS_KEPT = 8
"""Final windows of a series that rules can still read: enough to look back past a few empty ones, bounded."""

_Series = tuple[SeriesKey, str]


@dataclass(slots=True)
class Shelf:
    """The current views of one series and window name, by start."""

    views: dict[int, WindowView] = field(default_factory=dict)
    finals: list[int] = field(default_factory=list)

    def put(self, view: WindowView) -> None:
        """The newest revision of a window; the oldest final ones make room."""
        start = view.key.start_ms
        self.views[start] = view
        if view.final:
            heapq.heappush(self.finals, start)
            while len(self.finals) > FINALS_KEPT:
                self.views.pop(heapq.heappop(self.finals), None)

    def remove(self, start_ms: int) -> None:
        """Forget a window."""
        self.views.pop(start_ms, None)


@dataclass(frozen=True, slots=True)
class ClosedTick:
    """What closing a tick did to the windows of one kind, everything sorted.

    `revised` got a revision. `ended` did not, but this tick reached their end. `vanished` became final with nothing left in
    them. `active` are the series that had rows.
    """

    revised: list[WindowView]
    ended: list[WindowView]
    vanished: list[WindowView]
    active: frozenset[SeriesKey]


class TickEngine:
    """All windows of one kind, and the contributions that wait for their tick."""

    def __init__(self, plan: Plan, windows: Sequence[Window], kind: Kind) -> None:
        self._plan, self._windows, self.kind = plan, windows, kind
        self.next_tick: int | None = None
        """The earliest tick that is still open; None before the first one closed."""
        self.unplaced_rows = 0
        """Contributions to windows that were final already: only after a partition that was idle came back."""
        self._waiting: dict[int, list[Entry]] = defaultdict(list)
        self._due: dict[int, set[WindowKey]] = defaultdict(set)  # become final
        self._over: dict[int, set[WindowKey]] = defaultdict(set)  # reach their end
        self._agenda: list[int] = []
        self._stores: dict[str, tuple[ModelPlan, WindowStore]] = {}
        self._shelves: dict[_Series, Shelf] = defaultdict(Shelf)
        self._final_before_ms = 0

    def add(self, tick: int, entry: Entry) -> None:
        """A contribution that became known in `tick`. Decided ticks are never rewritten: a late one goes to the next."""
        if self.next_tick is not None and tick < self.next_tick:
            tick = self.next_tick
        self._schedule(tick)
        self._waiting[tick].append(entry)

    def _schedule(self, tick: int) -> None:
        if not (tick in self._waiting or tick in self._due or tick in self._over):
            heapq.heappush(self._agenda, tick)

    def next_due(self, below: int) -> int | None:
        """The next tick before `below` in which something happens."""
        return self._agenda[0] if self._agenda and self._agenda[0] < below else None

    def close_quietly(self, below: int) -> None:
        """Nothing happens in the ticks before `below`; they are closed."""
        self.next_tick = below if self.next_tick is None else max(self.next_tick, below)

    def close(self, tick: int) -> ClosedTick:
        """Close the next due tick.

        A window that everything was taken back from has no final value: whether it ever showed one depends on the order
        of the records, and a final value may not.
        """
        assert heapq.heappop(self._agenda) == tick, "ticks close in order"
        self.close_quietly(tick + 1)
        by_model: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._waiting.pop(tick, ()):
            by_model[entry.group.model].append(entry)
        due, over = self._due.pop(tick, set()), self._over.pop(tick, set())
        self._final_before_ms = (tick + 1) * self._plan.join.tick_ms - self._settling_ms()
        changed: dict[str, set[WindowKey]] = defaultdict(set)
        for model, entries in by_model.items():
            changed[model] |= self._apply(model, entries, tick)
        active = frozenset(key.series for keys in changed.values() for key in keys)
        for key in due:
            changed[key.series.model].add(key)
        views = [view for model in sorted(changed) for view in self._revise(model, sorted(changed[model]), tick)]
        emptied = [v for v in views if v.final and not v.seen and not any(v.counts.values())]
        vanished = frozenset(v.key for v in emptied)
        for view in views:
            self._shelves[view.key.series, view.key.window].put(view)
        for key in vanished:
            self._shelves[key.series, key.window].remove(key.start_ms)
        revised = [v for v in views if v.key not in vanished]
        keys = {v.key for v in revised}
        ended = [was for key in sorted(over - keys - vanished) if (was := self.get(key)) is not None]
        return ClosedTick(revised, ended, emptied, active)

    def _settling_ms(self) -> int:
        """How long after its end a window can still change."""
        join = self._plan.join
        if self.kind is Kind.INPUT:
            return join.lateness_ms
        return join.bounds.horizon_ms + join.lateness_ms + join.settle_ms

    def _apply(self, model: str, entries: list[Entry], now: int) -> set[WindowKey]:
        _, store = self._store(model)
        before = set(store.keys())
        touched = store.apply(entries)
        for key in touched - before:
            if key.end_ms <= self._final_before_ms:
                self.unplaced_rows += 1
                store.drop([key])
                touched.discard(key)
                continue
            self._remind(self._due, key.end_ms + self._settling_ms(), key)
            if key.end_ms > (now + 1) * self._plan.join.tick_ms:
                self._remind(self._over, key.end_ms, key)
        return touched

    def _remind(self, diary: dict[int, set[WindowKey]], at_ms: int, key: WindowKey) -> None:
        """Note a window under the tick whose end reaches `at_ms`."""
        tick = -(-at_ms // self._plan.join.tick_ms) - 1
        self._schedule(tick)
        diary[tick].add(key)

    def _store(self, model: str) -> tuple[ModelPlan, WindowStore]:
        known = self._stores.get(model)
        if known is None:
            plan = self._plan.model(model)
            layout: CellLayout = plan.input_cells if self.kind is Kind.INPUT else plan.task.cells
            known = self._stores[model] = (plan, WindowStore(layout, self._windows))
        return known

    def _revise(self, model: str, keys: Sequence[WindowKey], tick: int) -> list[WindowView]:
        if not keys:
            return []
        plan, store = self._store(model)
        revised: list[tuple[WindowKey, int, bool]] = []
        for key in keys:
            revision = store.revisions[key] = store.revisions.get(key, 0) + 1
            revised.append((key, revision, key.end_ms <= self._final_before_ms))
        views_of = measure.input_views if self.kind is Kind.INPUT else measure.performance_views
        end_ms = (tick + 1) * self._plan.join.tick_ms
        views = views_of(plan, self._plan.config_digest, end_ms, revised, store.read(keys))
        store.drop([key for key, _, final in revised if final])
        return views

    # -- what rules may read -------------------------------------------------------------------------------------

    def newest_mature(
        self, series: SeriesKey, window: str, predicate: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """The newest view of a series for which `predicate` holds."""
        shelf = self._shelves.get((series, window))
        if shelf is None:
            return None
        return next((shelf.views[s] for s in sorted(shelf.views, reverse=True) if predicate(shelf.views[s])), None)

    def get(self, key: WindowKey) -> WindowView | None:
        """The current view of a window, while it is remembered."""
        shelf = self._shelves.get((key.series, key.window))
        return shelf.views.get(key.start_ms) if shelf else None

    def newest(self) -> list[WindowView]:
        """The newest view of every series and window: what telemetry shows."""
        return [shelf.views[max(shelf.views)] for _, shelf in sorted(self._shelves.items()) if shelf.views]

    @property
    def live_windows(self) -> int:
        """Windows in memory."""
        return sum(len(store) for _, store in self._stores.values())
