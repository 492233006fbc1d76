"""Areas under the ROC curves of a multiclass model: each class against all others by its probability, and their mean.

Optional (`one_vs_rest`), because of the histograms: for each of K classes the ranked rows by its probability, those of the class
and the others, in 344 bins. They are the 240 of equal width, of which the first and the last are cut further, two to a halving of
the distance from 0 and from 1, twenty-six halvings: with many classes most probabilities are next to 0, and those of confident
models next to 1, where bins of equal width see nothing but ties.

    positives[344 K], negatives[344 K]      by class in the order of names, then by bin

The bound of an area is half the share of its pairs that lie in one bin. The mean is over the classes that have rows on both
sides; how their areas vary together is not in the histograms, so its interval takes them as moving all together: it is never
too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from monitor.events import Bools, Float64s, Int64s
from monitor.metrics import intervals, ranking
from monitor.metrics.confidence import without_ranks
from monitor.metrics.estimates import CODE_OF, DEFINED, Estimates, estimates
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.windows.view import Undefined

EQUAL: Final = 240
HALVINGS: Final = 26
PER_CLASS: Final = "roc_auc"
MEAN: Final = "roc_auc_macro"


def _edges() -> Float64s:
    """Where the bins but the first begin, ascending."""
    halved = np.ldexp(1.0 / EQUAL, -np.arange(HALVINGS + 1))
    fine = np.concatenate((halved[1:], 0.75 * halved[:-1]))
    return np.unique(np.concatenate((np.arange(1, EQUAL) / EQUAL, fine, 1.0 - fine)))


EDGES: Final = _edges()
BINS: Final = len(EDGES) + 1


def layout(classes: int) -> CellLayout:
    """The cells for so many classes with probabilities."""
    return CellLayout((CellSlice("positives", classes * BINS), CellSlice("negatives", classes * BINS)))


def contribute(cells: CellLayout, probabilities: Float64s, actual: Int64s, ranked: Bools) -> tuple[Int64s, Int64s]:
    """What n rows add: cell index and amount, both (n, K). `probabilities` (n, K) in the order of names, `actual` (n,) a column
    of it or -1."""
    classes = probabilities.shape[1]
    bins = np.searchsorted(EDGES, np.where(ranked[:, np.newaxis], probabilities, 0.0), side="right")
    own = actual[:, np.newaxis] == np.arange(classes)
    first = np.where(own, cells.index("positives"), cells.index("negatives"))
    cell = first + BINS * np.arange(classes) + bins
    return cell, np.repeat(ranked.astype(np.int64)[:, np.newaxis], classes, axis=1)


def metrics_of(names: Sequence[str]) -> dict[str, Metric]:
    """The mean area, and that of each class with a probability, in the order of the cells."""
    return {MEAN: mean_area(len(names)), **{f"{PER_CLASS}:{name}": _area(i) for i, name in enumerate(names)}}


def _histograms(cells: Cells, i: int) -> tuple[Int64s, Int64s]:
    part = slice(i * BINS, (i + 1) * BINS)
    return cells.histogram("positives")[:, part], cells.histogram("negatives")[:, part]


def _area(i: int) -> Metric:
    """The area of one class, with DeLong's interval."""

    def metric(cells: Cells) -> Estimates:
        area, bound, variance = ranking.roc_auc(*_histograms(cells, i))
        undefined = without_ranks(cells)
        undefined[(undefined == DEFINED) & np.isnan(area)] = CODE_OF[Undefined.ONE_CLASS]
        return estimates(area, intervals.normal(area, variance, 0.0, 1.0), cells.count("ranked"), undefined, bound)

    return metric


def mean_area(classes: int) -> Metric:
    """The mean over the classes that have rows on both sides."""

    def metric(cells: Cells) -> Estimates:
        each = [ranking.roc_auc(*_histograms(cells, i)) for i in range(classes)]
        area, bound, variance = (np.stack(column, axis=1) for column in zip(*each, strict=True))
        there = ~np.isnan(area)
        n = there.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, off = (np.where(there, column, 0.0).sum(axis=1) / n for column in (area, bound))
            deviation = np.where(there, np.sqrt(variance), 0.0).sum(axis=1) / n
        undefined = without_ranks(cells)
        undefined[(undefined == DEFINED) & (n == 0)] = CODE_OF[Undefined.ONE_CLASS]
        interval = intervals.normal(value, deviation * deviation, 0.0, 1.0)
        return estimates(value, interval, cells.count("ranked"), undefined, np.where(n > 0, off, 0.0))

    return metric
