"""Distances between the bin counts of a reference, shape (B,), and of W windows, shape (W, B).

All return float64 of shape (W,), NaN for windows without rows; a reference without rows makes everything NaN.
Formulas take shares (counts over rows). A window's distance depends on its own counts alone, to the bit.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from monitor.events import Bools, Float64s, Int64s
from monitor.sketches.fixed_point import natural_log

PSI_FLOOR: Final = 1e-4
"""Shares below this count as this in PSI, on both sides: an empty bin must not make it infinite."""
_LN2: Final = 0.6931471805599453
_LARGEST: Final = 1.7976931348623157e308
_RADIUS: Final = 1.4802071873007983
"""sqrt(ln(2/0.025)/2): the DKW radius of one row at 2.5 %."""


def _shares(reference: Int64s, current: Int64s) -> tuple[Float64s, Float64s]:
    with np.errstate(divide="ignore", invalid="ignore"):
        p = reference / reference.sum()
        q = current / current.sum(axis=1, keepdims=True)
    return p, q


def _ln(x: Float64s) -> Float64s:
    """Logarithm with the same bits everywhere; NaN stays NaN."""
    nothing = np.isnan(x)
    return np.where(nothing, np.nan, natural_log(np.where(nothing, 1.0, x)))


def psi(reference: Int64s, current: Int64s, floor: float = PSI_FLOOR) -> Float64s:
    """Population stability index, sum of (q - p) ln(q / p) with shares floored at `floor` (not renormalised)."""
    p, q = _shares(reference, current)
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    value: Float64s = ((q - p) * (_ln(q) - _ln(p))).sum(axis=1)
    return value


def psi_bias(reference: Int64s, current: Int64s) -> Float64s:
    """What PSI is on average when nothing changed: (B - 1)(1/n + 1/n0), B counting bins that are not empty in both.

    Under no change PSI is about that times a chi-square over its B - 1 degrees of freedom (Yurdakul & Naranjo).
    """
    used = ((reference[np.newaxis] + current) > 0).sum(axis=1)
    with np.errstate(divide="ignore"):
        noise = 1.0 / current.sum(axis=1) + 1.0 / reference.sum()
    return np.where(current.sum(axis=1) > 0, (used - 1) * noise, np.nan)


def kolmogorov_smirnov(reference: Int64s, current: Int64s, singletons: Bools) -> tuple[Float64s, Float64s]:
    """Largest difference of the two distribution functions at the bins' ends, and how much larger the exact one can be.

    Bins are in the order of the values; `singletons` (B,) are those that hold one value, inside which nothing can hide.
    Elsewhere all reference rows of a bin may lie below all current ones, or above: the bound is what that would give.
    It is at most the largest bin's share, and it is reached.
    """
    p, q = _shares(reference, current)
    after = np.cumsum(q, axis=1) - np.cumsum(p)
    value = np.abs(after).max(axis=1)
    before = after - (q - p)
    hidden = np.maximum(before + q, p - before)
    worst = np.where(singletons, 0.0, hidden).max(axis=1)
    return value, np.maximum(worst - value, 0.0)


def ks_noise(reference_rows: int, current_rows: int, alpha: float = 0.05) -> float:
    """The KS distance that two samples of one distribution exceed with probability about alpha.

    sqrt(ln(2/alpha)/2 (1/n + 1/n0)), Dvoretzky-Kiefer-Wolfowitz with Massart's constant: shifts below it cannot be
    told from chance.
    """
    return math.sqrt(math.log(2.0 / alpha) / 2.0 * (1.0 / reference_rows + 1.0 / current_rows))


def ks_rows(shift: float, alpha: float = 0.05) -> int:
    """How many reference rows it takes at least to tell a KS distance of this size from chance (`ks_noise`), in a window of any
    number of rows."""
    return math.ceil(math.log(2.0 / alpha) / 2.0 / shift**2)


def ks_margin(reference_rows: int, current_rows: Int64s) -> Float64s:
    """How far a measured KS distance can lie from that of the two distributions, with probability at least 95 %.

    The sum of both samples' DKW radii at 2.5 % each: valid for any distributions, so it is wide.
    """
    with np.errstate(divide="ignore"):
        margin: Float64s = _RADIUS * (1.0 / np.sqrt(reference_rows) + 1.0 / np.sqrt(current_rows))
    return margin


def jensen_shannon(reference: Int64s, current: Int64s) -> Float64s:
    """Jensen-Shannon distance: the square root of the divergence in base 2, so within [0, 1]."""
    p, q = _shares(reference, current)
    middle: Float64s = 0.5 * (p + q)

    def divergence(x: Float64s) -> Float64s:
        ratio = np.where(x > 0, x / np.where(middle > 0, middle, 1.0), 1.0)
        total: Float64s = (x * _ln(ratio)).sum(axis=1)
        return total

    both = 0.5 * (divergence(np.broadcast_to(p, q.shape)) + divergence(q)) / _LN2
    return np.sqrt(np.maximum(both, 0.0))


def hellinger(reference: Int64s, current: Int64s) -> Float64s:
    """Hellinger distance, sqrt(1/2 sum (sqrt q - sqrt p)^2), within [0, 1]."""
    p, q = _shares(reference, current)
    gap = np.sqrt(q) - np.sqrt(p)
    half_squares: Float64s = 0.5 * (gap * gap).sum(axis=1)
    return np.sqrt(half_squares)


def total_variation(reference: Int64s, current: Int64s) -> Float64s:
    """Total variation distance, half the sum of |q - p|: the share of rows that would have to move. Within [0, 1]."""
    p, q = _shares(reference, current)
    value: Float64s = 0.5 * np.abs(q - p).sum(axis=1)
    return value


def l_infinity(reference: Int64s, current: Int64s) -> Float64s:
    """Largest difference of any bin's share, max |q - p|: blind to how many bins moved. Within [0, 1]."""
    p, q = _shares(reference, current)
    value: Float64s = np.abs(q - p).max(axis=1)
    return value


def chi_square(reference: Int64s, current: Int64s) -> Float64s:
    """Pearson's statistic of two samples, without Yates' correction: about B - 1 when nothing changed, whatever n.

    The sum over bins of (k sqrt(n0/n) - r sqrt(n/n0))^2 / (k + r), k of n current rows and r of n0 reference rows in
    the bin; bins empty on both sides add nothing. Grows with the rows where something changed, so a threshold on it
    holds for one size of window only.
    """
    rows = current.sum(axis=1, keepdims=True).astype(np.float64)
    reference_rows = float(reference.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = current * np.sqrt(reference_rows / rows) - reference * np.sqrt(rows / reference_rows)
    both = current + reference[np.newaxis]
    value: Float64s = (gap * gap / np.where(both > 0, both, 1)).sum(axis=1)
    return value


def wasserstein(reference: Int64s, current: Int64s, uppers: Float64s) -> tuple[Float64s, Float64s]:
    """Wasserstein-1 distance in the feature's own unit: the integral of the difference of the distribution functions.

    Bins are in the order of the values and end at `uppers` (B - 1,); the first and the last are open. What lies beyond
    the reference's range counts as lying at its end: how far beyond is not kept. Inside a bin rows are taken as spread
    evenly; the exact distance (of the values so cut off) is within the second result, half the sum of each bin's width
    times its two shares, which is reached when the rows of both sides stand at opposite ends.
    """
    p, q = _shares(reference, current)
    if len(uppers) < 2:
        return np.where(current.sum(axis=1) > 0, 0.0, np.nan), np.zeros(len(current))
    half_width = uppers[1:] / 2 - uppers[:-1] / 2  # halves: the reference may span all doubles
    inner_p, inner_q = p[1:-1], q[:, 1:-1]
    after = np.cumsum(q[:, :-1], axis=1) - np.cumsum(p[:-1])
    left, right = np.abs(after[:, :-1]), np.abs(after[:, 1:])
    total = left + right
    crosses = after[:, :-1] * after[:, 1:] < 0  # there the difference is two triangles, not a trapezium
    twice = np.where(crosses, (left * left + right * right) / np.where(total > 0, total, 1.0), total)
    with np.errstate(over="ignore"):
        value = (twice * half_width).sum(axis=1)
        bound = ((inner_p + inner_q) * half_width).sum(axis=1)
    return np.minimum(value, _LARGEST), np.minimum(bound, _LARGEST)
