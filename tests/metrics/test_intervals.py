"""Intervals against statsmodels, against their own definitions, and at their edges."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.events import Float64s
from monitor.metrics import agreement, intervals

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
PUBLISHED = list(csv.DictReader((REFERENCE / "proportion_ci.csv").read_text().splitlines()))


def one(interval: tuple[Float64s, Float64s]) -> tuple[float, float]:
    return float(interval[0][0]), float(interval[1][0])


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['k']}of{row['n']}at{row['alpha']}")
def test_wilson_and_clopper_pearson_are_statsmodels(row: dict[str, str]) -> None:
    k, n, alpha = np.array([int(row["k"])]), np.array([int(row["n"])]), float(row["alpha"])
    z = NormalDist().inv_cdf(1 - alpha / 2)
    assert one(intervals.wilson(k, n, z)) == pytest.approx(
        (float(row["wilson_lo"]), float(row["wilson_hi"])), rel=1e-11
    )
    assert one(intervals.clopper_pearson(k, n, alpha)) == pytest.approx(
        (float(row["beta_lo"]), float(row["beta_hi"])), rel=1e-11
    )


def test_the_usual_level_is_95_percent() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975), rel=1e-15) == intervals.Z95


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_wilson_holds_the_share_and_lies_within_clopper_pearsons_range(k: int, more: int) -> None:
    n = k + more
    lower, upper = one(intervals.wilson(np.array([k]), np.array([n])))
    if n == 0:
        assert math.isnan(lower)
        assert math.isnan(upper)
        return
    assert 0.0 <= lower <= k / n <= upper <= 1.0
    assert lower < upper
    assert (lower == 0.0) == (k == 0)
    assert (upper == 1.0) == (k == n)


def test_clopper_pearson_without_trials_is_no_interval() -> None:
    assert all(map(math.isnan, one(intervals.clopper_pearson(np.array([0]), np.array([0])))))


@given(st.lists(st.floats(0, 30), min_size=2, max_size=50))
def test_the_interval_of_a_mean_is_the_textbooks(values: list[float]) -> None:
    x = np.array(values)
    lower, upper = one(intervals.normal_mean(np.array([x.sum()]), np.array([(x * x).sum()]), np.array([len(x)])))
    half = intervals.Z95 * x.std(ddof=1) / math.sqrt(len(x))
    assert (lower + upper) / 2 == pytest.approx(x.mean(), abs=1e-9)
    assert (upper - lower) / 2 == pytest.approx(half, abs=1e-5)


def test_one_row_has_no_interval_of_the_mean() -> None:
    assert all(map(math.isnan, one(intervals.normal_mean(np.array([0.5]), np.array([0.25]), np.array([1])))))


def test_a_variance_of_zero_says_nothing() -> None:
    assert all(map(math.isnan, one(intervals.normal(np.array([1.0]), np.array([0.0]), 0.0, 1.0))))


def test_an_interval_is_cut_to_the_range_of_its_statistic() -> None:
    assert one(intervals.normal(np.array([0.9]), np.array([1.0]), 0.0, 1.0)) == (0.0, 1.0)


Statistic = Callable[[Float64s], float]


def f1(c: Float64s) -> float:
    return float(2 * c[0] / (2 * c[0] + c[1] + c[2]))


def balanced_accuracy(c: Float64s) -> float:
    return float((c[0] / (c[0] + c[2]) + c[3] / (c[3] + c[1])) / 2)


def mcc(c: Float64s) -> float:
    tp, fp, fn, tn = c
    return float((tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def kappa(c: Float64s) -> float:
    tp, fp, fn, tn = c / c.sum()
    chance = (tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)
    return float((tp + tn - chance) / (1.0 - chance))


def variance_of(name: str, cells: Float64s) -> Float64s:
    """Variances for columns tp, fp, fn, tn, shape (4, n)."""
    tp, fp, fn, tn = cells
    if name == "f1":
        return intervals.f1_variance(tp, fp, fn)
    if name == "balanced_accuracy":
        return intervals.balanced_accuracy_variance(tp, fp, fn, tn)
    if name == "kappa":
        return agreement.kappa(np.stack([tn, fp, fn, tp], axis=1).reshape(-1, 2, 2))[1]
    value = np.array([mcc(column) for column in cells.T])
    return intervals.mcc_variance(tp, fp, fn, tn, value)


STATISTICS: dict[str, Statistic] = {"f1": f1, "balanced_accuracy": balanced_accuracy, "mcc": mcc, "kappa": kappa}


@pytest.mark.parametrize("name", list(STATISTICS))
@given(cells=st.lists(st.integers(0, 500), min_size=4, max_size=4))
def test_delta_variances_equal_the_multinomial_formula_on_numeric_gradients(name: str, cells: list[int]) -> None:
    tp, fp, fn, tn = cells
    assume(min(tp + fp, tp + fn, tn + fp, tn + fn) >= 5)
    statistic = STATISTICS[name]
    counts = np.array(cells, dtype=np.float64)
    share = counts / counts.sum()
    step = 1e-6
    ahead = [statistic(share + step * unit) for unit in np.eye(4)]
    behind = [statistic(share - step * unit) for unit in np.eye(4)]
    gradient = (np.array(ahead) - np.array(behind)) / (2 * step)
    expected = (share @ gradient**2 - (share @ gradient) ** 2) / counts.sum()
    assert variance_of(name, counts[:, np.newaxis])[0] == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("name", list(STATISTICS))
def test_delta_intervals_cover_as_often_as_they_say(name: str) -> None:
    truth = np.array([0.12, 0.08, 0.05, 0.75])
    draws = np.random.default_rng(11).multinomial(2000, truth, size=3000).astype(np.float64)
    statistic = STATISTICS[name]
    value = np.array([statistic(row) for row in draws])
    lower, upper = intervals.normal(value, variance_of(name, draws.T), -1.0, 1.0)
    covered = ((lower <= statistic(truth)) & (statistic(truth) <= upper)).mean()
    assert 0.935 <= covered <= 0.965
