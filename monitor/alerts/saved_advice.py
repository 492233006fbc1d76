"""Advisories, saved and restored between two ticks: the values their detectors were fed, and what fires.

Equal states give equal bytes. A detector is restored by feeding it again (`monitor.drift.advisor`).
"""

from __future__ import annotations

import msgspec

from monitor.alerts.advice import AdviceWatch, Fed, Seen
from monitor.alerts.event import CitedWindow
from monitor.drift.advisor import Advisor
from monitor.windows.view import Kind, SeriesKey


class SavedSeen(msgspec.Struct, frozen=True):
    """`Seen`. `window`: name, kind, start, end, revision, final."""

    window: tuple[str, str, int, int, int, bool]
    value: float
    rows: int
    values: int
    mean: float | None
    config: str
    reference: str | None
    fired_ms: int
    last_ms: int
    changes: int


class SavedFed(msgspec.Struct, frozen=True):
    """`Fed`, with whose it is."""

    advisory: str
    model: str
    version: str
    segment: str
    values: tuple[float, ...]
    start_ms: int
    open: SavedSeen | None


def save_advice(watch: AdviceWatch) -> tuple[SavedFed, ...]:
    """What every advisory holds."""
    return tuple(
        SavedFed(
            name,
            *(series.model, series.version, series.segment),
            tuple(own.advisor.values),
            own.start_ms,
            None if own.open is None else _save_seen(own.open),
        )
        for name, known in sorted(watch._fed.items())
        for series, own in sorted(known.items())
    )


def restore_advice(watch: AdviceWatch, saved: tuple[SavedFed, ...]) -> None:
    """Make a new watch what another was; its advisories are in use already. Raises ValueError for one that it has not."""
    asked = {one.advisory.name: one.advisory for one in watch._asked}
    for one in saved:
        if one.advisory not in asked:
            raise ValueError(f"it has the advisory {one.advisory!r}, which the configuration has not")
        advisory = asked[one.advisory]
        fed = Fed(Advisor(advisory.detector, advisory.options, one.values), one.start_ms)
        fed.open = None if one.open is None else _read_seen(one.open)
        watch._fed.setdefault(one.advisory, {})[SeriesKey(one.model, one.version, one.segment)] = fed


_SAME = tuple(name for name in SavedSeen.__struct_fields__ if name != "window")


def _save_seen(seen: Seen) -> SavedSeen:
    window = seen.window
    told = window.name, str(window.kind), window.start_ms, window.end_ms, window.revision, window.final
    return SavedSeen(told, *(getattr(seen, name) for name in _SAME))


def _read_seen(saved: SavedSeen) -> Seen:
    name, kind, start_ms, end_ms, revision, final = saved.window
    window = CitedWindow(name=name, kind=Kind(kind), start_ms=start_ms, end_ms=end_ms, revision=revision, final=final)
    return Seen(window, *(getattr(saved, field) for field in _SAME))
