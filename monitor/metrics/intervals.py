"""Intervals around metrics, vectorised over windows. All are two-sided, 95 % unless told otherwise.

They speak of sampling only: rows are taken as independent draws. On bursty or autocorrelated traffic the effective
number of rows is smaller and the true interval wider. Sources: Wilson (1927), recommended by Brown, Cai & DasGupta
(2001); Clopper & Pearson (1934); Takahashi et al. (2022) for the delta method on the cells of a confusion matrix.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

Z95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, written out so that evaluating needs no scipy."""

Interval = tuple[Float64s, Float64s]


def wilson(successes: Int64s, trials: Int64s, z: float = Z95) -> Interval:
    """Wilson's score interval of a proportion, within [0, 1]; NaN without trials.

    Exactly 0 below at no success and exactly 1 above at no failure. Never of zero width.
    """
    k, n = successes.astype(np.float64), trials.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (k + 0.5 * z * z) / (n + z * z)
        half = z / (n + z * z) * np.sqrt(k * (n - k) / n + 0.25 * z * z)
    lower = np.where(successes == 0, 0.0, np.maximum(middle - half, 0.0))
    upper = np.where(successes == trials, 1.0, np.minimum(middle + half, 1.0))
    nothing = trials == 0
    return np.where(nothing, np.nan, lower), np.where(nothing, np.nan, upper)


def clopper_pearson(successes: Int64s, trials: Int64s, alpha: float = 0.05) -> Interval:
    """The exact interval of a proportion: covers with at least 1 - alpha, always; wider than Wilson's.

    NaN without trials. For statements that must hold. Slow (inverts the beta distribution); the windows' metrics use
    Wilson's.
    """
    from scipy.special import betaincinv  # a heavy import that few callers need

    k, n = successes.astype(np.float64), trials.astype(np.float64)
    # betaincinv wants positive shapes: the edges are replaced afterwards by their exact values
    lower = betaincinv(np.maximum(k, 1.0), np.maximum(n - k + 1.0, 1.0), alpha / 2)
    upper = betaincinv(k + 1.0, np.maximum(n - k, 1.0), 1 - alpha / 2)
    lower, upper = np.where(successes == 0, 0.0, lower), np.where(successes == trials, 1.0, upper)
    nothing = trials == 0
    return np.where(nothing, np.nan, lower), np.where(nothing, np.nan, upper)


def normal_mean(total: Float64s, squares: Float64s, n: Int64s, z: float = Z95) -> Interval:
    """Normal interval of a mean from the sum and the sum of squares of n terms; NaN below two rows.

    Symmetric; not cut to the range of the statistic.
    """
    rows = n.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / rows
        # The squares come in coarser units than the sum, so equal terms can leave a residue below zero.
        variance = np.maximum(squares - total * mean, 0.0) / (rows - 1.0)
        half = z * np.sqrt(variance / rows)
    lonely = n < 2
    return np.where(lonely, np.nan, mean - half), np.where(lonely, np.nan, mean + half)


def normal(value: Float64s, variance: Float64s, low: float, high: float, z: float = Z95) -> Interval:
    """Normal interval from an estimated variance, cut to [low, high]; NaN where the variance is 0 or NaN.

    A variance of 0 comes from the edge of the range (no error seen, classes fully separated), where these variance
    formulas say nothing: no interval is more honest there than one of zero width.
    """
    half = z * np.sqrt(np.where(variance > 0, variance, np.nan))
    return np.maximum(value - half, low), np.minimum(value + half, high)


def f1_variance(tp: Float64s, fp: Float64s, fn: Float64s) -> Float64s:
    """Delta-method variance of F1 = 2tp / (2tp + fp + fn) under multinomial sampling of the confusion matrix.

    F1 does not change when all cells are scaled, so the variance is the sum over cells of count x gradient squared.
    """
    errors = fp + fn
    scale = 2.0 * tp + errors
    square = scale * scale
    return 4.0 * tp * errors * (errors + tp) / (square * square)


def balanced_accuracy_variance(tp: Float64s, fp: Float64s, fn: Float64s, tn: Float64s) -> Float64s:
    """Delta-method variance of (tp / (tp + fn) + tn / (tn + fp)) / 2; NaN without one of the classes."""
    positives, negatives = tp + fn, tn + fp
    return 0.25 * (tp * fn / (positives * positives * positives) + tn * fp / (negatives * negatives * negatives))


def mcc_variance(tp: Float64s, fp: Float64s, fn: Float64s, tn: Float64s, mcc: Float64s) -> Float64s:
    """Delta-method variance of the Matthews correlation; NaN where a row or column of the matrix is empty."""
    called, actual, rejected, negative = tp + fp, tp + fn, tn + fn, tn + fp
    root = np.sqrt(called * actual) * np.sqrt(rejected * negative)
    half = 0.5 * mcc
    by_tp = tn / root - half * (1.0 / called + 1.0 / actual)
    by_tn = tp / root - half * (1.0 / rejected + 1.0 / negative)
    by_fp = -fn / root - half * (1.0 / called + 1.0 / negative)
    by_fn = -fp / root - half * (1.0 / actual + 1.0 / rejected)
    variance: Float64s = tp * by_tp * by_tp + tn * by_tn * by_tn + fp * by_fp * by_fp + fn * by_fn * by_fn
    return variance
