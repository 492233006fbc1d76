"""All rules, driven once per closed tick and kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Final, NamedTuple, Protocol

import msgspec

from monitor.alerts.advance import Turn, amendments, gone, move
from monitor.alerts.decision import Action, Decided, Decision, decide, hold
from monitor.alerts.event import AlertEvent, BudgetAlert, Change, Reason
from monitor.alerts.explanation import explain, explain_since
from monitor.alerts.replaced import Replacements, end
from monitor.alerts.rules import applies, can_be_held, kind_of, mature
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.alerts.state import AlertKey, AlertState, Entry, Phase, warmed
from monitor.config.advisories import Advisory
from monitor.config.grouping import Grouping
from monitor.config.label_feed import LabelFeed
from monitor.config.maintenance import Maintenance
from monitor.config.metric_names import DISTANCES
from monitor.config.quality_rules import TrafficLimits, all_rules, traffic_limits
from monitor.config.rules import Rule
from monitor.config.types import Config
from monitor.events import Int64s
from monitor.plan import ModelPlan, Plan
from monitor.windows.crossed import Combination, Errors
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

_NOTHING: Final = Entry()
_TOLD: Final = frozenset({Action.FIRE, Action.RESOLVE})
_STANDS: Final = frozenset({Action.PEND, Action.FIRE, Action.KEEP})
"""Decisions after which an alert is open, which one about a replaced version must not be."""


class WindowLookup(Protocol):
    """The windows as they are at the end of the tick that is being closed, final ones included while they are held.

    A series' newest window that is over must be held, and every window until it is final.
    """

    def newest_mature(
        self, series: SeriesKey, window: str, kind: Kind, mature: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """The window of that series, configured name and kind with the largest start for which `mature` is true; None
        if there is none. Windows that are not over may be offered too: `mature` refuses them."""

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The same model and segment under every other version that ever had a window."""

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        """The windows of a series and configured name that are held, by start."""

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The segments, other than all, of the same model and version that ever had a window."""

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        """The sums of a window; None of one that is final or not there."""

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        """Labelled rows and errors of windows of labelled rows, by combination of segments; nothing where none are kept."""


class Step(NamedTuple):
    """What a tick did: the state after it, events in the order in which they must be published, every decision
    taken."""

    state: AlertState
    events: list[AlertEvent]
    decisions: list[Decided]


class RuleBook:
    """The rules of a configuration. Holds no state of alerts: that goes in and comes out of `step`.

    Cost: (rules that watch the series) for each series that had rows or a changed window in the tick; nothing for the
    others.
    """

    def __init__(
        self,
        namespace: str,
        rules: Sequence[Rule],
        labels: Mapping[str, str],
        model_labels: Callable[[str], Mapping[str, str]],
        limits: Callable[[str], TrafficLimits | None] = lambda _: None,
        listed: Sequence[str] = (),
        label_feed: LabelFeed | None = None,
        plan_of: Callable[[str, str], ModelPlan] | None = None,
        maintenance: Sequence[Maintenance] = (),
        advisories: Sequence[Advisory] = (),
        grouping: Grouping | None = None,
        knows: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """A name may be that of several rules as long as no two of them watch the same model. `limits`: what must come of
        a model; `listed`: the models that are expected; `label_feed`: when verdicts wait for labels;
        `plan_of`: of windows by model and configuration, where alerts are explained; `maintenance`: what is not judged;
        `advisories`: the detectors beside the rules; `grouping`: which alerts have one cause, None where none are grouped;
        `knows`: whether a model is one of the configuration's. Nothing is said of others: they were taken out of it."""
        self.namespace, self.knows = namespace, knows
        self._rules = tuple(sorted(rules, key=lambda rule: rule.name))
        self._kinds = frozenset(kind_of(rule.metric) for rule in self._rules)
        self.common_labels = labels
        self._model_labels = model_labels
        self.limits, self.listed, self.label_feed = limits, listed, label_feed
        self.explains, self._plan_of = plan_of is not None, plan_of
        self.reads_cells = self.explains and any(rule.metric.partition(":")[0] in DISTANCES for rule in self._rules)
        """Whether it asks for the sums of windows: for the bins that moved."""
        self._maintenance, self.advisories = tuple(maintenance), tuple(advisories)
        self.grouping = grouping
        # Memos of pure functions, bounded by the series that exist.
        self._watching: dict[tuple[SeriesKey, Kind], tuple[Rule, ...]] = {}
        self._merged: dict[tuple[str, str], Mapping[str, str]] = {}

    @classmethod
    def of(cls, config: Config, plan: Plan | None = None) -> RuleBook:
        """The rules of a configuration, those of `quality` among them; labels are merged, the model's over the global
        ones, the rule's over both. Without a plan no alert is explained."""

        def model_labels(name: str) -> Mapping[str, str]:
            model = config.model(name)
            return model.labels if model is not None else {}

        limits = cache(partial(traffic_limits, config))
        names = tuple(model.name for model in config.models)
        explained = plan.of_window if plan is not None and config.explanations else None
        rules, label_feed = all_rules(config), config.label_feed
        return cls(
            config.namespace,
            rules,
            config.labels,
            model_labels,
            limits,
            names,
            label_feed,
            explained,
            config.maintenance,
            config.advisories,
            config.grouping,
            (lambda _: True) if config.unlisted_models is not None else frozenset(names).__contains__,
        )

    def only(self, rule: Rule) -> RuleBook:
        """A book of one rule, of the same deployment."""
        labels = self._model_labels
        return RuleBook(self.namespace, (rule,), self.common_labels, labels, plan_of=self._plan_of, knows=self.knows)

    def step(
        self,
        state: AlertState,
        tick_ms: int,
        tick_size_ms: int,
        kind: Kind,
        changed: Sequence[WindowView],
        active_series: Iterable[SeriesKey],
        lookup: WindowLookup,
        outage_of: Callable[[str], Outage] = lambda _: NO_OUTAGE,
    ) -> Step:
        """Close one tick for the rules of one kind.

        `tick_ms` is the END of the tick. `changed` holds every window of this kind that got a revision in this tick,
        that its end was reached by this tick, or that became final in it, as it is now; order does not matter.
        `active_series` are the series that had rows of this kind in the tick. Ticks in which nothing of all that
        happened need not be stepped. `outage_of`: what is known of a model's label feed at this tick.
        """
        if kind not in self._kinds:
            return Step(state, [], [])
        revised = {view.key: view for view in changed}
        assert all(view.kind is kind for view in changed), "a tick is closed for one kind at a time"
        active = frozenset(active_series)
        entries, events, decisions = dict(state.entries), list[AlertEvent](), list[Decided]()
        touched = active.union(key.series for key in revised)
        replacements = Replacements(lookup, kind)
        for series in sorted(touched | _silent(state, touched)):
            for rule in self.watching(series, kind):
                key = AlertKey(rule.name, series)
                entry = entries.get(key, _NOTHING)
                outage = outage_of(series.model) if can_be_held(rule) else NO_OUTAGE
                of_age = self._of_age(rule, tick_ms, outage)
                if series in touched and outage.holding:
                    decision = hold(entry)
                elif series in touched:
                    view = lookup.newest_mature(series, rule.window, kind, of_age)
                    if view is not None and _stands(entry, view, kind, lookup):
                        view = None
                    came = series in active
                    decision = decide(rule, entry, view, rows_came=came, tick_size_ms=tick_size_ms, tick_ms=tick_ms)
                else:  # only another version's windows changed
                    decision = Decision(Action.KEEP, Reason.NO_ROWS)
                if decision.action in _STANDS and replacements.replaced(rule, series, of_age):
                    decision = end(entry)
                elif series not in touched:
                    continue
                decisions.append(Decided(key, decision))
                if entry is _NOTHING and decision.action is Action.NOTHING:
                    continue
                turn = Turn(self.namespace, rule, self.labels(rule, series.model), key, tick_ms)
                said = decision.view.key if decision.view and decision.action in _TOLD else None
                entry, amended, amends = amendments(turn, entry, revised, said)
                entry, event = move(turn, warmed(entry, tick_ms), decision)
                if event is not None and decision.action is Action.FIRE and self._plan_of is not None:
                    event = self._explained(event, rule, decision, lookup, of_age)
                _put(entries, key, entry)
                events += amended if event is None else [*amended, event]
                decisions += [Decided(key, amendment) for amendment in amends]
        return Step(AlertState(entries), events, decisions)

    def maintained(self, model: str, start_ms: int, end_ms: int) -> bool:
        """Whether anything of a model in that time lies in its maintenance."""
        return any(one.touches(model, start_ms, end_ms) for one in self._maintenance)

    def _of_age(self, rule: Rule, tick_ms: int, outage: Outage) -> Callable[[WindowView], bool]:
        """Which windows the rule may judge at the end of a tick."""
        of_age = partial(mature, rule, tick_ms, outage=outage)
        if not self._maintenance:
            return of_age

        def judged(view: WindowView) -> bool:
            key = view.key
            return of_age(view) and not self.maintained(key.series.model, key.start_ms, key.end_ms)

        return judged

    def _explained(
        self,
        event: AlertEvent,
        rule: Rule,
        decision: Decision,
        windows: WindowLookup,
        of_age: Callable[[WindowView], bool],
    ) -> AlertEvent:
        """The event with why it fired, where something can be said."""
        assert decision.view is not None
        assert self._plan_of is not None
        plan = self._plan_of(decision.view.key.series.model, decision.view.config_digest)
        why = explain(rule, decision.view, windows, of_age, plan)
        if why is None:
            return event
        return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, explanation=why))

    def with_cause(self, event: AlertEvent, names: Iterable[str], windows: WindowLookup) -> AlertEvent:
        """An event of the budget with what changed, where alerts are explained: by windows of the first of these names of which
        any is held that ended before the change."""
        data = event.data
        if not self.explains or not isinstance(data, BudgetAlert) or event.change is not Change.FIRING:
            return event
        if data.kind is not Kind.PERFORMANCE:
            return event
        series = SeriesKey(data.model, data.version, data.segment)
        said = (explain_since(series, data.since_ms, name, windows) for name in names)
        why = next((one for one in said if one is not None), None)
        if why is None:
            return event
        return msgspec.structs.replace(event, data=msgspec.structs.replace(data, explanation=why))

    def retire(self, state: AlertState, tick_ms: int, successor: RuleBook) -> Step:
        """Hand over to other rules after a tick: alerts of rules that the successor has no more, or that no longer
        watch the series, end with reason `rule_gone`. Edited rules go on with what they had."""
        entries, events, decisions = dict(state.entries), list[AlertEvent](), list[Decided]()
        for key, entry in sorted(state.entries.items(), key=lambda item: item[0]):
            rule = next(r for kind in Kind for r in self.watching(key.series, kind) if r.name == key.rule)
            if any(other.name == key.rule for other in successor.watching(key.series, kind_of(rule.metric))):
                continue
            decision = Decision(Action.RESOLVE if entry.phase is Phase.FIRING else Action.DROP, Reason.RULE_GONE)
            del entries[key]
            decisions.append(Decided(key, decision))
            turn = Turn(self.namespace, rule, self.labels(rule, key.series.model), key, tick_ms)
            if (event := gone(turn, entry, decision)) is not None:
                events.append(event)
        return Step(AlertState(entries), events, decisions)

    def watching(self, series: SeriesKey, kind: Kind) -> tuple[Rule, ...]:
        """The rules of a kind that watch the series, by name."""
        if (series, kind) not in self._watching:
            self._watching[series, kind] = tuple(
                rule
                for rule in self._rules
                if kind_of(rule.metric) is kind and applies(rule, series) and self.knows(series.model)
            )
        return self._watching[series, kind]

    def labels_of(self, model: str) -> Mapping[str, str]:
        """What goes into every alert about a model: global labels, overridden by the model's."""
        return {**self.common_labels, **self._model_labels(model)}

    def labels(self, rule: Rule, model: str) -> Mapping[str, str]:
        """What goes into an alert of the rule about the model: global labels, overridden by the model's, then by the
        rule's."""
        if (rule.name, model) not in self._merged:
            self._merged[rule.name, model] = {**self.labels_of(model), **rule.labels}
        return self._merged[rule.name, model]


def _stands(entry: Entry, view: WindowView, kind: Kind, lookup: WindowLookup) -> bool:
    """Whether an open alert stands because the window that it was judged by lost records since: an older one does not speak
    in its place."""
    judged = entry.judged
    if judged is None or view.key.start_ms >= judged.start_ms:
        return False
    return lookup.newest_mature(judged.series, judged.window, kind, lambda v: v.key == judged and v.partial) is not None


def _silent(state: AlertState, touched: frozenset[SeriesKey]) -> set[SeriesKey]:
    """Series with an open alert that are not touched themselves, while another version of the model and segment is."""
    beside = {(series.model, series.segment) for series in touched}
    return {
        key.series
        for key, _ in state.open()
        if key.series not in touched and (key.series.model, key.series.segment) in beside
    }


def _put(entries: dict[AlertKey, Entry], key: AlertKey, entry: Entry) -> None:
    if entry.forgettable:
        entries.pop(key, None)
    else:
        entries[key] = entry
