"""An index from 128-bit ids to rows, all operations on whole batches.

Buckets of eight slots. A slot is a row number (uint32) and a tag of one byte of the id; the eight tags of a bucket are
one 64-bit word, so a look-up reads one word, finds the slots whose tag agrees by arithmetic on the word, and compares
whole ids only there. From a full bucket the search goes on in steps of the id's own (the number of buckets is prime, so it
sees them all): few ids need more than a handful, where neighbours would pile up. At most `MAX_LOAD` of the slots are
taken, and the table, once it is not small, grows by a third: 5.9 to 7.8 bytes a row.

Rows that share an id hang in one chain (`next_row`); only the head is in the index. Rows 0 and 1 of the indexed table are
reserved, so that an empty slot (0) points at an id that nothing has.

Ids are compared in full (128 bits): ten million rows and a billion look-ups give a false match with probability 3e-23.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Int64s, UInt64s
from monitor.join.pages import zeros

Rows = NDArray[np.uint32]

FIRST_ROW = 2
MAX_LOAD = 0.85
SLOTS = 8
_SMALLEST = 131
_SMALL = 1 << 13  # buckets; up to here the table grows threefold: 2 MB at most, and a third as many refills
_REFILL = 1 << 14
_TOMBSTONE = 0xFF
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class IdIndex:
    """Heads of chains by id. The ids themselves live in the table that is indexed (`ids`, shape (capacity, 2))."""

    __slots__ = ("_rows", "_tags", "_used")

    def __init__(self) -> None:
        self._tags: UInt64s = zeros(_SMALLEST, np.uint64)
        self._rows: Rows = zeros(_SMALLEST * SLOTS, np.uint32)
        self._used = 0  # slots that are not empty, tombstones included

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._tags.nbytes + self._rows.nbytes

    def find(self, table_ids: UInt64s, ids: UInt64s) -> Rows:
        """Head row of each id, 0 where there is none. `ids` has shape (n, 2)."""
        found: Rows = np.zeros(len(ids), np.uint32)
        bucket, pattern = self._home(ids), _pattern(ids)
        active = np.arange(len(ids))
        while active.size:
            words = self._tags[bucket]
            rows = self._matching(table_ids, ids[active], bucket, words ^ pattern)
            found[active] = rows
            on = _places((rows == 0) & (_zero_bytes(words) == 0))
            if not on.size:
                break
            active, pattern = active[on], pattern[on]
            bucket = self._after(bucket[on], ids[active])
        return found

    def claim(self, table_ids: UInt64s, rows: Rows, ids: UInt64s) -> Rows:
        """Make each row (its id already in the table) the head of its id unless the id has one; returns the heads.

        The head of row i is `rows[i]` itself exactly when the claim succeeded. Within a batch the earlier row wins.
        """
        self._reserve(table_ids, len(rows))
        heads = rows.copy()
        bucket, pattern = self._home(ids), _pattern(ids)
        active = np.arange(len(rows))
        while active.size:
            words = self._tags[bucket]
            there = self._matching(table_ids, ids[active], bucket, words ^ pattern)
            missing = there == 0
            heads[active[~missing]] = there[~missing]
            free = _zero_bytes(words)
            here = _places(missing & (free != 0))
            won = self._take(bucket[here], free[here], rows[active[here]], pattern[here])
            # Who lost a slot looks at the same bucket again: the winner may be the head of its id.
            again, on = here[~won], _places(missing & (free == 0))
            bucket = np.concatenate([bucket[again], self._after(bucket[on], ids[active[on]])])
            keep = np.concatenate([again, on])
            active, pattern = active[keep], pattern[keep]
            if again.size and on.size:
                order = np.argsort(active, kind="stable")  # earlier records first, or a later one could win
                active, pattern, bucket = active[order], pattern[order], bucket[order]
        return heads

    def replace(self, table_ids: UInt64s, ids: UInt64s, old: Rows, new: Rows) -> None:
        """Point each id's slot from head `old` to head `new` (0 frees the slot). Every `old` must be a head."""
        bucket = self._home(ids)
        active = np.arange(len(ids))
        while active.size:
            slots = bucket[:, np.newaxis] * SLOTS + np.arange(SLOTS)
            hit = self._rows[slots] == old[active][:, np.newaxis]
            there = _places(hit.any(axis=1))
            slot = slots[there, hit[there].argmax(axis=1)]
            value = new[active[there]]
            self._rows[slot] = value
            self._free(slot[value == 0])
            on = _places(~hit.any(axis=1))
            active = active[on]
            bucket = self._after(bucket[on], ids[active])

    def release(self, ids: UInt64s, rows: Rows) -> Bools:
        """Free the slots of those rows (each named once, `ids` theirs) that are heads; True where one was."""
        bucket, pattern = self._home(ids), _pattern(ids)
        released: Bools = np.zeros(len(rows), np.bool_)
        active = np.arange(len(rows))
        while active.size:
            words = self._tags[bucket]
            slot = self._slots_of(bucket, words ^ pattern, rows[active])
            there = _places(slot >= 0)
            self._free(slot[there])
            released[active[there]] = True
            # Beyond a bucket with an empty slot nobody ever went. What was freed just now does not count: ask `words`.
            on = _places((slot < 0) & (_zero_bytes(words) == 0))
            active, pattern = active[on], pattern[on]
            bucket = self._after(bucket[on], ids[active])
        return released

    def clear(self) -> None:
        """Forget every head; the table keeps its size."""
        self._tags[:] = 0
        self._rows[:] = 0
        self._used = 0

    def _slots_of(self, bucket: Int64s, differing: UInt64s, rows: Rows) -> Int64s:
        """The slot that holds each row in its bucket, -1 where none does."""
        found: Int64s = np.full(len(rows), -1, np.int64)
        candidates = _zero_bytes(differing)
        on = _places(candidates != 0)
        candidates = candidates[on]
        while on.size:
            slot = bucket[on] * SLOTS + _lowest(candidates)
            match = self._rows[slot] == rows[on]
            found[on[match]] = slot[match]
            candidates &= candidates - _ONE
            rest = _places(~match & (candidates != 0))
            on, candidates = on[rest], candidates[rest]
        return found

    def _free(self, slots: Int64s) -> None:
        """Probing never passes a bucket that has an empty slot, so there a freed slot may be empty again."""
        open_ = _zero_bytes(self._tags[slots // SLOTS]) != 0
        self._rows[slots] = 0
        self._tags.view(np.uint8)[slots] = np.where(open_, 0, _TOMBSTONE).astype(np.uint8)
        self._used -= int(np.count_nonzero(open_))

    def _matching(self, table_ids: UInt64s, ids: UInt64s, bucket: Int64s, differing: UInt64s) -> Rows:
        """The row of each id in its bucket, 0 where it is not there. A zero byte in `differing` is a tag that agrees."""
        found: Rows = np.zeros(len(ids), np.uint32)
        candidates = _zero_bytes(differing)
        on = _places(candidates != 0)
        candidates, bucket, ids = candidates[on], bucket[on], ids[on]
        while on.size:
            rows = self._rows[bucket * SLOTS + _lowest(candidates)]
            theirs = table_ids[rows]
            match = (theirs[:, 0] == ids[:, 0]) & (theirs[:, 1] == ids[:, 1])
            found[on[match]] = rows[match]
            candidates &= candidates - _ONE
            rest = _places(~match & (candidates != 0))
            if not rest.size:
                break
            on, candidates, bucket, ids = on[rest], candidates[rest], bucket[rest], ids[rest]
        return found

    def _take(self, bucket: Int64s, free: UInt64s, rows: Rows, pattern: UInt64s) -> Bools:
        """Write rows into the first free slot of their buckets; True where the row got it."""
        slot = bucket * SLOTS + _lowest(free)
        # Written backwards: NumPy lets the last of equal indices win, and the earlier record must.
        self._rows[slot[::-1]] = rows[::-1]
        won: Bools = self._rows[slot] == rows
        self._tags.view(np.uint8)[slot[won]] = pattern[won].astype(np.uint8)
        self._used += int(np.count_nonzero(won))
        return won

    def _home(self, ids: UInt64s) -> Int64s:
        # Multiply-shift range reduction of 32 hash bits: any table size, no modulo.
        return (((ids[:, 0] >> _HALF) * np.uint64(len(self._tags))) >> _HALF).astype(np.int64)

    def _after(self, bucket: Int64s, ids: UInt64s) -> Int64s:
        size = len(self._tags)
        following = bucket + 1 + (((ids[:, 1] >> _HALF) * np.uint64(size - 1)) >> _HALF).astype(np.int64)
        following[following >= size] -= size
        return following

    def _reserve(self, table_ids: UInt64s, more: int) -> None:
        if self._used + more <= int(len(self._rows) * MAX_LOAD):
            return
        heads = self._rows[self._rows != 0]
        buckets = len(self._tags)
        while len(heads) + more > int(buckets * SLOTS * MAX_LOAD * 0.95):  # slack, or deletions would rebuild each time
            buckets = _prime_from(buckets * 3 if buckets < _SMALL else buckets + buckets // 3)
        self._tags = zeros(buckets, np.uint64)
        self._rows = zeros(buckets * SLOTS, np.uint32)
        self._used = 0
        for start in range(0, len(heads), _REFILL):
            self._refill(table_ids, heads[start : start + _REFILL])

    def _refill(self, table_ids: UInt64s, rows: Rows) -> None:
        """Put heads, no two of one id, into a table without tombstones: its buckets are filled from slot 0 up."""
        ids = table_ids[rows]
        bucket = self._home(ids)
        tags = self._tags.view(np.uint8)
        while rows.size:
            order = np.argsort(bucket, kind="stable")
            rows, ids, bucket = rows[order], ids[order], bucket[order]
            first = _places(np.diff(bucket, prepend=-1))
            place = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
            free = _zero_bytes(self._tags[bucket])
            place += np.where(free == 0, SLOTS, _lowest(free))
            fits = place < SLOTS
            slot = bucket[fits] * SLOTS + place[fits]
            self._rows[slot] = rows[fits]
            tags[slot] = _pattern(ids[fits]).astype(np.uint8)
            self._used += len(slot)
            rows, ids = rows[~fits], ids[~fits]
            bucket = self._after(bucket[~fits], ids)


def _prime_from(n: int) -> int:
    """The smallest prime that is not below n."""
    n |= 1
    while any(n % d == 0 for d in range(3, math.isqrt(n) + 1, 2)):
        n += 2
    return n


def _pattern(ids: UInt64s) -> UInt64s:
    """The tag of each id, 1 to 254, in all eight bytes of a word."""
    tag = (((ids[:, 1] & _LOW) * np.uint64(254)) >> _HALF) + _ONE
    out: UInt64s = tag * _ONES
    return out


def _zero_bytes(words: UInt64s) -> UInt64s:
    """High bits set in the bytes that are zero. A byte of 1 above a zero byte may be marked too; the lowest mark is
    always right (Warren, Hacker's Delight, 6-1)."""
    out: UInt64s = (words - _ONES) & ~words & _HIGHS
    return out


def _lowest(marks: UInt64s) -> Int64s:
    """Number of the lowest marked byte of each word."""
    below = (marks & (~marks + _ONE)) - _ONE
    return (np.bitwise_count(below) >> 3).astype(np.int64)


def _places(mask: Bools) -> Int64s:
    """Where a mask holds; np.flatnonzero without its detour, which on short batches costs more than the look."""
    return mask.nonzero()[0]
