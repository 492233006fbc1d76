"""Ticks close, windows move: one kind of window of every model.

Contributions wait under the tick they became known in. Closing a tick adds them to their windows, gives every window that
changed or became final its next revision, and says which series had rows.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from monitor.events import Int64s
from monitor.groups import Group
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import Delta
from monitor.metrics.task import Metric
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import CellLayout, Cells, checked
from monitor.windows import measure, payload
from monitor.windows.arrivals import Arrival, arrivals
from monitor.windows.asked import Together
from monitor.windows.crossed import Addition, Crossed
from monitor.windows.in_hand import ClosedTick, Measured, Stack, Standing, Summed
from monitor.windows.losses import Losses
from monitor.windows.measure import Revision
from monitor.windows.outlook import LabelBook
from monitor.windows.pieces import Piece, add_up_waiting
from monitor.windows.schedule import Schedule
from monitor.windows.shelf import Shelf
from monitor.windows.store import WindowStore
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

CELLS_AT_ONCE = 1 << 18
"""Cells of the windows that are measured at once: 2 MB, so that a formula's columns stay in the cache."""
_Series = tuple[SeriesKey, str]


class TickEngine:
    """All windows of one kind, and the contributions that wait for their tick."""

    def __init__(self, plan: Plan, schedule: Schedule, losses: Losses, kind: Kind) -> None:
        self._plan, self._windows, self._losses, self.kind = plan, schedule, losses, kind
        self.next_tick: int | None = None
        """The earliest tick that is still open; None before the first one closed."""
        self.unplaced = 0
        """Windows that were final already when something more came for them: only after a partition was idle or quiet."""
        self.newest_pane_ms = NEVER
        """Start of the newest pane that anything was added to."""
        self.arrival_cells: int | None = None
        """How many cells, from the first, of what a tick brought are handed out with it: 0 for all, None for nothing."""
        self.hands_out_cells = False
        """Whether somebody asks for the sums of windows (`cells`) while ticks are handed out."""
        self._standing: Standing | None = None
        self.book = LabelBook(plan, self.is_lost) if plan.estimates and kind is Kind.PERFORMANCE else None
        """How labels come, where windows are to say what to expect."""
        self.crossed = Crossed()
        self.closed = 0
        """Ticks that were closed and in which something happened."""
        self.to_mark: set[WindowKey] = set()
        """Windows of which something was lost, and that get a revision for that in the next tick that closes."""
        self._in_hand = 0  # added up, not handed out yet
        self._waiting: dict[int, list[tuple[str, Piece]]] = defaultdict(list)
        self._due: dict[int, set[WindowKey]] = defaultdict(set)  # become final
        self._over: dict[int, set[WindowKey]] = defaultdict(set)  # reach their end
        self._agenda: list[int] = []
        self._stores: dict[str, tuple[ModelPlan, WindowStore]] = {}
        self._shelves: dict[_Series, Shelf] = defaultdict(Shelf)
        self._versions: dict[tuple[str, str], set[SeriesKey]] = defaultdict(set)  # of a model and segment
        self._final_before_ms = 0
        self._formulas: dict[str, Mapping[str, Metric]] = {}

    @property
    def to_close(self) -> int:
        """Ticks in which something happens and that are not closed yet, as far as that is known now."""
        return len(self._agenda) + self._in_hand

    def add(self, groups: Sequence[Group], delta: Delta) -> None:
        """What a commit contributes. Decided ticks are never rewritten: what is late for one goes to the next."""
        tick, group, pane_ms = delta.column("tick"), delta.column("group"), delta.column("pane") * self._plan.pane_ms
        length, cells, amounts = delta.column("length"), delta.column("cell"), delta.column("amount")
        self.newest_pane_ms = max(self.newest_pane_ms, int(pane_ms.max(initial=NEVER)))
        if self.next_tick is not None:
            tick = np.maximum(tick, self.next_tick)
        models = [g.model for g in groups]
        names = list(dict.fromkeys(models))
        model = np.array([names.index(name) for name in models], np.int64)[group]
        order = np.lexsort((tick, model))
        tick, model, group, pane_ms = tick[order], model[order], group[order], pane_ms[order]
        first, length = (np.cumsum(length) - length)[order], length[order]
        after = np.cumsum(length)
        place = np.repeat(first - (after - length), length) + np.arange(int(length.sum()))
        cells, amounts = cells[place], amounts[place]
        cuts = [
            *np.flatnonzero((np.diff(tick, prepend=-1) != 0) | (np.diff(model, prepend=-1) != 0)).tolist(),
            len(tick),
        ]
        for start, stop in pairwise(cuts):
            part, inner = slice(start, stop), slice(int(after[start] - length[start]), int(after[stop - 1]))
            piece = Piece(groups, group[part], pane_ms[part], length[part], cells[inner], amounts[inner])
            at = int(tick[start])
            self._schedule(at)
            self._waiting[at].append((names[int(model[start])], piece))

    def _schedule(self, tick: int) -> None:
        if not (tick in self._waiting or tick in self._due or tick in self._over):
            heapq.heappush(self._agenda, tick)

    def close(self, below: int) -> Iterator[ClosedTick]:
        """Close every tick before `below` in which something happens, in order.

        Ticks are added up one by one and measured many at once: a formula costs the same for one window as for fifty.
        While one is handed out the windows are as they were at its end, for `newest_mature` and `get`, and `cells` where
        somebody asks for them.

        A window that everything was taken back from has no final value: whether it ever showed one depends on the order
        of the records, and a final value may not.
        """
        while self._agenda and self._agenda[0] < below:
            stacks: dict[str, Stack] = defaultdict(Stack)
            summed: list[Summed] = []
            cells = 0
            while self._agenda and self._agenda[0] < below and cells < CELLS_AT_ONCE:
                if len(summed) == 1 and self.hands_out_cells:
                    self._standing = Standing(store for _, store in self._stores.values())
                summed.append(self._sum_up(stacks, below))
                cells += sum(n * self._store(model)[1].layout.size for model, n in summed[-1].revised.items())
            measured = {model: self._measure(model, stack) for model, stack in stacks.items()}
            shown = dict.fromkeys(measured, 0)
            self._in_hand = len(summed)
            for number, tick in enumerate(summed):
                self._in_hand -= 1
                self.closed += 1
                own = list[tuple[WindowView, bytes | None]]()
                for model, n in tick.revised.items():
                    part = slice(shown[model], shown[model] + n)
                    views, shown[model] = measured[model].views[part], part.stop
                    if self._standing is not None and number:
                        self._standing.follow((view for view, _ in views), measured[model].cells[part])
                    own += views
                yield self._show(tick, own)
            self._standing = None
            for found in measured.values():
                self._let_go(found)

    def close_quietly(self, below: int) -> None:
        """Nothing happens in the ticks before `below`; they are closed."""
        self.next_tick = below if self.next_tick is None else max(self.next_tick, below)

    def follow_schedule(self) -> None:
        """The schedule of windows has changed."""
        for _, store in self._stores.values():
            store.follow_schedule()

    def lose(self, from_ms: int, until_ms: int) -> None:
        """Something was lost of a span of event time: windows that touch it are told anew, as partial."""
        self._losses.add(self.kind, from_ms, until_ms)
        if self.book is not None:
            self.book.leave_out_lost()
        self.mark(key for _, store in self._stores.values() for key in store.within(from_ms, until_ms))

    def is_lost(self, start_ms: int, end_ms: int) -> bool:
        """Whether something of [start_ms, end_ms) was lost."""
        return self._losses.touch(self.kind, start_ms, end_ms)

    def mark(self, keys: Iterable[WindowKey]) -> None:
        """Give these live windows a revision in the next tick that closes."""
        self.to_mark.update(keys)
        if self.to_mark:
            assert self.next_tick is not None, "there are windows, so ticks were closed"
            self._schedule(self.next_tick)
            self._due[self.next_tick] |= self.to_mark

    def _sum_up(self, stacks: dict[str, Stack], below: int) -> Summed:
        """Add what waited for the next due tick to its windows, and put the cells of all that change on their stacks."""
        tick = heapq.heappop(self._agenda)
        self.close_quietly(tick + 1)
        if not all(piece.whole for _, piece in self._waiting.get(tick, ())):
            add_up_waiting(self._waiting, below, lambda model: self._layout(self._plan.counted_as(model)).size)
        by_model = dict[str, Piece]()
        for model, piece in self._waiting.pop(tick, ()):
            counts = self._windows.counts(model, piece.pane_ms)  # its model may have begun, or have left, meanwhile
            if counts.any():
                by_model[model] = piece if counts.all() else piece.only(counts)
        self._final_before_ms = (tick + 1) * self._plan.join.tick_ms - self._settling_ms()
        changed = {model: self._apply(model, piece, tick) for model, piece in by_model.items()}
        crossed = [one for model, piece in by_model.items() for one in self._crossed_by(model, piece)]
        active = frozenset(key.series for keys in changed.values() for key in keys)
        arrived = [] if self.arrival_cells is None else self._arrived(by_model, self.arrival_cells)
        if self.book is not None:
            self.book.take(tick, self._arrived(by_model, 0))
        self.to_mark.clear()
        for key in self._due.pop(tick, ()):
            changed.setdefault(self._sense(key), set()).add(key)
        revised = {model: sorted(changed[model]) for model in sorted(changed) if changed[model]}
        for model, keys in revised.items():
            self._stack(stacks[model], model, keys, tick)
        return Summed(
            tick, {m: len(keys) for m, keys in revised.items()}, self._over.pop(tick, set()), active, arrived, crossed
        )

    def _crossed_by(self, model: str, piece: Piece) -> list[Addition]:
        """What is added to combinations of segments, before any window is forgotten for being final."""
        plan, store = self._store(model)
        return self.crossed.additions(plan, [piece], store.spans, store) if self.kind is Kind.PERFORMANCE else []

    def _arrived(self, by_model: Mapping[str, Piece], cells: int) -> list[Arrival]:
        """What a tick brought, in the first so many cells, 0 for all."""
        sizes = {model: cells or self._store(model)[1].layout.size for model in by_model}
        # What counts for several senses came once: for the one in force.
        own = {model: piece.only(self._windows.in_force(model, piece.pane_ms)) for model, piece in by_model.items()}
        return [one for model, piece in sorted(own.items()) for one in arrivals(piece, sizes[model])]

    def _settling_ms(self) -> int:
        """How long after its end a window can still change."""
        join = self._plan.join
        if self.kind is Kind.INPUT:
            return join.lateness_ms
        return join.bounds.horizon_ms + join.lateness_ms + join.settle_ms

    def _apply(self, model: str, piece: Piece, now: int) -> set[WindowKey]:
        touched = self._store(model)[1].apply(piece, self._final_before_ms)
        self.unplaced += touched.unplaced
        for key in touched.new:
            self._remind(self._due, key.end_ms + self._settling_ms(), key)
            if key.end_ms > (now + 1) * self._plan.join.tick_ms:
                self._remind(self._over, key.end_ms, key)
        return touched.keys

    def _remind(self, diary: dict[int, set[WindowKey]], at_ms: int, key: WindowKey) -> None:
        """Note a window under the tick whose end reaches `at_ms`."""
        tick = -(-at_ms // self._plan.join.tick_ms) - 1
        self._schedule(tick)
        diary[tick].add(key)

    def _store(self, model: str) -> tuple[ModelPlan, WindowStore]:
        known = self._stores.get(model)
        if known is None:
            plan = self._plan.counted_as(model)
            known = self._stores[model] = (plan, WindowStore(model, self._layout(plan), self._windows))
        return known

    def _sense(self, key: WindowKey) -> str:
        return self._windows.sense_at(key.series.model, key.start_ms)

    def _layout(self, plan: ModelPlan) -> CellLayout:
        return plan.input_cells if self.kind is Kind.INPUT else plan.task.cells

    def _stack(self, stack: Stack, model: str, keys: Sequence[WindowKey], tick: int) -> None:
        store = self._store(model)[1]
        end_ms = (tick + 1) * self._plan.join.tick_ms
        stack.cells.append(store.read(keys))
        done, own, final_before_ms = list[WindowKey](), store.revisions, self._final_before_ms
        lossless = not self._losses.any_of(self.kind)
        for key in keys:
            number = own[key] = own.get(key, 0) + 1
            final = key.end_ms <= final_before_ms
            partial = not lossless and self.is_lost(key.start_ms, key.end_ms)
            stack.revisions.append(Revision(key, number, final, end_ms, None, partial))
            if final:
                done.append(key)
        store.drop(done)
        if self.book is not None:
            self._look_ahead(stack, model, len(keys))

    def _look_ahead(self, stack: Stack, model: str, number: int) -> None:
        """Give the last revisions of a stack what is to be expected of them now."""
        assert self.book is not None
        plan, store = self._store(model)
        last = stack.revisions[-number:]
        outlooks = self.book.outlooks(plan, last, store.cells(stack.cells[-1]))
        stack.revisions[-number:] = [one._replace(outlook=own) for one, own in zip(last, outlooks, strict=True)]

    def _measure(self, model: str, stack: Stack) -> Measured:
        plan, store = self._store(model)
        cells = checked(store.cells(np.concatenate(stack.cells)))
        if self._plan.finals_only:
            return self._measure_finals(model, plan, stack.revisions, cells)
        views, metrics = self._views_of(plan, stack.revisions, cells)
        return Measured(list(zip(views, payload.encode_all(views, metrics), strict=True)), cells.array)

    def _measure_finals(self, model: str, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells) -> Measured:
        """Of what is final the views and their bytes; of the rest views that can be asked."""
        if model not in self._formulas:
            self._formulas[model] = measure.formulas(plan, self.kind)
        asked = Together(plan, self.kind, self._formulas[model], cells)
        found: list[tuple[WindowView, bytes | None]] = [
            (view, None) for view in asked.views(self.config_of(plan), revisions)
        ]
        if rows := [row for row, revision in enumerate(revisions) if revision.final]:
            own = Cells(cells.layout, cells.array[rows])
            views, metrics = self._views_of(plan, [revisions[row] for row in rows], own)
            for row, view, value in zip(rows, views, payload.encode_all(views, metrics), strict=True):
                found[row] = view, value
        return Measured(found, cells.array, asked)

    def _views_of(self, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells) -> measure.Measured:
        views_of = measure.input_views if self.kind is Kind.INPUT else measure.performance_views
        return views_of(plan, self.config_of(plan), revisions, cells)

    def config_of(self, plan: ModelPlan) -> str:
        """The digest of the configuration that gives a sense its meaning."""
        return plan.config_digest or self._plan.config_digest

    def _let_go(self, measured: Measured) -> None:
        """All ticks of a stack are handed out: only what is on a shelf can be asked for still."""
        if measured.asked is not None:
            newest = {view.key: i for i, (view, _) in enumerate(measured.views)}
            measured.asked.keep([i for key, i in newest.items() if self.get(key) is measured.views[i][0]])

    def _show(self, summed: Summed, measured: list[tuple[WindowView, bytes | None]]) -> ClosedTick:
        """Put a tick's revisions where rules look for them."""
        revised, told = list[WindowView](), list[tuple[WindowView, bytes]]()
        vanished = list[WindowView]()
        for view, value in measured:
            series = view.key.series
            shelf = self._shelves[series, view.key.window]
            if not shelf.views:
                self._versions[series.model, series.segment].add(series)
            shelf.put(view)
            if view.final and not view.seen and not any(view.counts.values()):
                shelf.remove(view.key.start_ms)
                vanished.append(view)
            else:
                revised.append(view)
                if value is not None:
                    told.append((view, value))
        self.crossed.add(summed.crossed)
        for series, window in {(view.key.series, view.key.window) for view, _ in measured}:
            self.crossed.keep(series, window, self._shelves[series, window].views)
        over = summed.over.difference(view.key for view, _ in measured) if summed.over else ()
        ended = [was for key in sorted(over) if (was := self.get(key)) is not None]
        views, payloads = [view for view, _ in told], [value for _, value in told]
        return ClosedTick(summed.tick, revised, views, payloads, ended, vanished, summed.active, summed.arrivals)

    # -- what rules may read -------------------------------------------------------------------------------------

    def newest_mature(
        self, series: SeriesKey, window: str, predicate: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """The newest view of a series for which `predicate` holds."""
        shelf = self._shelves.get((series, window))
        if shelf is None:
            return None
        return next((shelf.views[s] for s in sorted(shelf.views, reverse=True) if predicate(shelf.views[s])), None)

    def other_versions(self, series: SeriesKey) -> list[SeriesKey]:
        """The same model and segment under every other version that ever had a window."""
        known = self._versions.get((series.model, series.segment), ())
        return sorted(other for other in known if other != series) if len(known) > 1 else []

    def get(self, key: WindowKey) -> WindowView | None:
        """The current view of a window, while it is remembered."""
        shelf = self._shelves.get((key.series, key.window))
        return shelf.views.get(key.start_ms) if shelf else None

    def held(self, series: SeriesKey, window: str) -> Mapping[int, WindowView]:
        """The windows of a series that are remembered, by start."""
        shelf = self._shelves.get((series, window))
        return shelf.views if shelf else {}

    def segments(self, series: SeriesKey) -> list[SeriesKey]:
        """The segments, other than that of `series`, of the same model and version that ever had a window."""
        known = (own for (model, _), every in self._versions.items() if model == series.model for own in every)
        return sorted(own for own in known if own.version == series.version and own.segment != series.segment)

    def cells(self, key: WindowKey) -> Int64s | None:
        """The sums of a window at the end of the tick that is handed out; None of one that is final or has none."""
        if self._standing is not None:
            return self._standing.get(key)
        known = self._stores.get(self._sense(key))
        return known[1].read([key])[0] if known is not None and key in known[1] else None

    def newest(self) -> list[WindowView]:
        """The newest view of every series and window that there still is: what telemetry shows."""
        names, goes_on = self._windows.names, self._windows.goes_on
        found = [shelf.views[max(shelf.views)] for _, shelf in sorted(self._shelves.items()) if shelf.views]
        return [
            view for view in found if not view.final or (view.key.window in names and goes_on(view.key.series.model))
        ]
