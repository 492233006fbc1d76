"""What a reference allows: the largest mean of each functional under which nothing has changed, and how bursty rows are.

A reference is a sample, not the truth. Betting against its plain means rings twenty to sixty times too often (one
feature and a hundred, at 10,000 reference rows); so each mean gets a margin that the true mean stays below, for all
functionals of a model at once, with probability 1 - `LEVEL`. The promise of a budget holds in that event, under any
wandering of the mean below its margin.

Rows come in bursts: sums vary more than those of independent rows, by a factor `dispersion` (long-run variance over
that of independent rows). Both the margins (the reference has rows / dispersion effective rows) and the bets (their
logarithms are divided by it) take it into account. It is measured on blocks of ticks of growing length.

Margins: Clopper & Pearson (1934) for indicators; for other functionals the normal margin, and ln(1/level) / rows at least
(the second term of Bernstein's inequality), so that a column that was constant has one too. Not done: batch means,
learning of a trend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.drift.functionals import ONE, Functionals
from monitor.events import Bools, Float64s, Int64s

LEVEL: Final = 0.01
"""Probability, at most, that any true mean of a model lies above its margin."""
BLOCKS: Final = 64
"""Fewest blocks that a variance is measured on: at 64 its 90 % bound is 1.3 times its estimate."""
_CONFIDENCE: Final = 0.9
_GRID: Final = 1 << 30
_PHI_GRID: Final = 1 << 10


@dataclass(frozen=True, slots=True)
class Null:
    """For each of F functionals: the reference `mean`, the largest mean `limit` (>= mean) that counts as no change, and
    `dispersion` (>= 1); `rows` (F,) are the reference rows that took part. All float64 but `rows`."""

    mean: Float64s
    limit: Float64s
    dispersion: Float64s
    rows: Int64s


def null_of(
    functionals: Functionals,
    reference: Int64s,
    *,
    dispersion: Float64s | None = None,
    materiality: float = 0.0,
    asked: int | None = None,
) -> Null:
    """The null of one reference (B,), or of S seasonal slots (S, B): then the limit is the largest over the slots.

    `materiality` is the distance that is forgiven, `asked` how many functionals the whole model has (they share
    `LEVEL`), `dispersion` (F,) as `dispersion_of` measures it. Slots without rows are left out; a functional that no
    row took part in has limit 1: nothing can be said about it.
    """
    slots = reference.reshape(-1, reference.shape[-1])
    phi = np.ones(len(functionals)) if dispersion is None else dispersion
    totals, rows = functionals.totals(slots), functionals.rows(slots)
    level = LEVEL / ((asked or len(functionals)) * len(slots))
    mean, upper = _upper(functionals, slots, totals, rows, phi, level)
    upper = np.where(rows > 0, upper, -np.inf).max(axis=0)
    limit = upper + materiality * functionals.sensitivity
    limit = np.where(np.isneginf(upper), 1.0, np.minimum(np.ceil(limit * _GRID) / _GRID, 1.0))
    return Null(mean, limit, phi, rows.sum(axis=0))


def seasonal_nulls(
    functionals: Functionals, ticks: Int64s, slots: Int64s, seasons: int, *, materiality: float, asked: int
) -> tuple[Null, ...]:
    """A null for each of `seasons` slots, from a reference's ticks (T, B) and the slot of each (T,).

    For references of several cycles. A slot that had no rows, or too few, has limits of 1: nothing is bet on in it.
    """
    phi = dispersion_of(functionals, ticks, slots)
    sums = np.zeros((seasons, ticks.shape[1]), np.int64)
    np.add.at(sums, slots, ticks)
    return tuple(
        null_of(functionals, own, dispersion=phi, materiality=materiality, asked=asked * seasons) for own in sums
    )


def _upper(
    functionals: Functionals, slots: Int64s, totals: Int64s, rows: Int64s, phi: Float64s, level: float
) -> tuple[Float64s, Float64s]:
    """Mean over all slots (F,) and, per slot, the upper confidence bound of the mean (S, F)."""
    from scipy.special import betaincinv, ndtri  # a heavy import, and needed once per reference

    values = functionals.values / ONE
    n = rows / phi  # effective rows
    every = rows.sum(axis=0)
    mean = np.where(every > 0, totals.sum(axis=0) / np.maximum(every, 1) / ONE, 0.0)
    own = np.where(rows > 0, totals / np.maximum(rows, 1) / ONE, 0.0)
    squares = slots @ np.where(functionals.active, values * values, 0.0).T
    variance = np.maximum(squares / np.maximum(rows, 1) - own * own, 0.0)
    hits = own * n
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.where(n - hits > 1e-12, betaincinv(hits + 1.0, np.maximum(n - hits, 1e-12), 1.0 - level), 1.0)
        smooth = own + np.maximum(-ndtri(level) * np.sqrt(variance / n), -np.log(level) / n)
    upper = np.where(_is_indicator(functionals), exact, smooth)
    return mean, np.where(rows > 0, upper, 1.0)


def _is_indicator(functionals: Functionals) -> Bools:
    inside = functionals.active & (functionals.values > 0) & (functionals.values < ONE)
    found: Bools = np.logical_not(inside.any(axis=1))
    return found


def dispersion_of(functionals: Functionals, ticks: Int64s, slots: Int64s | None = None) -> Float64s:
    """Long-run variance of each functional's sums over that of independent rows, shape (F,): an upper 90 % bound, at
    least 1, rounded up to 1/1024.

    `ticks` (T, B) are the counts of the reference's ticks in order; `slots` (T,) their seasonal slot: what the slots'
    means explain is not burstiness. The largest bound over blocks of 1, 2, 4, ... ticks, as long as there are 64
    blocks: where rows of neighbouring ticks go together, long blocks vary more than short ones. 1 where T < 64.
    """
    totals, rows = functionals.totals(ticks) / ONE, functionals.rows(ticks).astype(np.float64)
    slot = np.zeros(len(ticks), np.int64) if slots is None else slots
    expected, variance = np.zeros(totals.shape), np.zeros(totals.shape)
    values = functionals.values / ONE
    squares = ticks @ np.where(functionals.active, values * values, 0.0).T
    for code in np.unique(slot).tolist():
        own = slot == code
        n = np.maximum(rows[own].sum(axis=0), 1.0)
        mean = totals[own].sum(axis=0) / n
        expected[own] = rows[own] * mean
        variance[own] = rows[own] * np.maximum(squares[own].sum(axis=0) / n - mean * mean, 0.0)
    found, length = np.ones(len(functionals)), 1
    parameters = len(np.unique(slot))
    while len(ticks) // length >= max(BLOCKS, 2 * parameters):
        found = np.maximum(found, _bound(totals - expected, variance, length, parameters))
        length *= 2
    return np.ceil(found * _PHI_GRID) / _PHI_GRID


def _bound(residual: Float64s, variance: Float64s, length: int, parameters: int) -> Float64s:
    """Upper bound of the dispersion from blocks of `length` ticks; ticks that fill no block are left out."""
    from scipy.special import chdtri

    blocks = len(residual) // length
    deviation = residual[: blocks * length].reshape(blocks, length, -1).sum(axis=1)
    by_chance = variance[: blocks * length].reshape(blocks, length, -1).sum(axis=1)
    used = by_chance > 0
    ratio = np.where(used, deviation * deviation / np.where(used, by_chance, 1.0), 0.0).sum(axis=0)
    # Of single ticks each slot's mean costs a degree of freedom; a block that holds every slot knows only their sum.
    free = np.maximum(used.sum(axis=0) - -(-parameters // length), 1)
    # A question that few blocks could answer either way gets a wide bound, not the benefit of the doubt.
    found: Float64s = np.where(used.any(axis=0), ratio / chdtri(free, _CONFIDENCE), 1.0)
    return found
