"""Bins of signed integers by their size: two to a doubling, or sixteen, exact, the same for every column.

The bin of a number is a function of its leading bits, so histograms merge whatever the numbers are and nothing has to be
learned first. Within a bin numbers differ by a factor of 1.5 at most, within a fine one by 17/16.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

SIZE_BITS: Final = 44
"""Sizes are below 2**44; larger ones count in the last bin."""
SIZES: Final = 2 * SIZE_BITS + 1
"""Bins of a size without its sign: 0, then two for each power of two."""
SIGNED: Final = 2 * SIZES - 1
"""Bins of a number with its sign, in order: 0 is in the middle, bin `SIZES` - 1."""
FINE: Final = 16
"""Fine bins to a doubling."""
FINE_SIZES: Final = FINE * SIZE_BITS + 1
"""Fine bins of a size without its sign: 0, then `FINE` for each power of two."""
FINE_SIGNED: Final = 2 * FINE_SIZES - 1
"""Fine bins of a number with its sign, in order: 0 is in the middle, bin `FINE_SIZES` - 1."""


def fine_bins(values: Int64s) -> Int64s:
    """The fine bin, from 0 to `FINE_SIGNED` - 1, of each integer below 2**53 in size."""
    mantissa, exponent = np.frexp(np.abs(values).astype(np.float64))
    part = (mantissa * (2 * FINE)).astype(np.int64) - FINE
    size = np.where(values == 0, 0, FINE * (exponent.astype(np.int64) - 1) + part + 1)
    found: Int64s = FINE_SIZES - 1 + np.sign(values) * np.minimum(size, FINE_SIZES - 1)
    return found


def fine_ends() -> Float64s:
    """Where the fine bins of sizes begin, and where the last one ends, ascending (`FINE_SIZES` + 1,). The first holds 0 alone."""
    doubling, part = np.divmod(np.arange(FINE_SIZES - 1), FINE)
    starts = np.ldexp(1.0 + part / FINE, doubling.astype(np.int32))
    return np.concatenate(([0.0], starts, [float(1 << SIZE_BITS)]))


def signed_bins(values: Int64s) -> Int64s:
    """The bin, from 0 to `SIGNED` - 1, of each integer below 2**53 in size."""
    mantissa, exponent = np.frexp(np.abs(values).astype(np.float64))
    size = np.where(values == 0, 0, 2 * exponent.astype(np.int64) - 1 + (mantissa >= 0.75))
    found: Int64s = SIZES - 1 + np.sign(values) * np.minimum(size, SIZES - 1)
    return found


def without_sign(counts: Int64s) -> Int64s:
    """Counts (..., `SIGNED`) by size alone, (..., `SIZES`); fine ones likewise."""
    zero = counts.shape[-1] // 2
    found = counts[..., zero:].copy()
    found[..., 1:] += counts[..., zero - 1 :: -1]
    return found


def end_of(size_bin: int) -> float:
    """The smallest size beyond a bin of sizes: 1 for that of zero."""
    if size_bin == 0:
        return 1.0
    doublings, upper = divmod(size_bin - 1, 2)
    return float(2.0**doublings * (2.0 if upper else 1.5))
