"""Pairs of features: whether they go together as they did, whatever became of each alone.

Each feature's bins are put together into seven groups of about equal size in the reference (of categories the six largest and
the rest) and an eighth without a usable value, so a pair has 64 cells: counts that add up like any others. A change of one
feature moves its margin; `dependence` leaves margins out: the reference's table, fitted to the margins of the window by
iterative proportional fitting (Deming & Stephan, 1940), is what the window would be if the features still went together as
they did, and the distance is taken to that.

Cost: one cell more for each prediction and pair, 0.5 KB for each window and pair. Not done: three features at once, pairs
with the score, choosing the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from monitor.drift.binning import Binning, CategoricalBinning, NumericBinning, UInt8s
from monitor.drift.functionals import ONE, Functionals
from monitor.events import Float64s, Int64s
from monitor.metrics.estimates import Estimates, estimates, first_reason
from monitor.sketches.fixed_point import natural_log
from monitor.windows.view import Undefined

USABLE: Final = 7
"""Groups of usable values of one feature."""
GROUPS: Final = USABLE + 1
CELLS: Final = GROUPS * GROUPS
"""Cells of a pair: the first feature's group is the slow index."""
_ROUNDS: Final = 50
_SMOOTHED: Final = 0.5
"""Rows that each cell of the reference has beside its own, so that what never occurred is not impossible."""
_LN2: Final = 0.6931471805599453

Name = tuple[str, str]


def pair_name(pair: Name) -> str:
    """`hour~origin`."""
    return "~".join(pair)


def groups_of(binning: Binning, counts: Int64s) -> UInt8s:
    """The group, from 0 to 7, of each bin (B,), given the reference's counts (B,)."""
    found = np.full(binning.bins, USABLE, np.uint8)
    if isinstance(binning, NumericBinning):
        held = counts[: binning.ordered]
        total = max(int(held.sum()), 1)
        middle = 2 * np.cumsum(held) - held  # twice the rows up to the middle of each bin
        found[: binning.ordered] = np.minimum(middle * USABLE // (2 * total), USABLE - 1)
        return found
    assert isinstance(binning, CategoricalBinning)
    order = sorted(range(len(binning.categories)), key=lambda code: (-int(counts[code]), code))
    found[: binning.missing] = USABLE - 1
    found[order[: USABLE - 1]] = np.arange(len(order[: USABLE - 1]))
    return found


def bins_of(binning: Binning, column: Float64s | Sequence[str | int | None]) -> UInt8s:
    """The bin of every value of a reference's column."""
    if isinstance(binning, NumericBinning):
        return binning.codes(np.asarray(column, np.float64))
    known: dict[str | int | None, int] = {}
    for value in set(column):
        if isinstance(value, str):
            known[value] = binning.bin_of(value)
        else:
            known[value] = binning.missing if value is None or value == -1 else binning.invalid
    return np.array([known[value] for value in column], np.uint8)


def joint(first: UInt8s, second: UInt8s) -> Int64s:
    """Counts (64,) of rows with these groups of both features, each (n,)."""
    found: Int64s = np.bincount(first.astype(np.int64) * GROUPS + second, minlength=CELLS)
    return found


def dependence(reference: Int64s, current: Int64s) -> Estimates:
    """Jensen-Shannon distance of W windows (W, 64) to what they would be if the features still went together as in the
    reference (64,), among rows with both values; less what it is on average without a change, so about 0 then.

    0 where it is below that average. No interval.
    """
    held = reference.reshape(GROUPS, GROUPS)[:USABLE, :USABLE]
    table = current.reshape(-1, GROUPS, GROUPS)[:, :USABLE, :USABLE].astype(np.float64)
    rows = table.sum(axis=(1, 2))
    undefined = first_reason(
        len(table), (rows == 0, Undefined.NO_ROWS), (np.full(len(table), not held.any()), Undefined.NO_REFERENCE)
    )
    shares = table / np.maximum(rows, 1.0)[:, np.newaxis, np.newaxis]
    expected = _fitted(np.asarray(held + _SMOOTHED, np.float64), shares)
    middle = 0.5 * (shares + expected)
    divergence = 0.5 * (_information(shares, middle) + _information(expected, middle)) / _LN2
    freedom = ((shares.sum(axis=2) > 0).sum(axis=1) - 1) * ((shares.sum(axis=1) > 0).sum(axis=1) - 1)
    by_chance = freedom * (1.0 / np.maximum(rows, 1.0) + 1.0 / max(float(held.sum()), 1.0)) / (8.0 * _LN2)
    value = np.sqrt(np.maximum(divergence - by_chance, 0.0))
    return estimates(np.minimum(value, 1.0), None, rows.astype(np.int64), undefined)


def _fitted(table: Float64s, shares: Float64s) -> Float64s:
    """The table (7, 7) with the margins of each of W others (W, 7, 7), which add up to 1 or to nothing."""
    first, second = shares.sum(axis=2), shares.sum(axis=1)
    found = np.broadcast_to(table / table.sum(), shares.shape).copy()
    for _ in range(_ROUNDS):
        found *= _over(first, found.sum(axis=2))[:, :, np.newaxis]
        found *= _over(second, found.sum(axis=1))[:, np.newaxis]
    return found


def _over(above: Float64s, below: Float64s) -> Float64s:
    found: Float64s = np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
    return found


def _information(x: Float64s, middle: Float64s) -> Float64s:
    ratio = np.where(x > 0, x / np.where(middle > 0, middle, 1.0), 1.0)
    total: Float64s = (x * natural_log(ratio)).reshape(len(x), -1).sum(axis=1)
    return total


def paired(reference: Int64s) -> Functionals:
    """Of a pair's counts (64,): whether the features go together more or less (half of the attention), and whether more
    rows lie in any one cell; among rows with both values."""
    held = reference.reshape(GROUPS, GROUPS)[:USABLE, :USABLE]
    cells = [row * GROUPS + column for row in range(USABLE) for column in range(USABLE)]
    active = np.zeros(CELLS, np.bool_)
    active[cells] = True
    first, second = (2.0 * _ranks(held.sum(axis=axis)) - 1.0 for axis in (1, 0))
    together = np.zeros((GROUPS, GROUPS), np.int64)
    together[:USABLE, :USABLE] = np.rint((1.0 + first[:, np.newaxis] * second) / 2.0 * ONE)
    flat = together.ravel()
    values = [flat, np.where(active, ONE - flat, 0), *(np.eye(1, CELLS, cell, np.int64)[0] * ONE for cell in cells)]
    names = ["go together more", "go together less"]
    names += [f"more of group {cell // GROUPS + 1} with group {cell % GROUPS + 1}" for cell in cells]
    prior = np.array([0.25, 0.25, *([0.5 / len(cells)] * len(cells))])
    every = np.broadcast_to(active, (len(names), CELLS)).copy()
    return Functionals(tuple(names), np.array(values), every, np.ones(len(names)), prior)


def _ranks(held: Int64s) -> Float64s:
    """Mid-ranks of groups, from 0 to 1."""
    found: Float64s = (2 * np.cumsum(held) - held) / (2.0 * max(int(held.sum()), 1))
    return found
