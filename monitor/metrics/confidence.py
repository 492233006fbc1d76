"""What probabilities of classes are worth beside the log loss: how often the right class is among the first k, the Brier score,
and whether answers are right as often as they were said to be.

A row is *ranked* when it has a probability of every class of the model that the stream maps. Cells of a window, K such classes:

    ranked                  labelled rows with all these probabilities
    ranks[K+1]              those rows by how many classes stand before the actual one; the last for one that has no probability
    brier, brier_squares    sums over them, units 2**-30 and 2**-20
    right[120], wrong[120], confidence[120]
                            those whose answer has a probability, by it in equal-width bins, and sums of it, unit 2**-30

Of classes with the same probability the one that comes later in the order of names stands first, as in scikit-learn, whatever
the order in the configuration. 120 bins are runs of 10, 12, 15, 20 and 24; with the sums of confidence the calibration error of
any of these is exact.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from monitor.events import Bools, Float64s, Int64s
from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates, UInt8s, estimates, first_reason, undefined_everywhere
from monitor.metrics.losses import SQUARED_LOSS_BITS, mean_loss
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.fixed_point import FRACTION_BITS, from_fixed, to_fixed
from monitor.windows.view import Undefined

BINS: Final = 120
CALIBRATION_BINS: Final = 15
"""Of the published error: equal-width bins, as most papers and libraries take them."""
TOP: Final = (2, 3, 5)
"""How many first classes are looked at, each as `topK_accuracy`, where there are more classes than that."""
WIDTH: Final = 6
"""Cells that one labelled row touches."""
_EDGES: Final = np.arange(1, BINS) / BINS
_ROUNDING: Final = 2.0 ** -(FRACTION_BITS + 1)


def top_names(classes: int) -> tuple[str, ...]:
    """The metrics of first classes that a model of so many listed classes has."""
    return tuple(f"top{k}_accuracy" for k in TOP if k < classes)


def layout(classes: int) -> CellLayout:
    """The cells for so many classes with probabilities."""
    return CellLayout(
        (
            CellSlice("ranked"),
            CellSlice("ranks", classes + 1),
            CellSlice("brier", fraction_bits=FRACTION_BITS),
            CellSlice("brier_squares", fraction_bits=SQUARED_LOSS_BITS),
            CellSlice("right", BINS),
            CellSlice("wrong", BINS),
            CellSlice("confidence", BINS, FRACTION_BITS),
        )
    )


def contribute(
    cells: CellLayout, probabilities: Float64s, actual: Int64s, answer: Int64s, right: Bools
) -> tuple[Int64s, Int64s, Bools]:
    """What n rows add: cell index and amount, both (n, 6), and which rows are ranked.

    `probabilities` (n, K) in the order of names; `actual` and `answer` (n,) are columns of it, -1 for a class without one;
    `right`: whether they are the same class.
    """
    n, classes = probabilities.shape
    given = np.ascontiguousarray(probabilities.T)  # what is done to a class is done at the speed of memory
    ranked: Bools = np.logical_not(np.isnan(given).any(axis=0))
    if not ranked.all():
        given = np.where(ranked, given, 0.0)
    every, known = np.arange(n), actual >= 0
    own: Float64s = given[np.maximum(actual, 0), every]
    rank, brier = np.where(known, 0, classes), np.where(known, 0.0, 1.0)  # a class without a probability was given none
    for column in range(classes):
        rank += known & ((given[column] > own) | ((given[column] == own) & (actual < column)))
        miss = given[column] - (actual == column)
        brier += miss * miss
    brier *= ranked
    sure = ranked & (answer >= 0)
    said = np.where(sure, given[np.maximum(answer, 0), every], 0.0)
    bins = np.searchsorted(_EDGES, said, side="right")
    cell = np.empty((n, WIDTH), np.int64)
    amount = np.empty((n, WIDTH), np.int64)
    cell[:, 0] = cells.index("ranked")
    cell[:, 1] = cells.index("ranks") + rank
    cell[:, 2], cell[:, 3] = cells.index("brier"), cells.index("brier_squares")
    cell[:, 4] = np.where(right, cells.index("right"), cells.index("wrong")) + bins
    cell[:, 5] = cells.index("confidence") + bins
    amount[:, 0] = amount[:, 1] = ranked
    amount[:, 2], amount[:, 3] = to_fixed(brier), to_fixed(brier * brier, SQUARED_LOSS_BITS)
    amount[:, 4], amount[:, 5] = sure, to_fixed(said)
    return cell, amount, ranked


def without_ranks(cells: Cells) -> UInt8s:
    """The reason why nothing can be said about probabilities; 0 where something can."""
    return first_reason(
        len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (cells.count("ranked") == 0, Undefined.NO_SCORE)
    )


def metrics_of(classes: int, mapped: int) -> dict[str, Metric]:
    """The metrics of a model with so many listed classes, of which so many have a probability."""
    names = (*top_names(classes), "brier", "ece")
    if not mapped:
        return dict.fromkeys(names, _nothing)
    made: dict[str, Metric] = {f"top{k}_accuracy": _top(k) for k in TOP}
    made["brier"] = mean_loss("brier", mapped + 1.0, rows="ranked", why=without_ranks)
    made["ece"] = calibration_error
    return {name: made[name] for name in names}


def _nothing(cells: Cells) -> Estimates:
    rows = np.zeros(len(cells), np.int64)
    found = undefined_everywhere(rows, Undefined.NO_SCORE)
    return estimates(found.value, None, rows, np.where(cells.count("labelled") == 0, _no_rows(cells), found.undefined))


def _no_rows(cells: Cells) -> UInt8s:
    return undefined_everywhere(np.zeros(len(cells), np.int64), Undefined.NO_ROWS).undefined


def _top(k: int) -> Metric:
    """The share of ranked rows whose actual class is among the first k."""

    def metric(cells: Cells) -> Estimates:
        hits, rows = cells.histogram("ranks")[:, : min(k, _mapped(cells))].sum(axis=1), cells.count("ranked")
        with np.errstate(divide="ignore", invalid="ignore"):
            return estimates(hits / rows, intervals.wilson(hits, rows), rows, without_ranks(cells))

    return metric


def _mapped(cells: Cells) -> int:
    return cells.layout.part("ranks").size - 1


def calibration_error(cells: Cells, bins: int = CALIBRATION_BINS) -> Estimates:
    """Mean distance of the confidence in answers from how often they are right, in equal-width bins whose number divides 120.

    The confidence of an answer is the probability that it was given. Exact but for the rounding of each confidence. The
    variance is that of the mean of (right - confidence), signed by its bin, with the signs taken as given, and with every
    confidence in the middle of its 120th. A bin is closed below; the last also above.
    """
    windows = len(cells)
    right, wrong = (cells.histogram(name).astype(np.float64) for name in ("right", "wrong"))
    sums = from_fixed(cells.histogram("confidence"), FRACTION_BITS)
    middle = (np.arange(BINS) + 0.5) / BINS

    def together(columns: Float64s) -> Float64s:
        found: Float64s = columns.reshape(windows, bins, -1).sum(axis=2)
        return found

    count, hits, said = together(right + wrong), together(right), together(sums)
    rows = count.sum(axis=1)
    squares = together(right * (1.0 - middle) ** 2 + wrong * middle**2)
    expected = together((right + wrong) * middle)
    within = squares - np.where(count > 0, (hits - expected) ** 2 / np.where(count > 0, count, 1.0), 0.0)
    undefined = first_reason(
        windows, (cells.count("labelled") == 0, Undefined.NO_ROWS), (rows == 0, Undefined.NO_SCORE)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.abs(hits - said).sum(axis=1) / rows
        interval = intervals.normal(value, np.maximum(within, 0.0).sum(axis=1) / (rows * rows), 0.0, 1.0)
    return estimates(value, interval, rows.astype(np.int64), undefined, _ROUNDING)
