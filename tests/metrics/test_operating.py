"""What edition 2 says of binary models beside the first: against scikit-learn, SciPy and the definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.editions import FIRST, NEWEST
from monitor.metrics.binary import BINARY, EDITION_1, Binary
from monitor.metrics.foreseen import ForeseenBinary
from monitor.metrics.operating import f_beta, g_mean
from monitor.metrics.task import evaluate
from monitor.sketches.cells import Cells
from monitor.windows.view import Estimate, Undefined
from tests.metrics.rows import Rows, cells_of, rows_of, rows_strategy

Z = 1.959963984540054
close = st.integers(0, 4000).map(lambda k: k / 4000)


def metric(name: str, rows: Rows, task: Binary = BINARY) -> Estimate:
    return evaluate(task, cells_of(rows), [name])[name].at(0)


@given(rows_strategy())
def test_f_of_other_weights_is_scikit_learns(rows: Rows) -> None:
    from sklearn.metrics import fbeta_score

    assume((rows.predicted + rows.label).any())
    for name, beta in (("f0_5", 0.5), ("f2", 2.0)):
        expected = fbeta_score(rows.label, rows.predicted, beta=beta, zero_division=0.0)
        assert metric(name, rows).value == pytest.approx(expected, abs=1e-12)


@given(rows_strategy())
def test_the_geometric_mean_is_the_root_of_both_shares(rows: Rows) -> None:
    found, both = metric("g_mean", rows), [metric(name, rows).value for name in ("recall", "specificity")]
    if None in both:
        assert found.value is None
    else:
        assert found.value == pytest.approx(math.sqrt((both[0] or 0.0) * (both[1] or 0.0)), abs=1e-12)


counts = st.tuples(*[st.integers(1, 400)] * 4)


@given(counts)
def test_variances_are_those_of_the_numerical_gradient(matrix: tuple[int, int, int, int]) -> None:
    cells = np.array(matrix, np.float64)
    of: dict[str, Callable[[Any], Any]] = {
        "f0.5": lambda c: f_beta(0.5, c[0], c[1], c[2]),
        "f2": lambda c: f_beta(2.0, c[0], c[1], c[2]),
        "g": lambda c: g_mean(c[0], c[1], c[2], c[3]),
    }
    for name, both in of.items():
        gradient = np.array(
            [(both(cells + step)[0] - both(cells - step)[0]) / (2 * step.sum()) for step in np.eye(4) * 1e-3]
        )
        assert both(cells)[1] == pytest.approx((cells * gradient**2).sum(), rel=1e-5), name
        assert (cells * gradient).sum() == pytest.approx(0.0, abs=1e-7), (
            "a share does not change when all cells are scaled"
        )


@given(rows_strategy(), st.tuples(*[st.integers(-9, 9)] * 4))
def test_the_cost_is_the_mean_of_what_each_row_cost(rows: Rows, costs: tuple[int, int, int, int]) -> None:
    prices = dict(zip(("tp", "fp", "fn", "tn"), map(float, costs), strict=True))
    task = Binary(prices)
    assert list(task.metrics) == [*BINARY.metrics, "cost"]
    found = metric("cost", rows, task)
    if not len(rows):
        assert found.undefined is Undefined.NO_ROWS
        return
    names = np.where(
        rows.label == 1, np.where(rows.predicted == 1, "tp", "fn"), np.where(rows.predicted == 1, "fp", "tn")
    )
    each = np.array([prices[name] for name in names.tolist()])
    assert found.value == pytest.approx(each.mean())
    if each.std() > 0:
        half = Z * each.std(ddof=1) / math.sqrt(len(each))
        assert found.upper == pytest.approx(min(each.mean() + half, max(prices.values())))


@given(rows_strategy(score=close))
def test_the_distance_of_the_classes_lies_within_the_bound(rows: Rows) -> None:
    from scipy.stats import ks_2samp

    assume(0 < rows.label.sum() < len(rows))
    found = metric("ks_classes", rows)
    exact = ks_2samp(rows.score[rows.label == 1], rows.score[rows.label == 0]).statistic
    assert found.value is not None
    assert found.value - 1e-12 <= exact <= found.value + found.bound + 1e-12
    area = metric("roc_auc", rows)
    gini = metric("gini", rows)
    assert gini.value == pytest.approx(2 * (area.value or 0.0) - 1)
    assert gini.bound == 2 * area.bound


def test_one_class_has_neither_area_nor_distance() -> None:
    rows = rows_of((0.5, 1.0, 1.0), (0.2, 0.0, 1.0))
    assert {metric(name, rows).undefined for name in ("gini", "ks_classes", "g_mean")} == {Undefined.ONE_CLASS}


def by_definition(rows: Rows, bins: int) -> list[tuple[int, float]]:
    place = np.minimum((rows.score * bins + 1e-9).astype(int), bins - 1)
    gaps = [(place == k).nonzero()[0] for k in range(bins)]
    return [(len(own), abs(float((rows.label[own] - rows.score[own]).mean()))) for own in gaps if len(own)]


@given(rows_strategy(score=close))
def test_every_calibration_error_lies_within_the_bound(rows: Rows) -> None:
    assume(len(rows))
    gaps, n = by_definition(rows, 15), len(rows)
    exact = {
        "rmsce": math.sqrt(sum(own * gap * gap for own, gap in gaps) / n),
        "mce": max(gap for _, gap in gaps),
    }
    for name, value in exact.items():
        found = metric(name, rows)
        assert found.bound == 1 / 2400
        assert found.value == pytest.approx(value, abs=found.bound + 1e-12), name


def test_the_intervals_cover_an_error_that_is_there() -> None:
    """Scores 0.1 too low in every bin: nine in ten intervals of 95 % and more cover it, of the largest those of its bin."""
    rng, covered = np.random.default_rng(6), {"rmsce": 0, "mce": 0}
    for _ in range(300):
        score = rng.choice([0.1, 0.3, 0.5, 0.7], 4_000)
        label = (rng.random(len(score)) < score + 0.1).astype(float)
        for name in covered:
            found = metric(name, Rows(score, score, label))
            assert found.lower is not None
            assert found.upper is not None
            # The largest of four distances that are all 0.1 is above it, by chance alone.
            covered[name] += found.lower - (0.02 if name == "mce" else 0.0) <= 0.1 <= found.upper
    assert all(count >= 265 for count in covered.values()), covered


@pytest.mark.parametrize("task", [BINARY, ForeseenBinary(np.array([60_000, 120_000], np.int64))])
def test_edition_1_has_the_metrics_of_the_first(task: Binary) -> None:
    first = task.of_edition(FIRST)
    assert type(first) is type(task)
    assert tuple(first.metrics) == EDITION_1
    assert first.cells == task.cells
    assert list(task.of_edition(NEWEST).metrics) == list(task.metrics)
    empty: Cells = task.cells.zeros()
    assert {one.at(0).undefined for one in evaluate(task, empty).values()} == {Undefined.NO_ROWS}
