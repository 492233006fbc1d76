"""Functionals: functions of a bin into [0, 1] whose mean must not rise above what the reference had.

A detector cannot bet on "the distribution changed"; it bets on the rise of one mean at a time. Each question comes with
its complement, so that a fall is seen as the rise of the other one. Means are conditional: rows of bins that are not
`active` take no part, so "errors among the positives" is a functional of the confusion matrix like any other.

Choice (Shin, Ramdas & Rinaldo leave it free): distribution function at up to 19 of the bins' ends, the mid-rank under
the reference and the distance of the rank from the middle for numbers; the share of each category; the rates of
missing and of invalid values; the conditional error rates of a confusion matrix; size, tails and sign of residuals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.drift.binning import CategoricalBinning, NumericBinning
from monitor.events import Bools, Float64s, Int64s
from monitor.sketches.fixed_point import FRACTION_BITS
from monitor.sketches.sizes import SIGNED, SIZES, end_of, without_sign

EDGES: Final = 19
"""Ends of bins that are asked about: more cost time and add little beside rank and spread."""
CATEGORIES: Final = 40
"""Categories that are asked about one by one, the largest first; smaller ones are asked about together."""
TAILS: Final = (0.5, 0.75, 0.9, 0.95, 0.99)
"""Shares of the reference's residuals that are smaller than the sizes that are asked about."""
ONE: Final = 1 << FRACTION_BITS


@dataclass(frozen=True, slots=True)
class Functionals:
    """F functionals of B bins. `values` (F, B) are whole units of 2**-30 from 0 to 2**30, `active` (F, B).

    `sensitivity` (F,) is how much a mean can change, at most, when the distance of the two distributions (KS for
    ordered bins, the largest change of a share for categories and rates) is 1: it turns a materiality into a margin.
    `prior` (F,) is each one's share of the attention, adding up to 1.
    """

    names: tuple[str, ...]
    values: Int64s
    active: Bools
    sensitivity: Float64s
    prior: Float64s

    def __post_init__(self) -> None:
        assert self.values.shape == self.active.shape == (len(self.names), self.values.shape[1])
        assert self.sensitivity.shape == self.prior.shape == (len(self.names),)
        assert bool(((self.values >= 0) & (self.values <= ONE)).all())

    def __len__(self) -> int:
        return len(self.names)

    @property
    def bins(self) -> int:
        """Number of bins that counts have."""
        return int(self.values.shape[1])

    def rows(self, counts: Int64s) -> Int64s:
        """Rows that take part in each functional, shape (..., F), from counts (..., B)."""
        found: Int64s = counts @ self.active.T.astype(np.int64)
        return found

    def totals(self, counts: Int64s) -> Int64s:
        """Sum of each functional over the rows, shape (..., F), unit 2**-30. Exact up to 8e9 rows."""
        found: Int64s = counts @ np.where(self.active, self.values, 0).T
        return found


def numeric(binning: NumericBinning, reference: Int64s) -> Functionals:
    """Of the ordered bins of numbers; missing values take no part. `reference` (B,) gives the ranks and the edges."""
    ordered = binning.ordered
    held = reference[:ordered]
    below = np.cumsum(held)[:-1]
    ends = _edges(below, int(held.sum()))
    upto = np.arange(ordered)[np.newaxis] <= np.array(ends)[:, np.newaxis]
    labels = [_end(binning, end) for end in ends]
    rows = [np.where(upto, ONE, 0), np.where(upto, 0, ONE)]
    names = [f"{name} {label}" for name in ("at most", "above") for label in labels]
    sensitivity = [1.0] * len(names)
    total = int(held.sum())
    prior = np.full(len(names), (0.5 if total else 1.0) / max(len(names), 1))
    if total:
        rank = _mid_ranks(held)
        spread = np.abs(2 * rank - ONE)
        rows.append(np.array([rank, ONE - rank, spread, ONE - spread]))
        names += ["larger values", "smaller values", "wider values", "narrower values"]
        sensitivity += [1.0, 1.0, 2.0, 2.0]
        prior = np.append(prior, np.full(4, 0.5 / 4))  # most changes shift or widen: half of the attention for four
    values = np.concatenate(rows).astype(np.int64)
    values = np.concatenate([values, np.zeros((len(values), 1), np.int64)], axis=1)
    active = np.ones(values.shape, np.bool_)
    active[:, binning.missing] = False
    return Functionals(tuple(names), values, active, np.array(sensitivity), prior)


def _mid_ranks(held: Int64s) -> Int64s:
    """Of ordered bins with these counts, which are not all 0: from 0 to 2**30."""
    total = int(held.sum())
    doubled = 2 * np.cumsum(held) - held  # twice the mid-rank times the rows, exact
    found: Int64s = (
        (doubled * ONE) // (2 * total) if total < 1 << 31 else (doubled / (2 * total) * ONE).astype(np.int64)
    )
    return found


def _edges(below: Int64s, total: int) -> list[int]:
    """The first and the last end of a bin, and those nearest to evenly spread shares between them."""
    if len(below) <= EDGES:
        return list(range(len(below)))
    wanted = (np.arange(1, EDGES - 1) * total) // (EDGES - 1)
    nearest = np.abs(below[np.newaxis] - wanted[:, np.newaxis]).argmin(axis=1)
    return sorted({0, len(below) - 1, *nearest.tolist()})


def _end(binning: NumericBinning, end: int) -> str:
    return "any number" if binning.minimum is None else f"{binning.uppers[end]:.6g}"


def categorical(binning: CategoricalBinning, reference: Int64s) -> Functionals:
    """Shares of the categories among rows with a valid value: the largest 40 alone, smaller ones together."""
    usable = binning.missing
    by_size = sorted(range(len(binning.categories)), key=lambda code: (-int(reference[code]), code))
    groups: list[tuple[str, list[int]]] = [(binning.label(code), [code]) for code in sorted(by_size[:CATEGORIES])]
    if small := sorted(by_size[CATEGORIES:]):
        groups.append(("small categories", small))
    groups += [("other", [binning.other]), ("unseen", [binning.unseen])]
    active = np.zeros(binning.bins, np.bool_)
    active[:usable] = True
    return _indicators(groups, binning.bins, active, ("more", "less"))


def faults(binning: NumericBinning | CategoricalBinning) -> Functionals:
    """Rates of missing (and, of categories, invalid) values among all rows; only a rise is of interest."""
    groups = [("missing", [binning.missing])]
    if isinstance(binning, CategoricalBinning):
        groups.append(("invalid", [binning.invalid]))
    return _indicators(groups, binning.bins, np.ones(binning.bins, np.bool_), ("more",))


def confusion() -> Functionals:
    """Error rates of the counts (tp, fp, fn, tn): all errors, misses among the positives, false alarms among the
    negatives, and false ones among the alarms. Only a rise is of interest: improvement wakes nobody."""
    asked = [
        ("errors", [1, 2], [0, 1, 2, 3]),
        ("missed positives", [2], [0, 2]),
        ("false alarms", [1], [1, 3]),
        ("false among alarms", [1], [0, 1]),
    ]
    values, active = np.zeros((4, 4), np.int64), np.zeros((4, 4), np.bool_)
    for row, (_, hits, among) in enumerate(asked):
        values[row, hits] = ONE
        active[row, among] = True
    return Functionals(tuple(name for name, _, _ in asked), values, active, np.ones(4), np.full(4, 0.25))


def by_class(classes: Sequence[str]) -> Functionals:
    """Error rates of the counts (right, missed, false), each by class: all errors, what was missed of each class, and what
    is false among the answers of each class.

    `right` and `missed` are rows by their label, `false` the rows of `missed` by their answer: a wrong row is in two bins,
    but no question is about both. Half of the attention is for all errors, the rest for the classes.
    """
    n = len(classes)
    values, active = np.zeros((2 * n + 1, 3 * n), np.int64), np.zeros((2 * n + 1, 3 * n), np.bool_)
    values[0, n : 2 * n], active[0, : 2 * n] = ONE, True
    for i in range(n):
        for row, wrong in ((1 + i, n + i), (1 + n + i, 2 * n + i)):
            values[row, wrong] = ONE
            active[row, [i, wrong]] = True
    names = ("errors", *(f"missed {name}" for name in classes), *(f"false {name}" for name in classes))
    prior = np.array([0.5, *([0.25 / n] * (2 * n))])
    return Functionals(names, values, active, np.ones(len(names)), prior)


def residuals(reference: Int64s, resolution: float) -> Functionals:
    """Of the counts of residuals by size and sign (`sketches.sizes`), and of rows beyond all bounds: whether residuals are
    larger, more of them beyond sizes that few of the reference's were, whether answers lie higher or lower than they did.

    `reference` (178,) gives the ranks and the sizes; `resolution` is the size of one unit, for the names. Only a rise of
    sizes is of interest; a shift of the answers is in either direction.
    """
    held = without_sign(reference[:SIGNED])
    size_of = np.append(np.abs(np.arange(SIGNED) - (SIZES - 1)), 0)
    inside = np.append(np.ones(SIGNED, np.bool_), False)
    asked: list[tuple[str, Int64s, float]] = []
    if total := int(held.sum()):
        asked.append(("larger errors", _mid_ranks(held)[size_of], 0.4))
        below = np.cumsum(held)[:-1] / total
        ends = sorted({int(np.abs(below - share).argmin()) for share in TAILS})
        for end in ends:
            hit = np.where(size_of > end, ONE, 0)
            asked.append((f"errors of {end_of(end) * resolution:.6g} or more", hit, 0.3 / len(ends)))
        rank = np.append(_mid_ranks(reference[:SIGNED]), 0)
        asked += [("higher answers", rank, 0.1), ("lower answers", ONE - rank, 0.1)]
    values = [*(np.where(inside, own, 0) for _, own, _ in asked), np.where(inside, 0, ONE)]
    active = [*(inside for _ in asked), np.ones(SIGNED + 1, np.bool_)]
    prior = np.array([*(share for _, _, share in asked), 0.1])
    names = (*(name for name, _, _ in asked), "numbers out of bounds")
    return Functionals(names, np.array(values), np.array(active), np.ones(len(names)), prior / prior.sum())


def single_rate(name: str) -> Functionals:
    """The rate of the second of two bins: of errors, of residuals, of whatever is counted as (ordinary, of interest)."""
    return Functionals((name,), np.array([[0, ONE]]), np.ones((1, 2), np.bool_), np.ones(1), np.ones(1))


def _indicators(
    groups: Sequence[tuple[str, Iterable[int]]], bins: int, active: Bools, directions: tuple[str, ...]
) -> Functionals:
    names, rows = [], []
    for label, codes in groups:
        hit = np.zeros(bins, np.int64)
        hit[list(codes)] = ONE
        names += [f"{direction} {label}" for direction in directions]
        rows += [hit, ONE - hit][: len(directions)]
    values = np.array(rows, np.int64).reshape(len(rows), bins)
    even = np.full(len(rows), 1.0 / len(rows))
    return Functionals(tuple(names), values, np.broadcast_to(active, values.shape).copy(), np.ones(len(rows)), even)
