"""What is remembered of alerts between two ticks: a value, saved and restored at any tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from monitor.alerts.rules import Test
from monitor.windows.canonical import FormatError
from monitor.windows.view import Kind, SeriesKey, WindowKey

FORMAT: Final = 2
"""Newest version of the saved state. Readers accept this one and older ones and refuse newer ones. A state without a
cooldown is written as version 1, which knows none."""


class Phase(StrEnum):
    """Where the alert of one rule on one series stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True, order=True)
class AlertKey:
    """One rule on one series: what has at most one alert at a time."""

    rule: str
    series: SeriesKey


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its firing to its end. `id` is the id of the event that fired it; times are ends of ticks."""

    id: str
    since_ms: int  # when the rule began to break
    fired_ms: int
    resolved_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """What subscribers were told about a window, kept until the window is final so that it can be taken back.

    `value` is None where the last word was that it is undefined; then so is `broken`.
    """

    event: str  # id of the event that said it last
    episode: str
    window: WindowKey
    kind: Kind
    test: Test
    value: float | None
    broken: bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """The alert of one key. PENDING and FIRING have `since_ms`, and `judged`: the window that broke the rule at the
    newest tick that could tell. `episodes` are those that a citation belongs to, and the newest one while it fires."""

    phase: Phase = Phase.INACTIVE
    since_ms: int = 0
    held_ms: int = 0
    judged: WindowKey | None = None
    current: str | None = None  # id of the newest episode
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    citations: tuple[Citation, ...] = ()
    cool_until_ms: int = 0  # it does not fire before the tick that ends then

    @property
    def forgettable(self) -> bool:
        """Nothing open, nothing said that could still be amended, and no cooldown."""
        return self.phase is Phase.INACTIVE and not self.citations and not self.cool_until_ms


def warmed(entry: Entry, tick_ms: int) -> Entry:
    """The entry without a cooldown that is over at this tick."""
    return replace(entry, cool_until_ms=0) if 0 < entry.cool_until_ms <= tick_ms else entry


@dataclass(frozen=True, slots=True)
class AlertState:
    """Everything the rules remember. Never changed in place: a step returns another one."""

    entries: Mapping[AlertKey, Entry] = field(default_factory=dict)

    def open(self) -> Iterator[tuple[AlertKey, Entry]]:
        """Pending and firing alerts, in the order of their keys."""
        return (
            (key, entry) for key, entry in sorted(self.entries.items(), key=_first) if entry.phase is not Phase.INACTIVE
        )

    def to_document(self) -> dict[str, Any]:
        """JSON-able and the same for equal states, whatever the order in which they came about."""
        entries = [[*_key(key), _entry(entry)] for key, entry in sorted(self.entries.items(), key=_first)]
        cooling = any(entry.cool_until_ms for entry in self.entries.values())
        return {"format": FORMAT if cooling else 1, "entries": entries}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> AlertState:
        """The inverse of `to_document`. Raises FormatError for a newer format."""
        if document["format"] > FORMAT:
            why = f"its format is {document['format']}, this code reads up to {FORMAT}"
            raise FormatError("the saved state of the alerts", why, "Upgrade driftline, or rebuild from the ledger.")
        return cls(
            {AlertKey(rule, SeriesKey(*series)): _read_entry(entry) for rule, series, entry in document["entries"]}
        )


def _first(item: tuple[AlertKey, Entry]) -> AlertKey:
    return item[0]


def _key(key: AlertKey) -> list[Any]:
    return [key.rule, [key.series.model, key.series.version, key.series.segment]]


def _window(key: WindowKey | None) -> list[Any] | None:
    if key is None:
        return None
    return [key.series.model, key.series.version, key.series.segment, key.window, key.start_ms, key.end_ms]


def _read_window(document: list[Any]) -> WindowKey:
    model, version, segment, window, start_ms, end_ms = document
    return WindowKey(SeriesKey(model, version, segment), window, start_ms, end_ms)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "phase": str(entry.phase),
        "since_ms": entry.since_ms,
        "held_ms": entry.held_ms,
        "judged": _window(entry.judged),
        "current": entry.current,
        "episodes": [[e.id, e.since_ms, e.fired_ms, e.resolved_ms] for _, e in sorted(entry.episodes.items())],
        "citations": [
            {
                "event": c.event,
                "episode": c.episode,
                "window": _window(c.window),
                "kind": str(c.kind),
                "test": [c.test.metric, c.test.op, c.test.threshold],
                "value": c.value,
                "broken": c.broken,
            }
            for c in entry.citations
        ],
        **({"cool_until_ms": entry.cool_until_ms} if entry.cool_until_ms else {}),
    }


def _read_entry(document: Mapping[str, Any]) -> Entry:
    return Entry(
        phase=Phase(document["phase"]),
        since_ms=document["since_ms"],
        held_ms=document["held_ms"],
        judged=None if document["judged"] is None else _read_window(document["judged"]),
        current=document["current"],
        episodes={fields[0]: Episode(*fields) for fields in document["episodes"]},
        citations=tuple(
            Citation(
                event=c["event"],
                episode=c["episode"],
                window=_read_window(c["window"]),
                kind=Kind(c["kind"]),
                test=Test(*c["test"]),
                value=c["value"],
                broken=c["broken"],
            )
            for c in document["citations"]
        ),
        cool_until_ms=document.get("cool_until_ms", 0),
    )
