"""The windows of an evaluator, as rules and watches ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.config.windows import Window
from monitor.events import Int64s
from monitor.windows.crossed import Combination, Errors
from monitor.windows.engine import TickEngine
from monitor.windows.spans import spans_of
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView


def shortest(windows: Sequence[Window]) -> str:
    """The name of the shortest window that tiles time; of sliding ones, where there are no others."""

    def size(window: Window) -> tuple[bool, int]:
        start, end = next(spans_of(window, 0))
        return window.size_ms != window.slide_ms, end - start

    return min(windows, key=size).name


@dataclass(frozen=True, slots=True)
class Lookup:
    """Those of all kinds: a `book.WindowLookup`."""

    engines: Mapping[Kind, TickEngine]

    def newest_mature(
        self, series: SeriesKey, window: str, kind: Kind, predicate: Callable[[WindowView], bool]
    ) -> WindowView | None:
        """See there."""
        engine = self.engines.get(kind)
        return engine.newest_mature(series, window, predicate) if engine else None

    def other_versions(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """See there."""
        engine = self.engines.get(kind)
        return engine.other_versions(series) if engine else ()

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        """See there."""
        engine = self.engines.get(kind)
        return engine.held(series, window) if engine else {}

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """See there."""
        engine = self.engines.get(kind)
        return engine.segments(series) if engine else ()

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        """See there."""
        engine = self.engines.get(kind)
        return engine.cells(key) if engine else None

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        """See there."""
        engine = self.engines.get(Kind.PERFORMANCE)
        return engine.crossed.total(series, window, starts) if engine else {}
