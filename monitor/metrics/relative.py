"""Errors relative to the label: the mean absolute percentage error and the root mean squared logarithmic error.

Both leave rows out that have no such error, and say over how many rows they are: MAPE those whose label is 0 (rounded to the
grid of the model's numbers), RMSLE those with a negative label or prediction.

A quotient |e| / |y| of integers is rounded once to 2**-30 and summed in limbs, as is its square, so any number of rows adds up
exactly. What the grid does to a quotient depends on how small its label is; a sum of these, rounded up, is the bound.
Logarithms are of ln(1 + number) of the numbers as they came.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from monitor.events import Bools, Float64s, Int64s
from monitor.metrics import intervals
from monitor.metrics.losses import SQUARED_LOSS_BITS
from monitor.sketches.fixed_point import FRACTION_BITS, from_fixed, natural_log, to_fixed
from monitor.sketches.wide import LIMB_BITS, limbs, product

RATIO_LIMBS: Final = 3
SQUARE_LIMBS: Final = 5
REST_BITS: Final = 50
"""What a square was rounded by is below 2**-21: a cell holds that of 2**33 rows."""
_HALF_BITS: Final = LIMB_BITS // 2
_ROUNDING: Final = 2.0 ** -(FRACTION_BITS + 1)
_UPWARDS: Final = 1.0 + 2.0**-40
"""Doubles round to the nearest; a bound is not to come out below what it bounds."""

Mean = tuple[float, float, float]
"""A value with its interval."""


def ratios(error: Int64s, label: Int64s) -> Int64s:
    """|e| / |y| of n rows with y other than 0, in units of 2**-30, rounded half up: (3, n) limbs. Both are below 2**44."""
    e, y = np.abs(error), np.abs(label)
    whole, rest = np.divmod(e, y)
    # Thirty more binary digits, fifteen at a time: a rest is below 2**44, so nothing is shifted out of 64 bits.
    high, rest = np.divmod(rest << _HALF_BITS, y)
    low, rest = np.divmod(rest << _HALF_BITS, y)
    part = (high << _HALF_BITS) + low + (2 * rest >= y)
    whole += part >> LIMB_BITS
    return np.vstack((part & ((1 << LIMB_BITS) - 1), limbs(whole, 2)))


def slack(error: Int64s, label: Int64s) -> Int64s:
    """How far |e| / |y| of rounded numbers can be from that of the numbers themselves, in units of 2**-30, rounded up:
    (3, n) limbs. An error is off by a unit, a label by half of one."""
    e, y = (np.abs(column).astype(np.float64) for column in (error, label))
    off = (1.0 + 0.5 * e / y) / (y - 0.5) * _UPWARDS
    whole = np.floor(off)
    part = np.ceil((off - whole) * (1 << LIMB_BITS)).astype(np.int64)
    return np.vstack((part, limbs(whole.astype(np.int64), 2)))


def terms(error: Int64s, label: Int64s, counts: Bools) -> Int64s:
    """What n rows add to `relative`, `relative2` and `relative_slack`: (11, n) limbs. `counts`: which rows have such an error."""
    y = np.where(counts, label, 1)
    e = np.where(counts, error, 0)
    own = ratios(e, y)
    found: Int64s = np.vstack((own, product(own, own, SQUARE_LIMBS), slack(e, y)))
    return found if counts.all() else found * counts


def mape(n: int, total: int, squares: int) -> Mean:
    """Value and interval of n quotients from the exact sums of them and of their squares."""
    unit = math.ldexp(1.0, -LIMB_BITS)
    mean = total / n
    if n < 2:
        return mean * unit, math.nan, math.nan
    half = intervals.Z95 * math.sqrt((n * squares - total * total) / (n * n * (n - 1)))
    return mean * unit, max(mean - half, 0.0) * unit, (mean + half) * unit


def mape_bound(n: int, slack_total: int) -> float:
    """Largest distance of the value from that of the numbers before they were rounded."""
    return slack_total / n * math.ldexp(1.0, -LIMB_BITS) + _ROUNDING


def log_terms(prediction: Float64s, label: Float64s, counts: Bools) -> Int64s:
    """What n rows add to `logarithmic`, `log_error`, `log_error_squares` and `log_error_squares_rest`: (4, n). `counts`: which
    rows have such an error."""
    f, y = (natural_log(1.0 + np.where(counts, column, 0.0)) for column in (prediction, label))
    square = np.where(counts, (f - y) ** 2, 0.0)
    second = square * square
    coarse = to_fixed(second, SQUARED_LOSS_BITS)
    rest = to_fixed(second - from_fixed(coarse, SQUARED_LOSS_BITS), REST_BITS)  # the difference is exact
    return np.vstack((counts, to_fixed(square), coarse, rest))


def rmsle_bound(mean_square: Float64s) -> Float64s:
    """How far the root of a mean can be off because its terms were rounded to 2**-30."""
    root = np.sqrt(mean_square)
    bound: Float64s = np.maximum(
        np.sqrt(mean_square + _ROUNDING) - root, root - np.sqrt(np.maximum(mean_square - _ROUNDING, 0.0))
    )
    return bound
