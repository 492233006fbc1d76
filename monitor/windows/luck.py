"""The luck that rows of a window share: how far windows that are over were from what the history said of their late labels.

A day of fog has late labels of one kind, and those that still wait at a day's end are the evening's, which are not like the
day's. Intervals that take rows for independent draws of one history are too narrow for that. So the past is kept in *blocks*
of event time (about 256 in a week, or horizon), by predicted class and coarse delay; a window that waits is compared with
windows of its length that are over, each looked at as long after its end: how many of the labels that came later were
positive, and how many came, against what the whole past has at that delay. The second moments of these differences, beyond
those of independent rows, are the shared luck, its correlation between the predicted classes, and what the evening is
unlike.

State: whole numbers that add up; all floating point is derived from them when a window is looked at. Not done: windows of
local days are moved by their own length, so that on two days a year they are compared with an hour's shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics.partial import PARTS, Shared

BLOCKS: Final = 256
"""Blocks in an epoch, about."""
COARSE: Final = 16
"""Groups of bins of delay, at most."""
FEWEST: Final = 2
"""With fewer windows that are over nothing is known of how they differ."""
MATRIX: Final = 4
"""tp, fp, fn, tn."""
ALONE: Final = Shared(np.zeros((PARTS, PARTS)), np.zeros(PARTS))
"""No luck is shared, as far as is known."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How the past is cut: blocks of so many ms, and the ends (K,) in ms of the groups of bins of delay."""

    block_ms: int
    ends: Int64s

    @classmethod
    def of(cls, epoch_ms: int, span_ms: int, ends: Int64s) -> Grid:
        """Blocks of whole cohorts (`span_ms`); `ends` (J,) in ms are those of the bins of delay."""
        block_ms = max(1, -(-epoch_ms // BLOCKS // span_ms)) * span_ms
        groups = min(COARSE, len(ends))
        return cls(block_ms, ends[(np.arange(1, groups + 1) * len(ends)) // groups - 1])

    @property
    def size(self) -> int:
        """Cells of a block."""
        return 2 + MATRIX * len(self.ends)

    def vector(self, seen: int, called: int, matrix: Int64s, ends: Int64s) -> Int64s:
        """Of one cohort: rows called positive and others, then labels by group of delay as tp, fp, fn, tn, from `matrix`
        (J, 4) by bins that end at `ends`."""
        came = np.zeros((len(self.ends), MATRIX), np.int64)
        np.add.at(came, np.searchsorted(self.ends, ends), matrix)
        return np.concatenate([np.array([called, seen - called], np.int64), came.ravel()])


class Past:
    """The blocks of one version that are over, at least one, as they are compared with windows that wait."""

    def __init__(self, grid: Grid, blocks: Mapping[int, Int64s]) -> None:
        self._grid, self._first = grid, min(blocks) // grid.block_ms
        table = np.zeros((max(blocks) // grid.block_ms - self._first + 1, grid.size), np.int64)
        for at, vector in blocks.items():
            table[at // grid.block_ms - self._first] = np.maximum(vector, 0)
        matrix = table[:, 2:].reshape(len(table), len(grid.ends), MATRIX)
        later = np.cumsum(matrix[:, ::-1], axis=1)[:, ::-1]
        later = np.concatenate([later, np.zeros((len(table), 1, MATRIX), np.int64)], axis=1)
        self._hits = np.stack([later[:, :, 0], later[:, :, 2]])  # by predicted class, block, groups waited
        self._comes = self._hits + np.stack([later[:, :, 1], later[:, :, 3]])
        never = np.maximum(table[:, :2].T - self._comes[:, :, 0], 0)
        self._waits = self._comes + never[:, :, np.newaxis]
        comes = self._comes.sum(axis=1)
        self._chance = self._hits.sum(axis=1) / np.maximum(comes, 1)
        self._arrives = comes / np.maximum(self._waits.sum(axis=1), 1)

    def shared(self, start_ms: int, end_ms: int, now_ms: int) -> Shared:
        """What rows of the window [start, end) share, as it is looked at now.

        So few windows are over that Student's quantile takes the place of the normal one.
        """
        size, length = self._grid.block_ms, end_ms - start_ms
        begin = (2 * start_ms + size) // (2 * size)
        own = np.arange(begin, max((2 * end_ms + size) // (2 * size), begin + 1))
        own = own[own * size + size // 2 < now_ms]  # what lies ahead has no rows
        steps = np.arange(1, max((begin - self._first) * size // length, 0) + 1)
        back = (2 * steps * length + size) // (2 * size)
        if len(own):
            back = back[own[-1] - back < self._first + self._waits.shape[1]]
        if not len(own) or not len(back):
            return ALONE
        waited = np.searchsorted(self._grid.ends, now_ms - own * size - size // 2, side="right")
        off, spread = self._residuals(own[np.newaxis] - back[:, np.newaxis] - self._first, waited)
        used = spread.sum(axis=1) > 0
        windows = int(used.sum())
        if windows < FEWEST:
            return ALONE
        beyond = _beyond(off[used], spread[used]) * _stretch(windows) * (1.0 + 1.0 / windows)
        return Shared(beyond, spread[used].mean(axis=0))

    def _residuals(self, places: Int64s, waited: Int64s) -> tuple[Float64s, Float64s]:
        """How far off each of G windows was, and its variance if rows were independent, both (G, 4), in the order of
        `Shared`. `places` (G, n): their blocks; `waited` (n,): groups of delay that are over for each."""
        hits, comes, rows = (part[:, places, waited] for part in (self._hits, self._comes, self._waits))
        p, a = self._chance[:, np.newaxis, waited], self._arrives[:, np.newaxis, waited]
        off = np.concatenate([(hits - comes * p).sum(axis=2), (comes - rows * a).sum(axis=2)])
        spread = np.concatenate([(comes * p * (1 - p)).sum(axis=2), (rows * a * (1 - a)).sum(axis=2)])
        return off.T, spread.T


def _beyond(off: Float64s, spread: Float64s) -> Float64s:
    """Second moments less the spread of independent rows, over the products of the spreads; 0 where rows differ no more than
    that, or nothing is open."""
    mean = spread.mean(axis=0)
    found = off.T @ off / len(off) - np.diag(mean)
    more, products = np.diag(found) > 0, mean[:, np.newaxis] * mean
    result: Float64s = np.where(more[:, np.newaxis] & more, found, 0.0) / np.where(products > 0, products, np.inf)
    return result


def _stretch(windows: int) -> float:
    """Student's 97.5 % quantile at so many windows over the normal one, squared."""
    from scipy.special import ndtri, stdtrit

    return float((stdtrit(windows - 1, 0.975) / ndtri(0.975)) ** 2)
