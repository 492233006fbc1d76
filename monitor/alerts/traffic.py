"""Whether enough predictions come of each model: never none for too long, and so many in every window.

Both are of the model, whatever versions it has: a canary has few predictions and a version that was replaced has none, and
neither is an incident. Time is what closed ticks say in which rows of any model came; who is alone and silent is told of by
its partitions' owners instead (`operational.SILENT`), because no event time passes then. For the same reason the window
that the end of input cuts off is never judged; nor is the one that a model began in. A model that was added and whose windows
have not begun is not missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from monitor.alerts.cloudevents import operational_event
from monitor.alerts.event import ABOUT_DATA, AlertEvent, Severity, Standing, rfc3339
from monitor.config.quality_rules import TrafficLimits
from monitor.config.windows import Window
from monitor.windows.losses import Losses
from monitor.windows.schedule import Schedule
from monitor.windows.spans import spans_of
from monitor.windows.view import Kind, SeriesKey, WindowView

MODEL_SILENT: Final = "model-silent"
VOLUME_LOW: Final = "volume-low"
BY_TICKS: Final = (MODEL_SILENT, VOLUME_LOW)
"""Operational conditions that ticks of event time decide, and no owner: a replay tells them again."""

LimitsOf = Callable[[str], TrafficLimits | None]
LabelsOf = Callable[[str], Mapping[str, str]]


@dataclass(slots=True)
class _Traffic:
    """What is known of one model. `first_ms`: where its watch began; `last_ms`: the end of the last tick with rows."""

    first_ms: int
    last_ms: int
    seen: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))  # start of window, version
    judged: tuple[int, int, int] | None = None  # start, end, predictions
    fired: dict[str, int] = field(default_factory=dict)  # condition: when


class TrafficWatch:
    """The traffic of every model that has a limit: a function of the closed input ticks, in order."""

    def __init__(self, namespace: str, schedule: Schedule, losses: Losses, tick_ms: int) -> None:
        self._namespace, self._tick_ms = namespace, tick_ms
        self._windows, self._losses = schedule, losses
        self._limits: LimitsOf = lambda _: None
        self._labels: LabelsOf = lambda _: {}
        self._listed: tuple[str, ...] = ()
        self._models: dict[str, _Traffic] = {}
        self.maintained: Callable[[str, int, int], bool] = lambda *_: False
        """Whether anything of a model in a stretch of time lies in its maintenance: then nothing is missed."""

    def use(self, limits: LimitsOf, labels: LabelsOf, listed: Iterable[str], at_ms: int) -> list[AlertEvent]:
        """Go on with other limits. Alerts that have no limit any more end at `at_ms`."""
        before, self._limits, self._labels, self._listed = self._limits, limits, labels, tuple(listed)
        events: list[AlertEvent] = []
        for name, traffic in sorted(self._models.items()):
            old, new = before(name), limits(name)
            if _counted(old) != _counted(new):  # what came before was not counted in such windows
                traffic.seen.clear()
                traffic.first_ms, traffic.judged = at_ms, None
            gone = [c for c in sorted(traffic.fired) if new is None or _limit(new, c) is None]
            severity = old.severity if old is not None else "page"
            events += [self._tell(name, c, traffic, severity, at_ms, False, "the limit is gone", {}) for c in gone]
            if new is None:
                del self._models[name]
        return events

    def close(self, tick: int, active: Iterable[SeriesKey], views: Iterable[WindowView]) -> list[AlertEvent]:
        """Take a closed tick: the series that had rows in it, and the windows that changed or ended."""
        start_ms, end_ms = tick * self._tick_ms, (tick + 1) * self._tick_ms
        came = {series.model for series in active}
        if came:
            for name in sorted({*came, *self._listed} - self._models.keys()):
                if self._limits(name) is not None and self._windows.has_begun(name, start_ms):
                    self._models[name] = _Traffic(start_ms, end_ms)
        for view in views:
            self._count(view)
        events: list[AlertEvent] = []
        for name, traffic in sorted(self._models.items()) if came else ():
            if (limits := self._limits(name)) is not None:
                events += self._silence(name, traffic, limits, end_ms, came=name in came)
                events += self._volume(name, traffic, limits, start_ms, end_ms)
            if name in came:
                traffic.last_ms = end_ms
        return events

    def _count(self, view: WindowView) -> None:
        key = view.key
        traffic = self._models.get(key.series.model)
        if traffic is None or key.series.segment != "all" or (limits := self._limits(key.series.model)) is None:
            return
        if limits.volume is not None and key.window == limits.window:
            traffic.seen[key.start_ms][key.series.version] = view.seen

    def _silence(
        self, name: str, traffic: _Traffic, limits: TrafficLimits, end_ms: int, *, came: bool
    ) -> list[AlertEvent]:
        if limits.silence_ms is None:
            return []
        silent_ms = 0 if came or self.maintained(name, traffic.last_ms, end_ms) else end_ms - traffic.last_ms
        if silent_ms > limits.silence_ms and MODEL_SILENT not in traffic.fired:
            said = f"no prediction since {rfc3339(traffic.last_ms)}, while others came"
        elif came and MODEL_SILENT in traffic.fired:
            said = "predictions come again"
        else:
            return []
        facts = {"silent_s": (end_ms - traffic.last_ms) // 1000, "at_most_s": limits.silence_ms // 1000}
        return [self._tell(name, MODEL_SILENT, traffic, limits.severity, end_ms, not came, said, facts)]

    def _volume(
        self, name: str, traffic: _Traffic, limits: TrafficLimits, now_ms: int, end_ms: int
    ) -> list[AlertEvent]:
        """Judge the newest window that ended before rows came that are later than it."""
        if limits.volume is None:
            return []
        window, from_ms, _ = self._windows.window(limits.window)
        start, stop = _newest_ended(window, now_ms)
        for old in [begin for begin in traffic.seen if begin < start]:
            del traffic.seen[old]
        judged = (start, stop, sum(traffic.seen[start].values()) if start in traffic.seen else 0)
        if start < max(traffic.first_ms, from_ms) or judged == traffic.judged or self.maintained(name, start, stop):
            return []
        if self._losses.touch(Kind.INPUT, start, stop):  # what came is not what is counted
            return []
        traffic.judged = judged
        low = judged[2] < limits.volume
        if low == (VOLUME_LOW in traffic.fired):
            return []
        said = f"{judged[2]} predictions in window {limits.window} from {rfc3339(start)}, at least {limits.volume} must come"
        facts: dict[str, int | str] = {"window": limits.window, "start_ms": start}
        facts |= {"predictions": judged[2], "at_least": limits.volume}
        return [self._tell(name, VOLUME_LOW, traffic, limits.severity, end_ms, low, said, facts)]

    def _tell(
        self,
        name: str,
        condition: str,
        traffic: _Traffic,
        severity: Severity,
        at_ms: int,
        begins: bool,
        said: str,
        facts: Mapping[str, int | str],
    ) -> AlertEvent:
        fired_ms = traffic.fired.setdefault(condition, at_ms)
        if not begins:
            del traffic.fired[condition]
        return operational_event(
            self._namespace,
            condition,
            f"model/{name}",
            Standing.FIRING if begins else Standing.RESOLVED,
            at_ms=at_ms,
            fired_ms=fired_ms,
            severity=severity,
            summary=f"{name}: {said}",
            facts={"model": name, **facts},
            labels=self._labels(name),
            about=ABOUT_DATA,
        )


def _counted(limits: TrafficLimits | None) -> str | None:
    """The window that predictions are counted in; None where they are not."""
    return limits.window if limits is not None and limits.volume is not None else None


def _limit(limits: TrafficLimits, condition: str) -> int | None:
    return limits.silence_ms if condition == MODEL_SILENT else limits.volume


def _newest_ended(window: Window, now_ms: int) -> tuple[int, int]:
    """The newest span of a window that had ended by a moment."""
    oldest = next(spans_of(window, now_ms - 1))
    return oldest if oldest[1] <= now_ms else list(spans_of(window, oldest[0] - 1))[-1]
