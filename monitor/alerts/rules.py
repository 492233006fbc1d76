"""What a rule says about a window: whether it applies, whether the window is mature, whether it breaks the rule."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.config.metric_names import VOLUME, estimate_of, needs_coverage, needs_labels
from monitor.config.quality_rules import about
from monitor.config.rules import Rule
from monitor.windows.canonical import rounded
from monitor.windows.view import Estimate, Kind, SeriesKey, Undefined, WindowView

ALL: Final = "all"
"""The segment that holds every row of a model."""

COUNTS: Final = frozenset({VOLUME, "seen", "labelled"})
"""Metrics that are counts: `min_rows` and `min_coverage` do not apply, they would hide the very thing that is asked
for."""

Op = Literal["<", "<=", ">", ">="]

NO_ESTIMATE: Final = Estimate(None, None, None, 0, undefined=Undefined.NO_ROWS)
"""Of what a window does not have."""

_OPS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Test:
    """What is asked of a window: `metric op threshold`. A citation keeps its own, so that an edited rule does not
    change what was said before the edit."""

    __test__ = False  # not a pytest class

    metric: str
    op: Op
    threshold: float

    @classmethod
    def of(cls, rule: Rule) -> Test:
        """The question that the rule asks."""
        return cls(rule.metric, rule.op, rounded(rule.threshold))

    @classmethod
    def to_clear(cls, rule: Rule) -> Test:
        """What must no longer hold for its alert to resolve."""
        return cls(rule.metric, rule.op, rounded(rule.threshold if rule.clear is None else rule.clear))

    def broken_by(self, estimate: Estimate) -> bool | None:
        """Whether the value breaks the rule; None when it is undefined. What is compared is what is published: 12
        significant digits, so that the last bits of a logarithm cannot fire an alert on one machine only."""
        if estimate.value is None:
            return None
        return _OPS[self.op](rounded(estimate.value), self.threshold)


def kind_of(metric: str) -> Kind:
    """The kind of window that a metric is read from."""
    return Kind.PERFORMANCE if needs_labels(metric) else Kind.INPUT


def measure(view: WindowView, metric: str) -> Estimate:
    """The metric of a window, whether it is a statistic or one of the counts that every window has.

    A metric that the window does not have is undefined with NO_ROWS.
    """
    if (estimate := view.metrics.get(metric)) is not None:
        return estimate
    if (of := estimate_of(metric)) is not None and view.outlook is not None:
        said = view.outlook.completed if of[0] == "completed" else view.outlook.unlabelled
        return said.get(of[1], NO_ESTIMATE)
    if metric in ("seen", VOLUME):
        return Estimate(float(view.seen), None, None, view.seen)
    if metric == "labelled":
        return Estimate(float(view.labelled), None, None, view.seen)
    if metric == "coverage" and (coverage := view.coverage) is not None:
        return Estimate(coverage, None, None, view.seen)
    return NO_ESTIMATE


def has_no_estimate(view: WindowView, metric: str) -> bool:
    """Whether the metric is an estimate that the window does not make (any more): a final one makes none."""
    return estimate_of(metric) is not None and measure(view, metric).value is None


def can_be_held(rule: Rule) -> bool:
    """Whether missing labels could make it lie: of labelled windows, all but what asks how many labels there are, and
    estimates by the scores alone."""
    lies = kind_of(rule.metric) is Kind.PERFORMANCE and rule.metric not in COUNTS and rule.metric != "coverage"
    return lies and not rule.metric.startswith("unlabelled:")


def applies(rule: Rule, series: SeriesKey) -> bool:
    """Whether the rule watches the series. Every version of a model is watched apart."""
    if not about(rule, series.model):
        return False
    if rule.segments == "all":
        return series.segment == ALL
    if rule.segments == "each":
        return series.segment != ALL
    return series.segment in rule.segments


def enough(rule: Rule, view: WindowView) -> bool:
    """Whether the window has a value on enough rows and, for statistics of labelled rows, on a large enough share of
    them.

    Rows are the metric's own denominator: for recall the positives, not all rows of the window.
    """
    estimate = measure(view, rule.metric)
    if estimate.value is None:
        return False
    if rule.metric in COUNTS:
        return True
    if estimate.rows < rule.min_rows:
        return False
    if not needs_coverage(rule.metric) or rule.metric == "coverage":
        return True
    return view.coverage is not None and view.coverage >= rule.min_coverage


def mature(rule: Rule, tick_ms: int, view: WindowView, outage: Outage = NO_OUTAGE) -> bool:
    """Whether the rule may judge the window at the end of a tick: the window is over, there is enough of it, nothing of it
    was lost, and no outage of the label feed chose what there is."""
    key = view.key
    return (
        key.end_ms <= tick_ms
        and not view.partial
        and enough(rule, view)
        and not outage.spoils(key.start_ms, key.end_ms, view.seen, view.labelled)
    )
