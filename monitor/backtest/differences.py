"""Two backtests over the same records, or two versions of a model in one: which alerts and which final windows differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from monitor.backtest.episodes import Episode
from monitor.config.suggest import hint, listing
from monitor.errors import MonitorError

_NOT_COMPARED = ("config", "reference")
"""Digests of a window that say how it was configured, not what it counted."""


class VersionError(MonitorError):
    """A version that answered none of the records."""


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
    with another value, and by metric how many, and in how many of them the second has the larger or the smaller value."""

    only_first: tuple[Episode, ...]
    only_second: tuple[Episode, ...]
    moved: tuple[Moved, ...]
    same: int
    windows: int
    windows_only_first: int
    windows_only_second: int
    windows_changed: int
    changed_metrics: dict[str, int]
    higher_metrics: dict[str, int]
    lower_metrics: dict[str, int]


def differences(
    first: Sequence[Episode],
    second: Sequence[Episode],
    first_windows: Iterable[Mapping[str, Any]],
    second_windows: Iterable[Mapping[str, Any]],
    *,
    versions: bool = False,
) -> Differences:
    """Compare two runs. Alerts of one rule and series that overlap in time are the same alert, moved when they did not fire at
    the same tick; windows are compared by what they say (metrics, counts), not by which configuration said it. `versions`:
    the first are of one version of the models and the second of another, whose names are not compared, nor how many records
    either answered: of their windows only the values of metrics are."""
    left, right, moved, same = list(first), [], [], 0
    for alert in second:
        other = next((a for a in left if _series(a, versions) == _series(alert, versions) and _overlap(a, alert)), None)
        if other is None:
            right.append(alert)
            continue
        left.remove(other)
        if other.fired_ms == alert.fired_ms:
            same += 1
        else:
            moved.append(Moved(first=other, second=alert))
    ours, theirs = ({_name(w, versions): w for w in windows} for windows in (first_windows, second_windows))
    both = ours.keys() & theirs.keys()
    metrics, higher, lower = Counter[str](), Counter[str](), Counter[str]()
    changed = 0
    for key in both:
        names = _changed(ours[key], theirs[key], versions)
        changed += bool(names)
        metrics.update(names)
        for name in names:
            was, now = (_value(windows[key], name) for windows in (ours, theirs))
            if was is not None and now is not None and was != now:
                (higher if now > was else lower)[name] += 1
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
        higher_metrics=dict(sorted(higher.items())),
        lower_metrics=dict(sorted(lower.items())),
    )


def of_version(
    version: str, alerts: Iterable[Episode], windows: Iterable[Mapping[str, Any]]
) -> tuple[list[Episode], list[Mapping[str, Any]]]:
    """The alerts and windows of one version of the models. Alerts about traffic are of all versions, so of none. Raises
    VersionError where there is no window of it."""
    own, met = [], dict[tuple[str, str], None]()
    for window in windows:
        met[window["model"], window["version"]] = None
        if window["version"] == version:
            own.append(window)
    if not own:
        names = [f"{model}/{known}" for model, known in met]
        raise VersionError(
            f"no final window is of version {version!r}{hint(version, [known for _, known in met])}; there are: "
            f"{listing(names)}"
        )
    return [alert for alert in alerts if alert.version == version], own


def _series(alert: Episode, versions: bool) -> tuple[str, ...]:
    rule, model, version, segment = alert.series
    return (rule, model, segment) if versions else (rule, model, version, segment)


def _overlap(one: Episode, other: Episode) -> bool:
    if one.fired_ms == other.fired_ms:
        return True
    early, late = sorted((one, other), key=lambda episode: episode.fired_ms)
    return early.resolved_ms is None or late.fired_ms <= early.resolved_ms


def _name(window: Mapping[str, Any], versions: bool) -> tuple[Any, ...]:
    parts = ("model", "segment", "window", "kind", "start_ms")
    return tuple(window[part] for part in (parts if versions else ("version", *parts)))


def _value(window: Mapping[str, Any], metric: str) -> float | None:
    found: float | None = window["metrics"].get(metric, {}).get("value")
    return found


def _changed(one: Mapping[str, Any], other: Mapping[str, Any], versions: bool) -> list[str]:
    """Names of the metrics that differ; `counts` when only the rest of the window does. Two versions always differ in that,
    so of them it says nothing."""
    every = sorted(one["metrics"].keys() | other["metrics"].keys())
    if versions:
        return [name for name in every if _value(one, name) != _value(other, name)]
    names = [name for name in every if one["metrics"].get(name) != other["metrics"].get(name)]
    left, right = ({k: v for k, v in w.items() if k not in (*_NOT_COMPARED, "metrics")} for w in (one, other))
    return names or (["counts"] if left != right else [])
