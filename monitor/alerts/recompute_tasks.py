"""The value of a metric of a multiclass or a regression model, worked out again from a window's own cells by its definition.

Independent of `monitor.metrics`: fractions of the exact sums, one window, one number at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from monitor.events import Int64s
from monitor.metrics import confidence, one_vs_rest
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.regression import Regression
from monitor.sketches.sizes import FINE, FINE_SIZES, SIZES
from monitor.sketches.wide import LIMB_BITS

Number = float | int | bool | None
Found = tuple[str, Mapping[str, Number], float | None]
"""Formula, inputs, result."""


class Sums:
    """The exact sums of a regression window: `of("error2_label")` is the sum of e^2 y, in the unit of the label."""

    def __init__(self, task: Regression, cells: Int64s) -> None:
        self._task, self._cells = task, cells
        self.labelled, self.overflow = self._count("labelled"), self._count("overflow")
        self.rows = self.labelled - self.overflow

    def _count(self, name: str) -> int:
        return int(self._cells[self._task.cells.index(name)])

    def histogram(self, name: str) -> list[int]:
        """The cells of that name."""
        found: list[int] = self._cells[self._task.cells.slice(name)].tolist()
        return found

    def count(self, name: str) -> int:
        """A single cell as it is."""
        return self._count(name)

    def of(self, name: str, power: int) -> Fraction:
        """A sum of products of so many numbers."""
        limbs = self.histogram(name)
        return Fraction(sum(limb << (LIMB_BITS * i) for i, limb in enumerate(limbs)), 1 << (self._task.bits * power))

    def quotients(self, name: str) -> Fraction:
        """A sum of quotients."""
        return Fraction(sum(limb << (LIMB_BITS * i) for i, limb in enumerate(self.histogram(name))), 1 << LIMB_BITS)

    def fixed(self, name: str) -> Fraction:
        """A sum of rounded terms."""
        return Fraction(self._count(name), 1 << self._task.cells.part(name).fraction_bits)


def of_regression(metric: str, task: Regression, cells: Int64s) -> Found | None:
    """The value of a metric of a regression window; None of a name that there is not, or that the window's edition lacks."""
    if metric not in task.metrics:
        return None
    sums = Sums(task, cells)
    if metric == "overflow":
        inputs: dict[str, Number] = {"overflow": sums.overflow, "labelled": sums.labelled}
        return "overflow / labelled", inputs, sums.overflow / sums.labelled if sums.labelled else None
    if metric in _QUANTILES:
        return _quantile(metric, task, sums)
    return _OF_SUMS[metric](sums)


def _mean(name: str, power: int, of: str, *, root: bool = False) -> Callable[[Sums], Found]:
    def found(sums: Sums) -> Found:
        total, n = sums.of(name, power), sums.rows
        value = float(total / n) if n else None
        formula = f"root(sum of {of} / rows)" if root else f"sum of {of} / rows"
        return formula, {"sum": float(total), "rows": n}, math.sqrt(value) if root and value is not None else value

    return found


def _pinball(tenths: int) -> Callable[[Sums], Found]:
    level = Fraction(tenths, 10)

    def found(sums: Sums) -> Found:
        sizes, errors, n = sums.of("absolute_error", 1), sums.of("error", 1), sums.rows
        inputs: dict[str, Number] = {"sum of |e|": float(sizes), "sum of e": float(errors), "rows": n}
        formula = f"(sum of |e| / 2 - ({float(level)} - 1/2) sum of e) / rows"
        return formula, inputs, float((sizes / 2 - (level - Fraction(1, 2)) * errors) / n) if n else None

    return found


def _mape(sums: Sums) -> Found:
    total, n = sums.quotients("relative"), sums.count("nonzero")
    inputs: dict[str, Number] = {"sum": float(total), "rows with a label other than 0": n}
    return "sum of |e| / |y| over rows with a label other than 0 / these", inputs, float(total / n) if n else None


def _rmsle(sums: Sums) -> Found:
    total, n = sums.fixed("log_error"), sums.count("logarithmic")
    inputs: dict[str, Number] = {"sum": float(total), "rows with neither number negative": n}
    formula = "root(sum of (ln(1 + prediction) - ln(1 + y))^2 / rows with neither number negative)"
    return formula, inputs, math.sqrt(total / n) if n else None


def _about_mean(sums: Sums) -> tuple[Fraction, Fraction, Fraction]:
    """Sums of the squares of e and of y about their means, and of their products."""
    n = Fraction(sums.rows)
    error, label = sums.of("error", 1), sums.of("label", 1)
    of_error, of_label = sums.of("error2", 2) - error * error / n, sums.of("label2", 2) - label * label / n
    return of_error, of_label, sums.of("error_label", 2) - error * label / n


def _r2(sums: Sums) -> Found:
    n, squares = sums.rows, sums.of("error2", 2)
    label, label2 = sums.of("label", 1), sums.of("label2", 2)
    inputs: dict[str, Number] = {
        "sum of e^2": float(squares), "sum of y": float(label), "sum of y^2": float(label2), "rows": n
    }  # fmt: skip
    spread = label2 - label * label / n if n else Fraction(0)
    formula = "1 - sum of e^2 / (sum of y^2 - (sum of y)^2 / rows)"
    return formula, inputs, float(1 - squares / spread) if spread else None


def _explained(sums: Sums) -> Found:
    formula = "1 - sum of (e - mean)^2 / sum of (y - mean)^2"
    if not sums.rows:
        return formula, {}, None
    of_error, of_label, _ = _about_mean(sums)
    inputs = {"sum of (e - mean)^2": float(of_error), "sum of (y - mean)^2": float(of_label)}
    return formula, inputs, float(1 - of_error / of_label) if of_label else None


def _correlation(sums: Sums) -> Found:
    formula = "sum of (f - mean)(y - mean) / root(sum of (f - mean)^2 x sum of (y - mean)^2), f = y + e the prediction"
    if not sums.rows:
        return formula, {}, None
    of_error, of_label, of_both = _about_mean(sums)
    cross, of_prediction = of_both + of_label, of_error + 2 * of_both + of_label
    inputs = {
        "sum of (f - mean)(y - mean)": float(cross),
        "sum of (f - mean)^2": float(of_prediction),
        "sum of (y - mean)^2": float(of_label),
    }
    if not of_label or not of_prediction:
        return formula, inputs, None
    return formula, inputs, float(cross) / math.sqrt(of_prediction) / math.sqrt(of_label)


def _at_or_below(sums: Sums) -> Found:
    hits, n = sum(sums.histogram("errors")[SIZES - 1 :]), sums.rows
    return "rows with e >= 0 / rows", {"rows with e >= 0": hits, "rows": n}, hits / n if n else None


_OF_SUMS: Final[Mapping[str, Callable[[Sums], Found]]] = {
    "bias": _mean("error", 1, "e"),
    "mae": _mean("absolute_error", 1, "|e|"),
    "mse": _mean("error2", 2, "e^2"),
    "rmse": _mean("error2", 2, "e^2", root=True),
    "r2": _r2,
    "explained_variance": _explained,
    "correlation": _correlation,
    "mape": _mape,
    "rmsle": _rmsle,
    "pinball_0_1": _pinball(1),
    "pinball_0_9": _pinball(9),
    "at_or_below": _at_or_below,
}
_QUANTILES: Final[Mapping[str, float]] = {
    "median_ae": 0.5, "max_error": 1.0, "error_p05": 0.05, "error_p50": 0.5, "error_p95": 0.95
}  # fmt: skip


def _quantile(metric: str, task: Regression, sums: Sums) -> Found:
    """Between the two rows around place p (n - 1) by the line, rows of a bin spread evenly; the largest in the middle of its."""
    counts, p = sums.histogram("fine_errors"), _QUANTILES[metric]
    by_size = [(place - (FINE_SIZES - 1), n) for place, n in enumerate(counts) if n]
    sized = metric in ("median_ae", "max_error")
    bins: dict[int, int] = {}
    for size, n in by_size:
        bins[abs(size) if sized else size] = bins.get(abs(size) if sized else size, 0) + n
    ordered, n = sorted(bins.items()), sum(bins.values())
    formula = f"the number at place {p:g} (rows - 1) in order, rows of a bin spread evenly over it"
    if not n:
        return formula, {"rows": n}, None
    if metric == "max_error":
        start, end = _ends(ordered[-1][0])
        return (
            "middle of the last bin with a row",
            {"from": start * task.resolution, "to": end * task.resolution},
            ((start + end) / 2 * task.resolution),
        )
    place = p * (n - 1)
    one, other = (_at(ordered, order) for order in (math.floor(place), min(math.floor(place) + 1, n - 1)))
    share = place - math.floor(place)
    value = (1 - share) * one + share * other
    inputs: dict[str, Number] = {"rows": n, "row before": one * task.resolution, "row after": other * task.resolution}
    return formula, inputs, value * task.resolution


# -- multiclass ------------------------------------------------------------------------------------------------------


class Table:
    """The confusion matrix of a multiclass window: `of[actual][called]`."""

    def __init__(self, task: Multiclass, cells: Int64s) -> None:
        size = len(task.classes)
        flat: list[int] = cells[task.cells.slice("confusion")].tolist()
        self.of = [flat[i * size : (i + 1) * size] for i in range(size)]
        self.actual = [sum(row) for row in self.of]
        self.called = [sum(row[i] for row in self.of) for i in range(size)]
        self.hits = [self.of[i][i] for i in range(size)]
        self.rows = sum(self.actual)

    def share(self, name: str, i: int) -> Fraction | None:
        """Precision, recall or F1 of a class; None without a denominator."""
        below = {"precision": self.called[i], "recall": self.actual[i], "f1": self.called[i] + self.actual[i]}[name]
        return Fraction((2 if name == "f1" else 1) * self.hits[i], below) if below else None


def of_multiclass(metric: str, task: Multiclass, cells: Int64s) -> Found | None:
    """The value of a metric of a multiclass window; None of a name that there is not, or that is told elsewhere."""
    name, _, of_class = metric.partition(":")
    if metric not in task.metrics or name == "log_loss":
        return None
    if name in ("roc_auc", "roc_auc_macro"):
        return _areas(of_class, task, cells)
    if name in {"brier", "ece"} or name.startswith("top"):
        return _of_probabilities(name, task, cells)
    table = Table(task, cells)
    if of_class:
        i = task.classes.index(of_class)
        inputs: dict[str, Number] = {
            "hits": table.hits[i], "labels of it": table.actual[i], "predictions of it": table.called[i]
        }  # fmt: skip
        formula = {"precision": "hits / predictions of it", "recall": "hits / labels of it"}
        told = formula.get(name, "2 hits / (labels of it + predictions of it)")
        share = table.share(name, i)
        return told, inputs, None if share is None else float(share)
    return _of_table(name, task, table)


def _of_table(name: str, task: Multiclass, table: Table) -> Found:
    hits, n = sum(table.hits), table.rows
    if not n:
        return "no labelled row", {}, None
    if name in ("accuracy", "recall_weighted") or name.endswith("_micro"):
        return "hits / labelled", {"hits": hits, "labelled": n}, hits / n
    if name in ("mcc", "kappa"):
        return _agreement(name, table)
    each, _, how = name.rpartition("_")
    if name == "balanced_accuracy":
        each, how = "recall", "of labels"
    weights = {
        "macro": [int(bool(a or c)) for a, c in zip(table.actual, table.called, strict=True)],
        "weighted": table.actual,
        "of labels": [int(bool(a)) for a in table.actual],
    }[how]
    places = [i for i, weight in enumerate(weights) if weight]
    shares = {i: table.share(each, i) or Fraction(0) for i in places}
    inputs: dict[str, Number] = {f"{each} of {task.classes[i]}": float(share) for i, share in shares.items()}
    if how == "weighted":
        inputs |= {f"labels of {task.classes[i]}": table.actual[i] for i in places}
    value = sum((weights[i] * share for i, share in shares.items()), Fraction(0)) / sum(weights)
    over = {
        "macro": "the classes that occur", "weighted": "the classes, each as often as labels have it",
        "of labels": "the classes that labels have",
    }[how]  # fmt: skip
    return f"mean of {each} over {over}, 0 where it has no denominator", inputs, float(value)


def _agreement(name: str, table: Table) -> Found:
    n, hits = table.rows, sum(table.hits)
    chance = sum(a * c for a, c in zip(table.actual, table.called, strict=True))
    inputs: dict[str, Number] = {"n": n, "hits": hits, "c": chance}
    if name == "kappa":
        formula = "(n hits - c) / (n^2 - c), c = sum over classes of labels x predictions"
        return formula, inputs, (n * hits - chance) / (n * n - chance) if n * n > chance else None
    by_called, by_actual = (n * n - sum(x * x for x in column) for column in (table.called, table.actual))
    inputs |= {"p": by_called, "l": by_actual}
    formula = (
        "(n hits - c) / root(p l), c = sum of labels x predictions, p, l = n^2 - sum of predictions^2, of labels^2"
    )
    root = math.sqrt(by_called) * math.sqrt(by_actual)
    return formula, inputs, (n * hits - chance) / root if root else None


def _of_probabilities(name: str, task: Multiclass, cells: Int64s) -> Found:
    layout = task.cells
    if "ranked" not in layout:
        return "no probabilities", {}, None
    ranked = int(cells[layout.index("ranked")])
    if name == "brier":
        total = float(Fraction(int(cells[layout.index("brier")]), 1 << layout.part("brier").fraction_bits))
        formula = (
            "sum over rows of the squares of (probability - 1 of the actual class, else of the probability) / rows"
        )
        return formula, {"sum": total, "rows": ranked}, total / ranked if ranked else None
    if name == "ece":
        return _calibration(task, cells)
    k = int(name.removeprefix("top").removesuffix("_accuracy"))
    hits = sum(cells[layout.slice("ranks")].tolist()[: min(k, len(task.ranked))])
    formula = f"rows whose class is among the {k} with the largest probabilities / rows"
    return formula, {"rows with it": hits, "rows": ranked}, hits / ranked if ranked else None


def _calibration(task: Multiclass, cells: Int64s) -> Found:
    layout, width = task.cells, confidence.BINS // confidence.CALIBRATION_BINS
    right, wrong, said = (cells[layout.slice(name)].tolist() for name in ("right", "wrong", "confidence"))
    inputs: dict[str, Number] = {}
    off = Fraction(0)
    for begin in range(0, len(right), width):
        part = slice(begin, begin + width)
        hits, n = sum(right[part]), sum(right[part]) + sum(wrong[part])
        promised = Fraction(sum(said[part]), 1 << layout.part("confidence").fraction_bits)
        off += abs(hits - promised)
        if n:
            place = begin // width + 1
            inputs |= {f"bin {place}, right": hits, f"bin {place}, confidence": float(promised)}
    rows = sum(right) + sum(wrong)
    return "sum over 15 bins of abs(right - sum of confidence) / rows", inputs, float(off / rows) if rows else None


def _areas(of_class: str, task: Multiclass, cells: Int64s) -> Found:
    found: dict[str, Number] = {}
    for i, name in enumerate(task.ranked):
        part = slice(i * one_vs_rest.BINS, (i + 1) * one_vs_rest.BINS)
        own, others = (cells[task.cells.slice(side)].tolist()[part] for side in ("positives", "negatives"))
        won = tied = below = 0
        for of_class_, of_others in zip(own, others, strict=True):
            won, tied, below = won + of_class_ * below, tied + of_class_ * of_others, below + of_others
        pairs = sum(own) * sum(others)
        if name == of_class:
            inputs: dict[str, Number] = {"in order": won, "in one of 344 bins": tied, "pairs": pairs}
            formula = "(pairs of a row of the class and another in order + those in one of 344 bins / 2) / pairs"
            return formula, inputs, (won + tied / 2) / pairs if pairs else None
        if pairs:
            found[f"roc_auc of {name}"] = (won + tied / 2) / pairs
    areas = [area for area in found.values() if area is not None]
    return (
        "mean of the areas of the classes that have rows on both sides",
        found,
        (math.fsum(areas) / len(areas) if areas else None),
    )


def _at(ordered: Sequence[tuple[int, int]], order: int) -> float:
    below = 0
    for size, n in ordered:
        if below + n > order:
            start, end = _ends(size)
            return start + (end - start) * (order - below + 0.5) / n
        below += n
    raise AssertionError("a row beyond the last one was asked for")


def _ends(size: int) -> tuple[float, float]:
    """Where a fine bin begins and ends, in units; negative sizes are those of negative numbers."""
    if size == 0:
        return 0.0, 0.0
    doubling, part = divmod(abs(size) - 1, FINE)
    start, end = 2.0**doubling * (1 + part / FINE), 2.0**doubling * (1 + (part + 1) / FINE)
    return (start, end) if size > 0 else (-end, -start)
