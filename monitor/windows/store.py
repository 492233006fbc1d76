"""The windows in memory: for each model and kind one matrix of cells, a row per (version, segment, window).

Rows are sums of exact integers, so it does not matter in which order ticks, partitions or commits reached them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.events import Int64s
from monitor.groups import Group, model_of
from monitor.sketches.cells import CellLayout, Cells
from monitor.windows.pieces import Piece
from monitor.windows.schedule import Schedule
from monitor.windows.view import SeriesKey, WindowKey

_SPANS_KEPT = 4096


@dataclass(slots=True)
class Touched:
    """The windows that a tick changed, those of them that are new, and how many were final already and took nothing."""

    keys: set[WindowKey]
    new: list[WindowKey]
    unplaced: int = 0


class WindowStore:
    """The live windows of one sense of a model and one kind of vector."""

    def __init__(self, model: str, layout: CellLayout, schedule: Schedule) -> None:
        self.model, self.layout = model, layout
        self._windows = schedule
        self._cells: Int64s = np.zeros((16, layout.size), np.int64)
        self._rows: dict[WindowKey, int] = {}
        self._free: list[int] = list(range(15, -1, -1))
        self._spans: dict[int, list[tuple[str, int, int]]] = {}
        # Windows that a (group, pane) belongs to and their rows; forgotten whenever a row is.
        self._members: dict[tuple[Group, int], tuple[list[WindowKey], list[int]]] = {}
        self.revisions: dict[WindowKey, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def apply(self, piece: Piece, final_before_ms: int) -> Touched:
        """Add what a tick brings, a whole piece, to every window it belongs to. Windows that ended by `final_before_ms` are
        not begun again."""
        assert piece.whole, "what one commit brings is added up with what the others bring"
        touched = Touched(set(), [])
        groups, cells, amounts, size = piece.groups, piece.cells, piece.amounts, self.layout.size
        start, parts, moves, added = 0, list[Int64s](), list[int](), list[Int64s]()
        slots = zip(piece.group.tolist(), piece.pane_ms.tolist(), piece.length.tolist(), strict=True)
        for group, pane_ms, length in slots:
            end = start + length
            own, sums = cells[start:end], amounts[start:end]
            for row in self._reach((groups[group], pane_ms), final_before_ms, touched):
                parts.append(own)
                added.append(sums)
                moves.append(row * size)
            start = end
        if parts:  # all at once: a call of NumPy costs as much as adding up what a tick brings
            where = np.concatenate(parts)
            where += np.repeat(moves, [len(part) for part in parts])
            np.add.at(self._cells.reshape(-1), where, np.concatenate(added))
        return touched

    def _reach(self, slot: tuple[Group, int], final_before_ms: int, touched: Touched) -> list[int]:
        """The rows of the windows that a (group, pane) belongs to, made where they are missing."""
        known = self._members.get(slot)
        if known is None:
            keys, rows, unplaced = self._begin(slot, final_before_ms, touched.new)
            touched.unplaced += unplaced
            known = (keys, rows)
            if not unplaced:
                self._members[slot] = known
        touched.keys.update(known[0])
        return known[1]

    def _begin(
        self, slot: tuple[Group, int], final_before_ms: int, new: list[WindowKey]
    ) -> tuple[list[WindowKey], list[int], int]:
        keys, rows, unplaced = list[WindowKey](), list[int](), 0
        for key in self._keys(*slot):
            row = self._rows.get(key)
            if row is None:
                if key.end_ms <= final_before_ms:
                    unplaced += 1
                    continue
                new.append(key)
                row = self._rows[key] = self._row()
            keys.append(key)
            rows.append(row)
        return keys, rows, unplaced

    def _keys(self, group: Group, pane_ms: int) -> list[WindowKey]:
        spans = self.spans(pane_ms)
        return [
            WindowKey(series, name, start, end)
            for series in (SeriesKey(model_of(group.model), group.version, segment) for segment in group.series())
            for name, start, end in spans
        ]

    def spans(self, pane_ms: int) -> list[tuple[str, int, int]]:
        """(name, start, end) of every window of the model that holds a pane."""
        spans = self._spans.get(pane_ms)
        if spans is None:
            spans = self._spans[pane_ms] = self._windows.spans_of_model(self.model, pane_ms)
        return spans

    def follow_schedule(self) -> None:
        """The schedule has changed: what was worked out of it is forgotten."""
        self._spans.clear()
        self._members.clear()

    def _row(self) -> int:
        if not self._free:
            size = len(self._cells)
            grown = np.zeros((size + size // 2, self.layout.size), np.int64)
            grown[:size] = self._cells
            self._cells = grown
            self._free = list(range(len(grown) - 1, size - 1, -1))
        return self._free.pop()

    def within(self, from_ms: int, until_ms: int) -> list[WindowKey]:
        """The live windows that touch a span of event time."""
        return [key for key in self._rows if key.start_ms < until_ms and from_ms < key.end_ms]

    def read(self, keys: Sequence[WindowKey]) -> Int64s:
        """A copy of the cells of windows, one row each."""
        copy: Int64s = self._cells[[self._rows[key] for key in keys]]
        return copy

    def live(self) -> Iterator[tuple[WindowKey, Int64s]]:
        """Every window that is not final, with a copy of its cells."""
        copy = self._cells.copy()
        return ((key, copy[row]) for key, row in self._rows.items())

    def cells(self, rows: Int64s) -> Cells:
        """Rows that were read, as cells of this layout."""
        return Cells(self.layout, rows)

    def drop(self, keys: Iterable[WindowKey]) -> None:
        """Forget windows that are final."""
        for key in keys:
            row = self._rows.pop(key)
            self._cells[row] = 0
            self._free.append(row)
            self.revisions.pop(key, None)
            self._members.clear()
        if len(self._spans) > _SPANS_KEPT:
            self._spans.clear()
