"""Exponentials and sums in logarithms, with the same bits on every machine.

Evidence grows beyond any double, so it is kept as logarithms; it decides alarms, so its bits must not depend on the
processor's or the C library's exponential. Only operations that IEEE 754 defines to the bit are used.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Float64s
from monitor.sketches.fixed_point import natural_log

_LN2_HI: Final = 6.93147180369123816490e-01
_LN2_LO: Final = 1.90821492927058770002e-10
_INVERSE_LN2: Final = 1.4426950408889634
_FACTORIALS: Final = (
    6227020800.0, 479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0,
)  # fmt: skip
_NOTHING: Final = -700.0
"""Exponentials of less than this are taken as 0: beside 1 they are long gone."""


def exp_of_negative(x: Float64s) -> Float64s:
    """e**x for x from minus infinity to 0, within 2e-16 relative; 0 below -700. Taylor's series after taking out 2**k."""
    clipped = np.maximum(x, _NOTHING)
    k = np.rint(clipped * _INVERSE_LN2)
    r = (clipped - k * _LN2_HI) - k * _LN2_LO
    total = np.full_like(r, 1.0 / _FACTORIALS[0])
    for factorial in _FACTORIALS[1:]:
        total *= r
        total += 1.0 / factorial
    total *= r
    total += 1.0
    total *= r
    total += 1.0
    found: Float64s = np.ldexp(total, k.astype(np.int32))
    return np.where(x < _NOTHING, 0.0, found)


def log_one_plus_exp(x: Float64s) -> Float64s:
    """ln(1 + e**x) for any x, minus infinity included (then 0)."""
    found: Float64s = np.maximum(x, 0.0) + natural_log(1.0 + exp_of_negative(-np.abs(x)))
    return found


def log_weighted_sum(x: Float64s, weights: Float64s) -> Float64s:
    """ln of the sum of weights times e**x over the last axis; minus infinity when every x with a weight is."""
    top = np.where(weights > 0, x, -np.inf).max(axis=-1, keepdims=True)
    nothing = np.isneginf(top)
    shifted = np.where(weights > 0, x, -np.inf) - np.where(nothing, 0.0, top)
    total = (weights * exp_of_negative(shifted)).sum(axis=-1)
    found: Float64s = top[..., 0] + natural_log(np.where(nothing[..., 0], 1.0, total))
    return found
