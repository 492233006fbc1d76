"""The bins of a feature, fixed on the reference once and for all.

Bins that never move make counts a complete summary: windows merge, retract and replay exactly. Every value has a bin:
missing, wrong, never seen, and beyond the reference's range are bins too, because they are what changes first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.errors import ReferenceProfileError
from monitor.events import INVALID, MISSING, Bools, Float64s, Int64s

UInt8s = NDArray[np.uint8]

QUANTILES: Final = 32
"""A value holding more than 1/32 of the reference is an atom and gets a bin of its own; quantiles cut the rest."""
KEPT_PER_MILLE: Final = 5
"""A category holding at least 0.5 % of the reference's values gets a bin of its own."""
RARE_LIMIT: Final = 5000
"""Rarer categories are remembered by hash, to tell unseen ones from them: up to this many (75 KB)."""
MAX_BINS: Final = 250

_COMPARED_MOST = 40
"""So many edges are sooner compared with all values, one after the other, than searched for each value: no branch of a
comparison has to be guessed."""


@dataclass(frozen=True, slots=True)
class NumericBinning:
    """Ordered bins of the real line, then one for missing values.

    In order: below `minimum`; intervals open to the left, closed to the right, ending at each of `edges`; each of
    `atoms` alone; above the last edge or atom; missing (NaN and infinities). An atom also ends the interval before it.
    All three empty: the reference had no number, and every number counts as above.
    Raises ReferenceProfileError when the numbers are not finite or not strictly increasing.
    """

    minimum: float | None
    edges: tuple[float, ...]
    atoms: tuple[float, ...]
    uppers: Float64s = field(init=False, compare=False, repr=False)
    singletons: Bools = field(init=False, compare=False, repr=False)
    """Of the ordered bins, those that hold one value only, shape (ordered,)."""

    def __post_init__(self) -> None:
        for name, numbers in (("edges", self.edges), ("atoms", self.atoms)):
            if not all(map(math.isfinite, numbers)):
                raise ReferenceProfileError(f"{name}: must be finite numbers")
            if any(b <= a for a, b in pairwise(numbers)):
                raise ReferenceProfileError(f"{name}: must increase strictly")
        ends = sorted({*self.edges, *self.atoms})
        if self.minimum is None:
            if ends:
                raise ReferenceProfileError("minimum: must be given when there are edges or atoms")
            uppers = np.zeros(0)
        else:
            if not math.isfinite(self.minimum) or not ends or self.minimum > ends[0]:
                raise ReferenceProfileError("minimum: must be a number not above the first edge or atom")
            cuts = {*ends, *(_before(atom) for atom in self.atoms), _before(self.minimum)}
            uppers = np.array(sorted(cuts))
        if len(uppers) + 2 > MAX_BINS:
            raise ReferenceProfileError(f"edges: make {len(uppers) + 2} bins, at most {MAX_BINS} are allowed")
        alone = np.zeros(len(uppers) + 1, dtype=np.bool_)
        if len(uppers) > 1:
            with np.errstate(over="ignore"):  # nothing is below the lowest double, so its first bin is empty
                alone[1:-1] = np.nextafter(uppers[1:], -np.inf) == uppers[:-1]
        object.__setattr__(self, "uppers", uppers)
        object.__setattr__(self, "singletons", alone)

    @property
    def ordered(self) -> int:
        """How many bins, from the first, are in the order of the numbers: all but `missing`."""
        return len(self.uppers) + 1

    @property
    def missing(self) -> int:
        """The bin of missing values: the last one."""
        return len(self.uppers) + 1

    @property
    def bins(self) -> int:
        """Number of bins, at most 250."""
        return len(self.uppers) + 2

    def codes(self, values: Float64s) -> UInt8s:
        """The bin of every value, shape (n,)."""
        return place(values, self.uppers, self.missing)

    def label(self, code: int) -> str:
        """What a bin holds, for people: `missing`, `< 1`, `= 3`, `> 3 to 7.5`, `> 7.5 to below 9`."""
        if code == self.missing:
            return "missing"
        if self.minimum is None:
            return "any number"
        if code == self.ordered - 1:
            return f"> {self.uppers[-1]:.12g}"
        if code == 0:
            return f"< {self.minimum:.12g}"
        if self.singletons[code]:
            return f"= {self.uppers[code]:.12g}"
        ends_before_atom = code + 1 < self.ordered and self.singletons[code + 1]
        upper = f"below {self.uppers[code + 1]:.12g}" if ends_before_atom else f"{self.uppers[code]:.12g}"
        return f"{self.minimum:.12g} to {upper}" if code == 1 else f"> {self.uppers[code - 1]:.12g} to {upper}"


@dataclass(frozen=True, slots=True)
class CategoricalBinning:
    """One bin for each of `categories`, then `other`, `unseen`, `missing`, `invalid`.

    `other` holds what the reference had too rarely, recognised by `rare` (`category_hash` of each, sorted);
    `unseen` what it never had. With `rare_complete` False the reference had more rare categories than are remembered:
    then unknown ones count as `other`, and `unseen` stays empty.
    Raises ReferenceProfileError for categories named twice or too many of them.
    """

    categories: tuple[str, ...]
    rare: tuple[str, ...]
    rare_complete: bool = True
    _bin_of: dict[str, int] = field(init=False, compare=False, repr=False)
    _rare: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise ReferenceProfileError("categories: must be named once each")
        if self.bins > MAX_BINS:
            raise ReferenceProfileError(f"categories: make {self.bins} bins, at most {MAX_BINS} are allowed")
        if any(b <= a for a, b in pairwise(self.rare)):
            raise ReferenceProfileError("rare: must increase strictly")
        object.__setattr__(self, "_bin_of", {name: code for code, name in enumerate(self.categories)})
        object.__setattr__(self, "_rare", frozenset(self.rare))

    @property
    def other(self) -> int:
        """The bin of categories that were rare in the reference."""
        return len(self.categories)

    @property
    def unseen(self) -> int:
        """The bin of categories that the reference did not have."""
        return len(self.categories) + 1

    @property
    def missing(self) -> int:
        """The bin of absent and null values."""
        return len(self.categories) + 2

    @property
    def invalid(self) -> int:
        """The bin of values of the wrong type."""
        return len(self.categories) + 3

    @property
    def bins(self) -> int:
        """Number of bins, at most 250."""
        return len(self.categories) + 4

    def bin_of(self, category: str) -> int:
        """The bin of a category. Costs a hash for one without a bin of its own: ask once per category, not per row."""
        code = self._bin_of.get(category)
        if code is not None:
            return code
        if not self.rare_complete or category_hash(category) in self._rare:
            return self.other
        return self.unseen

    def table(self, names: Iterable[str]) -> UInt8s:
        """Bins by category code, for `table[codes]`: that of each name, then those of INVALID (-2) and MISSING (-1)."""
        known = [self.bin_of(name) for name in names]
        return np.array([*known, self.invalid, self.missing], dtype=np.uint8)

    def label(self, code: int) -> str:
        """What a bin holds, for people. Kept categories are quoted, so that one called `other` can be told apart."""
        if code < len(self.categories):
            return repr(self.categories[code])
        return ("other", "unseen", "missing", "invalid")[code - len(self.categories)]


Binning = NumericBinning | CategoricalBinning


def place(values: Float64s, uppers: Float64s, missing: int) -> UInt8s:
    """The bin of every value, shape (n,), among bins that end at `uppers`; `missing` for what is not finite."""
    if len(uppers) <= _COMPARED_MOST:
        codes = np.zeros(len(values), np.uint8)
        above = np.empty(len(values), np.bool_)
        for upper in uppers.tolist():
            codes += np.greater(values, upper, out=above).view(np.uint8)
    else:
        codes = np.searchsorted(uppers, values, side="left").astype(np.uint8)
    absent = ~np.isfinite(values)
    if absent.any():
        codes[absent] = missing
    return codes


def category_hash(category: str) -> str:
    """12 hex digits that recognise a category without storing it: rare values may be personal."""
    return hashlib.sha256(category.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def bin_numbers(values: Float64s) -> NumericBinning:
    """Bins for these reference values; their order does not matter. NaN and infinities are left out.

    Each stretch of values between atoms is cut at its own quantiles into bins of about 1/32 of all values, so that no
    sliver remains beside an atom. Ties never straddle an edge, as edges are values and bins are closed to the right.
    """
    finite = values[np.isfinite(values)] + 0.0  # -0.0 becomes 0.0: they are one value
    if not len(finite):
        return NumericBinning(None, (), ())
    distinct, counts = np.unique(finite, return_counts=True)
    total = len(finite)
    is_atom = counts * QUANTILES > total
    edges: list[float] = []
    breaks = [-1, *np.flatnonzero(is_atom).tolist(), len(distinct)]
    for before, after in pairwise(breaks):
        if after - before > 1:
            edges += _quantile_edges(distinct[before + 1 : after], counts[before + 1 : after], total)
            if after < len(distinct) and edges and edges[-1] == distinct[after - 1]:
                edges.pop()  # the atom behind closes the stretch's last bin: no empty gap between them
    return NumericBinning(float(distinct[0]), tuple(edges), tuple(distinct[is_atom].tolist()))


def _quantile_edges(distinct: Float64s, counts: Int64s, total: int) -> list[float]:
    """Upper ends of the bins of one stretch, the last being its largest value."""
    reached = np.cumsum(counts)
    held = int(reached[-1])
    parts = max(1, (2 * QUANTILES * held + total) // (2 * total))
    wanted = [-(-j * held // parts) for j in range(1, parts + 1)]
    found: list[float] = np.unique(distinct[np.searchsorted(reached, wanted, side="left")]).tolist()
    return found


def bin_categories(counts: Mapping[str, int]) -> CategoricalBinning:
    """Bins for categories with these reference counts, kept ones in order of count, then of name."""
    total = sum(counts.values())
    by_count = sorted(counts, key=lambda name: (-counts[name], name))
    kept = [name for name in by_count if counts[name] * 1000 >= KEPT_PER_MILLE * total]
    rare = by_count[len(kept) :]
    hashes = sorted({category_hash(name) for name in rare[:RARE_LIMIT]})
    return CategoricalBinning(tuple(kept), tuple(hashes), len(rare) <= RARE_LIMIT)


def count_categories(column: Sequence[str | int | None]) -> tuple[dict[str, int], int, int]:
    """Counts by category, missing (None or MISSING) and invalid (INVALID) values of a reference column."""
    counts: dict[str, int] = {}
    missing = invalid = 0
    for value in column:
        if isinstance(value, str):
            counts[value] = counts.get(value, 0) + 1
        elif value is None or value == MISSING:
            missing += 1
        elif value == INVALID:
            invalid += 1
        else:
            raise ValueError(f"a category must be text, None, MISSING or INVALID, not the number {value}")
    return counts, missing, invalid


def _before(number: float) -> float:
    """The largest double below a number."""
    return math.nextafter(number, -math.inf)
