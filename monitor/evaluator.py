"""Stage 2: commits of all partitions in, revisions of windows and alerts out. Pure.

    ledger -> ticks -> windows -> rules -> alerts

What is decided depends on the contents of the ledger alone, not on who was read first: a tick closes when the tick
clocks of all partitions have passed it, and is then evaluated once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from monitor.alerts import cloudevents
from monitor.alerts.advice import AdviceWatch, Begun
from monitor.alerts.book import RuleBook, WindowLookup
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.decision import Decided
from monitor.alerts.event import AlertEvent, Standing
from monitor.alerts.grouping import GroupBook
from monitor.alerts.label_hold import LabelHold, OutagesAt
from monitor.alerts.operational import OperationalWatch
from monitor.alerts.standstill import Outage
from monitor.alerts.state import AlertState
from monitor.alerts.traffic import TrafficWatch
from monitor.alerts.watching import Look
from monitor.config.windows import Window
from monitor.editions import LASTING, refuse_newer
from monitor.frontier import Frontier, PartitionClock
from monitor.groups import Group
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.records import Commit, Gap, Unowned
from monitor.ledger.roster import Adopted, Roster
from monitor.plan import Plan
from monitor.windows import payload
from monitor.windows.editions import Editions
from monitor.windows.engine import TickEngine
from monitor.windows.lookup import Lookup
from monitor.windows.losses import Losses
from monitor.windows.schedule import Schedule
from monitor.windows.spans import by_size, shortest
from monitor.windows.stacks import ClosedTick
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView


@dataclass(frozen=True, slots=True)
class Basis:
    """What the rules were given at a tick, as `RuleBook.step` takes it, what the budget looked at (by model and version), and
    what advisories held that begin to tell. `lookup` is right while the output is handed out."""

    changed: Sequence[WindowView]
    active: frozenset[SeriesKey]
    lookup: WindowLookup
    outage_of: Callable[[str], Outage]
    looks: Sequence[tuple[tuple[str, str], Look]] = ()
    begun: Sequence[Begun] = ()


@dataclass(frozen=True, slots=True)
class TickOutput:
    """What one closed tick decided."""

    kind: Kind
    tick_ms: int
    windows: Sequence[WindowView]  # those that are told
    payloads: Sequence[bytes]  # of the windows, in their order
    events: Sequence[AlertEvent]
    decisions: Sequence[Decided]
    vanished: Sequence[WindowKey] = ()
    """Windows that became final with nothing left in them: their records are withdrawn."""
    basis: Basis | None = field(default=None, compare=False)
    """None for what is told without a tick."""
    revisions: int = field(default=0, compare=False)
    """Windows that got a revision, told or not."""


class Evaluator:
    """The evaluator's state: a function of the commits fed, in any interleaving of partitions, and of when `close` ran."""

    def __init__(
        self,
        plan: Plan,
        windows: Sequence[Window],
        book: RuleBook,
        watch: OperationalWatch,
        partitions: int,
        budget: BudgetWatch | None = None,
    ) -> None:
        self._plan, self._book, self._watch = plan, book, watch
        self.schedule, self.losses, self.editions = Schedule(windows), Losses(), Editions(plan)
        self._traffic = TrafficWatch(book.namespace, self.schedule, self.losses, plan.join.tick_ms)
        self._traffic.use(book.limits, book.labels_of, book.listed, 0)
        self._traffic.maintained = book.maintained
        self._watch.labels = book.common_labels
        self.clocks = [PartitionClock() for _ in range(partitions)]
        kinds = (Kind.INPUT, Kind.PERFORMANCE) if plan.has_labels else (Kind.INPUT,)
        shared = self.schedule, self.losses
        self.engines = {kind: TickEngine(plan, *shared, kind, self.editions) for kind in kinds}
        self.alerts = AlertState()
        self.labels, self._advice = self._hold_of(book), self._advice_of(book)
        self._groups = GroupBook.of(self._plan, book.grouping)
        self._take(budget or BudgetWatch("", plan, None, lambda _: {}))
        self.published = 0
        self.standing: dict[str, AlertEvent] = {}
        """The last event of every alert that fires, by fingerprint."""
        self._chains = dict.fromkeys(Kind, b"")
        self.roster: Roster | None = None  # the models, once they changed
        self.adopted = [Adopted(0, 0, NEVER)] * partitions  # the newest roster that the owner of each counts by

    # -- input ---------------------------------------------------------------------------------------------------

    def feed(self, partition: int, commit: Commit | Gap) -> None:
        """Take an accepted commit of a partition; its contributions wait for their ticks. Or a gap: windows are partial.

        Raises NewerVersion for a commit that was counted by an edition that this code does not know.
        """
        if isinstance(commit, Gap):
            self._lose(self.clocks[partition], commit)
            return
        groups = [Group(g.model, g.version, tuple((d, v) for d, v in g.segments)) for g in commit.groups]
        where = f"partition {partition} of the ledger of namespace {self._book.namespace!r}"
        later = refuse_newer(commit.edition, self.editions.known, where) > self.editions.number
        for kind, delta in ((Kind.INPUT, commit.inputs), (Kind.PERFORMANCE, commit.performance)):
            if delta is not None and kind in self.engines:
                self.engines[kind].add(groups, delta, later=later)
        clock = self.clocks[partition]
        clock.prediction_ms = commit.prediction_clock.maximum_ms
        clock.label_ms = commit.label_clock.maximum_ms
        clock.idle, clock.quiet = commit.idle, commit.quiet is True
        clock.stalled, clock.ended = commit.stalled, commit.ended
        clock.gone_by = (0, 0) if isinstance(commit.gone_by, UnsetType) else commit.gone_by
        if commit.rosters is not UNSET:
            self.adopted[partition] = commit.rosters[-1]
        self._watch.feed(partition, commit)
        self.labels.feed(partition, commit)

    def _lose(self, clock: PartitionClock, gap: Gap) -> None:
        """Mark what a gap can have touched, by the clocks of its partition before it.

        Records that are lost unread are no older than counts (`lateness`) and no newer than the gap says. What was held is
        given up: predictions lose labels that come within the horizon, and a repeat of one counts as a new one.
        """
        if gap.until_ms is UNSET:
            return
        join, came = self._plan.join, clock.prediction_ms
        after = gap.until_ms + 1
        if gap.stream == "predictions":
            inputs, labelled = max(came + 1, after), max(came + 1, after)
        else:
            inputs, labelled = came + 1, max(came + 1, after + join.bounds.skew_ms)
        self.engines[Kind.INPUT].lose(came - join.lateness_ms, inputs)
        if Kind.PERFORMANCE in self.engines:
            oldest = min(came, clock.label_ms) - join.bounds.horizon_ms - join.lateness_ms
            self.engines[Kind.PERFORMANCE].lose(oldest, labelled)

    @property
    def unowned(self) -> frozenset[int]:
        """The partitions without an owner, as last decided."""
        return self._watch.unowned

    def owners(self, decision: Unowned) -> None:
        """Take the decision which partitions have no owner."""
        self._watch.owners(frozenset(decision.partitions), decision.wall_ms)

    # -- ticks ---------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether every partition recorded the end of its input."""
        return all(clock.ended for clock in self.clocks)

    def open_tick(self, kind: Kind) -> int | None:
        """See `Frontier.open_tick`."""
        by_label = lambda c: self.labels.label_clock_ms(  # noqa: E731
            prediction_ms=c.prediction_ms, label_ms=c.label_ms, stalled=c.stalled
        )
        frontier, next_tick = Frontier(self._plan, by_label), self.engines[kind].next_tick
        return frontier.open_tick(self.clocks, kind, next_tick, by_wall=self.editions.number >= LASTING)

    def close(self) -> Iterator[TickOutput]:
        """What owners recorded of their partitions; then every tick that may close, each kind in order.

        Ticks in which nothing happens are closed only beside something that is told: deciding again goes by what
        was told, so a look that tells nothing may leave no trace.
        """
        quiet: list[tuple[TickEngine, int]] = []
        decided = False
        if told := self._watch.drain():
            decided = True
            output = TickOutput(Kind.INPUT, max(self.next_ticks()) * self._plan.join.tick_ms, (), (), told, ())
            self._chain(Kind.INPUT, output)
            yield output
        for kind, engine in self.engines.items():
            below = self.open_tick(kind)
            if below is None:
                continue
            engine.hands_out_cells = kind is Kind.INPUT and self._book.reads_cells
            for closed in engine.close(below):
                decided = True
                yield self._close(kind, closed)
            if below < FOREVER // self._plan.join.tick_ms:
                quiet.append((engine, below))
        for engine, below in quiet if decided else ():
            engine.close_quietly(below)

    def _hold_of(self, book: RuleBook) -> LabelHold:
        return LabelHold(book.namespace, self._plan, book.label_feed if self._plan.has_labels else None, book.labels_of)

    def _advice_of(self, book: RuleBook) -> AdviceWatch:
        advice = AdviceWatch(book.namespace)
        advice.use(book.advisories, book.labels_of, book.maintained, 0)
        return advice

    def _take(self, budget: BudgetWatch) -> None:
        self._budget, budget.editions = budget, self.editions
        for kind, engine in self.engines.items():
            of_budget = budget.arrival_cells(kind)
            of_labels = self.labels.arrival_cells if kind is Kind.PERFORMANCE else None
            engine.arrival_cells = of_labels if of_budget is None else of_budget

    def go_by(self, book: RuleBook, budget: BudgetWatch, windows: Sequence[Window]) -> None:
        """The rules, the budget and the windows of an evaluator that has decided nothing yet."""
        self.schedule.begin_with(windows)
        self._book, self._watch.labels = book, book.common_labels
        self.labels, self._advice = self._hold_of(book), self._advice_of(book)
        self._groups = GroupBook.of(self._plan, book.grouping)
        self._take(budget)
        self._traffic.use(book.limits, book.labels_of, book.listed, 0)
        self._traffic.maintained = book.maintained

    @property
    def next_pane_ms(self) -> int:
        """Start of the first pane of event time after all clocks, and after everything that was fed."""
        clocks = [c.prediction_ms for c in self.clocks if c.prediction_ms < FOREVER]
        newest = max([*clocks, *(engine.newest_pane_ms for engine in self.engines.values())], default=NEVER)
        return 0 if newest == NEVER else (newest // self._plan.pane_ms + 1) * self._plan.pane_ms

    def change_windows(self, windows: Sequence[Window], from_ms: int) -> None:
        """Other windows for spans that start at `from_ms` or later, the start of a pane that nothing was fed of. The rules
        that are about them come with the next `switch`."""
        self.schedule.change(windows, from_ms)
        for engine in self.engines.values():
            engine.follow_schedule()

    def begin_with_edition(self, number: int) -> None:
        """Everything is of this edition: nothing was fed yet."""
        self.editions.begin_with(number)
        self._follow_editions()

    def go_over(self, number: int, from_ms: int) -> None:
        """Decide by another edition from the next tick on. Windows that start at `from_ms` or later are of it: the start of a
        pane that nothing was fed of, whose records all owners count by it."""
        self.editions.go_over(number, from_ms)
        self._follow_editions()

    def _follow_editions(self) -> None:
        for engine in self.engines.values():
            engine.follow_editions()

    def list_models(self, roster: Roster) -> None:
        """From now on these are the models, and their windows may start where it says. What it changes lies at event times of
        which nothing was fed. The rules about them come with the next `switch`."""
        self.roster = roster
        self.schedule.list_models(roster.terms())
        for engine in self.engines.values():
            engine.follow_schedule()

    def switch(self, book: RuleBook, budget: BudgetWatch | None = None) -> TickOutput:
        """Go on with other rules after the last closed tick: alerts of rules that are gone end. So do those of a budget
        that is another one now, which learns from the beginning; the same budget goes on."""
        tick_ms = max((engine.next_tick or 0) for engine in self.engines.values()) * self._plan.join.tick_ms
        step = self._book.retire(self.alerts, tick_ms, book)
        self.alerts, self._book, self._watch.labels = step.state, book, book.common_labels
        ended: list[AlertEvent] = []
        if book.label_feed != self.labels.config and self._plan.has_labels:
            ended, self.labels = self.labels.retire(tick_ms), self._hold_of(book)
            self._take(self._budget)
        self.labels.labels_of = book.labels_of
        if budget is not None and budget.budget != self._budget.budget:
            ended += self._budget.retire(tick_ms)
            self._take(budget)
        elif budget is not None:
            self._budget.adopt_labels(budget)
        traffic = self._traffic.use(book.limits, book.labels_of, book.listed, tick_ms)
        self._traffic.maintained = book.maintained
        advice = self._advice.use(book.advisories, book.labels_of, book.maintained, tick_ms)
        for watch in (self.labels, self._budget, self._advice):
            ended += watch.forget(book.knows, tick_ms)
        events = self._groups.end(tick_ms, [*step.events, *traffic, *ended, *advice])
        if book.grouping != self._groups.grouping:
            self._groups = GroupBook.of(self._plan, book.grouping)
        output = TickOutput(Kind.INPUT, tick_ms, (), (), events, step.decisions)
        self._chain(Kind.INPUT, output)
        return output

    def _close(self, kind: Kind, closed: ClosedTick) -> TickOutput:
        size_ms = self._plan.join.tick_ms
        tick_ms = (closed.tick + 1) * size_ms
        judged = [*closed.revised, *closed.ended, *closed.vanished]
        # A tick whose contributions took each other back is one in which nothing happened, and may not show.
        happened = bool(judged or closed.arrivals)
        knows = self._book.knows
        arrived = [one for one in closed.arrivals if knows(one.model)]
        slow = self.labels.step(closed.tick, arrived) if kind is Kind.PERFORMANCE and happened else []
        lookup, outage_of = Lookup(self.engines), OutagesAt(self.labels, tick_ms)
        step = self._book.step(self.alerts, tick_ms, size_ms, kind, judged, closed.active, lookup, outage_of)
        self.alerts = step.state
        traffic = self._traffic.close(closed.tick, closed.active, judged) if kind is Kind.INPUT else []
        pane_ms, worked_on = self._plan.pane_ms, self._book.maintained
        watched = [one for one in arrived if not worked_on(one.model, one.pane_ms, one.pane_ms + pane_ms)]
        is_lost = self.engines[kind].is_lost
        told = self._budget.step(kind, closed.tick, watched, outage_of, is_lost) if happened else []
        told = [self._book.with_cause(event, self._explaining(), lookup) for event in told]
        seen = closed.active.union(view.key.series for view in judged) if self._advice.asks else frozenset()
        touched = {series for series in seen if knows(series.model)}
        advice = self._advice.step(kind, tick_ms, touched, lookup, outage_of)
        events = self._groups.step(kind, tick_ms, [*slow, *step.events, *traffic, *told, *advice])
        gone = [view.key for view in closed.vanished]
        looks = self._budget.looks if happened else ()
        basis = Basis(judged, closed.active, lookup, outage_of, looks, self._advice.begun)
        output = TickOutput(
            kind, tick_ms, closed.told, closed.payloads, events, step.decisions, gone, basis, len(closed.revised)
        )
        self._chain(kind, output)
        return output

    def _explaining(self) -> list[str]:
        """The windows that say what changed when the budget tells a loss: the shortest that can; in editions before LASTING the
        shortest or none."""
        windows = self.schedule.current
        return by_size(windows) if self.editions.number >= LASTING else [shortest(windows)]

    def _chain(self, kind: Kind, output: TickOutput) -> None:
        digest = hashlib.blake2b(self._chains[kind], digest_size=16)
        for encoded in output.payloads:
            digest.update(encoded)
        for key in output.vanished:
            digest.update(payload.topic_key(key, kind))
        for event in output.events:
            digest.update(cloudevents.encode(event))
            self._remember(event)
        self._chains[kind] = digest.digest()
        self.published += len(output.windows) + len(output.events)

    def _remember(self, event: AlertEvent) -> None:
        if event.data.latest and event.data.state is Standing.FIRING:
            self.standing[event.data.fingerprint] = event
        elif event.data.latest:
            self.standing.pop(event.data.fingerprint, None)

    @property
    def digest(self) -> bytes:
        """Chained digest of everything decided, one chain per kind, so that how the kinds interleaved does not matter."""
        return b"".join(self._chains[kind] for kind in Kind)

    def as_it_stands(self) -> TickOutput:
        """The newest windows and the alerts that fire: for who looks on and has not seen how it came to that."""
        events = [event for _, event in sorted(self.standing.items())]
        tick_ms = max(self.next_ticks()) * self._plan.join.tick_ms
        views = [view for engine in self.engines.values() for view in engine.newest()]
        return TickOutput(Kind.INPUT, tick_ms, views, (), events, ())

    def next_ticks(self) -> tuple[int, int]:
        """First open tick of input and of performance windows, 0 before any closed."""
        ticks = {kind: engine.next_tick or 0 for kind, engine in self.engines.items()}
        return ticks[Kind.INPUT], ticks.get(Kind.PERFORMANCE, 0)
