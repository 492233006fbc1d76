"""Why an alert about a regression model fired: which segments its mean error, or its bias, became worse in, and how much of the
rise is mix.

The same split and search as of errors that are counted (`explanation`), on means: the variance that errors have by their rate
is here what RMSE says beside the mean. A larger mean error is worse; of the bias it is what the rule says: above for `>`, below
for `<`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from monitor.alerts.explained import Means, MeanSlice, Split
from monitor.config.rules import Rule
from monitor.windows.canonical import rounded
from monitor.windows.view import WindowView

Metric = Literal["bias", "mae"]


class Lot(NamedTuple):
    """Labelled rows, the sum of what is asked of each, and that of its squares."""

    rows: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Of the rows, of which there must be some."""
        return self.total / self.rows


Both = tuple[Lot, Lot]
"""Now, and before."""


EXPLAINED: Final = frozenset(
    {
        "bias",
        "mae",
        "mse",
        "rmse",
        "r2",
        "explained_variance",
        "mape",
        "rmsle",
        "median_ae",
        "pinball_0_1",
        "pinball_0_9",
    }
)
"""Metrics whose rules are explained."""


def metric_of(rule: Rule) -> Metric:
    """What a rule on a regression metric is explained by."""
    return "bias" if rule.metric == "bias" else "mae"


def worse_of(rule: Rule) -> int:
    """1 where larger is worse, else -1."""
    return -1 if rule.metric == "bias" and rule.op.startswith("<") else 1


def has_means(rule: Rule, view: WindowView) -> bool:
    """Whether a window is of a regression model, and the rule about how right that is."""
    return rule.metric in EXPLAINED and {"bias", "mae", "rmse"} <= view.metrics.keys()


def lot_of(views: Iterable[WindowView], metric: Metric) -> Lot:
    """What windows add up to."""
    rows, totals, squares = 0, list[float](), list[float]()
    for view in views:
        mean, root = view.metrics[metric], view.metrics["rmse"]
        if mean.value is not None and root.value is not None:
            rows += mean.rows
            totals.append(mean.rows * mean.value)
            squares.append(mean.rows * root.value**2)
    return Lot(rows, math.fsum(totals), math.fsum(squares))


def split_of(feature: str, parts: Sequence[Both]) -> Split:
    """Kitagawa's split over the values of a feature. A value that is missing on one side has the other's mean there."""
    now_rows = max(sum(now.rows for now, _ in parts), 1)
    before_rows = max(sum(before.rows for _, before in parts), 1)
    mix = within = harm = 0.0
    for now, before in parts:
        if not now.rows and not before.rows:
            continue
        q, p = now.rows / now_rows, before.rows / before_rows
        mean, was = (now if now.rows else before).mean, (before if before.rows else now).mean
        mix += (q - p) * (mean + was) / 2.0
        within += (q + p) / 2.0 * (mean - was)
        harm += (q - p) * was
    return Split(feature=feature, mix=rounded(mix), within=rounded(within), harm=rounded(harm))


def slice_of(segment: str, both: Both, whole: Lot, *, worse: int, drawn: int) -> MeanSlice | None:
    """A segment as it is against what was to be expected of it; None without rows. `worse` is 1 where larger is worse, else -1;
    `drawn`: rows at the model's mean that its past is mixed with."""
    now, before = both
    if not now.rows:
        return None
    expected = (before.total + drawn * whole.mean) / (before.rows + drawn)
    rows = now.rows + before.rows + drawn
    mean = (now.total + before.total + drawn * whole.mean) / rows
    square = (now.squares + before.squares + drawn * whole.squares / whole.rows) / rows
    variance = max(square - mean**2, 0.0)
    deviation = math.sqrt(variance * (1.0 / now.rows + 1.0 / (before.rows + drawn)))
    z = worse * (now.mean - expected) / deviation if deviation > 0 else 0.0
    return MeanSlice(
        segment=segment,
        rows=now.rows,
        mean=rounded(now.mean),
        before_rows=before.rows,
        before_mean=rounded(before.mean) if before.rows else None,
        expected=rounded(expected),
        deviation=rounded(deviation),
        z=rounded(z),
        excess=rounded(now.rows * (now.mean - expected)),
    )


def means_of(metric: Metric, now: Lot, before: Lot, slices: Sequence[MeanSlice]) -> Means:
    """What is said of the means."""
    return Means(metric=metric, mean=rounded(now.mean), before_mean=rounded(before.mean), slices=list(slices))
