"""Every number of an alert that follows from others in it, worked out again: formula, inputs, result, and whether it agrees.

The integers themselves come from the topics; whoever explains an alert runs the engine over these again and compares the event
whole. What stands here is the arithmetic from there on: of an alert by itself; of what the engine was given then in
`recompute_budget` and `recompute_windows`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from monitor.alerts.event import AdvisoryAlert, BudgetAlert, Evidence, OperationalAlert, RuleAlert
from monitor.alerts.explained import Crossed, CrossedSlice, Explanation, Means, Slice
from monitor.alerts.explained_crossed import DRAWN
from monitor.alerts.rules import Test
from monitor.metrics import agreement, intervals, operating
from monitor.windows.canonical import rounded
from monitor.windows.view import Estimate

Alert = RuleAlert | BudgetAlert | OperationalAlert | AdvisoryAlert
Number = float | int | bool | None
AN_ALARM: Final = "an alarm"
"""Whether the evidence is enough, as far as an event alone can tell."""
_DIGITS: Final = 1e-9
"""Numbers are published with 12 digits; what is worked out of published ones can differ in the last few."""


@dataclass(frozen=True, slots=True)
class Line:
    """One number: what it is, how it is made, of what, what comes out, and what was published."""

    name: str
    formula: str
    inputs: Mapping[str, Number]
    result: Number
    published: Number
    path: str = ""
    """Where in the alert's data it stands; empty of what is said nowhere."""

    @property
    def agrees(self) -> bool:
        """Whether it is what was published."""
        if isinstance(self.result, float) and isinstance(self.published, (int, float)):
            return math.isclose(self.result, self.published, rel_tol=_DIGITS, abs_tol=_DIGITS)
        return self.result == self.published


_RATIOS: Final[Mapping[str, tuple[str, str]]] = {
    "accuracy": ("tp + tn", "tp + fp + fn + tn"),
    "precision": ("tp", "tp + fp"),
    "recall": ("tp", "tp + fn"),
    "specificity": ("tn", "tn + fp"),
    "npv": ("tn", "tn + fn"),
    "fpr": ("fp", "fp + tn"),
    "prevalence": ("tp + fn", "tp + fp + fn + tn"),
}
"""Proportions: what is counted, among what. Their interval is Wilson's."""


def lines(data: Alert) -> list[Line]:
    """Of an alert's data, in the order in which they are to be read."""
    match data:
        case RuleAlert(evidence=Evidence() as evidence):
            found = [*_evidence(evidence)]
        case BudgetAlert():
            found = [*_budget(data)]
        case _:
            return []
    if isinstance(data.explanation, Explanation):
        found += _explanation(data.explanation)
    return found


def _evidence(evidence: Evidence) -> Iterator[Line]:
    counts = evidence.counts
    if evidence.metric in _RATIOS and "tp" in counts:
        above, below = _RATIOS[evidence.metric]
        matrix = {name: counts[name] for name in ("tp", "fp", "fn", "tn")}
        hits, rows = _total(above, matrix), _total(below, matrix)
        used = {name: count for name, count in matrix.items() if name in f"{above} {below}".split()}
        yield Line("rows", below, used, rows, evidence.rows, "evidence.rows")
        share = hits / rows if rows else None
        yield Line(evidence.metric, f"({above}) / ({below})", used, share, evidence.value, "evidence.value")
        if rows:
            yield from _wilson(hits, rows, evidence.lower, evidence.upper, "evidence.")
    if evidence.metric in _MATRIX and "tp" in counts:
        yield from _of_matrix(evidence)
    if isinstance(evidence.violations, dict):
        wrong = _wrong(evidence.metric.partition(":")[0], evidence.violations)
        inputs: dict[str, Number] = {**wrong, "rows": evidence.rows}
        formula = f"({' + '.join(wrong)}) / rows"
        rate = sum(wrong.values()) / evidence.rows
        yield Line(evidence.metric, formula, inputs, rate, evidence.value, "evidence.value")
        yield from _wilson(sum(wrong.values()), evidence.rows, evidence.lower, evidence.upper, "evidence.")
    if evidence.coverage is not None and evidence.seen:
        share = evidence.labelled / evidence.seen
        yield Line(
            "coverage",
            "labelled / seen",
            {"labelled": evidence.labelled, "seen": evidence.seen},
            share,
            evidence.coverage,
            "evidence.coverage",
        )
    test = Test(evidence.metric, evidence.op, evidence.threshold)
    broken = test.broken_by(Estimate(evidence.value, None, None, evidence.rows))
    asked: dict[str, Number] = {"value": evidence.value, "threshold": evidence.threshold}
    yield Line("broken", f"value {evidence.op} threshold", asked, broken, evidence.broken, "evidence.broken")


def _of_matrix(evidence: Evidence) -> Iterator[Line]:
    """Metrics of a confusion matrix that are no proportion: value, and the normal interval of their delta-method variance."""
    formula, low = _MATRIX[evidence.metric]
    inputs = {name: evidence.counts[name] for name in ("tp", "fp", "fn", "tn")}
    tp, fp, fn, tn = (float(count) for count in inputs.values())
    value = _value(evidence.metric, tp, fp, fn, tn)
    yield Line(evidence.metric, formula, inputs, value, evidence.value, "evidence.value")
    if value is None or evidence.lower is None or evidence.upper is None:
        return
    half = intervals.Z95 * math.sqrt(_variance(evidence.metric, tp, fp, fn, tn, value))
    for name, end, published in (
        ("lower", max(value - half, low), evidence.lower),
        ("upper", min(value + half, 1.0), evidence.upper),
    ):
        said = "value -+ 1.96 root(variance by the delta method: sum over cells of count x gradient^2)"
        yield Line(name, said, inputs, end, published, f"evidence.{name}")


def _value(metric: str, tp: float, fp: float, fn: float, tn: float) -> float | None:
    try:
        if metric in _BETA_SQUARED:
            b = _BETA_SQUARED[metric]
            return (1 + b) * tp / ((1 + b) * tp + b * fn + fp)
        if metric == "g_mean":
            return math.sqrt(tp / (tp + fn) * tn / (tn + fp))
        if metric == "balanced_accuracy":
            return (tp / (tp + fn) + tn / (tn + fp)) / 2
        if metric == "kappa":
            n, chance = tp + fp + fn + tn, (tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)
            return (n * (tp + tn) - chance) / (n * n - chance)
        return (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    except ZeroDivisionError:
        return None


def _variance(metric: str, tp: float, fp: float, fn: float, tn: float, value: float) -> float:
    a, b, c, d = (np.array([count]) for count in (tp, fp, fn, tn))
    if metric in _BETA_SQUARED:
        return float(operating.f_beta(math.sqrt(_BETA_SQUARED[metric]), a, b, c)[1][0])
    if metric == "g_mean":
        return float(operating.g_mean(a, b, c, d)[1][0])
    if metric == "balanced_accuracy":
        return float(intervals.balanced_accuracy_variance(a, b, c, d)[0])
    if metric == "kappa":
        return float(agreement.kappa(np.array([[[tn, fp], [fn, tp]]]))[1][0])
    return float(intervals.mcc_variance(a, b, c, d, np.array([value]))[0])


_BETA_SQUARED: Final[Mapping[str, float]] = {"f1": 1.0, "f0_5": 0.25, "f2": 4.0}
_MATRIX: Final[Mapping[str, tuple[str, float]]] = {
    "f1": ("2 tp / (2 tp + fp + fn)", 0.0),
    "f0_5": ("1.25 tp / (1.25 tp + 0.25 fn + fp)", 0.0),
    "f2": ("5 tp / (5 tp + 4 fn + fp)", 0.0),
    "g_mean": ("root(tp / (tp + fn) x tn / (tn + fp))", 0.0),
    "balanced_accuracy": ("(tp / (tp + fn) + tn / (tn + fp)) / 2", 0.0),
    "mcc": ("(tp tn - fp fn) / root((tp + fp) (tp + fn) (tn + fp) (tn + fn))", -1.0),
    "kappa": ("(n (tp + tn) - c) / (n^2 - c), n = all, c = (tp + fn) (tp + fp) + (tn + fp) (tn + fn)", -1.0),
}
"""Formula, and the smallest value there is."""


def _wrong(check: str, violations: Mapping[str, int]) -> dict[str, int]:
    """The violations that a check counts."""
    names = ("below_min", "above_max") if check == "out_of_range" else (check,)
    return {name: violations[name] for name in names if name in violations}


def _total(sum_of: str, matrix: Mapping[str, int]) -> int:
    return sum(matrix[name] for name in sum_of.split(" + "))


def _wilson(hits: int, rows: int, lower: float | None, upper: float | None, path: str = "") -> Iterator[Line]:
    ends = intervals.wilson(np.array([hits], np.int64), np.array([rows], np.int64))
    for name, end, published in zip(("lower", "upper"), ends, (lower, upper), strict=True):
        inputs = {"hits": hits, "rows": rows}
        yield Line(name, "Wilson's 95 % interval", inputs, float(end[0]), published, f"{path}{name}" if path else "")


def _budget(data: BudgetAlert) -> Iterator[Line]:
    level = math.log(data.per_ms / (data.every_ms * data.false_pages))
    inputs = {"per_ms": data.per_ms, "every_ms": data.every_ms, "false_pages": data.false_pages}
    for place, cause in enumerate(data.causes):
        effective = max(int(cause.rows / cause.dispersion), 1)
        hits = round(cause.mean * effective)
        for line in _wilson(hits, effective, cause.lower, cause.upper, f"causes.{place}."):
            formula = f"{line.formula} of round(mean x effective rows), rows / dispersion effective"
            own = {"mean": cause.mean, "rows": cause.rows, "dispersion": cause.dispersion}
            name = f"{cause.channel}, {cause.question}: {line.name}"
            yield Line(name, formula, own, line.result, line.published, line.path)
    # What decides apart has its share of the budget, so its level is at least this one.
    beyond = data.log_evidence >= level - _DIGITS
    yield Line(
        AN_ALARM,
        "log_evidence >= ln(per / (every x false_pages))",
        {"log_evidence": data.log_evidence, **inputs},
        beyond,
        True,
    )


def _explanation(why: Explanation) -> Iterator[Line]:
    if not why.rows or not why.before_rows:
        return
    if isinstance(why.means, Means):
        yield from _means(why, why.means)
        return
    rise = why.errors / why.rows - why.before_errors / why.before_rows
    inputs = {name: getattr(why, name) for name in ("errors", "rows", "before_errors", "before_rows")}
    for split in why.splits:
        formula = "errors / rows - before_errors / before_rows = mix + within"
        yield Line(f"rise along {split.feature}", formula, inputs, rise, split.mix + split.within)
    for place, part in enumerate(why.slices):
        yield from _slice(why, part, part.segment, f"explanation.slices.{place}.")
    for place, two in enumerate(why.crossed.slices) if isinstance(why.crossed, Crossed) else ():
        at = f"explanation.crossed.slices.{place}."
        yield from _slice(why, two, " & ".join(two.segments), at)
        beyond = why.errors - why.rows * why.before_errors / why.before_rows
        of_all = {**inputs, "excess": two.excess}
        yield Line(
            f"{' & '.join(two.segments)}: share",
            "excess / (errors - rows before_errors / before_rows), of the whole",
            of_all,
            two.excess / beyond if beyond > 0 else None,
            two.share,
            f"{at}share",
        )


def _slice(why: Explanation, part: Slice | CrossedSlice, name: str, at: str) -> Iterator[Line]:
    rate = why.before_errors / why.before_rows
    own = {name: getattr(part, name) for name in ("errors", "rows", "before_errors", "before_rows")}
    expected = (part.before_errors + DRAWN * rate) / (part.before_rows + DRAWN)
    pooled = (part.errors + part.before_errors + DRAWN * rate) / (part.rows + part.before_rows + DRAWN)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / part.rows + 1 / (part.before_rows + DRAWN)))
    drawn = {**own, "g": rounded(rate)}
    formula = f"(before_errors + {DRAWN} g) / (before_rows + {DRAWN})"
    yield Line(f"{name}: expected", formula, drawn, expected, part.expected, f"{at}expected")
    z = (part.errors / part.rows - expected) / deviation
    yield Line(f"{name}: z", "(errors / rows - expected) / standard error", drawn, z, part.z, f"{at}z")
    excess = part.errors - part.rows * expected
    yield Line(f"{name}: excess", "errors - rows x expected", drawn, excess, part.excess, f"{at}excess")


def _means(why: Explanation, means: Means) -> Iterator[Line]:
    inputs = {"mean": means.mean, "before_mean": means.before_mean}
    for split in why.splits:
        rise = means.mean - means.before_mean
        yield Line(
            f"rise along {split.feature}", "mean - before_mean = mix + within", inputs, rise, split.mix + split.within
        )
    for part in means.slices:
        own = {"before_mean": part.before_mean, "before_rows": part.before_rows, "g": means.before_mean}
        was = (part.before_mean or 0.0) * part.before_rows
        expected = (was + DRAWN * means.before_mean) / (part.before_rows + DRAWN)
        formula = f"(before_rows before_mean + {DRAWN} g) / (before_rows + {DRAWN})"
        yield Line(f"{part.segment}: expected", formula, own, expected, part.expected)
        made: dict[str, Number] = {"rows": part.rows, "mean": part.mean, "expected": part.expected}
        z = abs(part.mean - part.expected) / part.deviation
        made_z = {**made, "deviation": part.deviation}
        yield Line(f"{part.segment}: z", "|mean - expected| / deviation", made_z, z, part.z)
        excess = part.rows * (part.mean - part.expected)
        yield Line(f"{part.segment}: excess", "rows (mean - expected)", made, excess, part.excess)


def counted_again(data: Alert, again: Alert, lines: Iterable[Line]) -> list[Line]:
    """Every number of an alert that no line is about, beside the same of the alert as a run over the topics tells it: counts,
    times, and what is no formula of these."""
    told = {line.path for line in lines}
    one, other = (dict(_numbers("", msgspec.to_builtins(each))) for each in (data, again))
    return [
        Line(path, "as the run over the topics counts it", {}, other.get(path), value, path)
        for path, value in one.items()
        if path not in told
    ]


def _numbers(path: str, found: object) -> Iterator[tuple[str, Number]]:
    if isinstance(found, dict):
        for name, part in found.items():
            yield from _numbers(f"{path}.{name}" if path else str(name), part)
    elif isinstance(found, (list, tuple)):
        for place, part in enumerate(found):
            yield from _numbers(f"{path}.{place}", part)
    elif isinstance(found, (int, float)) and not isinstance(found, bool):
        yield path, found
