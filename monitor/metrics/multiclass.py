"""Multiclass classification: one confusion matrix over the listed classes and `other`, and the log loss where there are
probabilities of classes.

Cells of a window, all integers, with C listed classes:

    seen, labelled        predictions, and those of them whose label is known
    confusion[(C+1)^2]    labelled rows by actual class (slow index) and predicted class; the last class is `other`
    scored                labelled rows with a probability of their actual class
    log_loss, log_loss_squares    sums over scored rows, units 2**-30 and 2**-20

Classes that the model does not list are one class, `other`, among labels and among predictions. Which class is which
cell is thereby a function of the configuration alone: it cannot depend on what was read first or by whom.

Averages are over the classes that occur in the window, as a label or as a prediction. In an average a class that was never
predicted has precision 0, one that never was true has recall 0, as in scikit-learn; by itself such a value is
undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics import agreement, intervals
from monitor.metrics.estimates import Estimates, UInt8s, estimates, first_reason
from monitor.metrics.losses import LARGEST_LOG_LOSS, SMALLEST_PROBABILITY, SQUARED_LOSS_BITS, mean_loss
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.fixed_point import FRACTION_BITS, natural_log, to_fixed
from monitor.windows.view import Undefined

OTHER: Final = "other"
"""The class of everything that is not listed."""
MOST_CLASSES: Final = 64
"""Classes that can be listed: their matrix takes 34 KB a window, twice what the histograms of a binary model take."""
WIDTH: Final = 5
"""Cells that one labelled row touches."""

Average = Callable[["Matrix"], tuple[Float64s, Float64s]]
"""Value and variance of every window."""


class Matrix:
    """The confusion matrices of W windows as floats (exact below 2**53 rows) and what is read off them."""

    def __init__(self, cells: Cells, classes: int) -> None:
        counts = cells.histogram("confusion").reshape(len(cells), classes, classes)
        self.counts: Float64s = counts.astype(np.float64)
        self.actual: Float64s = counts.sum(axis=2).astype(np.float64)
        self.called: Float64s = counts.sum(axis=1).astype(np.float64)
        self.hits: Float64s = np.ascontiguousarray(np.diagonal(counts, axis1=1, axis2=2)).astype(np.float64)
        self.rows: Float64s = counts.reshape(len(cells), -1).sum(axis=1).astype(np.float64)
        self.present: Float64s = (self.actual + self.called > 0).astype(np.float64)

    def precision(self) -> Float64s:
        """Of each class (W, C); 0 for one that was never predicted."""
        return _ratio(self.hits, self.called)

    def recall(self) -> Float64s:
        """Of each class (W, C); 0 for one that never was true."""
        return _ratio(self.hits, self.actual)

    def f1(self) -> Float64s:
        """Of each class (W, C); 0 for one that does not occur."""
        return _ratio(2.0 * self.hits, self.actual + self.called)

    def equal(self) -> Float64s:
        """The weight of each class in a macro average (W, C)."""
        return _ratio(self.present, _sum(self.present)[:, np.newaxis])

    def support(self) -> Float64s:
        """The weight of each class in a weighted average (W, C): its share of the labels."""
        return _ratio(self.actual, self.rows[:, np.newaxis])

    def variance(self, gradient: Float64s) -> Float64s:
        """Delta method: sum of count x gradient squared; the averages do not change when all counts are scaled."""
        return _sum((self.counts * gradient * gradient).reshape(len(self.counts), -1))


def _ratio(a: Float64s, b: Float64s) -> Float64s:
    """a / b, 0 where b is 0."""
    out: Float64s = a / np.where(b > 0, b, 1.0)
    return np.where(np.broadcast_to(b, out.shape) > 0, out, 0.0)


def _sum(columns: Float64s) -> Float64s:
    """Sum over the last axis of (W, k)."""
    total: Float64s = np.ascontiguousarray(columns).sum(axis=1)
    return total


def _precision(m: Matrix, weight: Float64s, by_support: bool) -> tuple[Float64s, Float64s]:
    each = m.precision()
    value = _sum(weight * each)
    share = _ratio(weight, m.called)
    gradient = _eye(m) * share[:, np.newaxis, :] - (share * each)[:, np.newaxis, :]
    return value, m.variance(gradient + _of_weights(m, each, value, by_support))


def _recall(m: Matrix, weight: Float64s) -> tuple[Float64s, Float64s]:
    each = m.recall()
    share = _ratio(weight, m.actual)
    gradient = _eye(m) * share[:, :, np.newaxis] - (share * each)[:, :, np.newaxis]
    return _sum(weight * each), m.variance(gradient)


def _f1(m: Matrix, weight: Float64s, by_support: bool) -> tuple[Float64s, Float64s]:
    each = m.f1()
    value = _sum(weight * each)
    share = _ratio(weight, m.actual + m.called)
    part = share * each
    gradient = 2.0 * _eye(m) * share[:, :, np.newaxis] - part[:, :, np.newaxis] - part[:, np.newaxis, :]
    return value, m.variance(gradient + _of_weights(m, each, value, by_support))


def _of_weights(m: Matrix, each: Float64s, value: Float64s, by_support: bool) -> Float64s:
    """What a row moves by belonging to its actual class, where the weights are shares of the labels."""
    if not by_support:
        return np.zeros((1, 1, 1))
    return _ratio(each - value[:, np.newaxis], m.rows[:, np.newaxis])[:, :, np.newaxis]


def _eye(m: Matrix) -> Float64s:
    return np.eye(m.counts.shape[1])[np.newaxis]


def precision_macro(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean precision of the classes that occur."""
    return _precision(m, m.equal(), by_support=False)


def recall_macro(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean recall of the classes that occur."""
    return _recall(m, m.equal())


def f1_macro(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean F1 of the classes that occur."""
    return _f1(m, m.equal(), by_support=False)


def precision_weighted(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean precision, each class with its share of the labels."""
    return _precision(m, m.support(), by_support=True)


def f1_weighted(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean F1, each class with its share of the labels."""
    return _f1(m, m.support(), by_support=True)


def balanced_accuracy(m: Matrix) -> tuple[Float64s, Float64s]:
    """Mean recall of the classes that occur among the labels."""
    there = (m.actual > 0).astype(np.float64)
    return _recall(m, _ratio(there, _sum(there)[:, np.newaxis]))


@np.errstate(divide="ignore", invalid="ignore")
def mcc(m: Matrix) -> tuple[Float64s, Float64s]:
    """Matthews correlation for several classes (Gorodkin 2004); NaN where all labels or all predictions are of one class."""
    n, hit = m.rows, _sum(m.hits)
    both = n * hit - _sum(m.actual * m.called)
    by_called, by_actual = n * n - _sum(m.called * m.called), n * n - _sum(m.actual * m.actual)
    root = np.sqrt(by_called) * np.sqrt(by_actual)
    value = np.clip(np.where(root > 0, both / root, np.nan), -1.0, 1.0)
    n3, hit3, root3, value3 = (column[:, np.newaxis, np.newaxis] for column in (n, hit, root, value))
    actual, called = m.actual[:, :, np.newaxis], m.called[:, np.newaxis, :]
    # A row of (i, j) adds to the marginals of i among the labels and of j among the predictions.
    also_called, also_actual = m.called[:, :, np.newaxis], m.actual[:, np.newaxis, :]
    by_both = _eye(m) * n3 + hit3 - also_called - also_actual
    of_called = (n3 - called) / by_called[:, np.newaxis, np.newaxis]
    of_actual = (n3 - actual) / by_actual[:, np.newaxis, np.newaxis]
    return value, m.variance(by_both / root3 - value3 * (of_called + of_actual))


def kappa(m: Matrix) -> tuple[Float64s, Float64s]:
    """Cohen's kappa; NaN where all labels and all predictions are of one and the same class."""
    return agreement.kappa(m.counts)


_AVERAGES: Final[dict[str, tuple[Average, float]]] = {
    "precision_macro": (precision_macro, 0.0),
    "recall_macro": (recall_macro, 0.0),
    "f1_macro": (f1_macro, 0.0),
    "precision_weighted": (precision_weighted, 0.0),
    "f1_weighted": (f1_weighted, 0.0),
    "balanced_accuracy": (balanced_accuracy, 0.0),
    "mcc": (mcc, -1.0),
    "kappa": (kappa, -1.0),
}
"""Averages and the lower end of their range."""

SHARES_OF_HITS: Final = ("accuracy", "precision_micro", "recall_micro", "f1_micro", "recall_weighted")
"""Every row has one class and one answer, so all of these are hits / labelled. Each is there under the name it is asked by."""

ORDER: Final = (
    "accuracy",
    *(f"{name}_{average}" for average in ("macro", "micro", "weighted") for name in ("precision", "recall", "f1")),
    "balanced_accuracy",
    "mcc",
    "kappa",
    "log_loss",
)
"""The metrics of the whole matrix, in the order in which people want to read them; those of each class follow."""

PER_CLASS: Final = ("precision", "recall", "f1")
"""Metrics of one class, as `NAME:CLASS`."""


class Multiclass:
    """The task `multiclass` for some classes."""

    name: Final = "multiclass"

    def __init__(self, classes: Sequence[str], coded: Sequence[str] | None = None, scored: Sequence[str] = ()) -> None:
        """`classes`: those of the model. `coded`: the classes that codes of predictions and labels stand for, any code beyond
        being a class that nobody lists; by default the same. `scored`: the class of each column of probabilities."""
        codes = list(classes) if coded is None else list(coded)
        self.classes = (*classes, OTHER)
        place = {name: i for i, name in enumerate(classes)}
        self._own: Int32s = np.array([*(place.get(name, len(classes)) for name in codes), len(classes)], np.int32)
        column = {name: i for i, name in enumerate(scored)}
        self._scored = len(scored)
        self._column: Int64s = np.array([*(column.get(name, -1) for name in codes), -1], np.int64)
        size = len(self.classes)
        self.cells = CellLayout(
            (
                CellSlice("seen"),
                CellSlice("labelled"),
                CellSlice("confusion", size * size),
                CellSlice("scored"),
                CellSlice("log_loss", fraction_bits=FRACTION_BITS),
                CellSlice("log_loss_squares", fraction_bits=SQUARED_LOSS_BITS),
            )
        )
        names = ("labelled", "confusion", "scored", "log_loss", "log_loss_squares")
        self._first: Int32s = np.array([self.cells.index(name) for name in names], np.int32)
        self.metrics: Mapping[str, Metric] = MappingProxyType(self._metrics())

    def of_edition(self, number: int) -> Multiclass:
        """The same in every edition."""
        return self

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, 5).

        `predicted` and `label` are codes of classes. The loss of a row is -ln of the probability given to its actual
        class, as it was sent: probabilities are not made to add up to 1. A row without that probability adds no loss.
        """
        actual, answer = self._codes(label), self._codes(predicted)
        given = np.full(len(label), np.nan)
        if scores is not None and self._scored:
            column = self._column[actual]
            given = np.where(column >= 0, scores[np.arange(len(label)), column], np.nan)
        scored = ~np.isnan(given)
        loss = -natural_log(np.maximum(np.where(scored, given, 1.0), SMALLEST_PROBABILITY))
        cell = np.repeat(self._first[np.newaxis], len(label), axis=0)
        cell[:, 1] += self._own[actual] * np.int32(len(self.classes)) + self._own[answer]
        ones = np.ones(len(label), np.int64)
        amount = np.column_stack((ones, ones, scored, to_fixed(loss), to_fixed(loss * loss, SQUARED_LOSS_BITS)))
        return cell, amount

    def _codes(self, column: Float64s) -> Int64s:
        beyond = len(self._own) - 1
        return np.where((column >= 0) & (column < beyond), column, beyond).astype(np.int64)

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """None: nothing is kept of what waits."""
        return None

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """The confusion matrix of each window, as `confusion:ACTUAL:PREDICTED`."""
        size = len(self.classes)
        found: list[dict[str, int]] = [{} for _ in range(len(cells))]
        counts = cells.histogram("confusion")
        for window, place in np.argwhere(counts != 0).tolist():
            actual, called = divmod(place, size)
            name = f"confusion:{self.classes[actual]}:{self.classes[called]}"
            found[window][name] = int(counts[window, place])
        return found

    def _metrics(self) -> dict[str, Metric]:
        made: dict[str, Metric] = dict.fromkeys(SHARES_OF_HITS, self._hits)
        made |= {name: self._average(of, low) for name, (of, low) in _AVERAGES.items()}
        made["log_loss"] = mean_loss("log_loss", LARGEST_LOG_LOSS)
        ordered = {name: made[name] for name in ORDER}
        for i, name in enumerate(self.classes):
            ordered |= {
                f"precision:{name}": self._share(i, axis=0),
                f"recall:{name}": self._share(i, axis=1),
                f"f1:{name}": self._f1(i),
            }
        return ordered

    def _hits(self, cells: Cells) -> Estimates:
        k, n = self._matrix(cells).trace(axis1=1, axis2=2), cells.count("labelled")
        return _proportion(cells, k, n)

    def _share(self, i: int, axis: int) -> Metric:
        """The hits of class i among the labelled rows predicted (0) or labelled (1) so."""

        def metric(cells: Cells) -> Estimates:
            counts = self._matrix(cells)
            n = counts[:, :, i].sum(axis=1) if axis == 0 else counts[:, i, :].sum(axis=1)
            return _proportion(cells, counts[:, i, i], n)

        return metric

    def _f1(self, i: int) -> Metric:
        """F1 of class i against all others; rows are those with the class as label or prediction."""

        @np.errstate(divide="ignore", invalid="ignore")
        def metric(cells: Cells) -> Estimates:
            counts = self._matrix(cells)
            tp = counts[:, i, i]
            called, actual = counts[:, :, i].sum(axis=1), counts[:, i, :].sum(axis=1)
            rows = called + actual - tp
            hit, false, missed = (x.astype(np.float64) for x in (tp, called - tp, actual - tp))
            value = 2.0 * hit / (2.0 * hit + false + missed)
            variance = intervals.f1_variance(hit, false, missed)
            return estimates(value, intervals.normal(value, variance, 0.0, 1.0), rows, _undefined(cells, rows == 0))

        return metric

    def _average(self, of: Average, low: float) -> Metric:
        def metric(cells: Cells) -> Estimates:
            value, variance = of(Matrix(cells, len(self.classes)))
            undefined = first_reason(
                len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (np.isnan(value), Undefined.ONE_CLASS)
            )
            return estimates(value, intervals.normal(value, variance, low, 1.0), cells.count("labelled"), undefined)

        return metric

    def _matrix(self, cells: Cells) -> Int64s:
        return cells.histogram("confusion").reshape(len(cells), len(self.classes), len(self.classes))


@np.errstate(divide="ignore", invalid="ignore")
def _proportion(cells: Cells, k: Int64s, n: Int64s) -> Estimates:
    return estimates(k / n, intervals.wilson(k, n), n, _undefined(cells, n == 0))


def _undefined(cells: Cells, empty: np.ndarray) -> UInt8s:
    return first_reason(
        len(cells), (cells.count("labelled") == 0, Undefined.NO_ROWS), (empty, Undefined.ZERO_DENOMINATOR)
    )
