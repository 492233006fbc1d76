"""Sums of integers of up to 176 bits, exactly, in cells of 64: each term is cut into limbs, each limb has its own cell.

The squares and fourth powers of numbers on a fine grid do not fit an int64. A term is written in base 2**30, its limbs
are added up apart, and a reader puts the sums back together as one Python integer. Limbs carry the sign of their term,
so a negated row takes itself back exactly. A limb is below 2**30 in size: a cell holds 2**32 rows of any size.

Limbs of n terms are (k, n), a run of memory for each place: what is done to a whole place is done at the speed of memory.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Int64s
from monitor.sketches.cells import Cells

LIMB_BITS: Final = 30
_MASK: Final = (1 << LIMB_BITS) - 1


def limbs(values: Int64s, count: int) -> Int64s:
    """Non-negative integers below 2**(30 count) as (count, n) limbs, the lowest first."""
    return np.stack([(values >> (LIMB_BITS * i)) & _MASK for i in range(count)])


def product(a: Int64s, b: Int64s, count: int) -> Int64s:
    """The products of two columns of limbs, all non-negative, as (count, n) limbs; the caller knows that they fit.

    At most three limbs on one side: then the sums on the way stay below 2**62.
    """
    out = np.zeros((len(a) + len(b), a.shape[1]), np.int64)
    for i in range(len(a)):
        for j in range(len(b)):
            out[i + j] += a[i] * b[j]
    for i in range(len(out) - 1):
        out[i + 1] += out[i] >> LIMB_BITS
        out[i] &= _MASK
    return out[:count]


def totals(cells: Cells, name: str) -> list[int]:
    """The sum that the limbs of that name stand for, of every window."""
    return [sum(limb << (LIMB_BITS * i) for i, limb in enumerate(window)) for window in cells.histogram(name).tolist()]
