"""Cells: one flat int64 vector per window, with named slices.

A layout says which part of the vector is what; a contribution is a few (cell, amount) pairs; a window is the sum of the
contributions of its rows. Sums are exact, so they merge in any order, and the negative of a contribution takes it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from monitor.events import Float64s, Int32s, Int64s
from monitor.sketches.fixed_point import CELL_LIMIT, from_fixed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CellSlice:
    """A named run of `size` cells, in units of 2**-fraction_bits: 0 for counts."""

    name: str
    size: int = 1
    fraction_bits: int = 0


@dataclass(frozen=True, slots=True)
class CellLayout:
    """The named slices of one int64 vector, in order, without gaps.

    Two layouts are equal when their slices are. Raises ValueError for a name used twice or a slice without cells.
    """

    slices: tuple[CellSlice, ...]
    size: int = field(init=False, compare=False)
    _starts: dict[str, int] = field(init=False, compare=False, repr=False)
    _by_name: dict[str, CellSlice] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        starts: dict[str, int] = {}
        total = 0
        for part in self.slices:
            if part.name in starts:
                raise ValueError(f"the layout names {part.name!r} twice: names of cells must be unique")
            if part.size < 1:
                raise ValueError(f"the slice {part.name!r} has {part.size} cells: it needs at least 1")
            starts[part.name] = total
            total += part.size
        object.__setattr__(self, "size", total)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_by_name", {part.name: part for part in self.slices})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the slices, in the order of the vector."""
        return tuple(part.name for part in self.slices)

    def __contains__(self, name: object) -> bool:
        return name in self._starts

    def __add__(self, other: CellLayout) -> CellLayout:
        """The slices of both, this layout's first. Raises ValueError when they share a name."""
        return CellLayout(self.slices + other.slices)

    def part(self, name: str) -> CellSlice:
        """The slice of that name. Raises KeyError with the names there are."""
        if name not in self._by_name:
            raise KeyError(f"the layout has no cells named {name!r}; it has {', '.join(self.names)}")
        return self._by_name[name]

    def slice(self, name: str) -> slice:
        """Where the named cells lie in the vector. Raises KeyError with the names there are."""
        part = self.part(name)
        start = self._starts[name]
        return slice(start, start + part.size)

    def index(self, name: str) -> int:
        """Position of the first cell of that name: of a count the only one, of a histogram bin 0."""
        self.part(name)
        return self._starts[name]

    def zeros(self, windows: int = 1) -> Cells:
        """`windows` empty vectors."""
        return Cells(self, np.zeros((windows, self.size), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Cells:
    """The vectors of W windows: `array` is int64 of shape (W, layout.size), row i being window i.

    Nothing is copied: reading a slice gives a view of `array`. Who has measured cells changes them by `add` only.
    """

    layout: CellLayout
    array: Int64s
    _made: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.array.ndim != 2 or self.array.shape[1] != self.layout.size or self.array.dtype != np.int64:
            raise ValueError(
                f"cells must be int64 of shape (windows, {self.layout.size}), got {self.array.dtype} {self.array.shape}"
            )

    def __len__(self) -> int:
        return len(self.array)

    def count(self, name: str) -> Int64s:
        """The single cell of that name in every window, shape (W,), as the integer it is."""
        part = self.layout.part(name)
        if part.size != 1:
            raise ValueError(f"{name!r} is a histogram of {part.size} cells, not a count")
        column: Int64s = self.array[:, self.layout.index(name)]
        return column

    def histogram(self, name: str) -> Int64s:
        """The cells of that name in every window, shape (W, bins)."""
        return self.array[:, self.layout.slice(name)]

    def fixed(self, name: str) -> Float64s:
        """The single cell of that name in every window, shape (W,), converted from its fixed-point unit."""
        return from_fixed(self.count(name), self.layout.part(name).fraction_bits)

    def rows(self, places: Sequence[int]) -> Cells:
        """The windows at these places."""
        return Cells(self.layout, self.array[list(places)])

    def once(self, name: str, make: Callable[[Cells], T]) -> T:
        """What several metrics are read off, made when the first asks for it; of one name always by the same `make`."""
        if name not in self._made:
            self._made[name] = make(self)
        found: T = self._made[name]
        return found

    def __add__(self, other: Cells) -> Cells:
        """Cell by cell, window by window.

        Raises OverflowError when a cell leaves the limit, ValueError for another layout.
        """
        if self.layout != other.layout:
            raise ValueError("cells of different layouts cannot be added")
        return checked(Cells(self.layout, self.array + other.array))

    def __neg__(self) -> Cells:
        """What has to be added to take these cells back."""
        return Cells(self.layout, -self.array)

    def total(self) -> Cells:
        """All windows added into one, shape (1, size). Raises OverflowError when a cell leaves the limit."""
        largest = int(np.abs(self.array).max(initial=0))
        if largest * len(self.array) <= CELL_LIMIT:
            return Cells(self.layout, self.array.sum(axis=0, dtype=np.int64, keepdims=True))
        whole = self.layout.zeros()
        for row in self.array:  # rare: numbers so large that a plain sum could wrap on the way
            whole = whole + Cells(self.layout, row[np.newaxis])
        return whole

    def add(self, window: Int64s | Int32s, cell: Int32s, amount: Int64s) -> None:
        """Add contributions in place: row i of `cell` and `amount`, both (n, k), goes to window `window[i]`.

        Order does not matter and a negated `amount` undoes the call. Does not look for overflow: a row
        moves a cell by less than 2**40, so call `checked` once every 2**20 rows or sooner.
        """
        flat = window.astype(np.int64)[:, np.newaxis] * self.layout.size + cell
        target = self.array.reshape(-1)
        if not np.shares_memory(target, self.array):
            raise ValueError("cells must be contiguous to be added to in place")
        np.add.at(target, flat.reshape(-1), amount.reshape(-1))
        self._made.clear()


def checked(cells: Cells) -> Cells:
    """The same cells; raises OverflowError when one is beyond 2**62 in size.

    Any sum of two checked vectors fits an int64, so checking after every addition finds every overflow.
    """
    array = cells.array
    if array.size and (int(array.max()) > CELL_LIMIT or int(array.min()) < -CELL_LIMIT):
        column = int(np.argmax(np.abs(array).max(axis=0) > CELL_LIMIT))
        name = next(part.name for part in cells.layout.slices if column < cells.layout.slice(part.name).stop)
        raise OverflowError(
            f"the cells {name!r} of a window exceed 2**62: the window holds more rows than its sums can count exactly. "
            "Use shorter windows."
        )
    return cells


def stack(layout: CellLayout, rows: Iterable[Int64s]) -> Cells:
    """Vectors of single windows, shape (size,) each, as the rows of one `Cells`."""
    listed = list(rows)
    return Cells(layout, np.stack(listed)) if listed else layout.zeros(0)
