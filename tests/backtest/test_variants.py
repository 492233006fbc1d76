"""Rules judged beside those of a run: alone or together, what each tells is what a book of all of them would."""

from __future__ import annotations

from typing import Any

from monitor.alerts.book import RuleBook
from monitor.alerts.event import AlertEvent
from monitor.alerts.state import AlertState
from monitor.backtest.variants import Sweep
from monitor.config import Config, loads
from monitor.plan import plan_of
from monitor.windows.view import Estimate, Kind, SeriesKey, WindowKey, WindowView

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TEXT = """
namespace: n
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
  labels:
    topic: l
    fields: {id: $.id, at: $.at, label: $.label}
time: {horizon: 2d, tick: 1h}
models: [{name: m}]
windows: [day]
rules:
  - {name: low, metric: recall, op: "<", threshold: 0.5, window: day, min_rows: 10}
  - {name: waits, metric: accuracy, op: "<", threshold: 0.6, window: day, min_rows: 10, for: 2h}
"""
SERIES = SeriesKey("m", "1", "all")


def config(*settings: str) -> Config:
    return loads(TEXT, settings)


class Windows:
    """A day whose recall and accuracy rise and fall with its revisions; two days one after the other."""

    def __init__(self, recall: list[float]) -> None:
        self.views = [self._view(hour, value) for hour, value in enumerate(recall)]
        self.hour = 0

    @staticmethod
    def _view(hour: int, value: float) -> WindowView:
        start = hour // 8 * DAY_MS
        key = WindowKey(SERIES, "day", start, start + DAY_MS)
        metrics = {name: Estimate(value, None, None, 100) for name in ("recall", "accuracy")}
        return WindowView(key, Kind.PERFORMANCE, hour + 1, hour % 8 == 7, 0, 100, 90, metrics, {}, "sha256:x")

    def newest_mature(self, series: SeriesKey, window: str, kind: Kind, mature: Any) -> WindowView | None:
        newest = {view.key.start_ms: view for view in self.views[: self.hour + 1]}
        return next((view for _, view in sorted(newest.items(), reverse=True) if mature(view)), None)

    def other_versions(self, series: SeriesKey, kind: Kind) -> tuple[SeriesKey, ...]:
        return ()

    def held(self, series: SeriesKey, window: str, kind: Kind) -> dict[int, WindowView]:
        return {}

    def segments(self, series: SeriesKey, kind: Kind) -> tuple[SeriesKey, ...]:
        return ()

    def cells(self, key: WindowKey, kind: Kind) -> None:
        return None

    def combinations(self, series: SeriesKey, window: str, starts: Any) -> dict[Any, Any]:
        return {}

    def ticks(self) -> Any:
        for hour, view in enumerate(self.views):
            self.hour = hour
            yield 10 * DAY_MS + self.hour * HOUR_MS, [view]


RECALL = [0.7, 0.4, 0.45, 0.55, 0.35, 0.35, 0.35, 0.52, 0.8, 0.3, 0.3, 0.62, 0.58, 0.1, 0.1, 0.1]


def alone(settings: Config) -> list[AlertEvent]:
    book, windows, state, events = RuleBook.of(settings), Windows(RECALL), AlertState(), []
    for tick_ms, changed in windows.ticks():
        step = book.step(state, tick_ms, HOUR_MS, Kind.PERFORMANCE, changed, frozenset({SERIES}), windows)
        state = step.state
        events += step.events
    return events


def test_each_setting_tells_what_a_run_of_its_own_would() -> None:
    own = config()
    changes = ["low.threshold=0.4", "low.threshold=0.5", "low.threshold=0.99", "waits.for=0s", "low.severity=page"]
    settings = {change: config(f"rules.{change}") for change in changes}
    settings["both"] = config("rules.low.threshold=0.6", "rules.waits.for=5h")
    swept, windows, state, book = Sweep(own, plan_of(own), settings), Windows(RECALL), AlertState(), RuleBook.of(own)
    for tick_ms, changed in windows.ticks():
        step = book.step(state, tick_ms, HOUR_MS, Kind.PERFORMANCE, changed, frozenset({SERIES}), windows)
        state = step.state
        swept.note(step.events)
        swept.step(tick_ms, HOUR_MS, Kind.PERFORMANCE, changed, frozenset({SERIES}), windows)
    for name, setting in settings.items():
        found, wanted = swept.told(name), alone(setting)
        assert len(wanted) > 2, "a story in which nothing happens shows nothing"
        assert sorted(found, key=lambda e: e.id) == sorted(wanted, key=lambda e: e.id), name
    assert len({len(alone(setting)) for setting in settings.values()}) > 2
