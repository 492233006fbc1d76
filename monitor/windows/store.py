"""The windows in memory: for each model and kind one matrix of cells, a row per (version, segment, window).

Rows are sums of exact integers, so it does not matter in which order ticks, partitions or commits reached them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from monitor.events import Int64s
from monitor.groups import Group, model_of
from monitor.plan import Plan
from monitor.sketches.cells import CellLayout, Cells
from monitor.windows.schedule import Schedule
from monitor.windows.view import Kind, SeriesKey, WindowKey
from monitor.windows.waiting import Slots, numbered

_SPANS_KEPT = 4096
_FIRST = 16
_Ticks = TypeVar("_Ticks", int, Int64s)


class Ticking(NamedTuple):
    """How ticks and windows go together: how long a tick and a pane are, and how long after its end a window can change."""

    tick_ms: int
    pane_ms: int
    settling_ms: int

    @classmethod
    def of(cls, plan: Plan, kind: Kind) -> Ticking:
        """Those of windows of a kind: one of performance waits for labels."""
        join = plan.join
        labels_ms = join.bounds.horizon_ms + join.settle_ms if kind is Kind.PERFORMANCE else 0
        return cls(join.tick_ms, plan.pane_ms, labels_ms + join.lateness_ms)

    def final_before_ms(self, tick: _Ticks) -> _Ticks:
        """Windows that end by then are final at the end of a tick, or of each of many."""
        return (tick + 1) * self.tick_ms - self.settling_ms

    def reaches(self, at_ms: int) -> int:
        """The tick whose end reaches a moment."""
        return -(-at_ms // self.tick_ms) - 1


class Reach(NamedTuple):
    """Which windows slots go to: slot[i] goes to the window in row[i], slots ascending. `new`: the windows that are begun by
    that, and in which tick. `unplaced`: how often one was final already and took nothing."""

    slot: Int64s
    row: Int64s
    new: list[tuple[WindowKey, int]]
    unplaced: int


class WindowStore:
    """The live windows of one sense of a model and one kind of vector."""

    def __init__(self, model: str, layout: CellLayout, schedule: Schedule, ticking: Ticking) -> None:
        self.model, self.layout = model, layout
        self._windows, self._ticking = schedule, ticking
        self._rows: dict[WindowKey, int] = {}
        self._keys: list[WindowKey | None] = [None] * _FIRST
        self._free: list[int] = list(range(_FIRST - 1, -1, -1))
        self._cells: Int64s = np.zeros((_FIRST, layout.size), np.int64)
        self.ends_ms: Int64s = np.zeros(_FIRST, np.int64)
        """Where the window of each row ends."""
        self.revisions: Int64s = np.zeros(_FIRST, np.int64)
        """How many revisions the window of each row has had."""
        self._spans: dict[int, list[tuple[str, int, int]]] = {}
        # Rows of the windows that a (group, pane) belongs to; forgotten whenever one is.
        self._members: dict[tuple[int, int], Int64s] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix, rows that wait for a window among them."""
        return self._cells.nbytes

    def live(self) -> list[WindowKey]:
        """The live windows, by key."""
        return sorted(self._rows)

    def row(self, key: WindowKey) -> int:
        """Where a live window is kept."""
        return self._rows[key]

    def key(self, row: int) -> WindowKey:
        """The window that is kept there."""
        key = self._keys[row]
        assert key is not None, "a row of a live window is asked for"
        return key

    def reach(self, slots: Slots, names: Sequence[Group], *, lasting: bool = True) -> Reach:
        """The windows that slots, sorted by tick, go to. Missing ones are begun, but for those that were final by then; and,
        unless `lasting`, for those that are final with the tick itself, as in editions before LASTING."""
        oldest = int(slots.pane.min())
        number, codes = numbered((slots.pane - oldest) * len(names) + slots.group)
        first = np.zeros(len(codes), np.int64)
        first[number[::-1]] = slots.tick[::-1]
        pairs = [(code % len(names), code // len(names) + oldest) for code in codes.tolist()]
        ticks = dict(zip(pairs, first.tolist(), strict=True))
        asked = {pair: self._keys_of(names[pair[0]], pair[1]) for pair in pairs if pair not in self._members}
        new = self._begin({pair: (ticks[pair], keys) for pair, keys in asked.items()}.values(), 1 if lasting else 0)
        members, absent = list[Int64s](), np.zeros(len(pairs), np.int64)
        for i, pair in enumerate(pairs):
            rows = self._members.get(pair)
            if rows is None:
                known = [row for key in asked[pair] if (row := self._rows.get(key)) is not None]
                rows, absent[i] = np.array(known, np.int64), len(asked[pair]) - len(known)
                if not absent[i]:
                    self._members[pair] = rows
            members.append(rows)
        lengths = np.array([len(rows) for rows in members], np.int64)
        each = lengths[number]
        slot = np.repeat(np.arange(len(slots)), each)
        place = np.repeat((np.cumsum(lengths) - lengths)[number] - (np.cumsum(each) - each), each)
        place += np.arange(len(slot))
        row = np.concatenate(members)[place]
        goes = self.ends_ms[row] > self._ticking.final_before_ms(slots.tick[slot] - 1)
        unplaced = int(absent[number].sum()) + int(np.count_nonzero(~goes))
        return Reach(slot[goes], row[goes], new, unplaced) if unplaced else Reach(slot, row, new, 0)

    def _begin(self, asked: Iterable[tuple[int, list[WindowKey]]], spare: int) -> list[tuple[WindowKey, int]]:
        """Begin the windows that are missing, each in the earliest tick in which it is asked for, unless they were final `spare`
        ticks before. A record can be as old as lateness allows, so the window of its own may be final with its tick."""
        missing: dict[WindowKey, int] = {}
        for tick, keys in asked:
            for key in keys:
                if key not in self._rows:
                    missing[key] = min(tick, missing.get(key, tick))
        ends = self._ticking.final_before_ms
        new = [(key, tick) for key, tick in missing.items() if key.end_ms > ends(tick - spare)]
        for key, _ in new:
            self.put(key)
        return new

    def put(self, key: WindowKey) -> int:
        """Make room for a window; its row, which is all 0."""
        row = self._rows[key] = self._row()
        self._keys[row], self.ends_ms[row], self.revisions[row] = key, key.end_ms, 0
        return row

    def _keys_of(self, group: Group, pane: int) -> list[WindowKey]:
        spans = self.spans(pane * self._ticking.pane_ms)
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

    def widen(self, layout: CellLayout) -> None:
        """Have a longer vector, which begins with this one; nothing was counted in its other cells."""
        wider = np.zeros((len(self._cells), layout.size), np.int64)
        wider[:, : self.layout.size] = self._cells
        self._cells, self.layout = wider, layout

    def _row(self) -> int:
        if not self._free:
            size = len(self._cells)
            more = size // 2
            self._cells = np.concatenate([self._cells, np.zeros((more, self.layout.size), np.int64)])
            self.ends_ms, self.revisions = (
                np.append(a, np.zeros(more, np.int64)) for a in (self.ends_ms, self.revisions)
            )
            self._keys += [None] * more
            self._free = list(range(size + more - 1, size - 1, -1))
        return self._free.pop()

    def within(self, from_ms: int, until_ms: int) -> list[WindowKey]:
        """The live windows that touch a span of event time."""
        return [key for key in self._rows if key.start_ms < until_ms and from_ms < key.end_ms]

    def read(self, rows: Sequence[int] | Int64s) -> Int64s:
        """A copy of the cells in these rows."""
        copy: Int64s = self._cells[rows]
        return copy

    def write(self, rows: Int64s, cells: Int64s) -> None:
        """Replace the cells in these rows."""
        self._cells[rows] = cells

    def cells(self, rows: Int64s) -> Cells:
        """Rows that were read, as cells of this layout."""
        return Cells(self.layout, rows)

    def drop(self, rows: Iterable[int]) -> None:
        """Forget windows that are final."""
        for row in rows:
            del self._rows[self.key(row)]
            self._cells[row], self._keys[row] = 0, None
            self._free.append(row)
            self._members.clear()
        if len(self._spans) > _SPANS_KEPT:
            self._spans.clear()
