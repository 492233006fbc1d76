"""ROC AUC and average precision from histograms: bound, variance or interval, edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from monitor.events import Int64s
from monitor.metrics.binary import BINARY
from monitor.metrics.ranking import average_precision, average_precision_interval, roc_auc
from monitor.metrics.task import evaluate
from tests.metrics.rows import Rows, cells_of, rows_of, rows_strategy


def exact_area(rows: Rows) -> float:
    """Share of (positive, negative) pairs in the right order, ties half: counted pair by pair."""
    positive, negative = rows.score[rows.label == 1.0], rows.score[rows.label == 0.0]
    above = (positive[:, np.newaxis] > negative).sum()
    tied = (positive[:, np.newaxis] == negative).sum()
    return float((above + 0.5 * tied) / (len(positive) * len(negative)))


close = st.integers(0, 4000).map(lambda k: k / 4000)


@given(rows_strategy(score=close))
def test_the_exact_area_lies_within_the_bound(rows: Rows) -> None:
    assume(0 < rows.label.sum() < len(rows))
    found = evaluate(BINARY, cells_of(rows), ["roc_auc"])["roc_auc"].at(0)
    assert found.value is not None
    assert abs(found.value - exact_area(rows)) <= found.bound + 1e-12


def test_the_bound_is_reached_when_all_positives_of_a_bin_lie_above() -> None:
    rows = rows_of((0.50001, 1.0, 0.0), (0.50002, 1.0, 1.0))
    found = evaluate(BINARY, cells_of(rows), ["roc_auc"])["roc_auc"].at(0)
    assert (found.value, found.bound) == (0.5, 0.5)
    assert exact_area(rows) == 1.0


def test_scores_in_different_bins_leave_no_doubt() -> None:
    found = evaluate(BINARY, cells_of(rows_of((0.2, 0.0, 0.0), (0.3, 0.0, 1.0), (0.1, 0.0, 1.0))), ["roc_auc"])
    assert (found["roc_auc"].at(0).value, found["roc_auc"].at(0).bound) == (0.5, 0.0)


histograms = st.lists(st.integers(0, 6), min_size=8, max_size=8)


@given(histograms, histograms)
def test_the_variance_is_delongs_on_the_rows_of_the_bins(positive: list[int], negative: list[int]) -> None:
    assume(sum(positive) > 1 and sum(negative) > 1)
    high, low = np.repeat(np.arange(8), positive), np.repeat(np.arange(8), negative)
    order = (high[:, np.newaxis] > low) + 0.5 * (high[:, np.newaxis] == low)
    expected = order.mean(axis=1).var(ddof=1) / len(high) + order.mean(axis=0).var(ddof=1) / len(low)
    area, _, variance = roc_auc(np.array([positive]), np.array([negative]))
    assert area[0] == pytest.approx(order.mean())
    assert variance[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("positive", "negative"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([0, 0], [0, 0])])
def test_one_class_has_no_area(positive: list[int], negative: list[int]) -> None:
    area, bound, variance = roc_auc(np.array([positive]), np.array([negative]))
    assert math.isnan(area[0])
    assert math.isnan(bound[0])
    assert math.isnan(variance[0])


def test_separated_classes_have_an_area_of_one_and_no_interval() -> None:
    rows = rows_of((0.9, 1.0, 1.0), (0.8, 1.0, 1.0), (0.2, 0.0, 0.0), (0.1, 0.0, 0.0))
    found = evaluate(BINARY, cells_of(rows), ["roc_auc"])["roc_auc"].at(0)
    assert (found.value, found.lower, found.upper, found.bound) == (1.0, None, None, 0.0)


def test_a_billion_rows_of_each_class_do_not_overflow() -> None:
    half: Int64s = np.array([[500_000_000, 500_000_000]])
    area, bound, _ = roc_auc(half, half)
    assert (area[0], bound[0]) == (0.5, 0.25)


# -- average precision -------------------------------------------------------------------------------------------


@given(rows_strategy(score=close))
@example(rows_of((0.50001, 1.0, 1.0), (0.50002, 1.0, 0.0)))
@example(rows_of((0.9, 1.0, 0.0), (0.50001, 1.0, 1.0), (0.50001, 1.0, 1.0), (0.50002, 1.0, 0.0)))
def test_the_exact_average_precision_lies_within_the_bound(rows: Rows) -> None:
    from sklearn.metrics import average_precision_score

    assume(rows.label.sum() > 0)
    found = evaluate(BINARY, cells_of(rows), ["average_precision"])["average_precision"].at(0)
    assert found.value is not None
    assert abs(found.value - average_precision_score(rows.label, rows.score)) <= found.bound + 1e-12


def test_average_precision_of_scores_in_different_bins_is_exact() -> None:
    rows = rows_of((0.9, 1.0, 1.0), (0.8, 1.0, 0.0), (0.7, 0.0, 1.0), (0.1, 0.0, 0.0))
    found = evaluate(BINARY, cells_of(rows), ["average_precision"])["average_precision"].at(0)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.bound == 0.0


def test_the_interval_of_average_precision_is_the_logit_one() -> None:
    value, positives = 0.8, 50
    found = average_precision_interval(np.array([value]), np.array([positives]))
    half = 1.959963984540054 / math.sqrt(positives * value * (1 - value))
    expected = [1 / (1 + math.exp(-(math.log(4) + way * half))) for way in (-1, 1)]
    assert [end[0] for end in found] == pytest.approx(expected)
    assert np.isnan(average_precision_interval(np.array([1.0, 0.0]), np.array([5, 5]))).all()


def test_average_precision_of_a_billion_rows_does_not_overflow() -> None:
    half: Int64s = np.array([[500_000_000, 500_000_000]])
    value, bound = average_precision(half, half)
    assert value[0] == 0.5
    assert 0 < bound[0] < 0.4
