"""What regression says beside means of errors: association, relative errors, quantiles. Each against its definition on the
numbers as they were sent, within the bound that it states."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.editions import DETAILED, FIRST, NEWEST
from monitor.metrics import quantiles
from monitor.metrics.regression import EDITION_1, Regression
from monitor.metrics.relative import ratios, slack
from monitor.metrics.task import evaluate
from monitor.sketches.cells import Cells
from monitor.windows.view import Estimate, Undefined

PRICES = Regression(1000.0)
Row = tuple[float, float]
"""Predicted number, label."""
ROWS: list[Row] = [(10.0, 12.0), (11.0, 9.5), (14.5, 15.0), (20.0, 18.0), (7.25, 7.0), (0.0, 1.0)]
Z = 1.959963984540054


def cells_of(rows: list[Row], task: Regression = PRICES) -> Cells:
    columns = np.array(rows, np.float64).reshape(len(rows), 2)
    cells = task.cells.zeros()
    contribution = task.contribute(columns[:, 0], np.zeros(len(rows)), columns[:, 1], 1.0)
    cells.add(np.zeros(len(rows), np.int64), *contribution)
    return cells


def metric(name: str, rows: list[Row]) -> Estimate:
    return evaluate(PRICES, cells_of(rows), [name])[name].at(0)


numbers = st.one_of(st.floats(-1000.0, 1000.0), st.sampled_from([0.0, 1000.0, -1000.0, 1e-3, 1e-7]))
some_rows = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=25)


def exactly(rows: list[Row]) -> dict[str, float]:
    """Of the numbers as they were sent, without rounding where that is possible."""
    pairs = [(Fraction(f), Fraction(y)) for f, y in rows]
    errors, n = [f - y for f, y in pairs], len(rows)
    found = {"mse": sum(e * e for e in errors) / n}
    if relative := [abs(f - y) / abs(y) for f, y in pairs if round(y * 2**33)]:
        found["mape"] = sum(relative) / len(relative)
    for level in (1, 9):
        terms = (abs(e) * (level if e < 0 else 10 - level) / 10 for e in errors)
        found[f"pinball_0_{level}"] = sum(terms) / n
    return {name: float(value) for name, value in found.items()}


@given(some_rows)
def test_means_are_within_their_bound_of_the_numbers_as_they_were_sent(rows: list[Row]) -> None:
    found = {name: column.at(0) for name, column in evaluate(PRICES, cells_of(rows)).items()}
    for name, value in exactly(rows).items():
        assert found[name].value == pytest.approx(value, abs=found[name].bound + 1e-12 * abs(value), rel=0), name


@given(some_rows)
def test_association_is_within_its_bound_of_that_of_the_numbers(rows: list[Row]) -> None:
    n = len(rows)
    f, y = ([Fraction(x) for x in column] for column in zip(*rows, strict=True))

    def about_mean(column: list[Fraction]) -> list[Fraction]:
        mean = sum(column, Fraction(0)) / n
        return [x - mean for x in column]

    f, y, e = about_mean(f), about_mean(y), about_mean([a - b for a, b in zip(f, y, strict=True)])
    by_label, by_prediction = sum(x * x for x in y), sum(x * x for x in f)
    found = metric("explained_variance", rows)
    if found.value is not None:
        exact = float(1 - sum(x * x for x in e) / by_label)
        assert found.value == pytest.approx(exact, abs=found.bound + 1e-9 * abs(exact - 1), rel=0)
    found = metric("correlation", rows)
    if found.value is not None:
        cross = sum(a * b for a, b in zip(f, y, strict=True))
        exact = float(cross) / math.sqrt(by_label) / math.sqrt(by_prediction)
        assert found.value == pytest.approx(exact, abs=found.bound + 1e-12, rel=0)
        assert -1.0 <= found.value <= 1.0


def test_intervals_are_those_of_the_influence_of_each_row() -> None:
    f, y = (np.array(column) for column in zip(*ROWS, strict=True))
    e, n = f - y, len(ROWS)
    for name, terms in (("mse", e * e), ("mape", np.abs(e / y)), ("pinball_0_9", np.maximum(-0.9 * e, 0.1 * e))):
        found, half = metric(name, ROWS), Z * terms.std(ddof=1) / math.sqrt(n)
        assert found.value == pytest.approx(terms.mean(), abs=1e-6)
        assert found.upper == pytest.approx(terms.mean() + half, abs=1e-6)
        assert found.lower == pytest.approx(max(terms.mean() - half, 0.0), abs=1e-6)
    logs = (np.log1p(f) - np.log1p(y)) ** 2
    found, half = metric("rmsle", ROWS), Z * logs.std(ddof=1) / math.sqrt(n)
    assert found.value == pytest.approx(math.sqrt(logs.mean()), abs=1e-8)
    assert found.upper == pytest.approx(math.sqrt(logs.mean() + half), abs=1e-4)
    share = e.var() / y.var()
    influence = ((e - e.mean()) ** 2 - share * (y - y.mean()) ** 2) / y.var()
    found = metric("explained_variance", ROWS)
    assert found.value == pytest.approx(1 - share, abs=1e-6)
    assert found.lower == pytest.approx(1 - share - Z * math.sqrt((influence**2).mean() / n), abs=1e-6)
    a, b = (f - f.mean()) / f.std(), (y - y.mean()) / y.std()
    r = float((a * b).mean())
    influence = a * b - r * (a * a + b * b) / 2
    half = Z * math.sqrt((influence**2).mean() / n) / (1 - r * r)
    found = metric("correlation", ROWS)
    assert found.value == pytest.approx(r, abs=1e-9)
    assert (found.lower, found.upper) == pytest.approx(
        (math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    )


@pytest.mark.parametrize("spread", [0.0003, 0.001, 0.01, 0.03, 0.3])
def test_the_interval_of_a_small_logarithmic_error_is_as_wide_as_it_should_be(spread: float) -> None:
    chance = random.Random(7)
    rows = [(y * (1 + chance.gauss(0.0, spread)), y) for y in (chance.uniform(50, 150) for _ in range(500))]
    f, y = (np.array(column) for column in zip(*rows, strict=True))
    logs = (np.log1p(f) - np.log1p(y)) ** 2
    found, half = metric("rmsle", rows), Z * logs.std(ddof=1) / math.sqrt(len(rows))
    assert found.lower == pytest.approx(math.sqrt(logs.mean() - half), rel=1e-3)
    assert found.upper == pytest.approx(math.sqrt(logs.mean() + half), rel=1e-3)
    earlier = evaluate(Regression(1000.0, DETAILED), cells_of(rows, Regression(1000.0, DETAILED)), ["rmsle"])
    assert earlier["rmsle"].at(0).value == found.value


def test_who_has_no_relative_error_is_left_out_and_the_rows_say_so() -> None:
    rows = [(1.0, 0.0), (3.0, 2.0), (-1.0, -2.0), (5.0, 1e-13)]
    assert metric("mape", rows).value == pytest.approx(0.5, abs=1e-8)
    assert (metric("mape", rows).rows, metric("mape", rows[:1]).undefined) == (2, Undefined.NO_ROWS)
    found = metric("rmsle", rows)
    assert (found.rows, metric("rmsle", rows[2:3]).undefined) == (3, Undefined.NO_ROWS)
    assert found.value == pytest.approx(math.sqrt((math.log(2) ** 2 + math.log(4 / 3) ** 2 + math.log(6) ** 2) / 3))
    assert metric("correlation", [(1.0, 2.0), (1.0, 3.0)]).undefined is Undefined.ZERO_DENOMINATOR
    assert metric("explained_variance", [(1.0, 2.0)]).undefined is Undefined.ZERO_DENOMINATOR


@given(st.lists(st.tuples(st.integers(-(2**44) + 1, 2**44 - 1), st.integers(1, 2**43)), min_size=1, max_size=20))
def test_a_quotient_is_rounded_once_and_its_slack_covers_the_grid(pairs: list[tuple[int, int]]) -> None:
    e, y = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    own, off = ratios(e, -y), slack(e, y)
    for i, (error, label) in enumerate(pairs):
        unit = sum(int(limb) << (30 * k) for k, limb in enumerate(own[:, i]))
        assert own[:, i].max() < 2**30
        assert unit == math.floor(Fraction(abs(error), label) * 2**30 + Fraction(1, 2))
        furthest = Fraction(abs(error) + 1) / (label - Fraction(1, 2)) - Fraction(abs(error), label)
        assert sum(int(limb) << (30 * k) for k, limb in enumerate(off[:, i])) >= furthest * 2**30


@given(some_rows, st.sampled_from([("error_p05", 0.05), ("error_p50", 0.5), ("error_p95", 0.95)]))
def test_quantiles_are_numpys_within_the_width_of_a_bin(rows: list[Row], asked: tuple[str, float]) -> None:
    e = np.array([f - y for f, y in rows])
    found, exact = metric(asked[0], rows), float(np.quantile(e, asked[1]))
    assert found.value == pytest.approx(exact, abs=found.bound + 1e-9, rel=0)
    assert found.bound <= np.abs(e).max() / 16 + 2 * PRICES.resolution
    found, exact = metric("median_ae", rows), float(np.median(np.abs(e)))
    assert found.value == pytest.approx(exact, abs=found.bound + 1e-9, rel=0)
    found, exact = metric("max_error", rows), float(np.abs(e).max())
    assert found.value == pytest.approx(exact, abs=found.bound + 1e-9, rel=0)
    assert (found.lower, found.upper) == (None, None)
    assert found.bound <= exact / 32 + 2 * PRICES.resolution


def test_the_interval_of_a_quantile_covers_it_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    starts, ends = quantiles.SIZE_STARTS, quantiles.SIZE_ENDS
    values = draw.exponential(2.0**20, (2_000, 200))
    places = np.searchsorted(ends, values, side="right")
    counts = np.apply_along_axis(np.bincount, 1, places, minlength=len(starts))
    for p in (0.05, 0.5, 0.95):
        _, (lower, upper), _ = quantiles.quantile(quantiles.Ordered.of(counts), starts, ends, p)
        exact = -math.log(1 - p) * 2.0**20
        assert 0.945 < ((lower <= exact) & (exact <= upper)).mean() < 0.999, p
    few, _, _ = quantiles.quantile(quantiles.Ordered.of(counts[:1] * 0), starts, ends, 0.5)
    assert np.isnan(few).all()


def test_the_interval_of_a_correlation_covers_it_without_a_normal_law() -> None:
    """Heavy tails: the textbook interval, for normal data, would cover 0.6 in less than 90 of 100."""
    draw, n, runs, r = np.random.default_rng(11), 400, 400, 0.6
    held = 0
    for _ in range(runs):
        scale = np.sqrt(5.0 / draw.chisquare(5.0, n))  # of the multivariate t law with 5 degrees of freedom
        y = draw.normal(size=n)
        f = (r * y + math.sqrt(1 - r * r) * draw.normal(size=n)) * scale
        found = metric("correlation", list(zip(f.tolist(), (y * scale).tolist(), strict=True)))
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower <= r <= found.upper
    assert 0.90 < held / runs < 0.99


def test_how_many_labels_a_prediction_is_not_below_of() -> None:
    found = metric("at_or_below", [(2.0, 1.0), (2.0, 2.0), (2.0, 3.0), (2000.0, 1.0)])
    assert found.value == pytest.approx(2 / 3)
    assert found.rows == 3


@given(some_rows)
def test_edition_1_has_the_first_cells_and_metrics_of_the_newest(rows: list[Row]) -> None:
    first = PRICES.of_edition(FIRST)
    assert tuple(first.metrics) == EDITION_1
    assert PRICES.of_edition(NEWEST).cells == PRICES.cells
    now, then = cells_of(rows), cells_of(rows, first)
    assert np.array_equal(now.array[:, : first.cells.size], then.array)
    assert now.layout.names[: len(then.layout.names)] == then.layout.names
    said = evaluate(PRICES, now)
    assert {name: column.at(0) for name, column in evaluate(first, then).items()} == {
        name: said[name].at(0) for name in EDITION_1
    }
