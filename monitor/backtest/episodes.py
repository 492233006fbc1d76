"""The alerts of a replay as episodes: fired, amended, resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from monitor.alerts.event import Reason


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One alert from firing to its end. Times are event time, ms.

    `model`, `version` and `segment` are empty for alerts about traffic, whose `rule` is their condition. `value` is
    what was judged when it fired, in a window that ended at `window_end_ms` (None: it was not about a window); `amended`
    counts what was taken back or stated more exactly later.
    """

    rule: str
    severity: str
    model: str
    version: str
    segment: str
    fired_ms: int
    since_ms: int
    resolved_ms: int | None
    reason: str | None
    """Why it was resolved."""
    metric: str | None
    value: float | None
    threshold: float | None
    amended: int
    summary: str
    episode: str
    window_end_ms: int | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether labels that came later, or were corrected, took it back."""
        return self.reason == Reason.LATE_TRUTH

    @property
    def series(self) -> tuple[str, str, str, str]:
        """What it is about: two runs told the same if series and time are equal."""
        return self.rule, self.model, self.version, self.segment


def episodes(events: Iterable[Mapping[str, Any]]) -> list[Episode]:
    """Episodes in the order in which they fired, of CloudEvents as they are published, in any order, each id once or more.

    An episode whose firing is not among the events (it fired before the range) is made of the first event that is.
    """
    by_id = {event["id"]: event for event in events}
    told: dict[str, list[Mapping[str, Any]]] = {}
    for event in sorted(by_id.values(), key=lambda e: (e["data"]["tick_ms"], e["type"], e["id"])):
        told.setdefault(event["data"]["episode"], []).append(event)
    found = [_episode(name, parts) for name, parts in told.items()]
    return sorted(found, key=lambda e: (e.fired_ms, e.series, e.episode))


def _episode(name: str, events: list[Mapping[str, Any]]) -> Episode:
    first = next((e for e in events if ".firing." in e["type"]), events[0])["data"]
    ended = next((e["data"] for e in reversed(events) if ".resolved." in e["type"]), None)
    evidence = first.get("evidence") or {}
    traffic = first["category"] == "operational"
    model = str(first["scope"]).removeprefix("model/") if traffic else first["model"]
    return Episode(
        rule=first["condition"] if traffic else first["rule"],
        severity=first["severity"],
        model=model,
        version="" if traffic else first["version"],
        segment="" if traffic else first["segment"],
        fired_ms=first["fired_ms"],
        since_ms=first.get("since_ms", first["fired_ms"]),
        resolved_ms=ended["resolved_ms"] if ended else None,
        reason=ended["reason"] if ended else None,
        metric=evidence.get("metric"),
        value=evidence.get("value"),
        threshold=evidence.get("threshold"),
        amended=sum(".amended." in e["type"] for e in events),
        summary=first["summary"],
        episode=name,
        window_end_ms=(evidence.get("window") or {}).get("end_ms"),
    )
