"""Bins that also tell what is wrong with a value: those of the reference, cut once more where the declared range begins
and ends.

A row has one bin, and the bin says both where the value lies for the distances (`parents`) and whether it is a violation
(`kinds`). So violations are counted, retracted and merged as everything else is, exactly, and cost no count of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from monitor.drift.binning import CategoricalBinning, NumericBinning, place
from monitor.events import WRONG_BITS, Float64s, Int64s

UInt8s = NDArray[np.uint8]


class Violation(StrEnum):
    """What is wrong with a value. Bounded: it names counts in windows and alerts."""

    MISSING = "missing"  # absent or null
    WRONG_TYPE = "wrong_type"  # text among numbers, an object, an array
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    UNEXPECTED = "unexpected"  # not one of the declared values


OUT_OF_RANGE = (Violation.BELOW_MIN, Violation.ABOVE_MAX)
"""Counted apart, judged together."""

Kinds = Mapping[Violation, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class CheckedNumeric:
    """The bins of `base`, cut at `minimum` and `maximum` (both are right; None: no limit), then missing, then wrong type."""

    base: NumericBinning
    minimum: float | None = None
    maximum: float | None = None
    uppers: Float64s = field(init=False, compare=False, repr=False)
    parents: Int64s = field(init=False, compare=False, repr=False)
    """The bin of `base` that each bin is a part of, shape (bins,). Every bin of `base` has one."""
    grouped: tuple[Int64s, Int64s] = field(init=False, compare=False, repr=False)
    """The bins in the order of their parents, and where those of each parent begin."""
    kinds: Kinds = field(init=False, compare=False, repr=False)
    """The bins of each violation that can be told."""

    def __post_init__(self) -> None:
        cuts = set(self.base.uppers.tolist())
        if self.minimum is not None:
            cuts.add(math.nextafter(self.minimum, -math.inf))
        if self.maximum is not None:
            cuts.add(float(self.maximum))
        uppers = np.array(sorted(cuts), np.float64)
        ordered = len(uppers) + 1
        parents = np.searchsorted(self.base.uppers, [*uppers.tolist(), math.inf], side="left")
        kinds: dict[Violation, tuple[int, ...]] = {Violation.MISSING: (ordered,), Violation.WRONG_TYPE: (ordered + 1,)}
        if self.minimum is not None:
            kinds[Violation.BELOW_MIN] = tuple(np.flatnonzero(uppers < self.minimum).tolist())
        if self.maximum is not None:
            kinds[Violation.ABOVE_MAX] = tuple((np.flatnonzero(uppers >= self.maximum) + 1).tolist())
        object.__setattr__(self, "uppers", uppers)
        object.__setattr__(self, "parents", np.array([*parents.tolist(), *[self.base.missing] * 2], np.int64))
        object.__setattr__(self, "grouped", _grouped(self.parents))
        object.__setattr__(self, "kinds", kinds)

    @property
    def missing(self) -> int:
        """The bin of absent values."""
        return len(self.uppers) + 1

    @property
    def bins(self) -> int:
        """Number of bins, at most 253."""
        return len(self.uppers) + 3

    def codes(self, values: Float64s) -> UInt8s:
        """The bin of every value, shape (n,)."""
        codes = place(values, self.uppers, self.missing)
        absent = np.flatnonzero(codes == self.missing)
        if len(absent):
            wrong = values[absent].view(np.uint64) == WRONG_BITS
            codes[absent[wrong]] = self.missing + 1
        return codes


@dataclass(frozen=True, slots=True)
class CheckedCategorical:
    """The bins of `base`, then those of its `other` and its `unseen` that are not among `values` (None: any is right)."""

    base: CategoricalBinning
    values: frozenset[str] | None = None
    parents: Int64s = field(init=False, compare=False, repr=False)
    """The bin of `base` that each bin is a part of, shape (bins,). Every bin of `base` has one."""
    grouped: tuple[Int64s, Int64s] = field(init=False, compare=False, repr=False)
    """The bins in the order of their parents, and where those of each parent begin."""
    kinds: Kinds = field(init=False, compare=False, repr=False)
    """The bins of each violation that can be told."""

    def __post_init__(self) -> None:
        base = self.base
        kinds: dict[Violation, tuple[int, ...]] = {
            Violation.MISSING: (base.missing,),
            Violation.WRONG_TYPE: (base.invalid,),
        }
        parents = [*range(base.bins)]
        if self.values is not None:
            known = tuple(code for code, name in enumerate(base.categories) if name not in self.values)
            kinds[Violation.UNEXPECTED] = (*known, base.bins, base.bins + 1)
            parents += [base.other, base.unseen]
        object.__setattr__(self, "parents", np.array(parents, np.int64))
        object.__setattr__(self, "grouped", _grouped(self.parents))
        object.__setattr__(self, "kinds", kinds)

    @property
    def bins(self) -> int:
        """Number of bins, at most 252."""
        return len(self.parents)

    def table(self, names: Iterable[str]) -> UInt8s:
        """Bins by category code, for `table[codes]`: that of each name, then those of INVALID (-2) and MISSING (-1)."""
        return np.array([*map(self._bin_of, names), self.base.invalid, self.base.missing], dtype=np.uint8)

    def _bin_of(self, name: str) -> int:
        code = self.base.bin_of(name)
        if self.values is None or name in self.values or code < self.base.other:
            return code
        return self.base.bins + code - self.base.other


Checked = CheckedNumeric | CheckedCategorical


def of_base(checked: Checked, counts: Int64s) -> Int64s:
    """Counts (W, bins) as counts of the reference's own bins, shape (W, base.bins)."""
    order, starts = checked.grouped
    summed: Int64s = np.add.reduceat(counts[:, order], starts, axis=1)
    return summed


def violations(checked: Checked, counts: Int64s) -> dict[Violation, Int64s]:
    """How many rows of W windows are violations of each kind, shape (W,) each."""
    return {
        kind: counts[:, bins[0]] if len(bins) == 1 else counts[:, list(bins)].sum(axis=1)
        for kind, bins in checked.kinds.items()
    }


def in_reference(checked: Checked, counts: Int64s) -> dict[Violation, int]:
    """How many rows of the reference, whose counts (base.bins,) are given, surely were such violations.

    A bin that a limit cuts in two may hold right values only, so none of its rows are counted. What was missing and what
    was of the wrong type is one bin of a numeric reference: it is taken for missing.
    """
    found: dict[Violation, int] = {}
    for kind, bins in checked.kinds.items():
        whole = set(checked.parents[list(bins)].tolist())
        whole -= set(np.delete(checked.parents, list(bins)).tolist()) if kind not in _OWN_BINS else set()
        found[kind] = int(counts[sorted(whole)].sum())
    if isinstance(checked, CheckedNumeric):
        found[Violation.WRONG_TYPE] = 0
    return found


_OWN_BINS = frozenset({Violation.MISSING, Violation.WRONG_TYPE})


def _grouped(parents: Int64s) -> tuple[Int64s, Int64s]:
    order = np.argsort(parents, kind="stable")
    return order, np.searchsorted(parents[order], np.arange(int(parents.max()) + 1))
