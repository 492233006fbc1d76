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

from monitor.editions import DETAILED, LASTING
from monitor.events import Int64s
from monitor.groups import Group
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import Delta
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import CellLayout
from monitor.windows.arrivals import Arrival, arrivals
from monitor.windows.crossed import Crossed
from monitor.windows.editions import Editions
from monitor.windows.kept import FinalSums
from monitor.windows.losses import Losses
from monitor.windows.measuring import Measured, Measuring
from monitor.windows.outlook import LabelBook
from monitor.windows.over import OVER_KEPT, too_many
from monitor.windows.pieces import Piece
from monitor.windows.schedule import Schedule
from monitor.windows.shelf import Shelf
from monitor.windows.stacks import ASKED_CELLS, Brought, ClosedTick, InTurn, Stack, courses, cuts
from monitor.windows.store import Ticking, WindowStore
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView
from monitor.windows.waiting import Slots, Waiting, until

_Series = tuple[SeriesKey, str]


class TickEngine:
    """All windows of one kind, and the contributions that wait for their tick."""

    def __init__(
        self, plan: Plan, schedule: Schedule, losses: Losses, kind: Kind, editions: Editions | None = None
    ) -> None:
        """`editions`: where windows are not all of the plan's."""
        self._plan, self._windows, self._losses, self.kind = plan, schedule, losses, kind
        self._editions = editions or Editions(plan)
        self._ticking = Ticking.of(plan, kind)
        self.next_tick: int | None = None
        """The earliest tick that is still open; None before the first one closed."""
        self.unplaced = 0
        """Windows that were final already when something more came for them: only after a partition was idle or quiet."""
        self.newest_pane_ms = NEVER
        """Start of the newest pane that anything was added to."""
        self.arrival_cells: int | None = None
        """How many cells, from the first, of what a tick brought are handed out with it: 0 for all, None for nothing."""
        self.hands_out_cells = False
        """Whether somebody asks for the sums of windows (`cells`), so that those of final ones are kept."""
        self._finals = FinalSums()
        self.book = LabelBook(plan, self.is_lost) if plan.estimates and kind is Kind.PERFORMANCE else None
        """How labels come, where windows are to say what to expect."""
        self.crossed = Crossed()
        self.closed = 0
        """Ticks that were closed and in which something happened."""
        self.to_mark: set[WindowKey] = set()
        """Windows of which something was lost, and that get a revision for that in the next tick that closes."""
        self._in_hand = 0  # added up, not handed out yet
        self._now: tuple[Stack, int] | None = None  # what is handed out, and the place of its tick
        self._waiting: dict[str, Waiting] = {}
        self._in_wait: set[int] = set()  # ticks that something waits for
        self._due: dict[int, set[WindowKey]] = defaultdict(set)  # become final
        self._over: dict[int, set[WindowKey]] = defaultdict(set)  # reach their end
        self._agenda: list[int] = []
        self._planned: set[int] = set()  # what is in the agenda
        self._stores: dict[str, tuple[ModelPlan, WindowStore]] = {}
        self._shelves: dict[_Series, Shelf] = defaultdict(Shelf)
        self._versions: dict[tuple[str, str], set[SeriesKey]] = defaultdict(set)  # of a model and segment
        self._final_before_ms = 0
        self._measuring = Measuring(self._editions, kind, self.book)

    @property
    def to_close(self) -> int:
        """Ticks in which something happens and that are not closed yet, as far as that is known now."""
        return len(self._agenda) + self._in_hand

    def add(self, groups: Sequence[Group], delta: Delta, *, later: bool = False) -> None:
        """What a commit contributes. Decided ticks are never rewritten: what is late for one goes to the next. `later`: it was
        counted by an edition that does not hold yet, whose own cells are left out."""
        tick, group, pane, length = (delta.column(name) for name in ("tick", "group", "pane", "length"))
        if not len(tick):
            return
        self.newest_pane_ms = max(self.newest_pane_ms, int(pane.max()) * self._plan.pane_ms)
        if self.next_tick is not None:
            tick = np.maximum(tick, self.next_tick)
        names = list(dict.fromkeys(own.model for own in groups))
        code = np.array([self._waits(own.model).number(own) for own in groups], np.int64)[group]
        slots = Slots(tick, code, pane, length, delta.column("cell"), delta.column("amount"))
        model = np.array([names.index(own.model) for own in groups], np.int64)[group]
        for i, name in enumerate(names):
            waits, own = self._waits(name), slots if len(names) == 1 else slots.only(model == i)
            for at in waits.add(own.below(waits.width) if later else own):
                self._schedule(at)
                self._in_wait.add(at)

    def _waits(self, model: str) -> Waiting:
        known = self._waiting.get(model)
        if known is None:
            known = self._waiting[model] = Waiting(self._layout(self._plan.counted_as(model)).size)
        return known

    def _schedule(self, tick: int) -> None:
        if tick not in self._planned:
            self._planned.add(tick)
            heapq.heappush(self._agenda, tick)

    def close(self, below: int) -> Iterator[ClosedTick]:
        """Close every tick before `below` in which something happens, in order.

        Ticks are added up and measured many at once: a formula costs the same for one window as for fifty. While one is
        handed out the windows are as they were at its end, for `newest_mature`, `get` and `cells`.

        A window that everything was taken back from has no final value: whether it ever showed one depends on the order
        of the records, and a final value may not.
        """
        if not self._keeps_finals:
            self._finals.clear()
        while self._agenda and self._agenda[0] < below:
            for stack in self._stacks(until(self._waiting.values(), below)):
                measured = self._measuring.measure(stack, self.is_lost if self._losses.any_of(self.kind) else None)
                for at in range(len(stack.ticks)):
                    self._in_hand -= 1
                    self.closed += 1
                    self._now = stack, at
                    yield self._show(stack, at, measured)
                self._now = None
                for own in measured.values():
                    self._let_go(own)

    def close_quietly(self, below: int) -> None:
        """Nothing happens in the ticks before `below`; they are closed."""
        self.next_tick = below if self.next_tick is None else max(self.next_tick, below)

    def follow_schedule(self) -> None:
        """The schedule of windows has changed."""
        for _, store in self._stores.values():
            store.follow_schedule()

    def follow_editions(self) -> None:
        """Another edition holds: windows that live on keep their sums, with nothing in the cells that it adds."""
        self._plan = self._editions.plan
        for model, (_, store) in list(self._stores.items()):
            plan = self._plan.counted_as(model)
            store.widen(self._layout(plan))
            self._stores[model] = (plan, store)
        for model, waits in self._waiting.items():
            waits.width = self._layout(self._plan.counted_as(model)).size
        self._measuring.follow_editions()
        self.crossed.follow_editions()
        if self.book is not None:
            self.book.use(self._plan)

    @property
    def _keeps_finals(self) -> bool:
        return self.hands_out_cells and self._editions.number >= DETAILED

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

    def _stacks(self, below: int) -> Iterator[Stack]:
        """Close the ticks before `below`, so many at once as are best measured together."""
        self.to_mark.clear()
        taken = {model: own for model in sorted(self._waiting) if (own := self._taken(model, below)) is not None}
        ticks = list[int]()
        while self._agenda and self._agenda[0] < below:
            ticks.append(heapq.heappop(self._agenda))
        self._planned.difference_update(ticks)
        self._in_wait.difference_update(ticks)
        brought = {
            model: Brought(slots, slot, row, np.searchsorted(ticks, slots.tick[slot]))
            for model, (slots, slot, row) in taken.items()
        }
        due = {at: [(self._sense(key), key) for key in self._due.pop(tick, ())] for at, tick in enumerate(ticks)}
        over = [self._over.pop(tick, set()) for tick in ticks]
        names = {*brought, *(model for own in due.values() for model, _ in own)}
        lazy = self._measuring.lazy
        cost = {model: ASKED_CELLS if lazy else self._store(model)[1].layout.size for model in names}
        final_before_ms = self._ticking.final_before_ms(np.array(ticks, np.int64))
        self._in_hand = len(ticks)
        for start, stop in pairwise(cuts(len(ticks), brought, due, cost)):
            found = courses(self._stores, brought, due, (start, stop), final_before_ms)
            turns = {model: InTurn(course, stop - start) for model, course in found}
            self._final_before_ms = int(final_before_ms[stop - 1])
            self.close_quietly(ticks[stop - 1] + 1)
            yield self._with_pieces(Stack(ticks[start:stop], over[start:stop], turns), brought)

    def _taken(self, model: str, below: int) -> tuple[Slots, Int64s, Int64s] | None:
        """What a model gets in the ticks before `below`: slots, and for each window that one goes to the slot and the row."""
        slots = self._waiting[model].take(below)
        if slots is None:
            return None
        counts = self._windows.counts(
            model, slots.pane * self._plan.pane_ms
        )  # it may have begun, or have left, meanwhile
        slots = slots if counts.all() else slots.only(counts)
        if not len(slots):
            return None
        lasting = self._editions.number >= LASTING
        reach = self._store(model)[1].reach(slots, self._waiting[model].names, lasting=lasting)
        self.unplaced += reach.unplaced
        for key, tick in reach.new:
            self._remind(self._due, key.end_ms + self._ticking.settling_ms, key)
            if key.end_ms > (tick + 1) * self._ticking.tick_ms:
                self._remind(self._over, key.end_ms, key)
        return slots, reach.slot, reach.row

    def _with_pieces(self, stack: Stack, brought: Mapping[str, Brought]) -> Stack:
        """A stack with what its ticks brought apart from the windows it went to, as far as somebody asks for it."""
        crossing = [model for model in brought if self._crosses(model)]
        if self.arrival_cells is None and self.book is None and not crossing:
            return stack
        by_tick: list[dict[str, Piece]] = [{} for _ in stack.ticks]
        for model, own in brought.items():
            for at, piece in enumerate(own.slots.pieces(stack.ticks, self._waiting[model].names, self._plan.pane_ms)):
                if len(piece.group):
                    by_tick[at][model] = piece
        if self.arrival_cells is not None:
            stack.arrived = [self._arrived(own, self.arrival_cells) for own in by_tick]
        if self.book is not None:
            stack.brought = [self._arrived(own, 0) for own in by_tick]
        for model in crossing:
            (plan, store), turn = self._store(model), stack.turns.get(model)
            for at, pieces in enumerate(by_tick):
                if model in pieces and turn is not None:
                    live = frozenset(turn.came(at))
                    stack.crossed[at] += self.crossed.additions(plan, [pieces[model]], store.spans, live)
        return stack

    def _crosses(self, model: str) -> bool:
        return self.kind is Kind.PERFORMANCE and self.crossed.crosses(self._store(model)[0])

    def _arrived(self, by_model: Mapping[str, Piece], cells: int) -> list[Arrival]:
        """What a tick brought, in the first so many cells, 0 for all."""
        sizes = {model: cells or self._store(model)[1].layout.size for model in by_model}
        # What counts for several senses came once: for the one in force.
        own = {model: piece.only(self._windows.in_force(model, piece.pane_ms)) for model, piece in by_model.items()}
        return [one for model, piece in sorted(own.items()) for one in arrivals(piece, sizes[model])]

    def _remind(self, diary: dict[int, set[WindowKey]], at_ms: int, key: WindowKey) -> None:
        """Note a window under the tick whose end reaches `at_ms`."""
        tick = self._ticking.reaches(at_ms)
        self._schedule(tick)
        diary[tick].add(key)

    def _store(self, model: str) -> tuple[ModelPlan, WindowStore]:
        known = self._stores.get(model)
        if known is None:
            plan = self._plan.counted_as(model)
            store = WindowStore(model, self._layout(plan), self._windows, self._ticking)
            known = self._stores[model] = (plan, store)
        return known

    def _sense(self, key: WindowKey) -> str:
        return self._windows.sense_at(key.series.model, key.start_ms)

    def _layout(self, plan: ModelPlan) -> CellLayout:
        return plan.cells_of(inputs=self.kind is Kind.INPUT)

    def _let_go(self, measured: Measured) -> None:
        """All ticks of a stack are handed out: only what is on a shelf can be asked for still."""
        if measured.asked is not None:
            newest = {view.key: i for i, view in enumerate(measured.views)}
            measured.asked.keep([i for key, i in newest.items() if self.get(key) is measured.views[i]])

    def _show(self, stack: Stack, at: int, measured: Mapping[str, Measured]) -> ClosedTick:
        """Put a tick's revisions where rules look for them."""
        revised, vanished = list[WindowView](), list[WindowView]()
        told, payloads = list[WindowView](), list[bytes]()
        shown, keeps = set[_Series](), self._keeps_finals
        for model, own in measured.items():
            turn = stack.turns[model]
            for row in turn.revisions(at):
                view, value = own.views[row], own.values[row]
                series = view.key.series
                shown.add(place := (series, view.key.window))
                shelf = self._shelves[place]
                if not shelf.views:
                    self._versions[series.model, series.segment].add(series)
                if keeps and view.final:
                    self._finals.keep(view.key, turn.course.last_of(row))
                if gone := shelf.put(view):
                    self._finals.forget(*place, gone)
                if view.final and not view.seen and not any(view.counts.values()):
                    shelf.remove(view.key.start_ms)
                    self._finals.forget(*place, (view.key.start_ms,))
                    vanished.append(view)
                    continue
                revised.append(view)
                if value is not None:
                    told.append(view)
                    payloads.append(value)
        self.crossed.add(stack.crossed[at])
        for series, window in shown if self.crossed.held else ():
            self.crossed.keep(series, window, self._shelves[series, window].views)
        if self._editions.number >= LASTING and any(view.final for view in (*revised, *vanished)):
            self._forget_over(frozenset((series.model, series.version) for series, _ in shown))
        ended = []
        if over := stack.over[at]:
            over = over.difference(view.key for view in (*revised, *vanished))
            ended = [was for key in sorted(over) if (was := self.get(key)) is not None]
        turns, arrived = stack.turns.values(), stack.arrived[at] if stack.arrived is not None else ()
        active = frozenset[SeriesKey]().union(*(turn.active(at) for turn in turns))
        return ClosedTick(stack.ticks[at], revised, told, payloads, ended, vanished, active, arrived)

    def _forget_over(self, spared: frozenset[tuple[str, str]]) -> None:
        """Forget versions that are over, but for the last ones and those that are told of in this tick."""
        if all(len(known) <= OVER_KEPT for known in self._versions.values()):
            return
        gone = too_many(((series, *shelf.state()) for (series, _), shelf in self._shelves.items()), spared=spared)
        for series, window in [place for place in self._shelves if (place[0].model, place[0].version) in gone]:
            self._finals.forget(series, window, self._shelves.pop((series, window)).views)
            self.crossed.held.pop((series, window), None)
            self._versions[series.model, series.segment].discard(series)

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
        """The sums of a window at the end of the tick that is handed out; None of one that has none, or became final when nobody
        asked for them."""
        if (kept := self._finals.get(key)) is not None:
            return kept
        if self._now is not None:
            stack, at = self._now
            turn = stack.turns.get(self._sense(key))
            if turn is not None and key in turn.course:
                return turn.course.at(key, at)
        known = self._stores.get(self._sense(key))
        return known[1].read([known[1].row(key)])[0] if known is not None and key in known[1] else None

    @property
    def kept(self) -> tuple[list[WindowStore], list[Shelf]]:
        """What is in memory of windows: the cells of those that may change, and the views that can be asked for."""
        return [store for _, store in self._stores.values()], list(self._shelves.values())

    def newest(self) -> list[WindowView]:
        """The newest view of every series and window that there still is: what telemetry shows."""
        names, goes_on = self._windows.names, self._windows.goes_on
        found = [shelf.views[max(shelf.views)] for _, shelf in sorted(self._shelves.items()) if shelf.views]
        return [
            view for view in found if not view.final or (view.key.window in names and goes_on(view.key.series.model))
        ]
