"""Binary classification: one confusion matrix at the operating threshold, two score histograms, two losses.

Cells of a window, all integers:

    seen, labelled                  predictions, and those of them whose label is known
    tp, fp, fn, tn                  labelled rows by predicted and actual class
    scored                          labelled rows that have a score
    log_loss, log_loss_squares      sums over scored rows, units 2**-30 and 2**-20
    brier, brier_squares            sums over scored rows, unit 2**-30
    positives[1200], negatives[1200]  scored rows by actual class in equal-width score bins, the last one closed

1200 bins, because calibration errors at 10, 12, 15, 20 and 24 bins can then be read off exactly. The squares of the
log loss reach 1193 a row (p is clipped at 1e-15); in units of 2**-20 a cell holds 3.6e9 such rows, in the usual unit it
would hold 3.6 million. The log loss itself, at most 34.6 a row, holds 1.2e8 of the worst rows and some 1e10 ordinary
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from monitor.editions import NEWEST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics import agreement, calibration, intervals, operating, ranking
from monitor.metrics.earlier import metrics_of
from monitor.metrics.estimates import CODE_OF, DEFINED, Estimates, estimates, first_reason
from monitor.metrics.losses import LARGEST_LOG_LOSS, SMALLEST_PROBABILITY, SQUARED_LOSS_BITS, mean_loss, without_score
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.fixed_point import FRACTION_BITS, natural_log, to_fixed
from monitor.windows.view import Undefined

SCORE_BINS: Final = 1200

LAYOUT: Final = CellLayout(
    (
        CellSlice("seen"),
        CellSlice("labelled"),
        CellSlice("tp"),
        CellSlice("fp"),
        CellSlice("fn"),
        CellSlice("tn"),
        CellSlice("scored"),
        CellSlice("log_loss", fraction_bits=FRACTION_BITS),
        CellSlice("log_loss_squares", fraction_bits=SQUARED_LOSS_BITS),
        CellSlice("brier", fraction_bits=FRACTION_BITS),
        CellSlice("brier_squares", fraction_bits=FRACTION_BITS),
        CellSlice("positives", SCORE_BINS),
        CellSlice("negatives", SCORE_BINS),
    )
)

WIDTH: Final = 8
"""Cells that one labelled row touches."""

# Indexed by 2 * actual + called.
_MATRIX: Final = np.array([LAYOUT.index(name) for name in ("tn", "fp", "fn", "tp")], dtype=np.int32)
_LOWER_EDGES: Final = np.arange(SCORE_BINS) / SCORE_BINS
_UPPER_EDGES: Final = np.append(_LOWER_EDGES[1:], np.inf)  # the last bin is closed
_FIXED_CELLS: Final = tuple(
    LAYOUT.index(name) for name in ("labelled", "scored", "log_loss", "log_loss_squares", "brier", "brier_squares")
)


class Binary:
    """The task `binary`; `BINARY` is that of models which say nothing of `costs`."""

    name: Final = "binary"
    cells: CellLayout = LAYOUT
    metrics: Mapping[str, Metric]

    def __init__(self, costs: Mapping[str, float] | None = None, edition: int = NEWEST) -> None:
        """`costs`: what a row of each cell of the matrix costs, where the model says."""
        self.costs, self.edition = costs, edition
        made = _METRICS if costs is None else _METRICS | {"cost": _cost(costs)}
        self.metrics = metrics_of(edition, made, EDITION_1)

    def of_edition(self, number: int) -> Binary:
        """The task as an edition has it."""
        return Binary(self.costs, number)

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, 8).

        `score` is the probability of the positive class in [0, 1], NaN without one (such rows add 0 to the cells of the
        score); `predicted` is 1.0 where the model called the row positive; `label` equals `positive` where it was.
        Includes `labelled`, not `seen`. A row's contribution depends on that row alone, to the bit.
        """
        actual = label == positive
        scored = ~np.isnan(score)
        hit = np.where(scored, score, 0.0)
        bins = score_bins(hit)
        miss = np.where(actual, 1.0 - hit, hit)  # distance of the score from the truth
        loss = -natural_log(np.maximum(np.where(actual, hit, 1.0 - hit), SMALLEST_PROBABILITY))
        square = miss * miss
        cell = np.empty((len(score), WIDTH), dtype=np.int32)
        amount = np.empty((len(score), WIDTH), dtype=np.int64)
        cell[:, :6] = _FIXED_CELLS
        cell[:, 6] = _MATRIX[2 * actual.view(np.int8) + (predicted == 1.0)]
        cell[:, 7] = np.where(actual, LAYOUT.index("positives"), LAYOUT.index("negatives")) + bins
        amount[:, 0] = 1
        amount[:, 1] = scored
        amount[:, 2] = to_fixed(loss)
        amount[:, 3] = to_fixed(loss * loss, SQUARED_LOSS_BITS)
        amount[:, 4] = to_fixed(square)
        amount[:, 5] = to_fixed(square * square)
        amount[:, 6] = 1
        amount[:, 7] = scored
        if not scored.all():
            amount[~scored, 2:6] = 0
        return cell, amount

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """None: nothing is kept of what waits."""
        return None

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """None: the four cells of the matrix are counts by themselves."""
        return ()


def score_bins(score: Float64s) -> Int32s:
    """The bin of each score in [0, 1]: bin i begins at the double nearest to i / 1200 and ends before the next one."""
    bins = np.minimum((score * SCORE_BINS).astype(np.int32), SCORE_BINS - 1)
    # The product is rounded, so a score beside an edge (0.29, say) can come out one bin off.
    bins += score >= _UPPER_EDGES[bins]
    bins -= score < _LOWER_EDGES[bins]
    return bins


def _proportion(hits: tuple[str, ...], trials: tuple[str, ...]) -> Metric:
    """A share of counts with Wilson's interval, conditional on its denominator."""

    @np.errstate(divide="ignore", invalid="ignore")
    def metric(cells: Cells) -> Estimates:
        k, n = _sum(cells, hits), _sum(cells, trials)
        undefined = first_reason(
            len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (n == 0, Undefined.ZERO_DENOMINATOR)
        )
        return estimates(k / n, intervals.wilson(k, n), n, undefined)

    return metric


def _sum(cells: Cells, names: tuple[str, ...]) -> Int64s:
    total = cells.count(names[0])
    for name in names[1:]:
        total = total + cells.count(name)
    return total


def _matrix(cells: Cells) -> tuple[Float64s, Float64s, Float64s, Float64s]:
    """tp, fp, fn, tn as floats (exact below 2**53 rows)."""
    tp, fp, fn, tn = (cells.count(name).astype(np.float64) for name in ("tp", "fp", "fn", "tn"))
    return tp, fp, fn, tn


@np.errstate(divide="ignore", invalid="ignore")
def f1(cells: Cells) -> Estimates:
    """Harmonic mean of precision and recall, 2tp / (2tp + fp + fn); rows are all but the true negatives."""
    tp, fp, fn, _ = _matrix(cells)
    rows = _sum(cells, ("tp", "fp", "fn"))
    value = 2.0 * tp / (2.0 * tp + fp + fn)
    undefined = first_reason(
        len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (rows == 0, Undefined.ZERO_DENOMINATOR)
    )
    return estimates(value, intervals.normal(value, intervals.f1_variance(tp, fp, fn), 0.0, 1.0), rows, undefined)


@np.errstate(divide="ignore", invalid="ignore")
def balanced_accuracy(cells: Cells) -> Estimates:
    """Mean of recall and specificity. Needs rows of both classes."""
    tp, fp, fn, tn = _matrix(cells)
    labelled = cells.count("labelled")
    value = 0.5 * (tp / (tp + fn) + tn / (tn + fp))
    undefined = first_reason(
        len(cells), (labelled == 0, Undefined.NO_ROWS), ((tp + fn == 0) | (tn + fp == 0), Undefined.ONE_CLASS)
    )
    variance = intervals.balanced_accuracy_variance(tp, fp, fn, tn)
    return estimates(value, intervals.normal(value, variance, 0.0, 1.0), labelled, undefined)


@np.errstate(divide="ignore", invalid="ignore")
def mcc(cells: Cells) -> Estimates:
    """Matthews correlation coefficient, in [-1, 1]. Needs both classes among the labels and among the predictions."""
    tp, fp, fn, tn = _matrix(cells)
    labelled = cells.count("labelled")
    called, actual, rejected, negative = tp + fp, tp + fn, tn + fn, tn + fp
    value = (tp * tn - fp * fn) / (np.sqrt(called * actual) * np.sqrt(rejected * negative))
    value = np.clip(value, -1.0, 1.0)  # the two roots are rounded: a perfect matrix can come out one place beyond
    undefined = first_reason(
        len(cells),
        (labelled == 0, Undefined.NO_ROWS),
        ((actual == 0) | (negative == 0), Undefined.ONE_CLASS),
        ((called == 0) | (rejected == 0), Undefined.ZERO_DENOMINATOR),
    )
    variance = intervals.mcc_variance(tp, fp, fn, tn, value)
    return estimates(value, intervals.normal(value, variance, -1.0, 1.0), labelled, undefined)


def _area(cells: Cells) -> tuple[Float64s, Float64s, Float64s]:
    return ranking.roc_auc(cells.histogram("positives"), cells.histogram("negatives"))


@np.errstate(divide="ignore", invalid="ignore")
def roc_auc(cells: Cells) -> Estimates:
    """Area under the ROC curve from the score histograms; `bound` is half the share of pairs tied within a bin.

    The interval is DeLong's around the binned value: sampling error only, the bound comes on top.
    """
    area, bound, variance = cells.once("roc_auc", _area)
    undefined = without_score(cells)
    undefined[(undefined == DEFINED) & np.isnan(area)] = CODE_OF[Undefined.ONE_CLASS]
    return estimates(area, intervals.normal(area, variance, 0.0, 1.0), cells.count("scored"), undefined, bound)


def average_precision(cells: Cells) -> Estimates:
    """Area under the precision-recall curve from the score histograms; `bound` is how far order within bins can move it."""
    positives, negatives = cells.histogram("positives"), cells.histogram("negatives")
    value, bound = ranking.average_precision(positives, negatives)
    undefined = without_score(cells)
    undefined[(undefined == DEFINED) & np.isnan(value)] = CODE_OF[Undefined.ONE_CLASS]
    interval = ranking.average_precision_interval(value, positives.sum(axis=1))
    return estimates(value, interval, cells.count("scored"), undefined, bound)


def _reliability(cells: Cells) -> calibration.Reliability:
    return calibration.reliability(cells.histogram("positives"), cells.histogram("negatives"))


def _of_calibration(of: Callable[[calibration.Reliability], calibration.Found]) -> Metric:
    """A distance of scores from the frequencies they promise (`calibration`)."""

    def metric(cells: Cells) -> Estimates:
        value, bound, variance = of(cells.once("reliability", _reliability))
        interval = intervals.normal(value, variance, 0.0, 1.0)
        return estimates(value, interval, cells.count("scored"), without_score(cells), bound)

    return metric


def gini(cells: Cells) -> Estimates:
    """2 AUC - 1, which is 0 as by chance: Somers' D of scores and labels."""
    area = roc_auc(cells)
    value, lower, upper = (2.0 * column - 1.0 for column in (area.value, area.lower, area.upper))
    return estimates(value, (lower, upper), area.rows, area.undefined, 2.0 * area.bound)


def ks_of_classes(cells: Cells) -> Estimates:
    """Largest difference of the distribution functions of positives' and of negatives' scores."""
    value, bound, interval = ranking.distance_of_classes(cells.histogram("positives"), cells.histogram("negatives"))
    undefined = without_score(cells)
    undefined[(undefined == DEFINED) & np.isnan(value)] = CODE_OF[Undefined.ONE_CLASS]
    return estimates(value, interval, cells.count("scored"), undefined, bound)


def _f_beta(beta: float) -> Metric:
    """F in which recall counts beta times as much as precision; rows are all but the true negatives."""

    def metric(cells: Cells) -> Estimates:
        tp, fp, fn, _ = _matrix(cells)
        rows = _sum(cells, ("tp", "fp", "fn"))
        value, variance = operating.f_beta(beta, tp, fp, fn)
        undefined = first_reason(
            len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (rows == 0, Undefined.ZERO_DENOMINATOR)
        )
        return estimates(value, intervals.normal(value, variance, 0.0, 1.0), rows, undefined)

    return metric


def g_mean(cells: Cells) -> Estimates:
    """Geometric mean of recall and specificity. Needs rows of both classes."""
    tp, fp, fn, tn = _matrix(cells)
    labelled = cells.count("labelled")
    value, variance = operating.g_mean(tp, fp, fn, tn)
    undefined = first_reason(
        len(cells), (labelled == 0, Undefined.NO_ROWS), ((tp + fn == 0) | (tn + fp == 0), Undefined.ONE_CLASS)
    )
    return estimates(value, intervals.normal(value, variance, 0.0, 1.0), labelled, undefined)


def _cost(costs: Mapping[str, float]) -> Metric:
    """Mean cost of a labelled row, in the unit of the costs."""

    def metric(cells: Cells) -> Estimates:
        rows = cells.count("labelled")
        value, variance = operating.mean_cost({name: cells.count(name) for name in operating.CELLS}, costs)
        interval = intervals.normal(value, variance, min(costs.values()), max(costs.values()))
        return estimates(value, interval, rows, first_reason(len(cells), (rows == 0, Undefined.NO_ROWS)))

    return metric


def kappa(cells: Cells) -> Estimates:
    """Cohen's kappa, at most 1. Needs two classes among labels and predictions together."""
    tp, fp, fn, tn = _matrix(cells)
    value, variance = agreement.kappa(np.stack([tn, fp, fn, tp], axis=1).reshape(-1, 2, 2))
    undefined = first_reason(
        len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (np.isnan(value), Undefined.ONE_CLASS)
    )
    return estimates(value, intervals.normal(value, variance, -1.0, 1.0), cells.count("labelled"), undefined)


_METRICS: Final[dict[str, Callable[[Cells], Estimates]]] = {
    "accuracy": _proportion(("tp", "tn"), ("labelled",)),
    "precision": _proportion(("tp",), ("tp", "fp")),
    "recall": _proportion(("tp",), ("tp", "fn")),
    "f1": f1,
    "f0_5": _f_beta(0.5),
    "f2": _f_beta(2.0),
    "specificity": _proportion(("tn",), ("tn", "fp")),
    "npv": _proportion(("tn",), ("tn", "fn")),
    "fpr": _proportion(("fp",), ("tn", "fp")),
    "balanced_accuracy": balanced_accuracy,
    "g_mean": g_mean,
    "mcc": mcc,
    "kappa": kappa,
    "prevalence": _proportion(("tp", "fn"), ("labelled",)),
    "log_loss": mean_loss("log_loss", LARGEST_LOG_LOSS),
    "brier": mean_loss("brier", 1.0),
    "ece": _of_calibration(calibration.calibration_error),
    "rmsce": _of_calibration(calibration.root_mean_squared_error),
    "mce": _of_calibration(calibration.largest_error),
    "roc_auc": roc_auc,
    "gini": gini,
    "ks_classes": ks_of_classes,
    "average_precision": average_precision,
}
EDITION_1: Final = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "specificity",
    "npv",
    "fpr",
    "balanced_accuracy",
    "mcc",
    "kappa",
    "prevalence",
    "log_loss",
    "brier",
    "ece",
    "roc_auc",
    "average_precision",
)
"""The metrics of the first edition; all others came with the second."""

BINARY: Final = Binary()
"""The task of models with `task: binary` that say nothing of costs."""
