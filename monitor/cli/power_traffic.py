"""Rows made up for `driftline power`: what models of each task answer, in the bins that the budget watches.

Each kind of traffic says what it draws in one beat before anything changed, and after: a drop of accuracy, or residuals
that grew. `bursts`: rows come alike in groups of so many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from monitor.sketches.sizes import SIGNED, SIZES, end_of

if TYPE_CHECKING:
    from monitor.events import Float64s, Int64s

_SCALE = 2.0**30
"""Standard deviation of drawn residuals, in units: far from either end of the bins."""


class Traffic(Protocol):
    """What comes in a beat."""

    @property
    def rows(self) -> float:
        """Labelled predictions, on average."""

    def draw(self, rng: np.random.Generator, many: int, change: float) -> Int64s:
        """Counts (many, B) of as many beats in which the change is this large; 0 for none."""


@dataclass(frozen=True, slots=True)
class BinaryTraffic:
    """Labelled predictions a beat, the share that is right, and that is positive; both classes fail alike."""

    rows: float
    accuracy: float
    positives: float
    bursts: float

    def draw(self, rng: np.random.Generator, many: int, change: float) -> Int64s:
        """Counts of tp, fp, fn, tn."""
        wrong, positive = 1.0 - self.accuracy + change, self.positives
        chances = [positive * (1 - wrong), (1 - positive) * wrong, positive * wrong, (1 - positive) * (1 - wrong)]
        return _bursts(rng.multinomial(_rows(rng, self, many), chances), self.bursts)


@dataclass(frozen=True, slots=True)
class MulticlassTraffic:
    """Labelled predictions a beat and the share that is right; the `classes` are equally frequent and fail alike."""

    rows: float
    accuracy: float
    classes: int
    bursts: float

    def draw(self, rng: np.random.Generator, many: int, change: float) -> Int64s:
        """Counts of right, missed and false rows, each by class; nothing is of the class `other`."""
        rows = _rows(rng, self, many)
        wrong = rng.binomial(rows, 1.0 - self.accuracy + change)
        even = np.append(np.full(self.classes, 1.0 / self.classes), 0.0)
        parts = (rows - wrong, wrong, wrong)
        return _bursts(np.concatenate([rng.multinomial(part, even) for part in parts], axis=1), self.bursts)


@dataclass(frozen=True, slots=True)
class RegressionTraffic:
    """Labelled predictions a beat; residuals are normal around 0."""

    rows: float
    bursts: float

    def draw(self, rng: np.random.Generator, many: int, change: float) -> Int64s:
        """Counts of residuals by size and sign, and of rows out of bounds: none. `change`: by what share they grew."""
        return _bursts(rng.multinomial(_rows(rng, self, many), residual_shares(1.0 + change)), self.bursts)


def residual_shares(growth: float) -> Float64s:
    """Chances of the bins of normal residuals whose standard deviation is `growth` times the usual one."""
    ends = np.array([end_of(size) - 0.5 for size in range(SIZES)]) / (_SCALE * growth)
    upto = np.array([math.erf(end / math.sqrt(2.0)) for end in ends])
    upto[-1] = 1.0
    sizes = np.diff(upto, prepend=0.0)
    shares = np.zeros(SIGNED + 1)
    shares[SIZES - 1 : SIGNED] = shares[SIZES - 1 :: -1] = sizes / 2.0
    shares[SIZES - 1] = sizes[0]
    total: Float64s = shares / shares.sum()
    return total


def _rows(
    rng: np.random.Generator, traffic: BinaryTraffic | MulticlassTraffic | RegressionTraffic, many: int
) -> Int64s:
    found: Int64s = rng.poisson(traffic.rows / traffic.bursts, many)
    return found


def _bursts(counts: Int64s, bursts: float) -> Int64s:
    found: Int64s = np.rint(counts * bursts).astype(np.int64)
    return found
