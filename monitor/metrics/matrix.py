"""The confusion matrices of many windows, and the averages over classes that are read off them, with delta-method variances.

Averages are over the classes that occur in the window, as a label or as a prediction. In an average a class that was never
predicted has precision 0, one that never was true has recall 0, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from monitor.events import Float64s
from monitor.metrics import agreement
from monitor.sketches.cells import Cells

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


AVERAGES: Final[dict[str, tuple[Average, float]]] = {
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
