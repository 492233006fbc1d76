"""Timelines: windows move, ticks close, and what subscribers are told comes out as lines to compare.

Event time is written as on a clock, `01:20`; windows are an hour long and named by their start; ticks are 20 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.alerts.book import RuleBook, Step
from monitor.alerts.decision import Decided
from monitor.alerts.event import AlertEvent, RuleAlert
from monitor.alerts.state import AlertState
from monitor.config.maintenance import Maintenance
from monitor.config.rules import Rule
from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.windows.crossed import Combination, Errors
from monitor.windows.view import Estimate, Kind, SeriesKey, Undefined, WindowKey, WindowView

MINUTE_MS = 60_000
TICK_MS = 20 * MINUTE_MS
DELAYS = SeriesKey("delays", "1", "all")


def ms(clock: str) -> int:
    hours, minutes = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * MINUTE_MS


def clock(at_ms: int) -> str:
    minutes = at_ms // MINUTE_MS
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def rule(**keys: Any) -> Rule:
    """`recall < 0.4` over an hour, on anything at all, at once; `keys` say what is different, as in the YAML."""
    plain = {
        "name": "low-recall",
        "metric": "recall",
        "op": "<",
        "threshold": 0.4,
        "window": "1h",
        "min_rows": 0,
        "min_coverage": 0,
    }
    return Rule.model_validate(plain | keys)


def window(
    start: str,
    recall: float | None = None,
    *,
    rows: int = 50,
    seen: int = 100,
    labelled: int = 100,
    final: bool = False,
    series: SeriesKey = DELAYS,
    metric: str = "recall",
    kind: Kind = Kind.PERFORMANCE,
) -> WindowView:
    """One revision of the window that starts then; `recall` None is undefined for want of positives."""
    if recall is None:
        estimate = Estimate(None, None, None, 0, undefined=Undefined.ZERO_DENOMINATOR)
    else:
        estimate = Estimate(recall, max(0.0, recall - 0.1), min(1.0, recall + 0.1), rows)
    return WindowView(
        key=WindowKey(series, "1h", ms(start), ms(start) + 60 * MINUTE_MS),
        kind=kind,
        revision=0,  # the story counts them
        final=final,
        tick_ms=0,
        seen=seen,
        labelled=labelled,
        metrics={metric: estimate},
        counts={"tp": 10, "fp": 5, "fn": 15, "tn": 70},
        config_digest="sha256:c0ffee",
    )


def line(event: AlertEvent) -> str:
    """`01:20 firing sustained 00:00=0.3`: when, what, why, and the window that was judged with its value."""
    data = event.data
    assert isinstance(data, RuleAlert)
    judged = ""
    if data.evidence is not None:
        judged = f" {clock(data.evidence.window.start_ms)}={data.evidence.value}"
    return f"{clock(data.tick_ms)} {event.change} {data.reason}{judged}"


@dataclass
class Windows:
    """The windows held in memory: the fake of the engine's lookup."""

    views: dict[tuple[WindowKey, Kind], WindowView] = field(default_factory=dict)
    sums: dict[tuple[WindowKey, Kind], Int64s] = field(default_factory=dict)
    together: dict[tuple[SeriesKey, str, int], Mapping[Combination, Errors]] = field(default_factory=dict)

    def put(self, view: WindowView, tick_ms: int) -> WindowView:
        known = self.views.get((view.key, view.kind))
        revised = replace(view, revision=1 if known is None else known.revision + 1, tick_ms=tick_ms)
        self.views[view.key, view.kind] = revised
        return revised

    def newest_mature(
        self, series: SeriesKey, window: str, kind: Kind, mature: Callable[[WindowView], bool]
    ) -> WindowView | None:
        of_series = [v for (k, of), v in self.views.items() if k.series == series and k.window == window and of is kind]
        return max((v for v in of_series if mature(v)), key=lambda v: v.key.start_ms, default=None)

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        same = {k.series for k, of in self.views if of is kind and k.series.model == series.model}
        return sorted(s for s in same if s.segment == series.segment and s != series)

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        return {
            k.start_ms: v
            for (k, of), v in self.views.items()
            if k.series == series and k.window == window and of is kind
        }

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        same = {k.series for k, of in self.views if of is kind and k.series.model == series.model}
        return sorted(s for s in same if s.version == series.version and s.segment != series.segment)

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        return self.sums.get((key, kind))

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        found: dict[Combination, Errors] = {}
        for start in starts:
            for combination, (rows, errors) in self.together.get((series, window, start), {}).items():
                was = found.get(combination, (0, 0))
                found[combination] = was[0] + rows, was[1] + errors
        return found


class Story:
    """A rule book, its state, and everything that was told so far."""

    def __init__(
        self,
        *rules: Rule,
        labels: Mapping[str, str] | None = None,
        plan: ModelPlan | None = None,
        maintenance: Sequence[Maintenance] = (),
    ) -> None:
        explained = None if plan is None else lambda *_: plan
        self.book = RuleBook("flights", rules, labels or {}, lambda _: {}, plan_of=explained, maintenance=maintenance)
        self.windows = Windows()
        self.state = AlertState()
        self.events: list[AlertEvent] = []
        self.decided: list[Decided] = []

    def tick(
        self,
        end: str,
        *changed: WindowView,
        rows: bool = True,
        kind: Kind = Kind.PERFORMANCE,
        series: Iterable[SeriesKey] = (DELAYS,),
    ) -> Step:
        """Close the tick that ends then; `rows` False: nothing came in it."""
        views = [self.windows.put(view, ms(end)) for view in changed]
        step = self.book.step(self.state, ms(end), TICK_MS, kind, views, series if rows else (), self.windows)
        self.state = step.state
        self.events += step.events
        self.decided = step.decisions
        return step

    @property
    def told(self) -> list[str]:
        return [line(event) for event in self.events]

    @property
    def reasons(self) -> list[str]:
        """Reasons of the newest tick's decisions."""
        return [str(decided.decision.reason) for decided in self.decided]

    @property
    def standing(self) -> Sequence[str]:
        return [str(entry.phase) for _, entry in self.state.open()]
