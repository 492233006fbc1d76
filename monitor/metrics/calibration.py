"""How far scores are from the frequencies that they promise, from two histograms of scores by actual class.

In equal-width bins the distance of a bin is that between the mean score of its rows and the share of positives in it. The
expected calibration error is their mean over rows, the root mean squared one the root of the mean of their squares, and the
maximum one the largest (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017; Kumar, Liang and Ma 2019). Bins are whole runs of
the histograms' bins, so every row is in its exact bin; of its score the middle of its fine bin is taken, which is off by half
a fine bin at most: that is the bound of all three.

Where a bin is calibrated the sign of its distance hangs on chance, and the values are above the true errors. So a small value
among few rows says little, and that it says less than it seems is in none of the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

BINS: Final = 15
"""Equal-width bins, as most papers and libraries take them."""
Found = tuple[Float64s, float, Float64s]
"""Value, bound and variance of W windows; value and variance NaN without rows."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of W windows by bin, (W, bins) all: rows, positives less the sum of scores, and what is left of the squares of (actual -
    score) about their mean. `bound`: of a mean score."""

    rows: Float64s
    off: Float64s
    within: Float64s
    bound: float

    @property
    def total(self) -> Float64s:
        """Rows of each window."""
        total: Float64s = self.rows.sum(axis=1)
        return total


def reliability(positives: Int64s, negatives: Int64s, bins: int = BINS) -> Reliability:
    """From the histograms of scores of W windows, both (W, fine bins), a multiple of `bins`."""
    windows, fine = positives.shape
    middle = (np.arange(fine) + 0.5) / fine
    rows = (positives + negatives).reshape(windows, bins, -1)
    hits, scores = positives.reshape(windows, bins, -1), middle.reshape(bins, -1)
    count = rows.sum(axis=2).astype(np.float64)
    off = hits.sum(axis=2).astype(np.float64) - (rows * scores).sum(axis=2)
    # Sum of (actual - score)^2 in a bin: a positive is 1 - score away, a negative its score.
    squares = (hits * (1.0 - scores) ** 2 + (rows - hits) * scores**2).sum(axis=2)
    within = squares - np.where(count > 0, off**2 / np.where(count > 0, count, 1.0), 0.0)
    return Reliability(count, off, np.maximum(within, 0.0), 0.5 / fine)


@np.errstate(divide="ignore", invalid="ignore")
def calibration_error(by_bin: Reliability) -> Found:
    """The expected one. The variance is that of the mean of (actual - score), signed by its bin, the signs taken as given."""
    total = by_bin.total
    return np.abs(by_bin.off).sum(axis=1) / total, by_bin.bound, by_bin.within.sum(axis=1) / (total * total)


@np.errstate(divide="ignore", invalid="ignore")
def root_mean_squared_error(by_bin: Reliability) -> Found:
    """The root mean squared one. The variance takes the shares of the bins as given."""
    total = by_bin.total
    gap = np.where(by_bin.rows > 0, by_bin.off / by_bin.rows, 0.0)
    value = np.sqrt((by_bin.rows * gap * gap).sum(axis=1) / total)
    variance = (gap * gap * by_bin.within).sum(axis=1) / (total * total * value * value)
    return value, by_bin.bound, variance


@np.errstate(divide="ignore", invalid="ignore")
def largest_error(by_bin: Reliability) -> Found:
    """The maximum one, over the bins that have rows. The variance is that of the bin's own distance, the bin taken as given."""
    gap = np.where(by_bin.rows > 0, np.abs(by_bin.off) / by_bin.rows, 0.0)
    worst = (np.arange(len(gap)), gap.argmax(axis=1))
    variance = by_bin.within[worst] / (by_bin.rows[worst] ** 2)
    return np.where(by_bin.total > 0, gap[worst], np.nan), by_bin.bound, variance
