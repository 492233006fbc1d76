"""The value of a window that an alert is about, worked out again from the window's own cells as they were at its tick, by the
definition of the metric; and what an advisory's detector says to the values that it held.

Who explains an alert runs the engine over the topics again: the cells are what the run counted. Metrics of a confusion matrix
are worked out of the counts in the alert itself (`recompute`).

Other tasks than binary are told in `recompute_tasks`. Not done: estimates while labels are missing, dependence of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from monitor.alerts.advice import Begun
from monitor.alerts.event import AdvisoryAlert
from monitor.alerts.recompute import Line, Number
from monitor.alerts.recompute_tasks import of_multiclass, of_regression
from monitor.config.detectors import make
from monitor.config.metric_names import SCORE
from monitor.drift.binning import NumericBinning
from monitor.drift.checked import CheckedCategorical, CheckedNumeric, of_base
from monitor.drift.distances import PSI_FLOOR
from monitor.events import Int64s
from monitor.metrics.binary import Binary
from monitor.metrics.calibration import BINS
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.regression import Regression
from monitor.metrics.task import Task
from monitor.plan import FeaturePlan, ModelPlan
from monitor.sketches.cells import CellLayout
from monitor.windows.view import Kind


class Two(NamedTuple):
    """Two samples: of each bin its share of the reference and of the window, and the rows of both."""

    shares: Sequence[tuple[float, float]]
    n: int
    m: int


def window_lines(
    metric: str, published: float | None, path: str, plan: ModelPlan, kind: Kind, cells: Int64s
) -> Iterator[Line]:
    """The value of a metric from a window's cells; nothing of metrics that are not told here. `path`: where it stands."""
    found = _of_task(metric, plan.task, cells) if kind is Kind.PERFORMANCE else _of_feature(metric, plan, cells)
    if found is not None:
        formula, inputs, result = found
        yield Line(metric, formula, inputs, result, published, path)


def advisory_lines(data: AdvisoryAlert, begun: Begun) -> Iterator[Line]:
    """What the detector held, and that it sees a change when the value comes."""
    held = begun.values
    each: dict[str, Number] = {f"value {place}": value for place, value in enumerate(held, 1)}
    yield Line("values", "values that it was fed since it began", {}, len(held), data.values, "values")
    mean = math.fsum(held) / len(held) if held else None
    yield Line("mean", "sum of the values / values", each, mean, data.mean, "mean")
    detector = make(begun.advisory.detector, begun.advisory.options)
    for value in (*held, data.value):
        detector.update(value)
    options: dict[str, Number] = {
        name: value for name, value in begun.advisory.options.items() if not isinstance(value, str)
    }
    formula = f"river's {data.detector} sees a change when the value follows these"
    yield Line("a change", formula, {**options, "value": data.value}, bool(detector.drift_detected), True)


_Found = tuple[str, Mapping[str, Number], float | None]


def _of_task(metric: str, task: Task, cells: Int64s) -> _Found | None:
    """The value of a metric of performance."""
    if isinstance(task, Regression):
        return of_regression(metric, task, cells)
    layout = task.cells
    if isinstance(task, Multiclass):
        return of_multiclass(metric, task, cells) or _loss(metric, layout, cells)
    if isinstance(task, Binary) and metric == "cost" and task.costs is not None:
        return _cost(task.costs, layout, cells)
    return _loss(metric, layout, cells) or _area(metric, layout, cells) or _of_scores(metric, layout, cells)


def _cost(costs: Mapping[str, float], layout: CellLayout, cells: Int64s) -> _Found:
    """What the rows of the matrix cost, on average."""
    counts = {name: int(cells[layout.index(name)]) for name in costs}
    rows = sum(counts.values())
    inputs: dict[str, Number] = {**counts, **{f"cost of {name}": cost for name, cost in costs.items()}}
    total = math.fsum(count * costs[name] for name, count in counts.items())
    return "sum of rows x their cost / rows", inputs, total / rows if rows else None


def _loss(metric: str, layout: CellLayout, cells: Int64s) -> _Found | None:
    """Log loss and Brier score: means of sums in units of 2**-30."""
    if metric not in ("log_loss", "brier") or "scored" not in layout or metric not in layout:
        return None
    rows = int(cells[layout.index("scored")])
    total = int(cells[layout.index(metric)]) / (1 << layout.part(metric).fraction_bits)
    return "sum over rows with a score / rows", {"sum": total, "rows": rows}, total / rows if rows else None


def _area(metric: str, layout: CellLayout, cells: Int64s) -> _Found | None:
    """ROC AUC: the share of pairs of a positive and a negative in which the positive scores higher. Gini: twice that - 1."""
    if metric not in ("roc_auc", "gini") or "positives" not in layout:
        return None
    positives, negatives = (cells[layout.slice(name)].tolist() for name in ("positives", "negatives"))
    won = tied = below = 0
    for own, other in zip(positives, negatives, strict=True):
        won, tied, below = won + own * below, tied + own * other, below + other
    n, m = sum(positives), sum(negatives)
    inputs = {"pairs in order": won, "pairs in one of 1200 bins": tied, "positives": n, "negatives": m}
    formula = "(pairs in order + pairs in one of 1200 bins / 2) / (positives x negatives)"
    area = (won + tied / 2) / (n * m) if n * m else None
    if metric == "gini":
        return f"2 {formula} - 1", inputs, None if area is None else 2 * area - 1
    return formula, inputs, area


def _of_scores(metric: str, layout: CellLayout, cells: Int64s) -> _Found | None:
    """Average precision, bin by bin from the highest score down; how far the classes are apart; calibration errors in 15 bins of
    80 score bins each."""
    if metric not in ("average_precision", "ks_classes", *_CALIBRATION) or "positives" not in layout:
        return None
    pairs = list(zip(*(cells[layout.slice(name)].tolist() for name in ("positives", "negatives")), strict=True))
    n, m = (sum(column) for column in zip(*pairs, strict=True))
    inputs: dict[str, Number] = {"positives": n, "negatives": m}
    if metric == "average_precision":
        found = false = 0
        total = 0.0
        for own, other in reversed(pairs):
            found, false = found + own, false + other
            total += own * found / (found + false) if own else 0.0
        formula = "sum over 1200 score bins, highest first, of its positives x precision down to it, / positives"
        return formula, inputs, total / n if n else None
    if metric == "ks_classes":
        apart, own, other = 0.0, 0, 0
        for of_bin, others in pairs:
            own, other = own + of_bin, other + others
            apart = max(apart, abs(own / n - other / m)) if n and m else 0.0
        formula = "largest |share of positives - share of negatives up to a score bin's end|"
        return formula, inputs, apart if n and m else None
    return _calibration(metric, pairs, inputs)


def _calibration(metric: str, pairs: Sequence[tuple[int, int]], inputs: dict[str, Number]) -> _Found:
    width, gaps = len(pairs) // BINS, list[tuple[int, float]]()
    for begin in range(0, len(pairs), width):
        part = pairs[begin : begin + width]
        hits, rows = sum(own for own, _ in part), sum(map(sum, part))
        promised = math.fsum(sum(both) * (begin + k + 0.5) / len(pairs) for k, both in enumerate(part))
        if rows:
            gaps.append((rows, abs(hits - promised) / rows))
            inputs |= {f"bin {begin // width + 1}, positives": hits, f"bin {begin // width + 1}, scores": promised}
    formula, of = _CALIBRATION[metric]
    return formula, inputs, of(gaps) if gaps else None


def _rows_of(gaps: Sequence[tuple[int, float]]) -> int:
    return sum(rows for rows, _ in gaps)


_CALIBRATION: Mapping[str, tuple[str, Callable[[Sequence[tuple[int, float]]], float]]] = {
    "ece": (
        "sum over 15 bins of abs(positives - sum of scores) / rows",
        lambda gaps: math.fsum(rows * gap for rows, gap in gaps) / _rows_of(gaps),
    ),
    "rmsce": (
        "root(sum over 15 bins of (positives - sum of scores)^2 / rows of the bin / rows)",
        lambda gaps: math.sqrt(math.fsum(rows * gap * gap for rows, gap in gaps) / _rows_of(gaps)),
    ),
    "mce": (
        "largest of 15 bins' abs(positives - sum of scores) / rows of the bin",
        lambda gaps: max(gap for _, gap in gaps),
    ),
}


def _of_feature(metric: str, plan: ModelPlan, cells: Int64s) -> _Found | None:
    """Distances of a feature, or of the score, to the reference; how many values are missing."""
    method, _, name = metric.partition(":")
    watched = [*plan.features, *([plan.score] if plan.score is not None else [])]
    feature = next((one for one in watched if one.name == name), None)
    if feature is None:
        return None
    counts = _counts(feature, cells)
    if method == "missing":
        missing, seen = int(counts[feature.base.missing]), int(counts.sum())
        return "missing / predictions", {"missing": missing, "predictions": seen}, missing / seen if seen else None
    if method not in _DISTANCES or plan.reference is None or name not in plan.reference.features:
        return None
    reference = np.asarray(plan.reference.features[name].reference)
    if method == "ks":
        assert isinstance(feature.base, NumericBinning)
        counts, reference = counts[: feature.base.ordered], reference[: feature.base.ordered]
    label = "score " if name == SCORE else ""
    inputs: dict[str, Number] = {}
    for place, (then, now) in enumerate(zip(reference.tolist(), counts.tolist(), strict=True)):
        if then or now:
            bin_ = f"{label}{feature.base.label(place)}"
            inputs |= {f"reference, {bin_}": then, f"now, {bin_}": now}
    n, m = int(reference.sum()), int(counts.sum())
    if not n or not m:
        return None
    shares = [(then / n, now / m) for then, now in zip(reference.tolist(), counts.tolist(), strict=True)]
    formula, of = _DISTANCES[method]
    return f"{formula}; p, q: shares of a bin in the reference and now", inputs, of(Two(shares, n, m))


def _counts(feature: FeaturePlan, cells: Int64s) -> Int64s:
    counts = cells[feature.start : feature.start + feature.binning.bins]
    if isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
        counts = of_base(feature.binning, counts[np.newaxis]).reshape(-1)
    return counts


def _psi(two: Two) -> float:
    floored = [(max(p, PSI_FLOOR), max(q, PSI_FLOOR)) for p, q in two.shares]
    return math.fsum((q - p) * math.log(q / p) for p, q in floored)


def _psi_corrected(two: Two) -> float:
    return _psi(two) - (sum(p > 0 or q > 0 for p, q in two.shares) - 1) * (1 / two.n + 1 / two.m)


def _ks(two: Two) -> float:
    return max(abs(math.fsum(q - p for p, q in two.shares[: end + 1])) for end in range(len(two.shares)))


def _js(two: Two) -> float:
    middle = [(p + q) / 2 for p, q in two.shares]
    halves = (
        math.fsum(
            both[side] * math.log2(both[side] / mean)
            for both, mean in zip(two.shares, middle, strict=True)
            if both[side]
        )
        for side in (0, 1)
    )
    return math.sqrt(max(sum(halves) / 2, 0.0))


def _hellinger(two: Two) -> float:
    return math.sqrt(math.fsum((math.sqrt(q) - math.sqrt(p)) ** 2 for p, q in two.shares) / 2)


def _tvd(two: Two) -> float:
    return math.fsum(abs(q - p) for p, q in two.shares) / 2


def _linf(two: Two) -> float:
    return max(abs(q - p) for p, q in two.shares)


def _chi_square(two: Two) -> float:
    n, m = two.n, two.m
    used = [(p * n, q * m) for p, q in two.shares if p or q]
    return math.fsum((k * math.sqrt(n / m) - r * math.sqrt(m / n)) ** 2 / (k + r) for r, k in used)


_DISTANCES = {
    "psi": (f"sum of (q - p) ln(q / p), shares below {PSI_FLOOR:g} as {PSI_FLOOR:g}", _psi),
    "psi_corrected": ("PSI - (bins in use - 1) (1 / rows + 1 / reference's rows)", _psi_corrected),
    "ks": ("largest |sum of q - p up to a bin's end|", _ks),
    "js": ("root of half of sum p log2(p / mean) + sum q log2(q / mean), mean of p and q", _js),
    "hellinger": ("root of half of the sum of (root q - root p)^2", _hellinger),
    "tvd": ("half of the sum of |q - p|", _tvd),
    "linf": ("largest |q - p|", _linf),
    "chi_square": (
        "sum of (k root(n / m) - r root(m / n))^2 / (k + r), k of m rows now, r of n in the reference",
        _chi_square,
    ),
}
