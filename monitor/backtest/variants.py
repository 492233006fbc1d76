"""Other rules beside those of a run, judged on the same windows: windows are computed once, however many variants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from monitor.alerts.book import RuleBook, Step, WindowLookup
from monitor.alerts.event import AlertEvent
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.alerts.state import AlertState
from monitor.windows.view import Kind, SeriesKey, WindowView


@dataclass(slots=True)
class Variant:
    """Rules of their own, with the state and the events of their alerts."""

    name: str
    book: RuleBook
    state: AlertState = field(default_factory=AlertState)
    events: list[AlertEvent] = field(default_factory=list)


class VariantBook(RuleBook):
    """The rules of a configuration, and after each step of theirs the same step for every variant. What it returns is
    what the configuration alone would; the variants keep what is theirs. For one evaluator, from its beginning."""

    variants: Sequence[Variant] = ()

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
        """See RuleBook."""
        active = frozenset(active_series)
        for variant in self.variants:
            step = variant.book.step(variant.state, tick_ms, tick_size_ms, kind, changed, active, lookup, outage_of)
            variant.state = step.state
            variant.events += step.events
        return super().step(state, tick_ms, tick_size_ms, kind, changed, active, lookup, outage_of)
