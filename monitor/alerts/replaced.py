"""Alerts about versions that another version has replaced: they end, for nothing can be said about such a version any more.

A version without predictions has no newer window, so no rule could find it recovered. It counts as replaced when another
version of the model has a whole mature window, of the same rule and segment, in which the first had no prediction. A canary
beside it, or a pause of all versions, replaces nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from monitor.alerts.state import AlertKey, Entry, Phase
from monitor.windows.view import WindowView


def replaced(
    entries: Mapping[AlertKey, Entry],
    judged: Iterable[tuple[AlertKey, WindowView]],
    newest_with_rows: Callable[[AlertKey], WindowView | None],
) -> Iterator[AlertKey]:
    """Open alerts that end, in the order of their keys. `judged`: the mature windows of this tick's decisions."""
    newest: dict[tuple[str, str, str], dict[str, int]] = {}
    for key, view in judged:
        starts = newest.setdefault(_watched(key), {})
        starts[key.series.version] = max(view.key.start_ms, starts.get(key.series.version, view.key.start_ms))
    if not newest:
        return
    for key, entry in sorted(entries.items(), key=lambda item: item[0]):
        if entry.phase is Phase.INACTIVE:
            continue
        others = [start for version, start in newest.get(_watched(key), {}).items() if version != key.series.version]
        if not others:
            continue
        last = newest_with_rows(key)
        if last is None or last.key.start_ms < max(others):
            yield key


def _watched(key: AlertKey) -> tuple[str, str, str]:
    return key.rule, key.series.model, key.series.segment
