"""An open-addressing index from 128-bit ids to rows, all operations on whole batches.

Linear probing over uint32 row numbers at a load of at most `MAX_LOAD`, growing by half. Rows 0 and 1 of the
indexed table are reserved: a slot of 0 is empty, of 1 a tombstone, so a gather never leaves the table. Rows that share
an id hang in one chain (`next_row`); only the head is in the index.

Ids are compared in full (128 bits): ten million rows and a billion look-ups give a false match with probability 3e-23.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, UInt64s

Rows = NDArray[np.uint32]

EMPTY = 0
TOMBSTONE = 1
FIRST_ROW = 2
MAX_LOAD = 0.75
_SMALLEST = 1024
_HALF = np.uint64(32)


class IdIndex:
    """Heads of chains by id. The ids themselves live in the table that is indexed (`ids`, shape (capacity, 2))."""

    __slots__ = ("_slots", "_used")

    def __init__(self) -> None:
        self._slots: Rows = np.zeros(_SMALLEST, np.uint32)
        self._used = 0  # slots that are not empty, tombstones included

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._slots.nbytes

    def find(self, table_ids: UInt64s, ids: UInt64s) -> Rows:
        """Head row of each id, 0 where there is none. `ids` has shape (n, 2)."""
        found: Rows = np.zeros(len(ids), np.uint32)
        slots = self._slots
        position = self._home(ids)
        active = None
        wanted = ids
        size = len(slots)
        while True:
            rows = slots[position]
            theirs = table_ids[rows]
            match = (theirs[:, 0] == wanted[:, 0]) & (theirs[:, 1] == wanted[:, 1]) & (rows > TOMBSTONE)
            if active is None:
                found[match] = rows[match]
            else:
                found[active[match]] = rows[match]
            on = np.flatnonzero(~match & (rows != EMPTY))
            if not on.size:
                return found
            active = on if active is None else active[on]
            wanted = wanted[on]
            position = position[on] + 1
            position[position == size] = 0

    def claim(self, table_ids: UInt64s, rows: Rows) -> Rows:
        """Make each row (its id already in the table) the head of its id unless the id has one; returns the heads.

        The head of row i is `rows[i]` itself exactly when the claim succeeded. Within a batch the earlier row wins.
        """
        self._reserve(table_ids, len(rows))
        slots, size = self._slots, len(self._slots)
        heads = rows.copy()
        wanted = table_ids[rows]
        position = self._home(wanted)
        active = np.arange(len(rows))
        while active.size:
            there = slots[position]
            free = np.flatnonzero(there == EMPTY)
            if free.size:
                # Written backwards: NumPy lets the last of equal indices win, and the earlier record must.
                slots[position[free][::-1]] = rows[active[free]][::-1]
                there = slots[position]
                self._used += int((there[free] == rows[active[free]]).sum())
            theirs = table_ids[there]
            match = (theirs[:, 0] == wanted[:, 0]) & (theirs[:, 1] == wanted[:, 1]) & (there > TOMBSTONE)
            heads[active[match]] = there[match]
            on = np.flatnonzero(~match)
            active, wanted, position = active[on], wanted[on], position[on] + 1
            position[position == size] = 0
        return heads

    def replace(self, table_ids: UInt64s, ids: UInt64s, old: Rows, new: Rows) -> None:
        """Point each id's slot from head `old` to head `new` (0 leaves a tombstone). Every `old` must be a head."""
        slots, size = self._slots, len(self._slots)
        position = self._home(ids)
        active = np.arange(len(ids))
        while active.size:
            hit = slots[position] == old[active]
            target = np.flatnonzero(hit)
            value = new[active[target]]
            slots[position[target]] = np.where(value == EMPTY, TOMBSTONE, value)
            on = np.flatnonzero(~hit)
            active, position = active[on], position[on] + 1
            position[position == size] = 0

    def _home(self, ids: UInt64s) -> NDArray[np.int64]:
        # Multiply-shift range reduction of 32 hash bits: any table size, no modulo.
        return (((ids[:, 0] >> _HALF) * np.uint64(len(self._slots))) >> _HALF).astype(np.int64)

    def _reserve(self, table_ids: UInt64s, more: int) -> None:
        if self._used + more <= int(len(self._slots) * MAX_LOAD):
            return
        heads = self._slots[self._slots > TOMBSTONE]
        needed = len(heads) + more
        size = len(self._slots)
        while needed > int(size * MAX_LOAD * 0.9):  # a tenth of slack, or deletions would rebuild at every batch
            size += size // 2
        self._slots = np.zeros(size, np.uint32)
        self._used = 0
        for start in range(0, len(heads), 65536):
            self._refill(table_ids, heads[start : start + 65536])

    def _refill(self, table_ids: UInt64s, rows: Rows) -> None:
        slots, size = self._slots, len(self._slots)
        position = self._home(table_ids[rows])
        while rows.size:
            free = np.flatnonzero(slots[position] == EMPTY)
            slots[position[free]] = rows[free]
            lost: Bools = slots[position] != rows
            self._used += int(rows.size - lost.sum())
            rows, position = rows[lost], position[lost] + 1
            position[position == size] = 0
