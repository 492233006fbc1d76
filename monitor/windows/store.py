"""The windows in memory: for each model and kind one matrix of cells, a row per (version, segment, window).

Rows are sums of exact integers, so it does not matter in which order ticks, partitions or commits reached them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.config.windows import Window
from monitor.events import Int64s
from monitor.groups import Group
from monitor.sketches.cells import CellLayout, Cells, checked
from monitor.windows.spans import spans_of
from monitor.windows.view import SeriesKey, WindowKey


@dataclass(frozen=True, slots=True)
class Entry:
    """What one commit adds to one (group, pane) in one tick: ascending cells and their amounts."""

    group: Group
    pane_ms: int
    cells: Int64s
    amounts: Int64s


class WindowStore:
    """The live windows of one model and one kind of vector."""

    def __init__(self, layout: CellLayout, windows: Sequence[Window]) -> None:
        self.layout = layout
        self._windows = windows
        self._cells: Int64s = np.zeros((16, layout.size), np.int64)
        self._rows: dict[WindowKey, int] = {}
        self._free: list[int] = list(range(15, -1, -1))
        self._spans: dict[int, list[tuple[str, int, int]]] = {}
        self.revisions: dict[WindowKey, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self) -> Iterable[WindowKey]:
        """Every live window."""
        return self._rows.keys()

    def apply(self, entries: Sequence[Entry]) -> set[WindowKey]:
        """Add contributions to every window they belong to; returns the windows touched."""
        touched: set[WindowKey] = set()
        flat: list[Int64s] = []
        amounts: list[Int64s] = []
        for entry in _net(entries):
            for key in self._keys(entry):
                touched.add(key)
                flat.append(self._row(key) * self.layout.size + entry.cells)
                amounts.append(entry.amounts)
        if flat:
            np.add.at(self._cells.reshape(-1), np.concatenate(flat), np.concatenate(amounts))
        return touched

    def _keys(self, entry: Entry) -> Iterator[WindowKey]:
        group = entry.group
        spans = self._spans.get(entry.pane_ms)
        if spans is None:
            spans = [(w.name, start, end) for w in self._windows for start, end in spans_of(w, entry.pane_ms)]
            self._spans[entry.pane_ms] = spans
        for segment in group.series():
            series = SeriesKey(group.model, group.version, segment)
            for name, start, end in spans:
                yield WindowKey(series, name, start, end)

    def _row(self, key: WindowKey) -> int:
        row = self._rows.get(key)
        if row is None:
            if not self._free:
                size = len(self._cells)
                grown = np.zeros((size + size // 2, self.layout.size), np.int64)
                grown[:size] = self._cells
                self._cells = grown
                self._free = list(range(len(grown) - 1, size - 1, -1))
            row = self._rows[key] = self._free.pop()
        return row

    def read(self, keys: Sequence[WindowKey]) -> Cells:
        """The cells of windows, one row each. Raises OverflowError when a sum left its limit."""
        rows = np.array([self._rows[key] for key in keys], np.int64)
        return checked(Cells(self.layout, self._cells[rows].reshape(len(keys), self.layout.size)))

    def holds(self, key: WindowKey) -> bool:
        """Whether the window is live."""
        return key in self._rows

    def drop(self, keys: Iterable[WindowKey]) -> None:
        """Forget windows that are final."""
        for key in keys:
            row = self._rows.pop(key)
            self._cells[row] = 0
            self._free.append(row)
            self.revisions.pop(key, None)
        if len(self._spans) > 4096:
            self._spans.clear()


def _net(entries: Sequence[Entry]) -> list[Entry]:
    """One entry per (group, pane), without what cancels: added in one commit and taken back in another must look like
    never added, or the cuts between commits could be seen."""
    together: dict[tuple[Group, int], list[Entry]] = {}
    for entry in entries:
        together.setdefault((entry.group, entry.pane_ms), []).append(entry)
    return [whole for same in together.values() if len((whole := _sum(same)).cells)]


def _sum(entries: list[Entry]) -> Entry:
    if len(entries) == 1:
        return entries[0]
    cells, place = np.unique(np.concatenate([e.cells for e in entries]), return_inverse=True)
    sums = np.zeros(len(cells), np.int64)
    np.add.at(sums, place, np.concatenate([e.amounts for e in entries]))
    kept = np.flatnonzero(sums)
    return Entry(entries[0].group, entries[0].pane_ms, cells[kept], sums[kept])
