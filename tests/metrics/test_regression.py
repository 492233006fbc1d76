"""Regression: what a row adds, what windows say, and how far that is from the numbers as they were sent."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.metrics.regression import LARGEST, VALUE_BITS, WIDTH, Regression
from monitor.metrics.task import Task, evaluate
from monitor.sketches.cells import Cells
from monitor.sketches.wide import limbs, product, totals
from monitor.windows.view import Estimate, Undefined

PRICES = Regression(1000.0)
Row = tuple[float, float]
"""Predicted number, label."""


def contribution(rows: list[Row], task: Regression = PRICES) -> Any:
    columns = np.array(rows, np.float64).reshape(len(rows), 2)
    return task.contribute(columns[:, 0], np.zeros(len(rows)), columns[:, 1], 1.0)


def cells_of(rows: list[Row], task: Regression = PRICES) -> Cells:
    cells = task.cells.zeros()
    cells.add(np.zeros(len(rows), np.int64), *contribution(rows, task))
    cells.count("seen")[0] = len(rows)
    return cells


def metric(name: str, rows: list[Row], task: Regression = PRICES) -> Estimate:
    return evaluate(task, cells_of(rows, task), [name])[name].at(0)


numbers = st.one_of(st.floats(-1200.0, 1200.0), st.sampled_from([0.0, 1000.0, -1000.0, 1000.0000001, 1e300]))
rows_strategy = st.lists(st.tuples(numbers, numbers), max_size=25)


def test_regression_is_a_task_whose_vector_starts_with_seen_and_labelled() -> None:
    task: Task = PRICES
    assert task.name == "regression"
    assert task.cells.names[:2] == ("seen", "labelled")
    assert list(task.metrics)[:4] == ["bias", "mae", "mse", "rmse"]
    cell, amount = contribution([(1.0, 2.0)])
    assert cell.shape == amount.shape == (1, WIDTH)
    assert task.cells.index("seen") not in cell


@pytest.mark.parametrize("largest", [1e-9, 0.5, 1.0, 1.5, 1000.0, LARGEST, 2.0**20, 1e15])
def test_the_largest_number_fits_and_the_resolution_is_as_stated(largest: float) -> None:
    task = Regression(largest)
    assert largest / task.resolution <= 2**VALUE_BITS
    assert 1.1e-13 < task.resolution / largest < 2.3e-13
    extreme = [(largest, -largest), (-largest, largest)]
    estimate = metric("rmse", extreme, task)
    assert estimate.value == pytest.approx(2 * largest, rel=1e-12)
    assert metric("overflow", extreme, task).value == 0.0


def test_what_is_too_large_is_counted_and_nothing_else() -> None:
    rows = [(1.0, 2.0), (1000.5, 2.0), (1.0, -1e300), (math.nan, 1.0)]
    cells = cells_of(rows)
    assert (int(cells.count("labelled")[0]), int(cells.count("overflow")[0])) == (4, 3)
    assert metric("overflow", rows).value == 0.75
    assert metric("mae", rows) == metric("mae", rows[:1])
    assert metric("mae", rows[1:]).undefined is Undefined.NO_ROWS


def test_undefined_metrics_say_why() -> None:
    nothing = evaluate(PRICES, PRICES.cells.zeros())
    assert {column.at(0).undefined for column in nothing.values()} == {Undefined.NO_ROWS}
    assert metric("r2", [(1.0, 2.0)]).undefined is Undefined.ZERO_DENOMINATOR
    assert metric("r2", [(1.0, 2.0), (3.0, 2.0)]).undefined is Undefined.ZERO_DENOMINATOR
    alone = metric("rmse", [(1.0, 2.0)])
    assert (alone.value, alone.lower, alone.upper) == (1.0, None, None)


def test_a_large_level_does_not_drown_a_small_spread() -> None:
    # In doubles the sum of squares of such labels has lost its last eight digits, and their variance with them.
    rows = [(999.0 + i * 1e-9, 999.0 + i * 2e-9) for i in range(100)]
    label = np.array([Fraction(y) for _, y in rows])
    error = np.array([Fraction(f) - Fraction(y) for f, y in rows])
    exact = 1 - float(sum(error**2) / sum((label - sum(label) / len(rows)) ** 2))
    found = metric("r2", rows)
    assert found.value == pytest.approx(exact, abs=found.bound, rel=0)
    assert found.bound < 0.05


@given(rows_strategy)
def test_the_exact_statistic_is_never_further_away_than_the_bound(rows: list[Row]) -> None:
    inside = [(Fraction(f), Fraction(y)) for f, y in rows if abs(f) <= 1000.0 and abs(y) <= 1000.0]
    n = len(inside)
    if not n:
        return
    errors = [f - y for f, y in inside]
    mean = sum(y for _, y in inside) / n
    spread = sum((y - mean) ** 2 for _, y in inside)
    exact = {
        "bias": float(sum(errors) / n),
        "mae": float(sum(map(abs, errors)) / n),
        "rmse": math.sqrt(sum(e * e for e in errors) / n),
    }
    for name, value in exact.items():
        found = metric(name, rows)
        assert found.rows == n
        assert found.value == pytest.approx(value, abs=found.bound + 1e-12 * abs(value), rel=0), name
    found = metric("r2", rows)
    if found.value is not None:
        value = float(1 - sum(e * e for e in errors) / spread)
        assert found.value == pytest.approx(value, abs=found.bound + 1e-9 * abs(value - 1), rel=0)


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=3, max_size=20))
def test_intervals_are_those_of_the_influence_of_each_row(rows: list[Row]) -> None:
    f, y = (np.array(column) for column in zip(*rows, strict=True))
    e, n = f - y, len(rows)
    for name, terms in (("bias", e), ("mae", np.abs(e))):
        found, half = metric(name, rows), 1.959963984540054 * terms.std(ddof=1) / math.sqrt(n)
        assert found.upper == pytest.approx(terms.mean() + half, abs=1e-6)
    found, half = metric("rmse", rows), 1.959963984540054 * (e * e).std(ddof=1) / math.sqrt(n)
    assert found.upper == pytest.approx(math.sqrt((e * e).mean() + half), abs=1e-4, rel=1e-6)
    found, spread = metric("r2", rows), y.var()
    if found.value is None or spread < 1e-3:
        return
    influence = e * e / spread - (e * e).mean() / spread**2 * (y - y.mean()) ** 2
    half = 1.959963984540054 * math.sqrt((influence**2).mean() / n)
    if found.lower is not None:
        assert found.value - found.lower == pytest.approx(half, rel=1e-4, abs=1e-4)
    else:
        assert half < 1e-3


@given(rows_strategy, st.integers(0, 25))
def test_any_split_of_the_rows_merges_to_the_whole(rows: list[Row], cut: int) -> None:
    merged = cells_of(rows[:cut]) + cells_of(rows[cut:])
    assert np.array_equal(cells_of(rows).array, merged.array)


@given(rows_strategy, rows_strategy)
def test_retracting_rows_restores_the_window(kept: list[Row], taken: list[Row]) -> None:
    cells = cells_of(kept)
    before = cells.array.copy()
    cell, amount = contribution(taken)
    cells.add(np.zeros(len(taken), np.int64), cell, amount)
    cells.add(np.zeros(len(taken), np.int64), cell, -amount)
    assert np.array_equal(cells.array, before)


@given(st.lists(rows_strategy, min_size=1, max_size=5))
def test_a_window_says_the_same_whatever_is_evaluated_along(windows: list[list[Row]]) -> None:
    together = Cells(PRICES.cells, np.concatenate([cells_of(rows).array for rows in windows]))
    found = evaluate(PRICES, together)
    for i, rows in enumerate(windows):
        alone = evaluate(PRICES, cells_of(rows))
        for name, column in found.items():
            assert column.at(i) == alone[name].at(0), name


@given(st.lists(st.tuples(st.integers(0, 2**44), st.integers(0, 2**44)), min_size=1, max_size=20))
def test_limbs_add_up_to_the_product(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    once = product(limbs(a, 2), limbs(b, 2), 3)
    twice = product(once, once, 6)
    assert once.min() >= 0
    assert max(once.max(), twice.max()) < 2**30
    cells = PRICES.cells.zeros()
    cells.array[0, PRICES.cells.slice("error2")] = once.sum(axis=1)
    cells.array[0, PRICES.cells.slice("error4")] = twice.sum(axis=1)
    assert totals(cells, "error2") == [sum(x * y for x, y in pairs)]
    assert totals(cells, "error4") == [sum((x * y) ** 2 for x, y in pairs)]
