"""Bins of signed integers by their size: two to a doubling, exact, the same for every column.

The bin of a number is a function of its two leading bits, so histograms merge whatever the numbers are and nothing has
to be learned first. Within a bin numbers differ by a factor of 1.5 at most.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Int64s

SIZE_BITS: Final = 44
"""Sizes are below 2**44; larger ones count in the last bin."""
SIZES: Final = 2 * SIZE_BITS + 1
"""Bins of a size without its sign: 0, then two for each power of two."""
SIGNED: Final = 2 * SIZES - 1
"""Bins of a number with its sign, in order: 0 is in the middle, bin `SIZES` - 1."""


def signed_bins(values: Int64s) -> Int64s:
    """The bin, from 0 to `SIGNED` - 1, of each integer below 2**53 in size."""
    mantissa, exponent = np.frexp(np.abs(values).astype(np.float64))
    size = np.where(values == 0, 0, 2 * exponent.astype(np.int64) - 1 + (mantissa >= 0.75))
    found: Int64s = SIZES - 1 + np.sign(values) * np.minimum(size, SIZES - 1)
    return found


def without_sign(counts: Int64s) -> Int64s:
    """Counts (..., `SIGNED`) by size alone, (..., `SIZES`)."""
    found = counts[..., SIZES - 1 :].copy()
    found[..., 1:] += counts[..., SIZES - 2 :: -1]
    return found


def end_of(size_bin: int) -> float:
    """The smallest size beyond a bin of sizes: 1 for that of zero."""
    if size_bin == 0:
        return 1.0
    doublings, upper = divmod(size_bin - 1, 2)
    return float(2.0**doublings * (2.0 if upper else 1.5))
