"""Whether another version has replaced the one that a rule watches: then nothing new can be said about it.

A version without predictions has no newer window, so no rule could find it recovered. It counts as replaced when another
version of the model has a whole mature window, of the same rule and segment, in which the first had no prediction. A canary
beside it, or a pause of all versions, replaces nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def is_replaced(
    rule: Rule, series: SeriesKey, kind: Kind, mature: Callable[[WindowView], bool], windows: Versions
) -> bool:
    """`mature`: whether the rule may judge a window."""
    others = windows.other_versions(series, kind)
    if not others:
        return False
    own = windows.newest_mature(series, rule.window, kind, lambda view: view.seen > 0)
    newest = (windows.newest_mature(other, rule.window, kind, mature) for other in others)
    return any(view is not None and (own is None or own.key.start_ms < view.key.start_ms) for view in newest)


def end(entry: Entry) -> Decision:
    """What becomes of the alert about a version that is replaced: it ends, and none begins."""
    actions = {Phase.INACTIVE: Action.NOTHING, Phase.PENDING: Action.DROP, Phase.FIRING: Action.RESOLVE}
    return Decision(actions[entry.phase], Reason.VERSION_REPLACED)
