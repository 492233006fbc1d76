"""Whether another version has replaced the one that a rule watches: then nothing new can be said about it.

A version without predictions has no newer window, so no rule could find it recovered. It counts as replaced when another
version of the model has a whole mature window, of the same rule and segment, in which the first had no prediction. A canary
beside it, or a pause of all versions, replaces nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nlargest
from typing import Protocol

from monitor.alerts.decision import Action, Decision
from monitor.alerts.event import Reason
from monitor.alerts.state import Entry, Phase
from monitor.config.rules import Rule
from monitor.windows.view import Kind, SeriesKey, WindowView


class Versions(Protocol):
    """The windows of all versions, as they are at the end of a tick."""

    def newest_mature(
        self, series: SeriesKey, window: str, kind: Kind, mature: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """The newest window of a series for which `mature` is true."""

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The same model and segment under every other version that ever had a window."""


class Replacements:
    """Which versions are replaced, at the end of one tick. What is looked up of all versions of a model is looked up once:
    if each of a thousand asked for the others, a million would be."""

    def __init__(self, windows: Versions, kind: Kind) -> None:
        self._windows, self._kind = windows, kind
        self._newest: dict[tuple[str, str, str], list[tuple[int, SeriesKey]]] = {}

    def replaced(self, rule: Rule, series: SeriesKey, mature: Callable[[WindowView], bool]) -> bool:
        """`mature`: whether the rule may judge a window of the model."""
        others = [start_ms for start_ms, own in self._newest_of(rule, series, mature) if own != series]
        if not others:
            return False
        own = self._windows.newest_mature(series, rule.window, self._kind, lambda view: view.seen > 0)
        return own is None or own.key.start_ms < others[0]

    def _newest_of(
        self, rule: Rule, series: SeriesKey, mature: Callable[[WindowView], bool]
    ) -> list[tuple[int, SeriesKey]]:
        """The two versions whose newest mature windows start last: one of them is another one."""
        key = (rule.name, series.model, series.segment)
        found = self._newest.get(key)
        if found is None:
            others = self._windows.other_versions(series, self._kind)
            newest = (
                (self._windows.newest_mature(one, rule.window, self._kind, mature), one) for one in (*others, series)
            )
            starts = ((view.key.start_ms, one) for view, one in newest if view is not None)
            found = self._newest[key] = nlargest(2, starts) if others else []
        return found


def end(entry: Entry) -> Decision:
    """What becomes of the alert about a version that is replaced: it ends, and none begins."""
    actions = {Phase.INACTIVE: Action.NOTHING, Phase.PENDING: Action.DROP, Phase.FIRING: Action.RESOLVE}
    return Decision(actions[entry.phase], Reason.VERSION_REPLACED)
