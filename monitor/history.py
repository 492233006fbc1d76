"""The past beside the read model: what the windows said before, what happened when, and how the newest inputs are spread.

The evaluator's process keeps it in memory and loses it at a restart: it is for looking, and the topics are the record.
Bounded: WINDOWS in all, shared evenly by the series and never more than POINTS for one; EVENTS changes of alerts and of the
configuration; VERSIONS versions; SPREAD distributions. What there is no room for is counted, not hidden. Pure; times are
event time. As in the view there are no ids and no values of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from monitor.alerts.event import AlertEvent, BudgetAlert, OperationalAlert, RuleAlert
from monitor.distributions import Distribution
from monitor.windows.view import Kind, SeriesKey, WindowView

SCHEMA: Final = "driftline.history/v1"
"""Name and version of the JSON form."""
POINTS: Final = 60
"""Windows of one series: enough for two months of days, and for a line on a screen."""
WINDOWS: Final = 3_000
"""Windows in all, about 5 KB each."""
EVENTS: Final = 500
VERSIONS: Final = 200
SPREAD: Final = 400


@dataclass(frozen=True, slots=True)
class Happening:
    """A change of an alert (`lane` alert; `what` firing, resolved or amended) or of the configuration (`lane`
    configuration; `what` in use), at an event time. Fields that do not apply are empty or null."""

    at_ms: int
    lane: str
    what: str
    rule: str = ""
    severity: str = ""
    series: SeriesKey = field(default_factory=lambda: SeriesKey("", "", ""))
    window: str = ""
    start_ms: int | None = None
    metric: str = ""
    value: float | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class VersionSpan:
    """When a version was seen: from the beginning of the first window to the end of the last one that this process was
    told of."""

    model: str
    version: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class DelayPoint:
    """The share of predictions that have their label so long after they were made."""

    within_ms: int
    share: float


@dataclass(frozen=True, slots=True)
class Past:
    """All of it, as it is served; `select` makes a part of it. Windows are in order of series, name, kind and start.
    `left_out`: series that found no room
    at first sight. `delays` by model, where the configuration asks for `estimates`."""

    windows: tuple[WindowView, ...] = ()
    happenings: tuple[Happening, ...] = ()
    versions: tuple[VersionSpan, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    delays: Mapping[str, tuple[DelayPoint, ...]] = field(default_factory=dict)
    left_out: int = 0
    schema: str = SCHEMA


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of the past is wanted: None and empty mean all."""

    model: str | None = None
    version: str | None = None
    segment: str | None = None
    window: str | None = None
    kind: str | None = None
    metrics: frozenset[str] = frozenset()

    def takes(self, series: SeriesKey, window: str, kind: str | None) -> bool:
        """Whether this is wanted; a `kind` of None is that of something that has none."""
        wanted = (self.model, self.version, self.segment, self.window, self.kind if kind is not None else None)
        given = (series.model, series.version, series.segment, window, kind)
        return all(want is None or want == own for want, own in zip(wanted, given, strict=True))


def select(past: Past, choice: Choice) -> Past:
    """The windows and distributions that are chosen, with the metrics that are; of a model what happened to it, and what
    happened to none."""
    windows = [view for view in past.windows if choice.takes(view.key.series, view.key.window, view.kind)]
    if choice.metrics:
        windows = [
            replace(view, metrics={name: value for name, value in view.metrics.items() if name in choice.metrics})
            for view in windows
        ]
    model = choice.model
    return replace(
        past,
        windows=tuple(windows),
        happenings=tuple(h for h in past.happenings if model is None or h.series.model in (model, "")),
        versions=tuple(v for v in past.versions if model is None or v.model == model),
        distributions=tuple(d for d in past.distributions if choice.takes(d.series, d.window, Kind.INPUT)),
        delays={name: points for name, points in past.delays.items() if model is None or name == model},
    )


def encode(past: Past) -> bytes:
    """As JSON, the body of /api/v1/history. NaN and infinities become null."""
    return msgspec.json.encode(past)


Slot = tuple[SeriesKey, str, Kind]


class History:
    """Collects it. Mutable; one is kept beside the evaluator, and `past` hands out what does not change."""

    __slots__ = ("_changed", "_events", "_left_out", "_past", "_spread", "_versions", "_windows", "delays")

    def __init__(self) -> None:
        self._windows: dict[Slot, dict[int, WindowView]] = {}
        self._left_out: set[Slot] = set()
        self._events: list[Happening] = []
        self._versions: dict[tuple[str, str], tuple[int, int]] = {}
        self._spread: dict[Slot, tuple[int, int, tuple[Distribution, ...]]] = {}
        self.delays: dict[str, tuple[DelayPoint, ...]] = {}
        self._past, self._changed = Past(), False

    def add(self, views: Iterable[WindowView]) -> None:
        """Take in revisions, in any order."""
        for view in views:
            slot = (view.key.series, view.key.window, view.kind)
            if slot not in self._windows:
                if len(self._windows) >= WINDOWS and not self._make_room(view.key.end_ms):
                    self._left_out.add(slot)
                    continue
                self._windows[slot] = {}
            held = self._windows[slot]
            kept = held.get(view.key.start_ms)
            if kept is None or view.revision >= kept.revision:
                held[view.key.start_ms] = view if view.outlook is None else replace(view, outlook=None)
            self._see(view)
            self._shorten(held)
        self._changed = True

    def _make_room(self, end_ms: int) -> bool:
        """Drop the series that ended first, if that was before `end_ms`."""
        ends = {slot: held[max(held)].key.end_ms for slot, held in self._windows.items()}
        first = min(ends, key=lambda slot: ends[slot])
        if ends[first] >= end_ms:
            return False
        del self._windows[first]
        self._spread.pop(first, None)
        return True

    def _see(self, view: WindowView) -> None:
        key, series = view.key, (view.key.series.model, view.key.series.version)
        if series not in self._versions and len(self._versions) >= VERSIONS:
            del self._versions[min(self._versions, key=lambda one: self._versions[one][1])]
        first, last = self._versions.get(series, (key.start_ms, key.end_ms))
        self._versions[series] = min(first, key.start_ms), max(last, key.end_ms)

    def _shorten(self, held: dict[int, WindowView]) -> None:
        while len(held) > self.share:
            del held[min(held)]

    @property
    def share(self) -> int:
        """Windows that each series may keep."""
        return max(1, min(POINTS, WINDOWS // max(1, len(self._windows))))

    def happened(self, event: AlertEvent) -> None:
        """Take in a change of an alert."""
        self._note(happening_of(event))

    def configured(self, generation: int, at_ms: int) -> None:
        """Take in that a configuration came into use."""
        self._note(Happening(at_ms, "configuration", "in use", generation=generation))

    def _note(self, one: Happening) -> None:
        if one not in self._events:  # after a restart what still fires is told again
            self._events.append(one)
        del self._events[:-EVENTS]
        self._changed = True

    def spreads(self, view: WindowView) -> bool:
        """Whether the distributions of this input window are wanted: those kept are of another revision or window."""
        kept = self._spread.get((view.key.series, view.key.window, view.kind))
        return kept is None or kept[:2] != (view.key.start_ms, view.revision)

    def spread(self, view: WindowView, found: Sequence[Distribution]) -> None:
        """Keep the distributions of a window, in place of those of the one before."""
        slot = (view.key.series, view.key.window, view.kind)
        others = sum(len(kept[2]) for own, kept in self._spread.items() if own != slot)
        if others + len(found) <= SPREAD:
            self._spread[slot] = view.key.start_ms, view.revision, tuple(found)
            self._changed = True

    def past(self) -> Past:
        """What was collected so far."""
        if self._changed:
            for held in self._windows.values():
                self._shorten(held)
            slots = sorted(self._windows)
            self._past = Past(
                tuple(held[start] for slot in slots for held in [self._windows[slot]] for start in sorted(held)),
                tuple(sorted(self._events, key=lambda one: one.at_ms)),
                tuple(VersionSpan(*name, *span) for name, span in sorted(self._versions.items())),
                tuple(one for slot in sorted(self._spread) for one in self._spread[slot][2]),
                dict(self.delays),
                len(self._left_out),
            )
            self._changed = False
        return self._past


def happening_of(event: AlertEvent) -> Happening:
    """An event as the timeline shows it."""
    data, change = event.data, event.type.split(".")[-2]
    if isinstance(data, OperationalAlert):
        series = SeriesKey("", "", data.scope)
        return Happening(data.tick_ms, "alert", change, data.condition, data.severity, series)
    series = SeriesKey(data.model, data.version, data.segment)
    if isinstance(data, RuleAlert):
        own = Happening(data.tick_ms, "alert", change, data.rule, data.severity, series)
        seen = data.evidence
        if seen is None:
            return own
        return replace(
            own, window=seen.window.name, start_ms=seen.window.start_ms, metric=seen.metric, value=seen.value
        )
    if isinstance(data, BudgetAlert):
        return Happening(data.tick_ms, "alert", change, data.rule, data.severity, series, metric=data.causes[0].channel)
    return Happening(
        data.tick_ms, "alert", change, data.rule, data.severity, series, data.window.name, None, data.metric, data.value
    )
