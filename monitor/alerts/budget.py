"""The false-alarm budget at work: every version of every model watched, its alarms as alerts.

An alarm of a detector begins an alert, or goes on with one that fires: the detector starts again after each, and what has
changed for good is found again. Where drift fires as a ticket and then data breaks, the alert is told again, as a page. It
resolves when `budget.quiet` of event time went by without another one, and in all that time nothing of what it is about was
above its limit on average: a slow change takes longer than that to raise its next alarm. While labels are held it stands.
State is a fold of the closed ticks of each kind, in order; nothing depends on how the kinds, the partitions or the looks
interleave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.alerts.cloudevents import budget_event
from monitor.alerts.event import AlertEvent, Reason, Standing
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.alerts.watched import arrival_cells, observed, watched
from monitor.alerts.watching import Alarm, Look, Series
from monitor.config.budget import Budget
from monitor.config.types import Config
from monitor.editions import LASTING
from monitor.plan import Plan
from monitor.windows.arrivals import Arrival
from monitor.windows.editions import Editions
from monitor.windows.losses import IsLost, nothing_lost
from monitor.windows.view import Kind, SeriesKey

ALL = "all"


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that fires: its first alarm, when that was, and since when there was none (`last_ms`; from the edition LASTING on
    that begins again where a quiet time ends with its change going on, or labels are held). `excess`: for each question of
    `Alarm.about`, by how much what came since then lies above its limit (unit 2**-16, negative below); empty where nothing came.
    """

    alarm: Alarm
    fired_ms: int
    last_ms: int
    alarms: int = 1
    excess: tuple[int, ...] = ()

    def quiet_from(self, from_ms: int) -> Open:
        """The same, of which nothing was seen since."""
        return replace(self, last_ms=from_ms, excess=())

    def after(self, brought: tuple[int, ...]) -> Open:
        """The same, of which this was seen as well."""
        if not self.excess or not brought:
            return replace(self, excess=self.excess or brought)
        return replace(self, excess=tuple(sum(both) for both in zip(self.excess, brought, strict=True)))


class BudgetWatch:
    """All versions of all models of a deployment. Mutable; a function of the ticks it was given."""

    def __init__(
        self,
        namespace: str,
        plan: Plan,
        budget: Budget | None,
        labels_of: Callable[[str], Mapping[str, str]],
    ) -> None:
        self._namespace, self._plan, self.budget, self._labels_of = namespace, plan, budget, labels_of
        self._series: dict[Kind, dict[tuple[str, str], Series]] = {kind: {} for kind in Kind}
        self._open: dict[Kind, dict[tuple[str, str], Open]] = {kind: {} for kind in Kind}
        self.looks: list[tuple[tuple[str, str], Look]] = []
        """What was looked at in the last tick, by model and version."""
        self.editions = Editions(plan)
        """Those that what is told goes by: an evaluator has it go by its own."""

    @classmethod
    def of(cls, config: Config, plan: Plan) -> BudgetWatch:
        """The watch of a configuration; without a budget it watches nothing."""

        def labels_of(name: str) -> Mapping[str, str]:
            model = config.model(name)
            return {**config.labels, **(model.labels if model is not None else {})}

        return cls(config.namespace, plan, config.budget, labels_of)

    def adopt_labels(self, other: BudgetWatch) -> None:
        """From now on alerts say the labels of another configuration with the same budget."""
        self._labels_of = other._labels_of

    def arrival_cells(self, kind: Kind) -> int | None:
        """How many cells it reads of what a tick brought: 0 for all, None for nothing."""
        if self.budget is None:
            return None
        return arrival_cells(self._plan, kind)

    def learning(self) -> list[SeriesKey]:
        """Versions whose reference is not whole yet, in some kind."""
        found = {own for kind in Kind for own, series in self._series[kind].items() if series.learning}
        return [SeriesKey(model, version, ALL) for model, version in sorted(found)]

    def step(
        self,
        kind: Kind,
        tick: int,
        arrived: Sequence[Arrival],
        outage_of: Callable[[str], Outage] = lambda _: NO_OUTAGE,
        is_lost: IsLost = nothing_lost,
    ) -> list[AlertEvent]:
        """A tick of a kind closed and brought this; `outage_of`: what is known of a model's label feed then, `is_lost`: of
        which spans of event time records of this kind were lost. Events are in order of model and version."""
        if self.budget is None:
            return []
        self.looks = []
        tick_ms = self._plan.join.tick_ms
        end_ms, beat = (tick + 1) * tick_ms, tick * tick_ms // self.budget.every_ms
        told = self._close_before(kind, beat, end_ms, outage_of, is_lost)
        held = self._series[kind]
        for arrival in arrived:
            own, plan = (arrival.model, arrival.version), self._plan.counted_as(arrival.sense)
            series = held.get(own) or self.begin(kind, own, arrival.sense)
            if series is not None and series.sense != arrival.sense:
                series, ended = self._change(kind, own, series, arrival, end_ms)
                told += ended
            if series is not None and not is_lost(arrival.pane_ms, arrival.pane_ms + self._plan.pane_ms):
                series.add(beat, arrival.pane_ms, observed(plan, kind, arrival.cells))
        if (beat + 1) * self.budget.every_ms == end_ms:
            told += self._close_before(kind, beat + 1, end_ms, outage_of, is_lost)
        return told

    def begin(self, kind: Kind, own: tuple[str, str], sense: str) -> Series | None:
        """From now on a version of a model, as this sense of it, is watched; None where there is nothing to watch."""
        series = self._new(kind, sense)
        return None if series is None else self._series[kind].setdefault(own, series)

    def _new(self, kind: Kind, sense: str) -> Series | None:
        assert self.budget is not None
        model, join = self._plan.counted_as(sense), self._plan.join
        if not watched(model, kind):
            return None
        horizon_ms, pane_ms = join.bounds.horizon_ms, self._plan.pane_ms
        return Series(model, kind, self.budget, horizon_ms=horizon_ms, pane_ms=pane_ms)

    def _change(
        self, kind: Kind, own: tuple[str, str], was: Series, arrival: Arrival, end_ms: int
    ) -> tuple[Series | None, list[AlertEvent]]:
        """Something came of another sense than before. Where that is asked the same it goes on with what was learned; else it
        learns from the beginning, what fires ends, and what still comes of the sense before is not looked at."""
        new = self._new(kind, arrival.sense)
        if new is not None and new.asks_what(was):
            if arrival.pane_ms >= was.from_ms:
                was.sense, was.from_ms = arrival.sense, arrival.pane_ms
            return was, []
        if arrival.pane_ms < was.from_ms:
            return None, []
        told = self._end(kind, own, end_ms)
        if new is not None:
            new.from_ms = arrival.pane_ms
            self._series[kind][own] = new
        return new, told

    def _end(self, kind: Kind, own: tuple[str, str], tick_ms: int) -> list[AlertEvent]:
        """What fires about a version ends, and what was learned of it goes."""
        fired = self._open[kind].pop(own, None)
        gone = Reason.RULE_GONE, tick_ms, Standing.RESOLVED
        told = [] if fired is None else [self._event(kind, own, fired, *gone)]
        self._series[kind].pop(own, None)
        return told

    def retire(self, tick_ms: int) -> list[AlertEvent]:
        """The budget is changed or taken away: what fires ends."""
        return [
            self._event(kind, own, was, Reason.RULE_GONE, tick_ms, Standing.RESOLVED)
            for kind in Kind
            for own, was in sorted(self._open[kind].items())
        ]

    def forget(self, knows: Callable[[str], bool], tick_ms: int) -> list[AlertEvent]:
        """Models were taken out: what fires about them ends, and what was learned of them goes."""
        told: list[AlertEvent] = []
        for kind in Kind:
            for own in sorted(own for own in self._series[kind].keys() | self._open[kind].keys() if not knows(own[0])):
                told += self._end(kind, own, tick_ms)
        return told

    def _close_before(
        self, kind: Kind, beat: int, end_ms: int, outage_of: Callable[[str], Outage], is_lost: IsLost
    ) -> list[AlertEvent]:
        """Close every open beat before this one; then look whether what fires has been quiet for long enough."""
        assert self.budget is not None
        told: list[AlertEvent] = []
        for own, series in sorted(self._series[kind].items()):
            open_beat = series.open_beat
            due = open_beat is not None and open_beat < beat
            alarm = series.close(outage_of(own[0]), is_lost) if due else None
            if due and series.look is not None:
                self.looks.append((own, series.look))
            was = self._open[kind].get(own)
            if alarm is not None and was is None:
                self._open[kind][own] = Open(alarm, end_ms, end_ms)
                told.append(self._event(kind, own, self._open[kind][own], Reason.EVIDENCE, end_ms, Standing.FIRING))
            elif alarm is not None and was is not None:
                worse = alarm.pages and not was.alarm.pages
                again = replace(was, alarms=was.alarms + 1, alarm=alarm if worse else was.alarm).quiet_from(end_ms)
                self._open[kind][own] = again
                if worse:
                    told.append(self._event(kind, own, again, Reason.EVIDENCE, end_ms, Standing.FIRING))
            elif was is not None:
                stands = self._stands(was, series if due else None, end_ms, held=self._is_held(kind, own, outage_of))
                if stands is not None:
                    self._open[kind][own] = stands
                    continue
                del self._open[kind][own]
                told.append(self._event(kind, own, was, Reason.QUIET, end_ms, Standing.RESOLVED))
        return told

    def _is_held(self, kind: Kind, own: tuple[str, str], outage_of: Callable[[str], Outage]) -> bool:
        return kind is Kind.PERFORMANCE and outage_of(own[0]).holding

    def _stands(self, was: Open, closed: Series | None, end_ms: int, *, held: bool) -> Open | None:
        """What fires, at the end of a tick without an alarm of it; None where it resolves. `closed`: its series, of which a beat
        was closed; `held`: labels are, so nothing can be seen of it."""
        assert self.budget is not None
        quiet_ms = max(self.budget.quiet_ms, self.budget.every_ms)
        if self.editions.number < LASTING:
            return was if end_ms - was.last_ms < quiet_ms else None
        if held:
            return was.quiet_from(end_ms)
        if closed is not None:
            was = was.after(closed.excess_of(was.alarm.about))
        if end_ms - was.last_ms < quiet_ms:
            return was
        return was.quiet_from(end_ms) if max(was.excess, default=0) > 0 else None

    def _event(
        self, kind: Kind, own: tuple[str, str], was: Open, reason: Reason, tick_ms: int, standing: Standing
    ) -> AlertEvent:
        assert self.budget is not None
        return budget_event(
            self._namespace,
            SeriesKey(*own, ALL),
            kind,
            was.alarm,
            reason,
            standing,
            fired_ms=was.fired_ms,
            tick_ms=tick_ms,
            alarms=was.alarms,
            budget=self.budget,
            labels=self._labels_of(own[0]),
            config=self._config_of(kind, own),
            edition=self.editions.number,
        )

    def _config_of(self, kind: Kind, own: tuple[str, str]) -> str:
        series = self._series[kind].get(own)
        digest = None if series is None else self._plan.counted_as(series.sense).config_digest
        return digest or self._plan.config_digest
