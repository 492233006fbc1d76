"""Cohen's kappa: how far labels and predictions agree beyond what their marginals alone would make of it.

Value: Cohen (1960). Variance: the multinomial delta method on all cells of the matrix, which is that of Fleiss, Cohen and
Everitt (1969).
"""

from __future__ import annotations

import numpy as np

from monitor.events import Float64s


@np.errstate(divide="ignore", invalid="ignore")
def kappa(counts: Float64s) -> tuple[Float64s, Float64s]:
    """Value and variance of W windows from their confusion matrices (W, C, C), actual class first; at most 1, 0 where they
    agree as by chance. Both NaN where all labels and all predictions are of one and the same class, or nothing is there."""
    size = counts.shape[1]
    actual, called = counts.sum(axis=2), counts.sum(axis=1)
    rows = actual.sum(axis=1)
    hits = np.ascontiguousarray(np.diagonal(counts, axis1=1, axis2=2)).sum(axis=1)
    chance = (actual * called).sum(axis=1)
    room = rows * rows - chance
    value = np.where(room > 0, (rows * hits - chance) / room, np.nan)
    # A row of (i, j) adds to the marginals of i among the labels and of j among the predictions.
    n, hit, most, found = (column[:, np.newaxis, np.newaxis] for column in (rows, hits, room, value))
    of_chance = called[:, :, np.newaxis] + actual[:, np.newaxis, :]
    gradient = (hit + n * np.eye(size)[np.newaxis] - of_chance - found * (2.0 * n - of_chance)) / most
    variance = (counts * gradient * gradient).reshape(len(counts), -1).sum(axis=1)
    return value, np.where(room > 0, variance, np.nan)
