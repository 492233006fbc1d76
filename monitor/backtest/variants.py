"""Other rules beside those of a run, judged on the same windows as their ticks close: windows are computed once, and of the
rules only those that are not the run's own.

Rules do not know of each other (an alert is kept by rule and series), so each different rule is judged once, alone, in
however many settings it stands; a rule that the run has too is not judged again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from monitor.alerts.book import RuleBook, WindowLookup
from monitor.alerts.event import AdvisoryAlert, AlertEvent, BudgetAlert, OperationalAlert, RuleAlert
from monitor.alerts.rules import Test, can_be_held, kind_of, mature, measure
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.alerts.state import AlertState
from monitor.alerts.traffic import BY_TICKS
from monitor.config.quality_rules import about, all_rules
from monitor.config.rules import Rule
from monitor.config.types import Config
from monitor.plan import Plan
from monitor.windows.view import Estimate, Kind, SeriesKey, WindowView


@dataclass(slots=True)
class Alone:
    """One rule with a book of its own, and the state and the events of its alerts."""

    rule: Rule
    book: RuleBook
    test: Test
    state: AlertState = field(default_factory=AlertState)
    events: list[AlertEvent] = field(default_factory=list)


@dataclass(slots=True)
class Alike:
    """Rules that judge the same window of a series; what they ask of it differs."""

    rules: list[Alone]
    kind: Kind

    def windows(
        self,
        tick_ms: int,
        touched: Iterable[SeriesKey],
        lookup: WindowLookup,
        outage_of: Callable[[str], Outage],
    ) -> list[WindowView]:
        """The windows that they judge at this tick."""
        rule, book = self.rules[0].rule, self.rules[0].book
        held = can_be_held(rule)
        found = []
        for series in touched:
            if book.watching(series, self.kind):
                of_age = partial(mature, rule, tick_ms, outage=outage_of(series.model) if held else NO_OUTAGE)
                found.append(lookup.newest_mature(series, rule.window, self.kind, of_age))
        return [view for view in found if view is not None]


class Sweep:
    """The settings of a sweep beside a run of `config`; all of the same meaning. For one evaluator, from its beginning."""

    def __init__(self, config: Config, plan: Plan, settings: Mapping[str, Config]) -> None:
        own = all_rules(config)
        self._told: list[AlertEvent] = []
        self._alike: dict[tuple[object, ...], Alike] = {}
        self._settings = {
            name: [
                (rule, None if rule in own else self._alone(rule, RuleBook.of(other, plan)))
                for rule in all_rules(other)
            ]
            for name, other in settings.items()
        }

    def _alone(self, rule: Rule, book: RuleBook) -> Alone:
        segments = rule.segments if isinstance(rule.segments, str) else tuple(rule.segments)
        key = (rule.model, segments, rule.window, rule.metric, rule.min_rows, rule.min_coverage)
        alike = self._alike.setdefault((type(rule), *key), Alike([], kind_of(rule.metric)))
        known = next((each for each in alike.rules if each.rule == rule), None)
        if known is None:
            known = Alone(rule, book.only(rule), Test.of(rule))
            alike.rules.append(known)
        return known

    def step(
        self,
        tick_ms: int,
        tick_size_ms: int,
        kind: Kind,
        changed: Sequence[WindowView],
        active: frozenset[SeriesKey],
        lookup: WindowLookup,
        outage_of: Callable[[str], Outage] = lambda _: NO_OUTAGE,
    ) -> None:
        """A tick of the run closed; as `RuleBook.step`."""
        touched = active.union(view.key.series for view in changed)
        for alike in self._alike.values():
            if alike.kind is not kind:
                continue
            values: list[Estimate] | None = None
            for own in alike.rules:
                if not own.state.entries:
                    # Nothing is open and nothing was said: only a window that breaks the rule can change that.
                    if values is None:  # all of them ask for the same metric
                        views = alike.windows(tick_ms, touched, lookup, outage_of)
                        values = [measure(view, own.test.metric) for view in views]
                    if not any(map(own.test.broken_by, values)):
                        continue
                step = own.book.step(own.state, tick_ms, tick_size_ms, kind, changed, active, lookup, outage_of)
                own.state = step.state
                own.events += step.events

    def note(self, events: Iterable[AlertEvent]) -> None:
        """What the run itself told."""
        self._told += events

    def told(self, name: str) -> list[AlertEvent]:
        """The events under one of the settings. Alerts about traffic, those of the budget and advice, which rules do not
        decide, are in all of them."""
        found = [event for event in self._told if _beside_rules(event.data)]
        for rule, alone in self._settings[name]:
            found += alone.events if alone is not None else [e for e in self._told if _of(rule, e)]
        return found


def _of(rule: Rule, event: AlertEvent) -> bool:
    return isinstance(event.data, RuleAlert) and event.data.rule == rule.name and about(rule, event.data.model)


def _beside_rules(data: RuleAlert | OperationalAlert | BudgetAlert | AdvisoryAlert) -> bool:
    told = isinstance(data, (BudgetAlert, AdvisoryAlert))
    return told or (isinstance(data, OperationalAlert) and data.condition in BY_TICKS)
