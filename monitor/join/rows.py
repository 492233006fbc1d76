"""Rows of packed columns, reached by id: what both sides of the join keep.

A row is a number; its fields are that place in each column. Rows that share an id form a chain. Columns grow by a
sixty-fourth part at a time (pages move, not bytes), so the memory held follows the rows held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import DTypeLike

from monitor.events import Bools, UInt64s
from monitor.join.index import FIRST_ROW, IdIndex, Rows
from monitor.join.pages import Column

Place = Rows | slice
"""Row numbers; a slice where they follow each other, which moves whole columns instead of single values."""

_GROWTH_SHIFT = 6
_SMALLEST = 4096
"""Rows that a table begins with, and grows by at least. Pages that no row has reached are not there yet."""


class ChainedRows:
    """Packed rows with an id index and chains of equal ids. Subclasses name the other columns.

    Each column is an attribute, and another array after the table has grown: nobody may keep one over `allocate`.
    """

    ids: UInt64s
    next_row: Rows

    def __init__(self, columns: Mapping[str, tuple[DTypeLike, int]]) -> None:
        """`columns`: attribute -> (dtype, width); width 0 means one value a row, else a (rows, width) column."""
        self.index = IdIndex()
        kinds: dict[str, tuple[DTypeLike, int]] = {"ids": (np.uint64, 2), "next_row": (np.uint32, 0), **columns}
        self._columns = {name: Column(dtype, width, _SMALLEST) for name, (dtype, width) in kinds.items()}
        for name, column in self._columns.items():
            setattr(self, name, column.array)
        self._top = FIRST_ROW  # rows from here on were never used
        self._free: list[Rows] = []
        self._free_count = 0

    def __len__(self) -> int:
        return self._top - FIRST_ROW - self._free_count

    @property
    def nbytes(self) -> int:
        """Bytes held by columns, chains, index and the list of free rows."""
        held = sum(column.array.nbytes for column in self._columns.values())
        return held + self.index.nbytes + 4 * self._free_count

    def used(self) -> Rows:
        """Every row in use, ascending."""
        alive = np.ones(self._top, np.bool_)
        alive[:FIRST_ROW] = False
        for rows in self._free:
            alive[rows] = False
        return np.flatnonzero(alive).astype(np.uint32)

    @property
    def top(self) -> int:
        """Rows 2 .. top-1 were used at some time; freed ones among them hold a zero id."""
        return self._top

    def allocate(self, n: int) -> Rows:
        """`n` rows to be filled by the caller; freed rows first."""
        taken: list[Rows] = []
        missing = n
        while missing and self._free:
            rows = self._free.pop()
            if len(rows) > missing:
                self._free.append(rows[missing:])
                rows = rows[:missing]
            taken.append(rows)
            missing -= len(rows)
            self._free_count -= len(rows)
        if missing:
            self._grow(self._top + missing)
            taken.append(np.arange(self._top, self._top + missing, dtype=np.uint32))
            self._top += missing
        return taken[0] if len(taken) == 1 else np.concatenate(taken)

    def give_back(self, rows: Rows) -> None:
        """Free rows that were allocated and never linked."""
        if len(rows):
            self.ids[rows] = 0
            self._free.append(rows)
            self._free_count += len(rows)

    def head(self, ids: UInt64s) -> Rows:
        """First row of each id's chain, 0 where the id is not held."""
        return self.index.find(self.ids, ids)

    def chain(self, head: int) -> Iterator[int]:
        """The rows of one chain."""
        while head:
            yield head
            head = int(self.next_row[head])

    def remove(self, rows: Rows) -> None:
        """Unlink and free rows. They must be in use, each named once."""
        if not len(rows):
            return
        if len(rows) == len(self):
            self._remove_all()
            return
        # Nearly every row is alone: the head of its chain, with nothing behind it.
        last = np.flatnonzero(self.next_row[rows] == 0)
        alone = np.zeros(len(rows), np.bool_)
        alone[last] = self.index.release(self.ids[rows[last]], rows[last])
        self._unlink(rows[~alone])
        self.give_back(rows)

    def _remove_all(self) -> None:
        self.index.clear()
        self.ids[: self._top] = 0
        self.next_row[: self._top] = 0
        self._top, self._free, self._free_count = FIRST_ROW, [], 0

    def _unlink(self, rows: Rows) -> None:
        """Take rows out of chains of several, and heads that are not the last ones out of the index."""
        if not len(rows):
            return
        dead: Bools = np.zeros(self._top, np.bool_)
        dead[rows] = True
        heads = np.unique(self.head(self.ids[rows]))
        ids = self.ids[heads]
        cursor, last, first = heads.copy(), np.zeros_like(heads), np.zeros_like(heads)
        while cursor.any():
            alive = (cursor != 0) & ~dead[cursor]
            linked = np.flatnonzero(alive & (last != 0))
            self.next_row[last[linked]] = cursor[linked]
            fresh = np.flatnonzero(alive & (last == 0))
            first[fresh] = cursor[fresh]
            following = self.next_row[cursor]
            last[alive] = cursor[alive]
            cursor = np.where(cursor != 0, following, 0).astype(np.uint32)
        self.next_row[last[last != 0]] = 0
        moved = np.flatnonzero(first != heads)
        self.index.replace(self.ids, ids[moved], heads[moved], first[moved])
        self.next_row[rows] = 0

    def _grow(self, rows: int) -> None:
        capacity = len(self.next_row)
        if rows <= capacity:
            return
        while capacity < rows:
            capacity += max(_SMALLEST, capacity >> _GROWTH_SHIFT)
        for name, column in self._columns.items():
            delattr(self, name)  # let go of the array, or its pages could not move
            column.grow(capacity)
            setattr(self, name, column.array)


def place_of(rows: Rows) -> Place:
    """The rows as a slice if they follow each other, else as they are."""
    n = len(rows)
    if n > 1 and int(rows[-1]) - int(rows[0]) == n - 1 and bool((rows[1:] > rows[:-1]).all()):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
