"""Two backtests over the same records: which alerts and which final windows differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from monitor.backtest.episodes import Episode

_NOT_COMPARED = ("config", "reference")
"""Digests of a window that say how it was configured, not what it counted."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that both told, at other times."""

    first: Episode
    second: Episode

    @property
    def later_ms(self) -> int:
        """How much later the second fired; negative: earlier."""
        return self.second.fired_ms - self.first.fired_ms


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that only one has, alerts that fired at other times, and windows: how many are compared, only in one, or
    with another value, and by metric how many."""

    only_first: tuple[Episode, ...]
    only_second: tuple[Episode, ...]
    moved: tuple[Moved, ...]
    same: int
    windows: int
    windows_only_first: int
    windows_only_second: int
    windows_changed: int
    changed_metrics: dict[str, int]


def differences(
    first: Sequence[Episode],
    second: Sequence[Episode],
    first_windows: Iterable[Mapping[str, Any]],
    second_windows: Iterable[Mapping[str, Any]],
) -> Differences:
    """Compare two runs. Alerts of one rule and series that overlap in time are the same alert, moved when they did not fire at
    the same tick; windows are compared by what they say (metrics, counts), not by which configuration said it."""
    left, right, moved, same = list(first), [], [], 0
    for alert in second:
        other = next((a for a in left if a.series == alert.series and _overlap(a, alert)), None)
        if other is None:
            right.append(alert)
            continue
        left.remove(other)
        if other.fired_ms == alert.fired_ms:
            same += 1
        else:
            moved.append(Moved(first=other, second=alert))
    ours, theirs = ({_name(w): w for w in windows} for windows in (first_windows, second_windows))
    both = ours.keys() & theirs.keys()
    metrics: dict[str, int] = {}
    changed = 0
    for key in both:
        names = _changed(ours[key], theirs[key])
        changed += bool(names)
        for name in names:
            metrics[name] = metrics.get(name, 0) + 1
    return Differences(
        only_first=tuple(left),
        only_second=tuple(right),
        moved=tuple(moved),
        same=same,
        windows=len(both),
        windows_only_first=len(ours) - len(both),
        windows_only_second=len(theirs) - len(both),
        windows_changed=changed,
        changed_metrics=dict(sorted(metrics.items())),
    )


def _overlap(one: Episode, other: Episode) -> bool:
    if one.fired_ms == other.fired_ms:
        return True
    early, late = sorted((one, other), key=lambda episode: episode.fired_ms)
    return early.resolved_ms is None or late.fired_ms <= early.resolved_ms


def _name(window: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(window[part] for part in ("model", "version", "segment", "window", "kind", "start_ms"))


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the metrics that differ; `counts` when only the rest of the window does."""
    names = sorted(
        name
        for name in one["metrics"].keys() | other["metrics"].keys()
        if one["metrics"].get(name) != other["metrics"].get(name)
    )
    left, right = ({k: v for k, v in w.items() if k not in (*_NOT_COMPARED, "metrics")} for w in (one, other))
    return names or (["counts"] if left != right else [])
