"""Which windows are looked at: of each series, window name and kind one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitor.windows.over import OVER_KEPT, too_many
from monitor.windows.view import Kind, SeriesKey, WindowView


class Newest:
    """The window to look at of each (series, window name, kind), out of the revisions that are published.

    That is, of the windows still open at the newest tick, the one that ends next: of tumbling windows the current one,
    of `24h/1h` the last 24 hours to within an hour, rather than the one that has just begun. Where none is open (a
    version that stopped, the end of input) it is the one that ended last. Mutable; the daemon keeps one next to its
    evaluator, holding the open windows and one more per slot; of versions that are over the last OVER_KEPT of a model.
    """

    __slots__ = ("_held", "_tick_ms", "_versions")

    def __init__(self) -> None:
        self._held: dict[tuple[SeriesKey, str, Kind], dict[int, WindowView]] = {}
        self._tick_ms = dict.fromkeys(Kind, 0)
        self._versions = dict[
            str, set[str]
        ]()  # of each model: whether there is anything to forget is asked at every tick

    def add(self, views: Iterable[WindowView]) -> None:
        """Take in revisions, in any order."""
        touched, some_final = dict[tuple[SeriesKey, str, Kind], dict[int, WindowView]](), False
        for view in views:
            some_final = some_final or view.final
            slot = (series := view.key.series, view.key.window, view.kind)
            self._versions.setdefault(series.model, set()).add(series.version)
            held = touched[slot] = self._held.setdefault(slot, {})
            kept = held.get(view.key.start_ms)
            if kept is None or view.revision >= kept.revision:
                held[view.key.start_ms] = view
            self._tick_ms[view.kind] = max(self._tick_ms[view.kind], view.tick_ms)
        for (_, _, kind), held in touched.items():
            last = max(held)
            for start in [s for s, v in held.items() if s != last and v.key.end_ms <= self._tick_ms[kind]]:
                del held[start]
        if some_final and any(len(known) > OVER_KEPT for known in self._versions.values()):
            self._forget_over()

    def _forget_over(self) -> None:
        """Drop versions that are over, but for the last ones of each model."""
        newest = ((series, self._choose(kind, held)) for (series, _, kind), held in self._held.items())
        gone = too_many((series, not view.final, view.key.end_ms) for series, view in newest)
        for model, version in gone:
            self._versions[model].discard(version)
        if gone:
            self._held = {
                slot: held for slot, held in self._held.items() if (slot[0].model, slot[0].version) not in gone
            }

    def views(self) -> tuple[WindowView, ...]:
        """The windows to look at, by series, window name and kind."""
        return tuple(self._choose(slot[2], self._held[slot]) for slot in sorted(self._held))

    def _choose(self, kind: Kind, held: Mapping[int, WindowView]) -> WindowView:
        still_open = [start for start, view in held.items() if view.key.end_ms > self._tick_ms[kind]]
        return held[min(still_open)] if still_open else held[max(held)]
