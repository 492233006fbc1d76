"""Sums by key: many (key, amount) pairs become the distinct keys and what each adds up to. Exact, in int64."""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Int64s

_DENSE_SPARE: Final = 32
"""A vector of every possible key is cheaper than sorting until it is this many times longer than the pairs."""
_DENSE_SMALL: Final = 1 << 18
_DENSE_MOST: Final = 1 << 22
"""32 MB: more is not taken for the sake of speed."""


def is_dense(size: int, pairs: int) -> bool:
    """Whether `pairs` keys below `size` are better added up in a vector of `size` cells than by sorting them."""
    return size <= min(max(_DENSE_SMALL, _DENSE_SPARE * pairs), _DENSE_MOST)


def add_up(keys: Int64s, amounts: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """The distinct keys, ascending, whose amounts do not cancel, and their sums. Keys are in [0, size)."""
    if is_dense(size, len(keys)):
        dense = np.zeros(size, np.int64)
        np.add.at(dense, keys, amounts)
        found = np.flatnonzero(dense != 0)  # of booleans: ten times as fast as of integers
        return found, dense[found]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(amounts[order], starts) if len(starts) else amounts
    kept = np.flatnonzero(sums != 0)
    return keys[starts[kept]], sums[kept]
