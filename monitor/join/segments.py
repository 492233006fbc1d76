"""Rows of the join that were put aside: immutable columns elsewhere, sorted by id, and what may change of them in memory.

In memory a row keeps two bytes and a half at most: its state (flags of a prediction, status of a label, `GONE` once it came back
or was forgotten) and its share of a filter that says of most ids that they are not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Int64s, UInt64s
from monitor.ports import KeptColumns

GONE = 0xFF
"""State of a row that is not here any more. No flags and no status have it."""
PART = 1 << 17
"""Rows that are looked at in one go when a segment is settled."""
_FILTER_BITS = 8
"""Bits of the filter for each row at least; with two probes it passes 5 % of the ids that are not here, or fewer."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Segment:
    """One side's rows that were put aside together."""

    __slots__ = ("_filter", "_kept", "_shift", "first_ms", "last_ms", "live", "state")

    def __init__(self, kept: KeptColumns, state: NDArray[np.uint8]) -> None:
        """`kept` has `first` and `second`, the words of the ids, sorted by `first`, and `at_ms`. `state` becomes ours."""
        self._kept, self.state = kept, state
        self.live = len(state)
        at = kept.columns["at_ms"]
        self.first_ms, self.last_ms = int(at.min()), int(at.max())
        exponent = max(6, int(len(state) * _FILTER_BITS - 1).bit_length())
        self._shift = np.uint64(64 - exponent)
        bits = np.zeros(1 << exponent, np.bool_)
        for probe in self._probes(kept.columns["first"]):
            bits[probe] = True
        self._filter: NDArray[np.uint8] = np.packbits(bits, bitorder="little")

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """The contents, read-only."""
        return self._kept.columns

    @property
    def nbytes(self) -> int:
        """Memory held for it."""
        return self.state.nbytes + self._filter.nbytes

    @property
    def kept_bytes(self) -> int:
        """What it takes where it is kept."""
        return self._kept.nbytes

    def ids(self, places: Int64s) -> UInt64s:
        """The ids of rows, shape (n, 2)."""
        return np.stack([self.columns["first"][places], self.columns["second"][places]], axis=1)

    def find(self, ids: UInt64s) -> Int64s:
        """Places of the rows that have one of these ids, ascending, each once."""
        return np.unique(self._matches(ids)[0])

    def has(self, ids: UInt64s) -> Bools:
        """Which of the ids some row has."""
        found: Bools = np.zeros(len(ids), np.bool_)
        found[self._matches(ids)[1]] = True
        return found

    def _matches(self, ids: UInt64s) -> tuple[Int64s, Int64s]:
        """(place of a row, which of the ids it has) for every such pair."""
        maybe = np.flatnonzero(self._may_hold(ids[:, 0]))
        first, second = self.columns["first"], self.columns["second"]
        wanted = ids[maybe]
        low = np.searchsorted(first, wanted[:, 0], side="left")
        found = np.searchsorted(first, wanted[:, 0], side="right") - low
        which = np.repeat(np.arange(len(maybe)), found)
        places = np.arange(len(which)) - np.repeat(np.cumsum(found) - found, found) + low[which]
        same = (second[places] == wanted[which, 1]) & (self.state[places] != GONE)
        return places[same], maybe[which[same]]

    def take_out(self, places: Int64s) -> None:
        """Rows (each named once, all still here) leave."""
        self.state[places] = GONE
        self.live -= len(places)

    def living(self) -> Int64s:
        """Places of all rows that are still here."""
        return np.flatnonzero(self.state != GONE)

    def parts(self) -> Iterator[tuple[int, int]]:
        """The rows in stretches of at most `PART`: (first place, one past the last)."""
        for start in range(0, len(self.state), PART):
            yield start, min(start + PART, len(self.state))

    def drop(self) -> None:
        """Give the space back. Nothing may be asked of it afterwards."""
        self._kept.drop()

    def _may_hold(self, words: UInt64s) -> Bools:
        held: Bools = np.ones(len(words), np.bool_)
        for probe in self._probes(words):
            held &= (self._filter[probe >> 3] >> (probe & 7).astype(np.uint8) & 1) != 0
        return held

    def _probes(self, words: UInt64s) -> tuple[Int64s, Int64s]:
        return (words >> self._shift).astype(np.int64), ((words * _ODD) >> self._shift).astype(np.int64)
