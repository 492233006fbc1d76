"""Multiclass classification: one confusion matrix over the listed classes and `other`, and where there are probabilities of
classes the losses, ranks and calibration of them.

Cells of a window, all integers, with C listed classes:

    seen, labelled        predictions, and those of them whose label is known
    confusion[(C+1)^2]    labelled rows by actual class (slow index) and predicted class; the last class is `other`
    scored                labelled rows with a probability of their actual class
    log_loss, log_loss_squares    sums over scored rows, units 2**-30 and 2**-20

and behind them, since edition 2 and where the stream maps probabilities, those of `confidence`, and of `one_vs_rest` where the
model asks for it.

Classes that the model does not list are one class, `other`, among labels and among predictions. Which class is which
cell is thereby a function of the configuration alone: it cannot depend on what was read first or by whom.

By itself a value without a denominator is undefined; in an average it is 0 (`matrix`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from monitor.editions import DETAILED, NEWEST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics import confidence, intervals, one_vs_rest
from monitor.metrics.estimates import Estimates, UInt8s, estimates, first_reason
from monitor.metrics.losses import LARGEST_LOG_LOSS, SMALLEST_PROBABILITY, SQUARED_LOSS_BITS, mean_loss
from monitor.metrics.matrix import AVERAGES, Average, Matrix
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.fixed_point import FRACTION_BITS, natural_log, to_fixed
from monitor.windows.view import Undefined

OTHER: Final = "other"
"""The class of everything that is not listed."""
MOST_CLASSES: Final = 64
"""Classes that can be listed: their matrix takes 34 KB a window, twice what the histograms of a binary model take."""

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
"""The metrics of the whole matrix, in the order in which people want to read them. Those that all models with probabilities have
since edition 2 (`confidence`) follow, then those of each class."""

PER_CLASS: Final = ("precision", "recall", "f1")
"""Metrics of one class, as `NAME:CLASS`."""


class Multiclass:
    """The task `multiclass` for some classes."""

    name: Final = "multiclass"

    def __init__(
        self,
        classes: Sequence[str],
        coded: Sequence[str] | None = None,
        scored: Sequence[str] = (),
        *,
        one_vs_rest: bool = False,
        edition: int = NEWEST,
    ) -> None:
        """`classes`: those of the model. `coded`: the classes that codes of predictions and labels stand for, any code beyond
        being a class that nobody lists; by default the same. `scored`: the class of each column of probabilities.
        `one_vs_rest`: whether areas under ROC curves are counted."""
        self._made_of = (tuple(classes), None if coded is None else tuple(coded), tuple(scored))
        self.one_vs_rest = one_vs_rest
        codes = list(classes) if coded is None else list(coded)
        self.classes = (*classes, OTHER)
        place = {name: i for i, name in enumerate(classes)}
        self._own: Int32s = np.array([*(place.get(name, len(classes)) for name in codes), len(classes)], np.int32)
        column = {name: i for i, name in enumerate(scored)}
        self._scored = len(scored)
        self._column: Int64s = np.array([*(column.get(name, -1) for name in codes), -1], np.int64)
        self.ranked = tuple(sorted(set(classes) & set(scored))) if edition >= DETAILED else ()
        """The classes whose probabilities are looked at together, in the order of names."""
        self._columns: Int64s = np.array([column[name] for name in self.ranked], np.int64)
        rank = {name: i for i, name in enumerate(self.ranked)}
        self._rank: Int64s = np.array([*(rank.get(name, -1) for name in codes), -1], np.int64)
        self.cells = self._layout()
        names = ("labelled", "confusion", "scored", "log_loss", "log_loss_squares")
        self._first: Int32s = np.array([self.cells.index(name) for name in names], np.int32)
        self.metrics: Mapping[str, Metric] = MappingProxyType(self._metrics(edition))

    def of_edition(self, number: int) -> Multiclass:
        """The task as an edition has it."""
        classes, coded, scored = self._made_of
        return Multiclass(classes, coded, scored, one_vs_rest=self.one_vs_rest, edition=number)

    def _layout(self) -> CellLayout:
        size, ranked = len(self.classes), len(self.ranked)
        found = CellLayout(
            (
                CellSlice("seen"),
                CellSlice("labelled"),
                CellSlice("confusion", size * size),
                CellSlice("scored"),
                CellSlice("log_loss", fraction_bits=FRACTION_BITS),
                CellSlice("log_loss_squares", fraction_bits=SQUARED_LOSS_BITS),
            )
        )
        if ranked:
            found += confidence.layout(ranked)
        return found + one_vs_rest.layout(ranked) if ranked and self.one_vs_rest else found

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, k), k the same for every row.

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
        if not self.ranked:
            return cell, amount
        more = self._of_probabilities(scores, actual, answer)
        return (
            np.column_stack((cell, *(part.astype(np.int32) for part, _ in more))),
            np.column_stack((amount, *(part for _, part in more))),
        )

    def _of_probabilities(self, scores: Float64s | None, actual: Int64s, answer: Int64s) -> list[tuple[Int64s, Int64s]]:
        """What rows add to the cells of edition 2. `actual`, `answer`: places in the list of codes."""
        n, classes = len(actual), len(self.ranked)
        own = np.full((n, classes), np.nan) if scores is None else np.ascontiguousarray(scores[:, self._columns])
        rank, right = self._rank[actual], self._own[actual] == self._own[answer]
        *found, ranked = confidence.contribute(self.cells, own, rank, self._rank[answer], right)
        parts = [(found[0], found[1])]
        return [*parts, one_vs_rest.contribute(self.cells, own, rank, ranked)] if self.one_vs_rest else parts

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

    def _metrics(self, edition: int) -> dict[str, Metric]:
        made: dict[str, Metric] = dict.fromkeys(SHARES_OF_HITS, self._hits)
        made |= {name: self._average(of, low) for name, (of, low) in AVERAGES.items()}
        made["log_loss"] = mean_loss("log_loss", LARGEST_LOG_LOSS)
        ordered = {name: made[name] for name in ORDER}
        if edition >= DETAILED:
            ordered |= confidence.metrics_of(len(self.classes) - 1, len(self.ranked))
        areas = one_vs_rest.metrics_of(self.ranked) if self.ranked and self.one_vs_rest else {}
        ordered |= {name: areas.pop(name) for name in list(areas) if name == one_vs_rest.MEAN}
        for i, name in enumerate(self.classes):
            ordered |= {
                f"precision:{name}": self._share(i, axis=0),
                f"recall:{name}": self._share(i, axis=1),
                f"f1:{name}": self._f1(i),
            }
        return ordered | areas

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
