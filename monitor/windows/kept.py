"""The sums of final windows that rules can still read, where somebody asks for sums.

A window may be judged when it is final: it became so in the tick that brought its rows, or a rule waited out its `for`. Sums are
kept packed, as many windows of a series as its shelf holds, and are a part of what a checkpoint saves: what an alert says of
bins does not depend on a restart.
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.events import Int64s
from monitor.ledger.records import pack, unpack
from monitor.windows.view import SeriesKey, WindowKey

SavedSums = tuple[tuple[tuple[str, str, str], str, int, bytes], ...]
"""Series, window name, start and packed sums, ascending."""
_Key = tuple[SeriesKey, str, int]


class FinalSums:
    """By series, window name and start."""

    def __init__(self) -> None:
        self._packed: dict[_Key, bytes] = {}

    def keep(self, key: WindowKey, cells: Int64s) -> None:
        """The sums of a window that became final."""
        self._packed[_of(key)] = pack(cells)

    def get(self, key: WindowKey) -> Int64s | None:
        """The sums of a window, if they are kept."""
        packed = self._packed.get(_of(key))
        return None if packed is None else unpack(packed)

    def forget(self, series: SeriesKey, window: str, starts: Iterable[int]) -> None:
        """Windows that no rule can read any more."""
        for start in starts:
            self._packed.pop((series, window, start), None)

    def clear(self) -> None:
        """Nobody asks for sums any more."""
        self._packed.clear()

    def save(self) -> SavedSums:
        """As a checkpoint has them."""
        return tuple(
            ((series.model, series.version, series.segment), window, start, packed)
            for (series, window, start), packed in sorted(self._packed.items())
        )

    def restore(self, saved: SavedSums) -> None:
        """Make it what another was."""
        self._packed = {(SeriesKey(*series), window, start): packed for series, window, start, packed in saved}


def _of(key: WindowKey) -> _Key:
    return key.series, key.window, key.start_ms
