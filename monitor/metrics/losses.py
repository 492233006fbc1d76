"""Mean losses of scored rows: what tasks with probabilities have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates, UInt8s, estimates, first_reason
from monitor.metrics.task import Metric
from monitor.sketches.cells import Cells
from monitor.sketches.fixed_point import FRACTION_BITS
from monitor.windows.view import Undefined

SQUARED_LOSS_BITS: Final = 20
SMALLEST_PROBABILITY: Final = 1e-15
LARGEST_LOG_LOSS: Final = 35.0
_ROUNDING: Final = 2.0 ** -(FRACTION_BITS + 1)


def mean_loss(name: str, highest: float, rows: str = "scored", why: Callable[[Cells], UInt8s] | None = None) -> Metric:
    """Mean of a loss over the scored rows with the normal interval of a mean, cut to the loss's range. `rows`: the count of them,
    `why`: the reason where there are none."""
    counted, reason = rows, why or without_score

    @np.errstate(divide="ignore", invalid="ignore")
    def metric(cells: Cells) -> Estimates:
        rows = cells.count(counted)
        total = cells.fixed(name)
        lower, upper = intervals.normal_mean(total, cells.fixed(f"{name}_squares"), rows)
        interval = np.maximum(lower, 0.0), np.minimum(upper, highest)
        return estimates(total / rows, interval, rows, reason(cells), _ROUNDING)

    return metric


def without_score(cells: Cells) -> UInt8s:
    """The reason why nothing can be said about scores; 0 where something can."""
    return first_reason(
        len(cells),
        (cells.count("labelled") == 0, Undefined.NO_ROWS),
        (cells.count("scored") == 0, Undefined.NO_SCORE),
    )
