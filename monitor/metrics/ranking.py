"""Areas under the ROC and the precision-recall curve from two score histograms, with their bounds and intervals.

Rows in one bin count as tied. The exact area under the ROC curve differs by at most half the share of (positive, negative)
pairs that lie in one bin, reached when all positives of every bin stand above (or below) all its negatives: that is the
bound. Variance: DeLong, DeLong & Clarke-Pearson (1988), of the binned statistic, in O(bins).

That under the precision-recall curve is the average precision, the sum over steps of recall of the precision there, without
interpolation. How far order within bins can move it is worked out for each bin. Its interval is the logit one of Boyd, Eng &
Page (2013), with the number of positives.

The Kolmogorov-Smirnov distance of the classes is the largest difference of their distribution functions: at the bins' ends it is
exact, and within a bin it is bounded by what its rows could do.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics.intervals import Z95

_DKW: Final = math.log(2.0 / 0.025)


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


@np.errstate(divide="ignore", invalid="ignore")
def average_precision(positives: Int64s, negatives: Int64s) -> tuple[Float64s, Float64s]:
    """Value and bound of W windows from their histograms, both (W, bins), bins in order of score. NaN without positives."""
    found = positives[:, ::-1].astype(np.float64)
    false = negatives[:, ::-1].astype(np.float64)
    n_found, n_false = np.cumsum(found, axis=1), np.cumsum(false, axis=1)
    before, false_before = n_found - found, n_false - false
    total = n_found[:, -1]
    there = found > 0

    def mean(precision: Float64s) -> Float64s:
        value: Float64s = np.where(there, found * precision, 0.0).sum(axis=1) / np.where(total > 0, total, np.nan)
        return value

    value = mean(n_found / (n_found + n_false))
    # At best every positive of a bin has the precision of all of them with none of its negatives; at worst they come after
    # them one by one: a concave series, so its mean is not below that of its ends.
    best = mean(n_found / (n_found + false_before))
    worst = mean(0.5 * ((before + 1.0) / (before + 1.0 + n_false) + n_found / (n_found + n_false)))
    return value, np.maximum(best - value, value - worst)


@np.errstate(divide="ignore", invalid="ignore")
def average_precision_interval(value: Float64s, positives: Int64s) -> tuple[Float64s, Float64s]:
    """The 95 % logit interval of an average precision; NaN at 0 and 1, where it says nothing."""
    inside = np.where((value > 0.0) & (value < 1.0), value, np.nan)
    half = Z95 / np.sqrt(positives * inside * (1.0 - inside))
    logit = np.log(inside / (1.0 - inside))
    return 1.0 / (1.0 + np.exp(half - logit)), 1.0 / (1.0 + np.exp(-half - logit))


@np.errstate(divide="ignore", invalid="ignore")
def distance_of_classes(positives: Int64s, negatives: Int64s) -> tuple[Float64s, Float64s, tuple[Float64s, Float64s]]:
    """Value, bound and interval of W windows: the exact distance lies between value and value + bound. NaN without positives or
    negatives.

    The interval is for the two distributions' own distance: out by both samples' radii by Dvoretzky, Kiefer, Wolfowitz and
    Massart at 2.5 % each, and by the bound above. It holds for any distributions.
    """
    own, other = (rows.sum(axis=1).astype(np.float64) for rows in (positives, negatives))
    share, other_share = positives / own[:, np.newaxis], negatives / other[:, np.newaxis]
    after = np.cumsum(share, axis=1) - np.cumsum(other_share, axis=1)
    before = np.concatenate((np.zeros((len(own), 1)), after[:, :-1]), axis=1)
    value = np.minimum(np.abs(after).max(axis=1, initial=0.0), 1.0)
    furthest = np.maximum(before + share, other_share - before).max(axis=1, initial=0.0)
    value = np.where((own > 0) & (other > 0), value, np.nan)
    bound = np.maximum(np.minimum(furthest, 1.0) - value, 0.0)
    radius = sum(np.sqrt(_DKW / (2.0 * n)) for n in (own, other))
    return value, bound, (np.maximum(value - radius, 0.0), np.minimum(value + bound + radius, 1.0))


def _spread(rows: Int64s, doubled: Int64s, others: Int64s, own: Int64s, area: Float64s) -> Float64s:
    """Sample variance of DeLong's placement values `doubled / 2 / others`, bin i holding `rows[i]` of `own` rows."""
    distance = np.multiply(doubled, (0.5 / others)[:, np.newaxis])
    distance -= area[:, np.newaxis]
    distance *= distance
    distance *= rows
    variance: Float64s = distance.sum(axis=1) / np.where(own > 1, own - 1.0, np.nan)
    return variance
