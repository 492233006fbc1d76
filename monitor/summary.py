"""Summaries: what the rows between two commits add to their windows, as sparse sums.

A contribution belongs to a (group, pane, tick): whose it is, which pane of event time its prediction lies in, and the
tick it became known in. Sums are int64 and exact, so any split of the rows adds up to the same summary; cells that
cancel are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from monitor.events import Float64s, Int32s, Int64s
from monitor.groups import Groups
from monitor.ledger.records import Delta, pack
from monitor.plan import ModelPlan, Plan
from monitor.sketches import sparse

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]

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

    def delta(self, groups: dict[int, int]) -> Delta | None:
        """As a commit carries them, None for nothing; `groups`: codes and the places that they have in the commit, which groups
        get in the order in which they come."""
        if not self.slots:
            return None
        codes, first, place = np.unique(self.group, return_index=True, return_inverse=True)
        numbers = np.zeros(len(codes), np.int64)
        for i in np.argsort(first).tolist():
            numbers[i] = groups.setdefault(int(codes[i]), len(groups))
        columns: list[Int64s] = [numbers[place], self.pane, self.tick, self.length, self.cell, self.amount]
        return Delta(*(pack(column) for column in columns))


class Slots:
    """Numbers (group, pane, tick) from 0 on, in order of first sight."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int, int], int] = {}

    def of(self, group: UInt32s, pane: Int64s, tick: Int64s) -> Int64s:
        """The slot of each row."""
        first_pane, first_tick = int(pane.min()), int(tick.min())
        panes, ticks = pane - first_pane, tick - first_tick
        wide, long = int(panes.max()) + 1, int(ticks.max()) + 1
        size = (int(group.max()) + 1) * wide * long
        if size >= 1 << 62:
            return self._one_by_one(group, pane, tick)
        code = group.astype(np.int64)
        code *= wide
        code += panes
        code *= long
        code += ticks
        if size <= _LUT_LIMIT:
            table = np.zeros(size, np.int64)
            table[code] = 1
            unique = np.flatnonzero(table)
            table[unique] = self._numbers(unique, wide, long, first_pane, first_tick)
            return table[code]
        unique, inverse = np.unique(code, return_inverse=True)
        out: Int64s = np.array(self._numbers(unique, wide, long, first_pane, first_tick), np.int64)[inverse]
        return out

    @cached_property
    def columns(self) -> tuple[Int64s, Int64s, Int64s]:
        """Group, pane and tick of each slot. To be read when no more slots come, as is `order`."""
        whole = np.fromiter(chain.from_iterable(self.known), np.int64, 3 * len(self.known)).reshape(-1, 3)
        return whole[:, 0], whole[:, 1], whole[:, 2]

    @cached_property
    def order(self) -> Int64s:
        """The slots by group, pane and tick."""
        group, pane, tick = self.columns
        return np.lexsort((tick, pane, group))

    def _numbers(self, codes: Int64s, wide: int, long: int, first_pane: int, first_tick: int) -> list[int]:
        known = self.known
        rest, tick = np.divmod(codes, long)
        group, pane = np.divmod(rest, wide)
        keys = zip(group.tolist(), (pane + first_pane).tolist(), (tick + first_tick).tolist(), strict=True)
        return [known.setdefault(key, len(known)) for key in keys]

    def _one_by_one(self, group: UInt32s, pane: Int64s, tick: Int64s) -> Int64s:
        known = self.known
        keys = zip(group.tolist(), pane.tolist(), tick.tolist(), strict=True)
        return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


class Accumulator:
    """Collects contributions of one kind of vector by slot; `flush` gives their sums, sorted by (group, pane, tick, cell)."""

    def __init__(self, stride: int) -> None:
        """`stride`: size of the longest vector."""
        self._stride = stride
        self._ones: list[Int64s] = []
        self._keys: list[Int64s] = []
        self._amounts: list[Int64s] = []
        self._base: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._raw = 0
        self._raw_limit = _RAW_FIRST
        self._slots = 0  # one more than the largest slot seen

    @property
    def cells(self) -> int:
        """Cells that a flush would give: exact up to the rows of the last few updates."""
        if self._raw > self._raw_limit:
            self._compact()
        return len(self._base[0])

    def add(self, slot: Int64s, cell: Int64s, amount: Int64s | None) -> None:
        """Add n rows: `cell` (n, k), which is used up, and `amount` (n, k), None meaning 1 everywhere."""
        cell += (slot * self._stride)[:, np.newaxis]
        keys = cell.reshape(-1)
        self._raw += len(keys)
        self._slots = max(self._slots, int(slot.max(initial=-1)) + 1)
        if amount is None:
            self._ones.append(keys)
        else:
            self._keys.append(keys)
            self._amounts.append(amount.reshape(-1))

    def flush(self, slots: Slots) -> Sums:
        """The sums since the last flush; the accumulator is empty afterwards."""
        self._compact()
        cells, amounts = self._base
        self._base, self._slots = (np.zeros(0, np.int64), np.zeros(0, np.int64)), 0
        ends = np.searchsorted(cells, np.arange(1, len(slots.known) + 1) * self._stride)
        lengths = np.diff(ends, prepend=0)
        # Cells are sorted by slot, and slots are numbered as they came: whole runs of cells change places.
        (group, pane, tick), order = slots.columns, slots.order
        order = order[lengths[order] != 0]
        length, first = lengths[order], (ends - lengths)[order]
        place = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(len(cells))
        cells = cells[place] - np.repeat(order * self._stride, length)
        return Sums(group[order], pane[order], tick[order], length, cells, amounts[place])

    def _compact(self) -> None:
        """Fold what was added into sorted distinct cells. Where much falls together, the next fold may wait longer."""
        raw = self._raw
        self._keys.append(self._base[0])
        self._amounts.append(self._base[1])
        before = len(self._base[0])
        self._base = self._aggregate()
        self._ones, self._keys, self._amounts, self._raw = [], [], [], 0
        if raw:
            together = (len(self._base[0]) - before) * 8 < raw
            self._raw_limit = min(self._raw_limit * 2, _RAW_LAST) if together else _RAW_FIRST

    def _aggregate(self) -> tuple[Int64s, Int64s]:
        keys, amounts = np.concatenate(self._keys), np.concatenate(self._amounts)
        size = self._slots * self._stride
        if self._ones:
            counted = sparse.count(np.concatenate(self._ones), size)
            keys, amounts = np.concatenate([keys, counted[0]]), np.concatenate([amounts, counted[1]])
        return sparse.add_up(keys, amounts, size)


class Summariser:
    """Turns the join's contributions into cells: the sink of the join (`monitor.join.join.Sink`)."""

    def __init__(self, plan: Plan, groups: Groups) -> None:
        """`plan`: of the newest edition that is known, by which it counts until it is told otherwise."""
        self._newest, self._groups = plan, groups
        self._count_by(plan.edition)

    def _count_by(self, edition: int) -> None:
        self.edition = self._next = edition
        self._plan = self._newest.of_edition(edition)
        self._distinct: list[ModelPlan] = []
        self._model_code: Int32s = np.zeros(0, np.int32)
        self._parts: list[tuple[int, ...]] = []  # of each group, by code
        self._most = 1
        self._slots = Slots()
        self.inputs = Accumulator(max(m.input_cells.size for m in self._plan.all_models))
        self.performance = Accumulator(max(m.task.cells.size for m in self._plan.all_models))

    def use(self, edition: int) -> None:
        """Count by this edition; nothing waits to be flushed."""
        if edition != self.edition:
            self._count_by(edition)
        self._next = edition

    def adopt(self, edition: int, *, at_once: bool) -> None:
        """Count by a later edition after the next flush; `at_once`: nothing waits to be flushed."""
        self._next = max(edition, self._next)
        if at_once:
            self.use(self._next)

    @property
    def cells(self) -> int:
        """Cells that a flush would give."""
        return self.inputs.cells + self.performance.cells

    def flush(self) -> tuple[Sums, Sums]:
        """The sums of the input and of the performance vectors since the last flush."""
        sums = self.inputs.flush(self._slots), self.performance.flush(self._slots)
        self._slots = Slots()
        self.use(self._next)
        return sums

    def seen(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        bins: UInt8s,
        sign: Int64s,
    ) -> None:
        """Predictions as such: one count in both vectors, one per feature and for the score in the input vector; and what
        the model's task keeps of those that wait for a label."""
        for own, rows in self._counted_as(group):
            columns = at_ms[rows], ticks[rows], score[rows], predicted[rows], bins[rows], sign[rows]
            self._seen(own, *columns)

    def _seen(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        bins: UInt8s,
        sign: Int64s,
    ) -> None:
        slot = self._slots.of(group, at_ms // self._plan.pane_ms, ticks)
        plain = bool((sign == 1).all())
        self.performance.add(slot, np.zeros((len(group), 1), np.int64), None if plain else sign[:, np.newaxis])
        for model, rows in self._split(group):
            features = len(model.features)
            own, kept = slot[rows], bins[rows]
            alone = 1 + features + (model.score is not None)
            cells = np.zeros((len(own), alone + len(model.pairs)), np.int64)
            starts = np.array([f.start for f in model.features], np.int64)  # of no feature the list would be floats
            kept = kept[:, :features] if model.places == tuple(range(features)) else kept[:, list(model.places)]
            np.add(kept, starts, out=cells[:, 1 : 1 + features])
            if model.score is not None:
                cells[:, alone - 1] = model.score.numeric.codes(score[rows])
                cells[:, alone - 1] += model.score.start
            for column, pair in enumerate(model.pairs, alone):
                (one, other), (first, second) = pair.places, pair.offsets
                cells[:, column] = pair.start + first[kept[:, one]] + second[kept[:, other]]
            self.inputs.add(own, cells, None if plain else np.repeat(sign[rows], cells.shape[1]))
            answers = _answers(model, score[rows], predicted[rows])
            if (foreseen := model.task.foresee(score[rows], answers)) is not None:
                cell, amount = foreseen
                self.performance.add(own, cell, amount * sign[rows][:, np.newaxis])

    def labelled(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        label: Float64s,
        sign: Int64s,
        scores: Float64s,
    ) -> None:
        """Predictions with their label, as the model's task counts them."""
        for own, rows in self._counted_as(group):
            columns = at_ms[rows], ticks[rows], score[rows], predicted[rows], label[rows], sign[rows], scores[rows]
            self._labelled(own, *columns)

    def _labelled(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        label: Float64s,
        sign: Int64s,
        scores: Float64s,
    ) -> None:
        slot = self._slots.of(group, at_ms // self._plan.pane_ms, ticks)
        tick_ms = self._plan.join.tick_ms
        delay = ticks * tick_ms + tick_ms // 2 - at_ms  # somewhere in that tick the label came
        for model, rows in self._split(group):
            answers = _answers(model, score[rows], predicted[rows])
            cell, amount = model.task.contribute(
                score[rows], answers, label[rows], model.positive, scores[rows], delay[rows]
            )
            amount *= sign[rows][:, np.newaxis]
            self.performance.add(slot[rows], cell.astype(np.int64), amount)

    def _counted_as(self, group: UInt32s) -> Iterator[tuple[UInt32s, Int64s | slice]]:
        """The group that rows count for: of a row that counts for several senses one after the other."""
        for code in range(len(self._parts), len(self._groups)):
            parts = self._groups.items[code].parts()
            self._parts.append((code,) if len(parts) == 1 else tuple(self._groups.code(part) for part in parts))
            self._most = max(self._most, len(parts))
        if not len(group):
            return
        if self._most == 1:
            yield group, slice(None)
            return
        table = np.array([[*parts, *[-1] * (self._most - len(parts))] for parts in self._parts], np.int64)
        for column in table.T:
            own = column[group]
            rows = np.flatnonzero(own >= 0)
            if rows.size:
                yield own[rows].astype(np.uint32), rows

    def _split(self, group: UInt32s) -> Sequence[tuple[ModelPlan, Int64s | slice]]:
        if len(self._model_code) < len(self._groups):
            known = {model.sense: code for code, model in enumerate(self._distinct)}
            new = list[int]()
            for unknown in self._groups.items[len(self._model_code) :]:
                if unknown.model not in known:
                    known[unknown.model] = len(self._distinct)
                    self._distinct.append(self._plan.counted_as(unknown.model))
                new.append(known[unknown.model])
            self._model_code = np.append(self._model_code, np.array(new, np.int32))
        if len(self._distinct) == 1:
            return [(self._distinct[0], slice(None))]
        codes = self._model_code[group]
        return [(self._distinct[c], np.flatnonzero(codes == c)) for c in np.unique(codes).tolist()]


def _answers(model: ModelPlan, score: Float64s, predicted: UInt8s) -> Float64s:
    """What predictions answered, as a sense of their model reads it."""
    if model.threshold is None:
        return predicted.astype(np.float64)
    return (score >= model.threshold).astype(np.float64)
