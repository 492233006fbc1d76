"""Real numbers as whole units, and a logarithm that gives the same bits on every machine.

A sum of floats depends on the order of its terms; a sum of integers does not. Each term is rounded once, half to even,
to units of 2**-bits; everything after that is integer arithmetic, which merges and retracts exactly.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

FRACTION_BITS: Final = 30
"""The usual unit is 2**-30: a term is off by at most 2**-31 (4.7e-10), and so is any mean of terms."""

CELL_LIMIT: Final = 1 << 62
"""No cell may exceed this in size, so that the sum of two cells always fits an int64."""

# fdlibm's e_log.c (Sun Microsystems, 1993): minimax coefficients on |s| <= 0.1716, error below 2**-58.45.
_LN2_HI: Final = 6.93147180369123816490e-01
_LN2_LO: Final = 1.90821492927058770002e-10
_LG: Final = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_SQRT_HALF: Final = 0.7071067811865476


def to_fixed(values: Float64s, bits: int = FRACTION_BITS) -> Int64s:
    """Whole units of 2**-bits, each value rounded once, half to even.

    Scaling by a power of two is exact, so the one rounding is the last step. Raises OverflowError for a value that is
    not finite or that would exceed the cell limit: neither may ever be cut off silently.
    """
    scaled = values * float(1 << bits)
    if not bool(np.all(np.abs(scaled) < CELL_LIMIT)):  # false for NaN too
        raise OverflowError(
            f"a term does not fit a cell of unit 2**-{bits}: it must be finite and below {CELL_LIMIT >> bits} in size"
        )
    return np.rint(scaled).astype(np.int64)


def from_fixed(cells: Int64s, bits: int = FRACTION_BITS) -> Float64s:
    """The real numbers that whole units of 2**-bits stand for (rounded to the nearest double beyond 2**53 units)."""
    return cells.astype(np.float64) / float(1 << bits)


def natural_log(x: Float64s) -> Float64s:
    """Natural logarithm of positive normal doubles, within one unit in the last place, the same bits on every machine.

    `numpy.log` and `math.log` choose their algorithm by processor and C library, and their last bit differs; a loss
    that is rounded to a cell afterwards would then sometimes differ by one unit between two workers, and the ledgers
    of a run and its replay with it. This one (fdlibm's algorithm) uses only operations that IEEE 754 defines to the
    bit. Not for zero, negative, infinite, subnormal or NaN arguments: callers clip first.
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT_HALF
    k = (exponent - low).astype(np.float64)
    f = np.where(low, mantissa + mantissa, mantissa) - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = np.full_like(z, _LG[6])
    for coefficient in reversed(_LG[:6]):
        r *= z
        r += coefficient
    r *= z
    half_square = 0.5 * f * f
    r += half_square
    r *= s
    r += k * _LN2_LO
    result: Float64s = k * _LN2_HI - ((half_square - r) - f)
    return result
