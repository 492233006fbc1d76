"""Area under the ROC curve from two score histograms, with its bound and its DeLong interval.

Rows in one bin count as tied. The exact area differs by at most half the share of (positive, negative) pairs that lie
in one bin, reached when all positives of every bin stand above (or below) all its negatives: that is the bound.
Variance: DeLong, DeLong & Clarke-Pearson (1988), of the binned statistic, in O(bins).
"""

from __future__ import annotations

import numpy as np

from monitor.events import Float64s, Int64s


def roc_auc(positives: Int64s, negatives: Int64s) -> tuple[Float64s, Float64s, Float64s]:
    """Area, bound and variance of W windows from their histograms, both (W, bins), bins in order of score.

    Area and bound are NaN without positives or without negatives; the variance also with a single one of either.
    The pair counts are exact integers (up to 2**62 pairs), so the area does not depend on the order of summation.
    """
    above = np.cumsum(positives, axis=1)
    below = np.cumsum(negatives, axis=1)
    n_positive, n_negative = above[:, -1], below[:, -1]
    pairs = n_positive.astype(np.float64) * n_negative.astype(np.float64)
    # Twice the negatives that a positive of bin i beats (ties half), twice the positives that beat a negative of bin i.
    wins = 2 * below - negatives
    losses = 2 * n_positive[:, np.newaxis] - 2 * above + positives
    won = (positives * wins).sum(axis=1)
    tied = (positives * negatives).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = 0.5 * won / pairs
        bound = 0.5 * tied / pairs
        spread_positive = _spread(positives, wins, n_negative, n_positive, area)
        spread_negative = _spread(negatives, losses, n_positive, n_negative, area)
        variance = spread_positive / n_positive + spread_negative / n_negative
    return area, bound, variance


def _spread(rows: Int64s, doubled: Int64s, others: Int64s, own: Int64s, area: Float64s) -> Float64s:
    """Sample variance of DeLong's placement values `doubled / 2 / others`, bin i holding `rows[i]` of `own` rows."""
    distance = np.multiply(doubled, (0.5 / others)[:, np.newaxis])
    distance -= area[:, np.newaxis]
    distance *= distance
    distance *= rows
    variance: Float64s = distance.sum(axis=1) / np.where(own > 1, own - 1.0, np.nan)
    return variance
