"""One event of each sort, as a subscriber gets it: the examples of the schemas and the docs. Made by the rule book
itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from monitor.alerts.advice import AdviceWatch
from monitor.alerts.book import RuleBook
from monitor.alerts.cloudevents import budget_event, operational_event
from monitor.alerts.event import AlertEvent, Reason, Standing
from monitor.alerts.grouping import GroupBook
from monitor.alerts.operational import FEED_SCOPE, STALLED
from monitor.alerts.state import AlertState
from monitor.alerts.watching import Alarm
from monitor.config.advisories import Advisory
from monitor.config.budget import Budget
from monitor.config.grouping import Grouping
from monitor.config.quality_rules import QualityRule
from monitor.config.rules import Rule
from monitor.drift.budget import Area
from monitor.drift.edetector import Cause
from monitor.editions import NEWEST
from monitor.events import Int64s
from monitor.windows.crossed import Combination, Errors
from monitor.windows.schema import example_windows
from monitor.windows.view import Estimate, Kind, SeriesKey, WindowKey, WindowView

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_LONGEST_MS = 30 * _DAY_MS


def example_events() -> dict[str, AlertEvent]:
    """`firing`, `resolved` and `amended` of one alert, an `operational` one, one about `data_quality`, one of the `budget`,
    one of an `advisory`, and one with its
    group."""
    rule = Rule.model_validate(
        {"name": "low-recall", "metric": "recall", "op": "<", "threshold": 0.4, "window": "1d", "severity": "page"}
    )
    labels = {"owner": "team-flights", "runbook": "https://wiki.example/low-recall"}
    book = RuleBook("driftline", [rule], labels, lambda _: {})
    bad, _ = example_windows()
    start_ms = bad.key.start_ms
    good = replace(
        bad,
        key=structs.replace(bad.key, start_ms=start_ms + _DAY_MS, end_ms=bad.key.end_ms + _DAY_MS),
        tick_ms=bad.tick_ms + _DAY_MS,
        metrics={"recall": Estimate(71 / 120, 0.5021, 0.6754, 120)},
        counts={"tp": 71, "fp": 30, "fn": 49, "tn": 531},
    )
    late = replace(
        bad,
        revision=48,
        tick_ms=good.tick_ms + _HOUR_MS,
        labelled=701,
        metrics={"recall": Estimate(53 / 128, 0.3325, 0.5007, 128)},
        counts={"tp": 53, "fp": 27, "fn": 75, "tn": 546},
    )
    state, told, newest = AlertState(), list[AlertEvent](), bad
    for changed in (bad, good, late):
        newest = max(newest, changed, key=lambda view: view.key.start_ms)
        step = book.step(
            state, changed.tick_ms, _HOUR_MS, Kind.PERFORMANCE, [changed], [changed.key.series], _Newest(newest)
        )
        state, told = step.state, told + step.events
    firing, resolved, amended = told
    operational = operational_event(
        "driftline",
        STALLED.name,
        FEED_SCOPE,
        Standing.FIRING,
        at_ms=bad.tick_ms,
        fired_ms=bad.tick_ms,
        severity=STALLED.severity,
        summary=f"{STALLED.begins} (in 2 of 6 partitions)",
        facts={"partitions": 2},
        labels=labels,
    )
    return {
        "firing": firing,
        "resolved": resolved,
        "amended": amended,
        "operational": operational,
        "data_quality": _data_quality(bad, labels),
        "budget": _budget(bad, labels),
        "advisory": _advisory(bad, labels),
        "grouped": _grouped([_data_quality(bad, labels), firing], bad),
    }


def _data_quality(like: WindowView, labels: Mapping[str, str]) -> AlertEvent:
    """Distances in kilometres where miles were meant."""
    rule = QualityRule(
        name="quality:out_of_range:distance",
        metric="out_of_range:distance",
        op=">",
        threshold=0.01,
        window="1d",
        severity="page",
    )
    rows, above = 769, 281
    view = replace(
        like,
        kind=Kind.INPUT,
        labelled=0,
        seen=rows,
        metrics={rule.metric: Estimate(above / rows, 0.3324, 0.4001, rows)},
        counts={"seen": rows, "missing:distance": 2, "wrong_type:distance": 0, "above_max:distance": above},
    )
    book = RuleBook("driftline", [rule], labels, lambda _: {})
    step = book.step(AlertState(), view.tick_ms, _HOUR_MS, Kind.INPUT, [view], [view.key.series], _Newest(view))
    return step.events[0]


def _budget(like: WindowView, labels: Mapping[str, str]) -> AlertEvent:
    """Misses among the positives rose from 0.63 to 0.74, by 13 hours' evidence."""
    cause = Cause(
        channel="confusion",
        functional="missed positives",
        log_evidence=8.4,
        share=1.0,
        since=377_053,
        mean=0.741,
        rows=588,
        reference=0.632,
        limit=0.671,
        dispersion=2.5,
        listed=True,
    )
    return budget_event(
        "driftline",
        like.key.series,
        Kind.PERFORMANCE,
        Alarm(7.9, cause.since * _HOUR_MS, (cause,), (Area.PERFORMANCE,), (cause.since * _HOUR_MS,)),
        Reason.EVIDENCE,
        Standing.FIRING,
        fired_ms=like.tick_ms,
        tick_ms=like.tick_ms,
        alarms=1,
        budget=Budget.model_validate({}),
        labels=labels,
        config=like.config_digest,
        edition=NEWEST,
    )


def _grouped(events: Sequence[AlertEvent], like: WindowView) -> AlertEvent:
    """Labels tell what the kilometres cost."""
    broken, lost = events
    book = GroupBook(_LONGEST_MS, Grouping.model_validate({}), Kind.PERFORMANCE)
    book.step(Kind.INPUT, like.tick_ms, [broken])
    (told,) = book.step(Kind.PERFORMANCE, like.tick_ms, [lost])
    return told


def _advisory(like: WindowView, labels: Mapping[str, str]) -> AlertEvent:
    """Eight days of a recall about 0.63, and then the bad one."""
    advisory = Advisory.model_validate(
        {
            "name": "recall-page-hinkley",
            "detector": "PageHinkley",
            "options": {"min_instances": 5, "threshold": 0.2},
            "metric": "recall",
            "window": "1d",
        }
    )
    watch = AdviceWatch("driftline")
    watch.use([advisory], lambda _: labels, lambda *_: False, 0)
    told: list[AlertEvent] = []
    for ago in range(8, -1, -1):
        key = structs.replace(
            like.key, start_ms=like.key.start_ms - ago * _DAY_MS, end_ms=like.key.end_ms - ago * _DAY_MS
        )
        value = 0.63 + 0.01 * (ago % 2)
        view = replace(like, key=key, metrics={"recall": Estimate(value, None, None, 120)}) if ago else like
        told += watch.step(Kind.PERFORMANCE, like.tick_ms - ago * _DAY_MS, [key.series], _Newest(view))
    return told[0]


@dataclass(frozen=True, slots=True)
class _Newest:
    """A lookup that holds one window."""

    view: WindowView

    def newest_mature(
        self,
        series: SeriesKey,
        window: str,
        kind: Kind,
        mature: Callable[[WindowView], bool],
    ) -> WindowView | None:
        return self.view if mature(self.view) else None

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        return ()

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        return {self.view.key.start_ms: self.view}

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        return ()

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        return None

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        return {}
