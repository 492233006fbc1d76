"""The past beside the read model: what the windows said before, what happened when, and how the newest inputs are spread.

The evaluator's process keeps it in memory and loses it at a restart: it is for looking, and the topics are the record.
Bounded, to about 30 MB: WINDOWS in all with NUMBERS metrics, shared evenly by the series and never more than POINTS windows
for one; EVENTS changes of alerts and of the configuration; VERSIONS versions; SPREAD distributions. What there is no room for
is counted, not hidden. Pure; times are event time. As in the view there are no ids and no values of records.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from monitor.alerts.event import AlertEvent, BudgetAlert, OperationalAlert, RuleAlert
from monitor.distributions import Distribution
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

SCHEMA: Final = "driftline.history/v1"
"""Name and version of the JSON form."""
POINTS: Final = 60
"""Windows of one series: enough for two months of days, and for a line on a screen."""
WINDOWS: Final = 3_000
"""Windows in all, about half a KB each without their metrics."""
NUMBERS: Final = 150_000
"""Metrics of all windows, under 200 bytes each: 50 of each window when there are WINDOWS. A model with 500 features has
thousands of them in every window, so the number of windows alone would bound nothing."""
EVENTS: Final = 500
VERSIONS: Final = 200
SPREAD: Final = 400
"""Distributions, of one feature each and at most 14 bars."""


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
    `left_out`: series that found no room at first sight, `cut`: distributions that found none; both at least. `delays` by
    model, where the configuration asks for `estimates`."""

    windows: tuple[WindowView, ...] = ()
    happenings: tuple[Happening, ...] = ()
    versions: tuple[VersionSpan, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    delays: Mapping[str, tuple[DelayPoint, ...]] = field(default_factory=dict)
    left_out: int = 0
    cut: int = 0
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


@dataclass(frozen=True, slots=True)
class _Spread:
    """The distributions of a window, and how many of it had no room."""

    key: WindowKey
    revision: int
    found: tuple[Distribution, ...]
    cut: int


class History:
    """Collects it. Mutable; one is kept beside the evaluator, and `past` hands out what does not change."""

    __slots__ = (
        "_changed", "_delays", "_events", "_first", "_left_out", "_numbers", "_past", "_spread", "_sum", "_versions", "_windows"
    )  # fmt: skip

    def __init__(self) -> None:
        self._windows: dict[Slot, dict[int, WindowView]] = {}
        self._numbers: dict[Slot, int] = {}
        self._sum = 0  # of the numbers
        self._first: list[tuple[int, Slot]] = []
        """A heap: when each series ends, as far as that was looked at."""
        self._left_out: set[Slot] = set()
        self._events: dict[Happening, None] = {}
        self._versions: dict[tuple[str, str], tuple[int, int]] = {}
        self._spread: dict[Slot, _Spread] = {}
        self._delays: dict[str, tuple[DelayPoint, ...]] = {}
        self._past, self._changed = Past(), False

    def add(self, views: Iterable[WindowView]) -> None:
        """Take in revisions, in any order."""
        for view in views:
            slot = (view.key.series, view.key.window, view.kind)
            if slot not in self._windows and not self._let_in(slot, view):
                continue
            held = self._windows[slot]
            kept = held.get(view.key.start_ms)
            if kept is None or view.revision >= kept.revision:
                held[view.key.start_ms] = view if view.outlook is None else replace(view, outlook=None)
                self._count(slot, len(view.metrics))
            self._see(view)
            self._shorten(slot)
        self._changed = True

    def _let_in(self, slot: Slot, view: WindowView) -> bool:
        """Make a place for a series, where need be by dropping those that ended before this window does."""
        numbers = len(view.metrics)
        while len(self._windows) >= WINDOWS or self._sum + numbers > NUMBERS:
            if numbers > NUMBERS or not self._make_room(view.key.end_ms):
                if len(self._left_out) < WINDOWS:
                    self._left_out.add(slot)
                return False
        self._windows[slot] = {}
        self._count(slot, numbers)
        heapq.heappush(self._first, (view.key.end_ms, slot))
        return True

    def _count(self, slot: Slot, numbers: int) -> None:
        """Each window of a series is taken to have as many metrics as its newest revision."""
        self._sum += numbers - self._numbers.get(slot, 0)
        self._numbers[slot] = numbers

    def _make_room(self, end_ms: int) -> bool:
        """Drop the series that ended first, if that was before `end_ms`."""
        while self._first:
            noted_ms, slot = self._first[0]
            held = self._windows[slot]
            ended_ms = held[max(held)].key.end_ms
            if ended_ms > noted_ms:  # it went on since
                heapq.heapreplace(self._first, (ended_ms, slot))
            elif ended_ms >= end_ms:
                return False
            else:
                heapq.heappop(self._first)
                self._sum -= self._numbers.pop(slot)
                del self._windows[slot]
                self._spread.pop(slot, None)
                return True
        return False

    def _see(self, view: WindowView) -> None:
        key, series = view.key, (view.key.series.model, view.key.series.version)
        if series not in self._versions and len(self._versions) >= VERSIONS:
            del self._versions[min(self._versions, key=lambda one: self._versions[one][1])]
        first, last = self._versions.get(series, (key.start_ms, key.end_ms))
        self._versions[series] = min(first, key.start_ms), max(last, key.end_ms)

    def _shorten(self, slot: Slot) -> None:
        held, series = self._windows[slot], len(self._windows)
        share = min(POINTS, WINDOWS // series, NUMBERS // series // max(1, self._numbers[slot]))
        while len(held) > max(1, share):
            del held[min(held)]

    def happened(self, event: AlertEvent) -> None:
        """Take in a change of an alert."""
        self._note(happening_of(event))

    def configured(self, generation: int, at_ms: int) -> None:
        """Take in that a configuration came into use."""
        self._note(Happening(at_ms, "configuration", "in use", generation=generation))

    def _note(self, one: Happening) -> None:
        self._events.setdefault(one)  # after a restart what still fires is told again
        if len(self._events) > EVENTS:
            del self._events[next(iter(self._events))]
        self._changed = True

    def delayed(self, curves: Mapping[str, tuple[DelayPoint, ...]]) -> None:
        """How long labels take by model, in place of what was known before."""
        self._delays, self._changed = dict(curves), True

    def spreads(self, view: WindowView) -> bool:
        """Whether the distributions of this input window are wanted: its series has a place, and those known are of another
        revision or window."""
        slot = (view.key.series, view.key.window, view.kind)
        kept = self._spread.get(slot)
        return slot in self._windows and (kept is None or (kept.key, kept.revision) != (view.key, view.revision))

    def spread(self, view: WindowView, found: Sequence[Distribution]) -> None:
        """Keep the distributions of a window, in place of those of the one before, and of series that ended before it. Those
        that find no room are counted; they are not asked for again until the window changes."""
        slot = (view.key.series, view.key.window, view.kind)
        others = {own: kept for own, kept in self._spread.items() if own != slot}
        room = SPREAD - sum(len(kept.found) for kept in others.values())
        for own in sorted(others, key=lambda one: (others[one].key.end_ms, one)):
            if room >= len(found) or others[own].key.end_ms >= view.key.end_ms:
                break
            room += len(others[own].found)
            del self._spread[own]
        self._spread[slot] = _Spread(view.key, view.revision, tuple(found[:room]), len(found[room:]))
        self._changed = True

    def past(self) -> Past:
        """What was collected so far."""
        if self._changed:
            for slot in self._windows:
                self._shorten(slot)
            slots = sorted(self._windows)
            self._past = Past(
                tuple(held[start] for slot in slots for held in [self._windows[slot]] for start in sorted(held)),
                tuple(sorted(self._events, key=lambda one: one.at_ms)),
                tuple(VersionSpan(*name, *span) for name, span in sorted(self._versions.items())),
                tuple(one for slot in sorted(self._spread) for one in self._spread[slot].found),
                self._delays,
                len(self._left_out),
                sum(kept.cut for kept in self._spread.values()),
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
