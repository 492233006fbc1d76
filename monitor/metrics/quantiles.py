"""Quantiles of errors from their histogram by size, with a bound that is the width of a bin.

The p-quantile of n numbers is that of NumPy and of most software: the point p (n - 1) of the way through them in order, between
two of them by the line (Hyndman and Fan's type 7). Which bin each of the two is in is exact; within its bin numbers are taken
as spread evenly. The interval is that of order statistics, binomial by the normal law, out to the ends of their bins: it holds
for any distribution. A histogram by size has bins of a 16th of their size, so the bound is a 16th of the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics.intervals import Z95
from monitor.sketches.sizes import fine_ends

_SIZES: Final = fine_ends()
SIZE_STARTS: Final[Float64s] = np.concatenate(([0.0], _SIZES[1:-1]))
SIZE_ENDS: Final[Float64s] = np.concatenate(([0.0], _SIZES[2:]))
"""Of sizes without sign: the bin of 0 holds nothing else."""
SIGNED_STARTS: Final[Float64s] = np.concatenate((-SIZE_ENDS[:0:-1], SIZE_STARTS))
SIGNED_ENDS: Final[Float64s] = np.concatenate((-SIZE_STARTS[:0:-1], SIZE_ENDS))

Found = tuple[Float64s, tuple[Float64s, Float64s], Float64s]
"""Values, intervals and bounds of W windows; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """W histograms (W, B), of each bin how many rows lie in it and before it, and all rows (W,)."""

    counts: Int64s
    below: Int64s
    n: Int64s

    @classmethod
    def of(cls, counts: Int64s) -> Ordered:
        """From the counts."""
        below = np.cumsum(counts, axis=1)
        return cls(counts, below, below[:, -1])

    def bin_of(self, order: Int64s) -> Int64s:
        """The bin of the number that has `order` (W,) others before it."""
        found: Int64s = np.minimum((self.below <= order[:, np.newaxis]).sum(axis=1), self.below.shape[1] - 1)
        return found


def quantile(ordered: Ordered, starts: Float64s, ends: Float64s, p: float) -> Found:
    """The p-quantile of histograms whose bins hold numbers from `starts` to `ends`, both (B,) and ascending."""
    last = np.maximum(ordered.n - 1, 0)
    place = p * last
    first = np.floor(place).astype(np.int64)
    share = place - first
    both = (first, np.minimum(first + 1, last))
    bins = [ordered.bin_of(order) for order in both]
    values = [_within(ordered, starts, ends, bin_, order) for bin_, order in zip(bins, both, strict=True)]
    lowest, value, highest = (
        (1.0 - share) * one + share * other
        for one, other in ((starts[bins[0]], starts[bins[1]]), values, (ends[bins[0]], ends[bins[1]]))
    )
    interval = _interval(ordered, starts, ends, p)
    return np.where(ordered.n == 0, np.nan, value), interval, np.maximum(value - lowest, highest - value)


def largest(ordered: Ordered, starts: Float64s, ends: Float64s) -> tuple[Float64s, Float64s]:
    """The largest number of W histograms, the middle of the last bin with a row, and its bound; NaN without rows."""
    last = ordered.bin_of(np.maximum(ordered.n - 1, 0))
    value, half = 0.5 * (starts[last] + ends[last]), 0.5 * (ends[last] - starts[last])
    return np.where(ordered.n > 0, value, np.nan), np.where(ordered.n > 0, half, 0.0)


def _within(ordered: Ordered, starts: Float64s, ends: Float64s, bin_: Int64s, order: Int64s) -> Float64s:
    """Where in its bin a number lies if those of the bin are spread evenly."""
    windows = np.arange(len(bin_))
    own = ordered.counts[windows, bin_]
    before = ordered.below[windows, bin_] - own
    value: Float64s = starts[bin_] + (ends[bin_] - starts[bin_]) * (order - before + 0.5) / np.maximum(own, 1)
    return value


def _interval(ordered: Ordered, starts: Float64s, ends: Float64s, p: float) -> tuple[Float64s, Float64s]:
    n = ordered.n
    half = Z95 * np.sqrt(n * p * (1.0 - p))
    low, high = np.floor(n * p - half).astype(np.int64) - 1, np.ceil(n * p + half).astype(np.int64)
    lower = np.where(low >= 0, starts[ordered.bin_of(np.maximum(low, 0))], np.nan)
    upper = np.where(high < n, ends[ordered.bin_of(np.minimum(high, np.maximum(n - 1, 0)))], np.nan)
    return lower, upper
