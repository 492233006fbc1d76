"""The windows of all kinds, as those ask for them who judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.events import Int64s
from monitor.windows.crossed import Combination, Errors
from monitor.windows.engine import TickEngine
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView


@dataclass(frozen=True, slots=True)
class Lookup:
    """What rules may read of windows (`alerts.book.WindowLookup`), of both kinds; right while a tick is handed out."""

    engines: dict[Kind, TickEngine]

    def newest_mature(
        self, series: SeriesKey, window: str, kind: Kind, predicate: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """The newest view of a series for which `predicate` holds."""
        engine = self.engines.get(kind)
        return engine.newest_mature(series, window, predicate) if engine else None

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The same model and segment under every other version that ever had a window."""
        engine = self.engines.get(kind)
        return engine.other_versions(series) if engine else ()

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        """The windows of a series that are remembered, by start."""
        engine = self.engines.get(kind)
        return engine.held(series, window) if engine else {}

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The other segments of the same model and version that ever had a window."""
        engine = self.engines.get(kind)
        return engine.segments(series) if engine else ()

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        """The sums of a window that is not final, at the end of the tick that is handed out."""
        engine = self.engines.get(kind)
        return engine.cells(key) if engine else None

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        """What windows add up to, by combination of segments."""
        engine = self.engines.get(Kind.PERFORMANCE)
        return engine.crossed.total(series, window, starts) if engine else {}
