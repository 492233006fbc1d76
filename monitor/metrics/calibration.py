"""How far scores are from the frequencies that they promise, from two histograms of scores by actual class.

The expected calibration error of 15 equal-width bins (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017): the mean, over
scored rows, of the distance between the mean score of a row's bin and the share of positives in it. Bins are whole runs of
the histograms' bins, so every row is in its exact bin; of its score the middle of its fine bin is taken, which is off by
half a fine bin at most: that is the bound.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

BINS: Final = 15
"""Equal-width bins, as most papers and libraries take them."""


@np.errstate(divide="ignore", invalid="ignore")
def calibration_error(positives: Int64s, negatives: Int64s) -> tuple[Float64s, float, Float64s]:
    """Value, bound and variance of W windows from their histograms, both (W, fine bins), a multiple of `BINS`.

    The variance is that of the mean of (actual - score), signed by its bin, with the signs taken as given: where a bin is
    calibrated its sign hangs on chance, and the value is above the true error. So a small value among few rows says little,
    and that it says less than it seems is not in the interval. NaN without rows.
    """
    windows, fine = positives.shape
    middle = (np.arange(fine) + 0.5) / fine
    rows = (positives + negatives).reshape(windows, BINS, -1)
    hits, scores = positives.reshape(windows, BINS, -1), middle.reshape(BINS, -1)
    count = rows.sum(axis=2).astype(np.float64)
    hit = hits.sum(axis=2).astype(np.float64)
    promised = (rows * scores).sum(axis=2)
    total = count.sum(axis=1)
    value = np.abs(hit - promised).sum(axis=1) / total
    # Sum of (actual - score)^2 in a bin: a positive is 1 - score away, a negative its score.
    squares = (hits * (1.0 - scores) ** 2 + (rows - hits) * scores**2).sum(axis=2)
    within = squares - np.where(count > 0, (hit - promised) ** 2 / np.where(count > 0, count, 1.0), 0.0)
    return value, 0.5 / fine, np.maximum(within, 0.0).sum(axis=1) / (total * total)
