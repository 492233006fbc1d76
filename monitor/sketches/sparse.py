"""Sums by key: many (key, amount) pairs become the distinct keys and what each adds up to. Exact, in int64."""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Int64s

_DENSE_SPARE: Final = 16
"""A vector of every possible key is cheaper than sorting until it is this many times longer than the pairs."""
_DENSE_SMALL: Final = 1 << 13
_DENSE_MOST: Final = 1 << 19
"""4 MB: longer vectors leave the cache, and sorting does not."""


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
    order = np.argsort(keys)  # not stable, which takes ten times as long: sums do not ask for an order
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(amounts[order], starts) if len(starts) else amounts
    kept = np.flatnonzero(sums != 0)
    return keys[starts[kept]], sums[kept]


def count(keys: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """The distinct keys, ascending, and how often each is there. Keys are in [0, size)."""
    if is_dense(size, len(keys)):
        dense = np.bincount(keys, minlength=size)
        found = np.flatnonzero(dense != 0)
        return found, dense[found]
    keys = np.sort(keys)
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.diff(np.append(starts, len(keys)))
