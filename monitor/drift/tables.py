"""All sums of a tick at once: what a detector's channels gain, and what their functionals had, from the counts.

A channel's table has a row for each bin of each season, and columns for its cells (logarithms) and for its functionals
(values, activity, means and limits). One product with the counts gives all sums. Of seasons mostly one has rows in a tick, so
only the rows from the first to the last bin that holds something take part.

The entries are integers in doubles. Up to `exact` rows every sum is below 2**53, so the product, which is five times as
fast as one of integers, gives the same bits as they would, in whatever order it adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.drift.functionals import ONE
from monitor.events import Bools, Float64s, Int64s

if TYPE_CHECKING:
    from monitor.drift.edetector import Channel

MOST_ROWS: Final = 200_000_000
"""Rows of one tick that are told apart; more are taken as so many, keeping every bin's share. Sums stay exact so."""
COARSER: Final = 14
"""Bits by which sums that are only shown are kept coarser, so that they hold 1e14 rows."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of R lanes and all cells C: what each gained, and of its functional the sum, the rows, and what these would have had
    at the mean and at the limit (the three sums in units of 2**-16); `busy` where the channel had rows. All (R, C)."""

    gained: Int64s
    hits: Int64s
    rows: Int64s
    means: Int64s
    limits: Int64s
    busy: Bools


class Tables:
    """The tables of a detector's channels. Never changed."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._entries = [_entries(channel) for channel in channels]
        self.exact = np.array([2.0**53 / max(float(np.abs(own).max(initial=0.0)), 1.0) for own in self._entries])
        heights, widths = ([own.shape[i] for own in self._entries] for i in range(2))
        self._ends = np.cumsum(heights)
        self._starts = self._ends - heights
        self._columns = (np.cumsum(widths) - widths).tolist()
        self._width = sum(widths)
        self._asked = [i for i, channel in enumerate(channels) if channel.cells]
        cells = np.array([channel.cells for channel in channels])
        self._channel = np.repeat(np.arange(len(channels)), cells)
        first = np.repeat(np.array(self._columns), cells)  # of each cell, its channel's first column
        within = np.arange(len(first)) - np.repeat(np.cumsum(cells) - cells, cells)
        owner = np.concatenate([channel.owner for channel in channels])
        after = np.repeat(cells, cells)
        asked = np.repeat([len(channel.functionals) for channel in channels], cells)
        self._gain = first + within
        self._sums = [first + after + i * asked + owner for i in range(4)]

    def of(self, counts: Sequence[Int64s | None], lanes: int) -> Sums:
        """The sums of one tick: counts (R, seasons B) by channel, None where the tick has nothing of a channel."""
        heights = (self._ends - self._starts).tolist()
        whole = np.concatenate(
            [
                np.zeros((lanes, height), np.int64) if own is None else own
                for own, height in zip(counts, heights, strict=True)
            ],
            axis=1,
        )
        total = np.add.reduceat(whole, self._starts, axis=1)
        found = self.products(whole, total)
        hits, rows, means, limits = (found.take(at, axis=1) for at in self._sums)
        busy: Bools = (total > 0).take(self._channel, axis=1)
        gained = found.take(self._gain, axis=1)
        return Sums(gained, hits >> COARSER, rows, means >> COARSER, limits >> COARSER, busy)

    def products(self, whole: Int64s, total: Int64s) -> Int64s:
        """All columns of all channels, (R, columns), of their counts side by side; `total` (R, channels) are the rows."""
        there = np.flatnonzero(whole.any(axis=0))
        first, last = np.searchsorted(there, self._starts).tolist(), np.searchsorted(there, self._ends).tolist()
        starts, exact = self._starts.tolist(), bool((total.max(axis=0, initial=0) <= self.exact).all())
        counted = whole.astype(np.float64)
        found = np.zeros((len(whole), self._width), np.float64 if exact else np.int64)
        for i in self._asked:
            if first[i] == last[i]:
                continue
            begin, end = int(there[first[i]]), int(there[last[i] - 1]) + 1
            entries = self._entries[i][begin - starts[i] : end - starts[i]]
            into = slice(self._columns[i], self._columns[i] + entries.shape[1])
            if exact:
                found[:, into] = counted[:, begin:end] @ entries
            else:
                found[:, into] = _bounded(whole[:, begin:end]) @ entries.astype(np.int64)
        return found.astype(np.int64)


def _entries(channel: Channel) -> Float64s:
    """The table of a channel, (seasons B, C + 4 F)."""
    own = channel.functionals
    active = own.active.T.astype(np.int64)
    sums = [
        np.hstack([np.where(own.active, own.values, 0).T, active, *(active * _whole(at) for at in (n.mean, n.limit))])
        for n in channel.nulls
    ]
    return np.ascontiguousarray(np.hstack([channel.table, np.concatenate(sums)]), np.float64)


def _whole(shares: Float64s) -> Int64s:
    found: Int64s = np.rint(shares * ONE).astype(np.int64)
    return found


def _bounded(counts: Int64s) -> Int64s:
    """Counts (R, B) with at most `MOST_ROWS` rows a lane."""
    scale = np.maximum(counts.sum(axis=1) / MOST_ROWS, 1.0)[:, np.newaxis]
    return np.where(scale > 1.0, np.floor(counts / scale), counts).astype(np.int64)
