"""Metrics of a confusion matrix that is expected rather than counted: values, and intervals from the spread of its rows.

What `without_labels` estimates and what `partial` completes are both a matrix (tp, fp, fn, tn) of real numbers whose rows
are positive with known chances. The interval is normal, by the delta method: a row's being positive moves one count from
fp to tp, or from tn to fn, and every metric by its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates, estimates, first_reason
from monitor.windows.view import Undefined

Matrix = tuple[Float64s, Float64s, Float64s, Float64s]
"""tp, fp, fn, tn, each (W,)."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric that is one weighted sum of the matrix over another; weights are those of (tp, fp, fn, tn)."""

    above: tuple[float, float, float, float]
    below: tuple[float, float, float, float]


RATIOS: Final[Mapping[str, Ratio]] = {
    "accuracy": Ratio((1, 0, 0, 1), (1, 1, 1, 1)),
    "precision": Ratio((1, 0, 0, 0), (1, 1, 0, 0)),
    "recall": Ratio((1, 0, 0, 0), (1, 0, 1, 0)),
    "f1": Ratio((2, 0, 0, 0), (2, 1, 1, 0)),
    "specificity": Ratio((0, 0, 0, 1), (0, 1, 0, 1)),
}

Variance = Callable[[Matrix], Float64s]
"""Variance (W,) of a metric whose gradients by tp, fp, fn and tn are these."""


def of_matrix(matrix: Matrix, rows: Int64s, variance: Variance) -> dict[str, Estimates]:
    """The ratios of W expected matrices, with 95 % intervals cut to [0, 1]; `rows` (W,) are predictions.

    A metric without a denominator is undefined, as in a counted matrix.
    """
    found = {}
    for name, ratio in RATIOS.items():
        above, below = _sum(ratio.above, matrix), _sum(ratio.below, matrix)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = above / below
            by_cell = [(a - value * b) / below for a, b in zip(ratio.above, ratio.below, strict=True)]
            interval = intervals.normal(value, variance((by_cell[0], by_cell[1], by_cell[2], by_cell[3])), 0.0, 1.0)
        undefined = first_reason(len(rows), (rows == 0, Undefined.NO_ROWS), (below <= 0, Undefined.ZERO_DENOMINATOR))
        found[name] = estimates(value, interval, rows, undefined)
    return found


def _sum(weights: tuple[float, float, float, float], matrix: Matrix) -> Float64s:
    total = np.zeros(len(matrix[0]))
    for weight, cell in zip(weights, matrix, strict=True):
        total = total + weight * cell
    return total
