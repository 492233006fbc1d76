"""Advisories at work: detectors of river, each fed with the windows of every series it is about.

A window is fed once: in the order of windows, as it is at the first tick at which it is mature (as rules mean it). One that
becomes mature after a newer one was fed is left out, and what late labels change in one that was fed is not taken back.
A change begins an alert, or goes on with one that fires; it resolves when, at a tick at which the advisory takes a value of
the model, `quiet` went by without another change. State is a fold of the closed ticks of each kind, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Protocol

from monitor.alerts.cloudevents import cited, enveloped
from monitor.alerts.event import AdvisoryAlert, AlertEvent, Change, CitedWindow, Reason, Standing, rfc3339
from monitor.alerts.fingerprint import advisory_fingerprint, event_id
from monitor.alerts.rules import applies, can_be_held, kind_of, mature, measure
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.config.advisories import Advisory
from monitor.config.rules import Rule
from monitor.drift.advisor import Advisor
from monitor.windows.canonical import rounded
from monitor.windows.view import Kind, SeriesKey, WindowView

VERSIONS_MAX: Final = 8
"""Versions of a model and segment whose values an advisory holds: with the newest windows. The others begin again."""

LabelsOf = Callable[[str], Mapping[str, str]]
Maintained = Callable[[str, int, int], bool]


class Windows(Protocol):
    """The windows that are held at the end of a tick."""

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        """Those of a series and configured name, by start."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that fires: the value at which the first change was seen, when that was, and when the last one was."""

    window: CitedWindow
    value: float
    rows: int
    values: int
    mean: float | None
    config: str
    reference: str | None
    fired_ms: int
    last_ms: int
    changes: int = 1


@dataclass(slots=True)
class Fed:
    """One series of an advisory. `start_ms`: that of the last window it was fed."""

    advisor: Advisor
    start_ms: int
    open: Seen | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A change that begins an alert: what the detector held before the value, for who works it out again."""

    advisory: Advisory
    series: SeriesKey
    values: tuple[float, ...]


@dataclass(frozen=True)
class Asked:
    """An advisory, and what it asks of windows."""

    advisory: Advisory

    @cached_property
    def rule(self) -> Rule:
        """The same as a rule."""
        return self.advisory.as_rule()

    @cached_property
    def kind(self) -> Kind:
        """The kind of its windows."""
        return kind_of(self.advisory.metric)


class AdviceWatch:
    """All advisories of a deployment. Mutable; a function of the ticks it was given."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._asked: tuple[Asked, ...] = ()
        self._labels_of: LabelsOf = lambda _: {}
        self._maintained: Maintained = lambda *_: False
        self._fed: dict[str, dict[SeriesKey, Fed]] = {}
        self.begun: list[Begun] = []
        """Changes that began an alert in the last tick."""

    @property
    def asks(self) -> bool:
        """Whether any detector is asked."""
        return bool(self._asked)

    def use(
        self, advisories: Sequence[Advisory], labels_of: LabelsOf, maintained: Maintained, tick_ms: int
    ) -> list[AlertEvent]:
        """Go on with other advisories. Those that ask the same go on with what they hold; of the others alerts end."""
        before = self._asked
        fed = {one.fed for one in advisories}
        told: list[AlertEvent] = []
        for asked in before:
            if asked.advisory.fed not in fed:
                for series, own in sorted(self._fed.pop(asked.advisory.name, {}).items()):
                    told += self._end(asked.advisory, series, own, Reason.RULE_GONE, tick_ms)
        self._asked = tuple(Asked(one) for one in sorted(advisories, key=lambda one: one.name))
        self._labels_of, self._maintained = labels_of, maintained
        return told

    def forget(self, knows: Callable[[str], bool], tick_ms: int) -> list[AlertEvent]:
        """Models were taken out: what fires about them ends, and what their detectors hold goes."""
        told: list[AlertEvent] = []
        for asked in self._asked:
            fed = self._fed.get(asked.advisory.name, {})
            for series in sorted(series for series in fed if not knows(series.model)):
                told += self._end(asked.advisory, series, fed.pop(series), Reason.RULE_GONE, tick_ms)
        return told

    def step(
        self,
        kind: Kind,
        tick_ms: int,
        touched: Iterable[SeriesKey],
        windows: Windows,
        outage_of: Callable[[str], Outage] = lambda _: NO_OUTAGE,
    ) -> list[AlertEvent]:
        """A tick of a kind closed, in which these series had rows or windows of theirs changed or ended. Events are in order
        of advisory and series."""
        self.begun = []
        asked = [one for one in self._asked if one.kind is kind]
        told: list[AlertEvent] = []
        for one in asked:
            taken = False
            for series in sorted(touched):
                if applies(one.rule, series):
                    taken |= self._feed(one, series, tick_ms, windows, outage_of, told)
            if taken:
                told += self._quiet(one.advisory, tick_ms)
        return told

    def _feed(
        self,
        one: Asked,
        series: SeriesKey,
        tick_ms: int,
        windows: Windows,
        outage_of: Callable[[str], Outage],
        told: list[AlertEvent],
    ) -> bool:
        """Feed the windows of a series that have become mature; whether there were any."""
        outage = outage_of(series.model) if can_be_held(one.rule) else NO_OUTAGE
        if outage.holding:
            return False
        known = self._fed.setdefault(one.advisory.name, {})
        own, last_ms = known.get(series), known[series].start_ms if series in known else None
        held = windows.held(series, one.advisory.window, one.kind)
        ready = [
            view
            for start, view in sorted(held.items())
            if (last_ms is None or start > last_ms)
            and mature(one.rule, tick_ms, view, outage)
            and not self._maintained(series.model, view.key.start_ms, view.key.end_ms)
        ]
        for view in ready:
            if own is None:
                own = known[series] = Fed(Advisor(one.advisory.detector, one.advisory.options), view.key.start_ms)
                told += self._make_room(one.advisory, known, series, tick_ms)
            own.start_ms = view.key.start_ms
            told += self._take(one.advisory, series, own, view, tick_ms)
        return bool(ready)

    def _take(
        self, advisory: Advisory, series: SeriesKey, own: Fed, view: WindowView, tick_ms: int
    ) -> list[AlertEvent]:
        estimate = measure(view, advisory.metric)
        assert estimate.value is not None, "a mature window has a value"
        value = rounded(estimate.value)
        before, mean = tuple(own.advisor.values), own.advisor.mean
        if not own.advisor.update(value):
            return []
        if own.open is not None:
            own.open = replace(own.open, last_ms=tick_ms, changes=own.open.changes + 1)
            return []
        own.open = Seen(
            cited(view),
            value,
            estimate.rows,
            len(before),
            rounded(mean) if before else None,
            view.config_digest,
            view.reference_digest,
            tick_ms,
            tick_ms,
        )
        self.begun.append(Begun(advisory, series, before))
        return [self._event(advisory, series, own.open, Reason.CHANGED, tick_ms, Standing.FIRING)]

    def _quiet(self, advisory: Advisory, tick_ms: int) -> list[AlertEvent]:
        """End what fires and saw no change for long enough."""
        told = []
        for series, own in sorted(self._fed[advisory.name].items()):
            if own.open is not None and tick_ms - own.open.last_ms >= max(advisory.quiet_ms, 1):
                told += self._end(advisory, series, own, Reason.QUIET, tick_ms)
        return told

    def _make_room(
        self, advisory: Advisory, known: dict[SeriesKey, Fed], new: SeriesKey, tick_ms: int
    ) -> list[AlertEvent]:
        """Forget the version of a model and segment with the oldest windows, where there are too many."""
        alike = [s for s in known if (s.model, s.segment) == (new.model, new.segment)]
        if len(alike) <= VERSIONS_MAX:
            return []
        oldest = min((s for s in alike if s != new), key=lambda s: (known[s].start_ms, s))
        return self._end(advisory, oldest, known.pop(oldest), Reason.VERSION_REPLACED, tick_ms)

    def _end(self, advisory: Advisory, series: SeriesKey, own: Fed, reason: Reason, tick_ms: int) -> list[AlertEvent]:
        was, own.open = own.open, None
        return [] if was is None else [self._event(advisory, series, was, reason, tick_ms, Standing.RESOLVED)]

    def _event(
        self, advisory: Advisory, series: SeriesKey, seen: Seen, reason: Reason, tick_ms: int, standing: Standing
    ) -> AlertEvent:
        print_ = advisory_fingerprint(self._namespace, advisory.name, series)
        data = AdvisoryAlert(
            fingerprint=print_,
            episode=event_id(print_, seen.fired_ms, Change.FIRING),
            state=standing,
            latest=True,
            reason=reason,
            summary=_summary(advisory, series, seen, standing),
            severity=advisory.severity,
            labels={**self._labels_of(series.model), **advisory.labels},
            rule=advisory.name,
            model=series.model,
            version=series.version,
            segment=series.segment,
            tick_ms=tick_ms,
            fired_ms=seen.fired_ms,
            resolved_ms=None if standing is Standing.FIRING else tick_ms,
            changes=seen.changes,
            detector=advisory.detector,
            metric=advisory.metric,
            value=seen.value,
            rows=seen.rows,
            values=seen.values,
            mean=seen.mean,
            window=seen.window,
            config=seen.config,
            reference=seen.reference,
        )
        change = Change(standing)
        subject = (series.model, series.version, series.segment, advisory.name)
        return enveloped(self._namespace, event_id(print_, tick_ms, change), change, subject, tick_ms, data)


def _summary(advisory: Advisory, series: SeriesKey, seen: Seen, standing: Standing) -> str:
    whose = f"{advisory.name} {standing}: {series.model} {series.version}, segment {series.segment}"
    if standing is Standing.RESOLVED:
        return f"{whose}: {advisory.detector} saw no further change of {advisory.metric}"
    before = "" if seen.mean is None else f", after {seen.values} values of {seen.mean:.4g} on average"
    return (
        f"{whose}: {advisory.detector} says that {advisory.metric} changed: {seen.value:.4g} in window {seen.window.name} "
        f"from {rfc3339(seen.window.start_ms)}{before}. Advice: it keeps no promise about false alarms"
    )
