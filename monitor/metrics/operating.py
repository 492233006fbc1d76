"""What a binary model is worth at its operating threshold when the two mistakes do not weigh the same: F of other weights, the
geometric mean of recall and specificity, and what the decisions cost.

All from the four cells of the confusion matrix, with variances by the multinomial delta method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

CELLS: Final = ("tp", "fp", "fn", "tn")
Valued = tuple[Float64s, Float64s]
"""Value and variance of W windows; NaN where there is none."""


@np.errstate(divide="ignore", invalid="ignore")
def f_beta(beta: float, tp: Float64s, fp: Float64s, fn: Float64s) -> Valued:
    """The harmonic mean of precision and recall in which recall counts beta times as much: (1 + b) tp / ((1 + b) tp + b fn + fp)
    with b = beta^2 (van Rijsbergen 1979). It does not change when all cells are scaled."""
    b = beta * beta
    below = (1.0 + b) * tp + b * fn + fp
    by_tp, by_miss = (1.0 + b) * (b * fn + fp) / below**2, (1.0 + b) * tp / below**2
    return (1.0 + b) * tp / below, tp * by_tp**2 + fp * by_miss**2 + fn * (b * by_miss) ** 2


@np.errstate(divide="ignore", invalid="ignore")
def g_mean(tp: Float64s, fp: Float64s, fn: Float64s, tn: Float64s) -> Valued:
    """Root of recall times specificity (Kubat and Matwin 1997). NaN without rows of one of the classes; its variance also where
    one of the two shares is 0."""
    positives, negatives = tp + fn, tn + fp
    value = np.sqrt(tp / positives) * np.sqrt(tn / negatives)
    return value, 0.25 * value * value * (fn / (tp * positives) + fp / (tn * negatives))


@np.errstate(divide="ignore", invalid="ignore")
def mean_cost(counts: Mapping[str, Int64s], costs: Mapping[str, float]) -> tuple[Float64s, Float64s]:
    """Mean cost of a labelled row, and its variance: that of the mean of independent rows; NaN of fewer than two."""
    each = [(counts[name].astype(np.float64), costs[name]) for name in CELLS]
    n = sum((count for count, _ in each), np.zeros(len(each[0][0])))
    mean = sum((count * cost for count, cost in each), np.zeros(len(n))) / n
    spread = sum((count * (cost - mean) ** 2 for count, cost in each), np.zeros(len(n)))
    return mean, spread / (n * np.where(n > 1, n - 1.0, np.nan))
