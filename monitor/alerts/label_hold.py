"""While labels stand still or are slow, verdicts that rest on labels wait; no longer than a deadline.

That labels *stand still* is recorded by the owners of the partitions (`operational.STALLED`, `standstill`). That they are
*slow* is said here, at closed ticks, of each model: of predictions that are old enough, far fewer have their label than
usually had at that age. What is usual is learned from the model's own cohorts, spans of event time whose labels have come
for longer than a horizon; those that an outage touched teach nothing, unless it is overdue: then it is the new usual.

A stand-still has its alert already, so slow labels in it, and shortly after, open none of their own; they are held all
the same. State is a function of the closed ticks and of what commits recorded.

Not done: labels that come on time for some classes only. `min_coverage` and the cohorts of the budget look after those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from monitor.alerts.cloudevents import operational_event
from monitor.alerts.event import AlertEvent, Standing
from monitor.alerts.standstill import NO_OUTAGE, Outage, Standstills, Stretch
from monitor.config.label_feed import LabelFeed
from monitor.events import Int64s
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.records import Commit
from monitor.metrics.delays import delay_ends
from monitor.plan import Plan
from monitor.windows.arrivals import Arrival

LABELS_SLOW: Final = "label-feed-slow"
"""Operational condition that ticks of event time decide."""
CELLS: Final = 2
"""Of what a tick brought, the first cells are read: seen, labelled."""
COHORTS: Final = 64
"""Cohorts in a horizon, about."""
LEAST_EXPECTED: Final = 100
"""Labels to be expected below which nothing is said: of so many, half are never missing by chance."""
EPOCH_MS: Final = 604_800_000
"""What is usual is of the last one to two weeks, or horizons where these are longer."""


@dataclass(slots=True)
class Flow:
    """How the labels of one model come. Vectors are seen, then labels by bin of age (1 + J,)."""

    cohorts: dict[int, Int64s] = field(default_factory=dict)  # by start
    older: Int64s | None = None
    newer: Int64s | None = None
    epoch: int = 0
    slow_ms: int | None = None  # the tick from which they are slow
    fired_ms: int | None = None  # that at which the alert fired; None while none does
    slow: list[Stretch] = field(default_factory=list)  # times of slow labels that are over


class LabelHold:
    """The label feeds of all models of a deployment. Mutable; a function of commits and closed ticks."""

    def __init__(
        self, namespace: str, plan: Plan, config: LabelFeed | None, labels_of: Callable[[str], Mapping[str, str]]
    ) -> None:
        """Without a configuration nothing is told, and nothing held."""
        self._namespace, self._plan, self._config, self.labels_of = namespace, plan, config, labels_of
        join = plan.join
        self._ends = delay_ends(join.bounds.horizon_ms, join.tick_ms) if plan.has_labels else np.ones(1, np.int64)
        self._span_ms = max(1, -(-join.bounds.horizon_ms // COHORTS // plan.pane_ms)) * plan.pane_ms
        self._late_ms = config.late_ms(join.bounds.horizon_ms) if config is not None else 0
        # Ages that are looked at, from `_late_ms` on: at least so many, and at most, where few predictions come.
        self._look_ms = max(join.bounds.horizon_ms // 4, self._span_ms)
        self._most_ms = max(join.bounds.horizon_ms, self._span_ms)
        self.standstills = Standstills()
        self.flows: dict[str, Flow] = {}
        self.read_ms = NEVER
        """The newest event time in any partition: ticks after it close because the input ended, and say nothing of a feed."""

    @property
    def config(self) -> LabelFeed | None:
        """When labels are slow, and how long is waited."""
        return self._config

    @property
    def arrival_cells(self) -> int | None:
        """How many cells it reads of what a tick brought; None for nothing."""
        return None if self._config is None else CELLS

    def label_clock_ms(self, *, prediction_ms: int, label_ms: int, stalled: bool) -> int:
        """The label clock that performance ticks of a partition close by: while labels stand still they follow its
        predictions at the distance of the deadline."""
        if self._config is None or not stalled:
            return label_ms
        return max(label_ms, prediction_ms - self._config.hold_at_most_ms)

    def feed(self, partition: int, commit: Commit) -> None:
        """Take an accepted commit of a partition."""
        if self._config is None:
            return
        self.standstills.feed(partition, commit, self._config.hold_at_most_ms)
        clocks = (commit.prediction_clock.maximum_ms, commit.label_clock.maximum_ms)
        self.read_ms = max(self.read_ms, *(at_ms for at_ms in clocks if at_ms < FOREVER), NEVER)

    # -- ticks -------------------------------------------------------------------------------------------------------

    def step(self, tick: int, arrived: Sequence[Arrival]) -> list[AlertEvent]:
        """A tick of labelled windows closed and brought this. Events are in order of models."""
        if self._config is None:
            return []
        now_ms = (tick + 1) * self._plan.join.tick_ms
        for arrival in arrived:
            self._put(now_ms, arrival)
        told: list[AlertEvent] = []
        for model, flow in sorted(self.flows.items()):
            self._settle(flow, now_ms)
            if now_ms <= self.read_ms:
                told += self._judge(model, flow, now_ms, self._config)
        self.standstills.forget_before(now_ms - 3 * self._plan.join.bounds.horizon_ms)
        return told

    def holds(self, model: str, now_ms: int) -> bool:
        """Whether verdicts about a model's labelled windows are held at the tick that ends now."""
        if self._config is None:
            return False
        if self.standstills.holds(now_ms):
            return True
        flow = self.flows.get(model)
        slow_ms = flow.slow_ms if flow is not None else None
        return slow_ms is not None and now_ms - slow_ms < self._config.hold_at_most_ms

    def outage(self, model: str, now_ms: int) -> Outage:
        """What is known of the model's label feed at the tick that ends now."""
        if self._config is None:
            return NO_OUTAGE
        flow = self.flows.get(model)
        known = [*self.standstills.over, *(flow.slow if flow is not None else ())]
        spoilt = tuple(stretch for stretch in known if not stretch.overdue and stretch.begin_ms < now_ms)
        return Outage(self.holds(model, now_ms), spoilt, self._plan.join.bounds.horizon_ms)

    def retire(self, at_ms: int) -> list[AlertEvent]:
        """Nothing is told any more: what fires ends."""
        return [
            self._tell(model, flow, at_ms, False, "how labels come is not looked at any more", {})
            for model, flow in sorted(self.flows.items())
            if flow.fired_ms is not None
        ]

    def forget(self, knows: Callable[[str], bool], at_ms: int) -> list[AlertEvent]:
        """Models were taken out: what fires about them ends, and what was learned of them goes."""
        gone = {model: self.flows.pop(model) for model in sorted(self.flows) if not knows(model)}
        return [
            self._tell(model, flow, at_ms, False, "the model is not listed any more", {})
            for model, flow in gone.items()
            if flow.fired_ms is not None
        ]

    # -- what is usual -------------------------------------------------------------------------------------------------

    def _put(self, now_ms: int, arrival: Arrival) -> None:
        seen, labelled = int(arrival.cells[0]), int(arrival.cells[1])
        flow = self.flows.setdefault(arrival.model, Flow())
        start = arrival.pane_ms // self._span_ms * self._span_ms
        if start + self._settled_ms() <= now_ms:
            return
        cohort = flow.cohorts.get(start)
        if cohort is None:
            cohort = flow.cohorts[start] = np.zeros(1 + len(self._ends), np.int64)
        cohort[0] += seen
        age = max(now_ms - start - self._span_ms, 0)
        cohort[1 + min(int(np.searchsorted(self._ends, age, side="left")), len(self._ends) - 1)] += labelled

    def _settled_ms(self) -> int:
        """How long after its start a cohort is history."""
        return self._late_ms + self._most_ms + self._span_ms

    def _settle(self, flow: Flow, now_ms: int) -> None:
        over_ms = now_ms - self._settled_ms()
        for start in sorted(start for start in flow.cohorts if start <= over_ms):
            self._age(flow, start + self._settled_ms())
            cohort = flow.cohorts.pop(start)
            if not self._spoilt(flow, start):
                flow.newer = cohort if flow.newer is None else flow.newer + cohort
        self._age(flow, now_ms)
        keep_ms = now_ms - 3 * self._plan.join.bounds.horizon_ms
        flow.slow = [stretch for stretch in flow.slow if stretch.end_ms > keep_ms]

    def _age(self, flow: Flow, now_ms: int) -> None:
        """An epoch after another: what became history in the one before the last is forgotten, once there is newer."""
        epoch = now_ms // max(self._plan.join.bounds.horizon_ms, EPOCH_MS)
        if epoch > flow.epoch and flow.newer is not None:
            flow.older, flow.newer, flow.epoch = flow.newer, None, epoch

    def _spoilt(self, flow: Flow, start: int) -> bool:
        """Whether an outage that was not overdue touched the labels of a cohort."""
        end_ms = start + self._settled_ms()
        known = [*self.standstills.over, *flow.slow]
        if flow.slow_ms is not None and self._config is not None:
            overdue = end_ms - flow.slow_ms >= self._config.hold_at_most_ms
            known.append(Stretch(flow.slow_ms - self._late_ms, FOREVER, overdue))
        return any(not overdue and begin < end_ms and start < end for begin, end, overdue in known)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _judge(self, model: str, flow: Flow, now_ms: int, config: LabelFeed) -> list[AlertEvent]:
        expected, came = self._count(flow, now_ms)
        if expected < LEAST_EXPECTED:
            return []
        recovered = (1.0 + config.slow_below) / 2.0
        slow = came < (config.slow_below if flow.slow_ms is None else recovered) * expected
        if slow == (flow.slow_ms is not None) == (flow.fired_ms is not None):
            return []
        facts: dict[str, int | str] = {"expected": round(expected), "labelled": came}
        if slow:
            flow.slow_ms = now_ms if flow.slow_ms is None else flow.slow_ms
            if flow.fired_ms is not None or self.standstills.explains(now_ms, self._late_ms + self._look_ms):
                return []
            said = (
                f"{came} labels came where {expected:.0f} usually have by now; look at who writes the topic of labels"
            )
            return [self._tell(model, flow, now_ms, True, said, facts)]
        assert flow.slow_ms is not None
        overdue = now_ms - flow.slow_ms >= config.hold_at_most_ms
        flow.slow.append(Stretch(flow.slow_ms - self._late_ms, now_ms, overdue))
        flow.slow_ms = None
        if flow.fired_ms is None:
            return []
        return [self._tell(model, flow, now_ms, False, "labels come as usual again", facts)]

    def _count(self, flow: Flow, now_ms: int) -> tuple[float, int]:
        """Of the cohorts that are looked at: labels that usually are there by now, and that are. Nothing is usual before
        there is more history than what is looked at."""
        history = [part for part in (flow.older, flow.newer) if part is not None]
        usual = sum(history[1:], history[0]) if history else None
        if usual is None or usual[0] <= 0:
            return 0.0, 0
        youngest = now_ms - self._span_ms - self._late_ms
        looked = [(start, cohort) for start, cohort in sorted(flow.cohorts.items(), reverse=True) if start <= youngest]
        if not looked:
            return 0.0, 0
        ages = np.array([now_ms - self._span_ms - start for start, _ in looked], np.int64)
        whole = np.searchsorted(self._ends, ages, side="right")
        labels = np.stack([np.concatenate([[0], np.cumsum(cohort[1:])]) for _, cohort in looked])
        by_age = np.concatenate([[0], np.cumsum(usual[1:])])
        seen = np.cumsum([cohort[0] for _, cohort in looked], dtype=np.int64)
        expected = np.cumsum(np.diff(seen, prepend=0) * by_age[whole]) / usual[0]
        came = np.cumsum(labels[np.arange(len(looked)), whole])
        recent = sum(start > youngest - self._look_ms for start, _ in looked)
        last = min(max(recent - 1, int(np.searchsorted(expected, LEAST_EXPECTED))), len(looked) - 1)
        return (float(expected[last]), int(came[last])) if usual[0] >= seen[last] else (0.0, 0)

    def _tell(
        self, model: str, flow: Flow, at_ms: int, begins: bool, said: str, facts: Mapping[str, int | str]
    ) -> AlertEvent:
        fired_ms = flow.fired_ms if flow.fired_ms is not None else at_ms
        flow.fired_ms = at_ms if begins else None
        return operational_event(
            self._namespace,
            LABELS_SLOW,
            f"model/{model}",
            Standing.FIRING if begins else Standing.RESOLVED,
            at_ms=at_ms,
            fired_ms=fired_ms,
            severity="ticket",
            summary=f"{model}: {said}",
            facts={"model": model, **facts},
            labels=self.labels_of(model),
        )


class OutagesAt:
    """What is known of each model's label feed at the tick that ends at a moment, found out once."""

    __slots__ = ("_known", "_labels", "_now_ms")

    def __init__(self, labels: LabelHold, now_ms: int) -> None:
        self._labels, self._now_ms, self._known = labels, now_ms, dict[str, Outage]()

    def __call__(self, model: str) -> Outage:
        """What is known of a model's."""
        known = self._known.get(model)
        if known is None:
            known = self._known[model] = self._labels.outage(model, self._now_ms)
        return known
