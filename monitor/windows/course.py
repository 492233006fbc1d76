"""The revisions that many ticks give the windows of one model, and their sums at the end of each.

All is done in columns: a call of NumPy costs as much as adding up what one tick brings, and ticks of a thin stream bring
little. A sum is worked out for the cells that are asked for: a rule reads a few of the hundreds that a window has.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from monitor.events import Bools, Int64s
from monitor.sketches.cells import CellLayout, Cells, checked
from monitor.sketches.fixed_point import CELL_LIMIT
from monitor.windows.store import WindowStore
from monitor.windows.view import WindowKey
from monitor.windows.waiting import Slots, numbered


class Course:
    """R revisions of the K windows that change in some ticks or are due in them, by key, those of one key by tick.

    Revision r is of the window `keys[place[r]]`, in the tick at the place `tick[r]`. The store is moved on to the end of the last
    tick when a course is made; what the windows were before is kept here.
    """

    def __init__(
        self,
        store: WindowStore,
        slots: Slots,
        goes: tuple[Int64s, Int64s, Int64s],
        due: tuple[Int64s, Int64s],
        final_before_ms: Int64s,
    ) -> None:
        """`goes`: of each contribution to a window its slot, its row in the store and the place of its tick; `due`: row and
        place of the tick of windows that get a revision whether anything came or not; `final_before_ms` of each tick."""
        ticks = len(final_before_ms)
        self.layout: CellLayout = store.layout
        self._slots = slots
        slot, row, tick = goes
        number, rows = numbered(np.concatenate([row, due[0]]))
        keys = [store.key(one) for one in rows.tolist()]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys: list[WindowKey] = [keys[i] for i in order]
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(len(keys))
        self.rows: Int64s = rows[order]
        code = rank[number] * ticks
        code += np.concatenate([tick, due[1]])
        revision, codes = numbered(code)
        self.place, self.tick = np.divmod(codes, ticks)
        self.starts: Int64s = np.searchsorted(self.place, np.arange(len(keys)))
        """The first revision of each window."""
        self.number: Int64s = (
            np.arange(len(codes)) - self.starts[self.place] + store.revisions[self.rows][self.place] + 1
        )
        self.final: Bools = store.ends_ms[self.rows][self.place] <= final_before_ms[self.tick]
        self.came: Bools = np.zeros(len(codes), np.bool_)
        """Whether rows came, or the window was merely due."""
        self.came[revision[: len(slot)]] = True
        self._slot, self._revision = slot, revision[: len(slot)]
        self._firsts = np.cumsum(slots.length) - slots.length
        self._before = store.read(self.rows)
        self._whole: Int64s | None = None
        self.after = self._move_on(store)
        """The cells of the windows after the last tick, (K, cells)."""

    def __len__(self) -> int:
        return len(self.place)

    @property
    def lasts(self) -> Int64s:
        """The last revision of each window."""
        return np.append(self.starts[1:], len(self)) - 1

    def _move_on(self, store: WindowStore) -> Int64s:
        after = self._before.copy()
        where, amounts = self._spread(self.place[self._revision], 0, self.layout.size)
        np.add.at(after.reshape(-1), where, amounts)
        most = np.abs(self._before).max(initial=0).item() + float(np.abs(amounts.astype(np.float64)).sum())
        if most > CELL_LIMIT:  # some sum on the way may be: look at all
            checked(Cells(self.layout, self.whole()))
        store.revisions[self.rows] = self.number[self.lasts]
        store.write(self.rows, after)
        store.drop(self.rows[self.place[self.final]].tolist())
        return after

    def _spread(self, target: Int64s, start: int, stop: int) -> tuple[Int64s, Int64s]:
        """Places of the cells from `start` on before `stop` in vectors of so many cells, and what is added there; `target` is
        the vector of each contribution."""
        width, slots = stop - start, self._slots
        cells, amounts, length, firsts = slots.cells, slots.amounts, slots.length, self._firsts
        if width < self.layout.size:
            inside = (cells >= start) & (cells < stop)
            before = np.concatenate([[0], np.cumsum(inside)])
            firsts, length = before[firsts], before[firsts + length] - before[firsts]
            cells, amounts = cells[inside], amounts[inside]
        own = length[self._slot]
        place = np.repeat(firsts[self._slot] - (np.cumsum(own) - own), own)
        place += np.arange(len(place))
        where = np.repeat(target * width - start, own)
        where += cells[place]
        return where, amounts[place]

    def columns(self, start: int, stop: int) -> Int64s:
        """The cells from `start` on before `stop` of every revision, (R, stop - start)."""
        if self._whole is not None:
            return self._whole[:, start:stop]
        sums = np.zeros((len(self), stop - start), np.int64)
        where, amounts = self._spread(self._revision, start, stop)
        np.add.at(sums.reshape(-1), where, amounts)
        sums[self.starts] += self._before[:, start:stop]
        if len(self) > len(self.keys):
            # Over all windows, then without those before: whatever runs over on the way, the differences are right.
            np.cumsum(sums, axis=0, out=sums)
            others = sums[self.starts[1:] - 1]
            sums[self.starts[1] if len(self.keys) > 1 else len(self) :] -= np.repeat(
                others, np.diff(np.append(self.starts, len(self)))[1:], axis=0
            )
        return sums

    def whole(self) -> Int64s:
        """All cells of every revision, (R, cells). Kept."""
        if self._whole is None:
            self._whole = self.columns(0, self.layout.size)
        return self._whole

    def one(self, revision: int) -> Int64s:
        """All cells of one revision."""
        place = int(self.place[revision])
        sums: Int64s
        if revision == self.lasts[place] or self._whole is not None:
            sums = self.after[place] if self._whole is None else self._whole[revision]
            return sums
        own = (self._revision >= self.starts[place]) & (self._revision <= revision)
        sums = self._before[place].copy()
        where, amounts = self._spread(np.where(own, 0, 1), 0, self.layout.size)
        np.add.at(sums, where[where < len(sums)], amounts[where < len(sums)])
        return sums

    def last_of(self, revision: int) -> Int64s:
        """All cells of the last revision of the same window: of a final one its own."""
        cells: Int64s = self.after[int(self.place[revision])]
        return cells

    def __contains__(self, key: WindowKey) -> bool:
        place = bisect_left(self.keys, key)
        return place < len(self.keys) and self.keys[place] == key

    def at(self, key: WindowKey, tick: int) -> Int64s | None:
        """The cells of one of the windows at the end of the tick at that place; None if it is final by then, or not begun."""
        place = bisect_left(self.keys, key)
        start, stop = int(self.starts[place]), int(self.lasts[place]) + 1
        last = start + int(np.searchsorted(self.tick[start:stop], tick, side="right")) - 1
        if last < start:
            return self._before[place] if self.number[start] > 1 else None
        return None if self.final[last] else self.one(last)


class CourseCells(Cells):
    """The cells of every revision of a course, worked out for those that are asked for."""

    __slots__ = ("_course", "_found")
    _course: Course
    _found: dict[str, Int64s]

    def __init__(self, course: Course) -> None:
        object.__setattr__(self, "layout", course.layout)
        object.__setattr__(self, "_course", course)
        object.__setattr__(self, "_found", dict[str, Int64s]())
        object.__setattr__(self, "_made", {})

    def __len__(self) -> int:
        return len(self._course)

    @property
    def array(self) -> Int64s:
        """All cells, (R, cells)."""
        return self._course.whole()

    def count(self, name: str) -> Int64s:
        """See `Cells`."""
        if self.layout.part(name).size != 1:
            return super().count(name)
        return self._columns(name)[:, 0]

    def histogram(self, name: str) -> Int64s:
        """See `Cells`."""
        return self._columns(name)

    def rows(self, places: Sequence[int]) -> Cells:
        """See `Cells`."""
        found = [self._course.one(place) for place in places]
        return Cells(self.layout, np.stack(found)) if found else self.layout.zeros(0)

    def _columns(self, name: str) -> Int64s:
        if name not in self._found:
            part = self.layout.slice(name)
            self._found[name] = self._course.columns(part.start, part.stop)
        return self._found[name]
