"""Summaries: what the rows between two commits add to their windows, as sparse sums.

A contribution belongs to a (group, pane, tick): whose it is, which pane of event time its prediction lies in, and the
tick it became known in. Sums are int64 and exact, so any split of the rows adds up to the same summary; cells that
cancel are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.events import Float64s, Int32s, Int64s
from monitor.groups import Groups
from monitor.plan import ModelPlan, Plan

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]

_DENSE_SPARE = 4
_DENSE_SMALL = 1 << 18
_LUT_LIMIT = 1 << 16
_RAW_FIRST = 1 << 16
_RAW_LAST = 1 << 20


@dataclass(frozen=True, slots=True)
class Sums:
    """Sparse sums of S slots. Slot s is (group[s], pane[s], tick[s]); its cells are `cell[at:at + length[s]]` with the
    `amount`s beside them, ascending, `at` being the lengths before it added up. Codes of groups are the process's."""

    group: Int64s
    pane: Int64s
    tick: Int64s
    length: Int64s
    cell: Int64s
    amount: Int64s

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.group)


class Accumulator:
    """Collects contributions of one kind of vector; `flush` gives their sums, sorted by (group, pane, tick, cell)."""

    def __init__(self, stride: int) -> None:
        """`stride`: size of the longest vector."""
        self._stride = stride
        self._slots: dict[tuple[int, int, int], int] = {}
        self._ones: list[Int64s] = []
        self._keys: list[Int64s] = []
        self._amounts: list[Int64s] = []
        self._base: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._raw = 0
        self._raw_limit = _RAW_FIRST

    @property
    def cells(self) -> int:
        """Cells that a flush would give: exact up to the rows of the last few updates."""
        if self._raw > self._raw_limit:
            self._compact()
        return len(self._base[0])

    def add(self, group: UInt32s, pane: Int64s, tick: Int64s, cell: Int32s | Int64s, amount: Int64s | None) -> None:
        """Add n rows: `cell` (n, k) and `amount` (n, k), None meaning 1 everywhere."""
        slot = self._slot(group, pane, tick)
        keys = (slot[:, np.newaxis] * self._stride + cell).reshape(-1)
        self._raw += len(keys)
        if amount is None:
            self._ones.append(keys)
        else:
            self._keys.append(keys)
            self._amounts.append(amount.reshape(-1))

    def _slot(self, group: UInt32s, pane: Int64s, tick: Int64s) -> Int64s:
        panes, ticks = pane - pane.min(), tick - tick.min()
        wide, long = int(panes.max()) + 1, int(ticks.max()) + 1
        groups = int(group.max()) + 1
        if groups * wide * long >= 1 << 62:
            return self._slot_one_by_one(group, pane, tick)
        code = (group.astype(np.int64) * wide + panes) * long + ticks
        if groups * wide * long <= _LUT_LIMIT:
            present = np.zeros(groups * wide * long, np.int64)
            present[code] = 1
            unique = np.flatnonzero(present)
            present[unique] = np.arange(len(unique))
            inverse = present[code]
        else:
            unique, inverse = np.unique(code, return_inverse=True)
        first_pane, first_tick = int(pane.min()), int(tick.min())
        slots, known = np.empty(len(unique), np.int64), self._slots
        for i, value in enumerate(unique.tolist()):
            rest, tick_part = divmod(value, long)
            group_part, pane_part = divmod(rest, wide)
            key = (group_part, pane_part + first_pane, tick_part + first_tick)
            slots[i] = known.setdefault(key, len(known))
        out: Int64s = slots[inverse]
        return out

    def _slot_one_by_one(self, group: UInt32s, pane: Int64s, tick: Int64s) -> Int64s:
        known = self._slots
        keys = zip(group.tolist(), pane.tolist(), tick.tolist(), strict=True)
        return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)

    def flush(self) -> Sums:
        """The sums since the last flush; the accumulator is empty afterwards."""
        order = sorted(range(len(self._slots)), key=list(self._slots).__getitem__)
        keys = list(self._slots)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        self._compact()
        cells, amounts = self._base
        slot = rank[cells // self._stride] if order else cells
        place = slot * self._stride + cells % self._stride
        by_slot = np.argsort(place, kind="stable")
        slot, cell, amount = slot[by_slot], cells[by_slot] % self._stride, amounts[by_slot]
        length = np.bincount(slot, minlength=len(order)).astype(np.int64)
        used = np.flatnonzero(length)
        table = np.array([keys[order[i]] for i in used], np.int64).reshape(-1, 3)
        self._slots = {}
        self._base = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        return Sums(table[:, 0], table[:, 1], table[:, 2], length[used], cell, amount)

    def _compact(self) -> None:
        """Fold what was added into sorted distinct cells. Where much falls together, the next fold may wait longer."""
        raw = self._raw
        self._keys.append(self._base[0])
        self._amounts.append(self._base[1])
        before = len(self._base[0])
        self._base = self._aggregate(len(self._slots))
        self._ones, self._keys, self._amounts, self._raw = [], [], [], 0
        if raw:
            together = (len(self._base[0]) - before) * 8 < raw
            self._raw_limit = min(self._raw_limit * 2, _RAW_LAST) if together else _RAW_FIRST

    def _aggregate(self, slots: int) -> tuple[Int64s, Int64s]:
        ones = np.concatenate(self._ones) if self._ones else np.zeros(0, np.int64)
        keys = np.concatenate(self._keys) if self._keys else np.zeros(0, np.int64)
        amounts = np.concatenate(self._amounts) if self._amounts else np.zeros(0, np.int64)
        size = slots * self._stride
        if size <= max(_DENSE_SMALL, _DENSE_SPARE * (len(ones) + len(keys))):
            dense = np.bincount(ones, minlength=size).astype(np.int64)
            np.add.at(dense, keys, amounts)
            cells = np.flatnonzero(dense)
            return cells, dense[cells]
        keys = np.concatenate([ones, keys])
        amounts = np.concatenate([np.ones(len(ones), np.int64), amounts])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        sums = np.add.reduceat(amounts[order], starts) if len(starts) else amounts
        kept = np.flatnonzero(sums)
        return keys[starts[kept]], sums[kept]


class Summariser:
    """Turns the join's contributions into cells: the sink of the join (`monitor.join.join.Sink`)."""

    def __init__(self, plan: Plan, groups: Groups) -> None:
        self._plan, self._groups = plan, groups
        self._models: list[ModelPlan] = []  # by group code
        self._distinct: list[ModelPlan] = []
        self._model_code: Int32s = np.zeros(0, np.int32)
        self.inputs = Accumulator(max(m.input_cells.size for m in plan.all_models))
        self.performance = Accumulator(max(m.task.cells.size for m in plan.all_models))

    def seen(self, group: UInt32s, at_ms: Int64s, ticks: Int64s, score: Float64s, bins: UInt8s, sign: Int64s) -> None:
        """Predictions as such: one count in both vectors, one per feature and for the score in the input vector."""
        if not len(group):
            return
        pane = at_ms // self._plan.pane_ms
        plain = bool((sign == 1).all())
        amount = None if plain else sign[:, np.newaxis]
        self.performance.add(group, pane, ticks, np.zeros((len(group), 1), np.int64), amount)
        for model, rows in self._split(group):
            width = 1 + len(model.features) + (model.score is not None)
            cells = np.zeros((len(rows), width), np.int64)
            starts = np.array([f.start for f in model.features], np.int64)
            cells[:, 1 : 1 + len(starts)] = bins[rows, : len(starts)] + starts
            if model.score is not None:
                cells[:, -1] = model.score.numeric.codes(score[rows]).astype(np.int64) + model.score.start
            amounts = None if plain else np.repeat(sign[rows], width).reshape(-1, width)
            self.inputs.add(group[rows], pane[rows], ticks[rows], cells, amounts)

    def labelled(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        label: Float64s,
        sign: Int64s,
    ) -> None:
        """Predictions with their label, as the model's task counts them."""
        if not len(group):
            return
        pane = at_ms // self._plan.pane_ms
        for model, rows in self._split(group):
            cell, amount = model.task.contribute(
                score[rows], predicted[rows].astype(np.float64), label[rows], model.positive
            )
            self.performance.add(group[rows], pane[rows], ticks[rows], cell, amount * sign[rows][:, np.newaxis])

    def _split(self, group: UInt32s) -> Sequence[tuple[ModelPlan, Int64s]]:
        while len(self._model_code) < len(self._groups):
            name = self._groups.items[len(self._model_code)].model
            model = self._plan.model(name)
            if model.name not in {m.name for m in self._distinct}:
                self._distinct.append(model)
            code = [m.name for m in self._distinct].index(model.name)
            self._model_code = np.append(self._model_code, np.int32(code))
        if len(self._distinct) == 1:
            return [(self._distinct[0], np.arange(len(group)))]
        codes = self._model_code[group]
        return [(self._distinct[c], np.flatnonzero(codes == c)) for c in np.unique(codes).tolist()]
