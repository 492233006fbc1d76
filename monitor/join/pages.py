"""Arrays in pages of their own, outside the heap.

What a join keeps grows for days while the arrays of a batch come and go. In one heap the two would hinder each other:
what grows leaves holes that nothing else fits (a third more memory per pending prediction was measured), and what comes
and goes is given back to the system and fetched again with every batch. Here the kernel moves whole pages when an array
grows, and a page that was never written to costs nothing.
"""

from __future__ import annotations

import mmap
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_T = TypeVar("_T", bound=np.generic)


def zeros(n: int, dtype: type[_T]) -> NDArray[_T]:
    """`n` zeros. The pages go back to the system when the array is dropped. `n` > 0."""
    return np.frombuffer(_pages(n * np.dtype(dtype).itemsize), dtype, n)


class Column:
    """A column of `rows` zeros that can grow. `width` 0 means one value a row, else a (rows, width) column."""

    __slots__ = ("_dtype", "_pages", "_width", "array")

    def __init__(self, dtype: DTypeLike, width: int, rows: int) -> None:
        self._dtype, self._width = np.dtype(dtype), width
        self._pages = _pages(self._bytes(rows))
        self.array: NDArray[Any] = self._view(rows)

    def grow(self, rows: int) -> None:
        """Make it longer; what is new is zero. `array` is another one afterwards: who keeps the old one makes this
        a copy instead of a move, and writes to what is no longer the column."""
        old = self._bytes(len(self.array))
        del self.array  # pages that somebody looks at do not move
        try:
            self._pages.resize(self._bytes(rows))
        except (BufferError, SystemError):  # somebody still looks, or this system cannot move pages
            longer = _pages(self._bytes(rows))
            longer[:old] = self._pages[:old]
            self._pages = longer
        self.array = self._view(rows)

    def _bytes(self, rows: int) -> int:
        return rows * max(self._width, 1) * self._dtype.itemsize

    def _view(self, rows: int) -> NDArray[Any]:
        flat = np.frombuffer(self._pages, self._dtype, rows * max(self._width, 1))
        return flat.reshape(rows, self._width) if self._width else flat


def _pages(size_bytes: int) -> mmap.mmap:
    # Private: shared pages are those of a file in memory, which cannot become longer than it was made.
    return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE)
