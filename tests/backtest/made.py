"""Alerts as they are published, by hand."""

from __future__ import annotations

from typing import Any

from monitor.backtest.episodes import Episode

HOUR = 3_600_000


def episode(fired_ms: int, **changed: Any) -> Episode:
    """A page about model `m`, open for an hour."""
    made: dict[str, Any] = {
        "rule": "low", "severity": "page", "model": "m", "version": "1", "segment": "all", "fired_ms": fired_ms,
        "since_ms": fired_ms, "resolved_ms": fired_ms + HOUR, "reason": "recovered", "metric": "recall", "value": 0.4,
        "threshold": 0.5, "amended": 0, "summary": "", "episode": f"e{fired_ms}",
    }  # fmt: skip
    return Episode(**{**made, **changed})


def event(change: str, tick_ms: int, episode: str = "e", **changed: Any) -> dict[str, Any]:
    """A CloudEvent of a rule."""
    data = {
        "category": "rule", "episode": episode, "rule": "low", "model": "m", "version": "1", "segment": "all",
        "severity": "page", "tick_ms": tick_ms, "since_ms": 10, "fired_ms": 20, "resolved_ms": None, "reason": "sustained",
        "summary": "recall is low", "evidence": {"metric": "recall", "value": 0.4, "threshold": 0.5},
    }  # fmt: skip
    type_ = f"io.driftline.alert.{change}.v1"
    return {"id": f"{episode}{change}{tick_ms}", "type": type_, "data": {**data, **changed}}


def window(value: float | None, start_ms: int = 0, rows: int = 100, **changed: Any) -> dict[str, Any]:
    """A final window of one day."""
    made = {
        "model": "m", "version": "1", "segment": "all", "window": "day", "kind": "performance", "start_ms": start_ms,
        "seen": 10, "metrics": {"recall": {"value": value, "rows": rows}}, "config": "a", "reference": None,
    }  # fmt: skip
    return {**made, **changed}
