"""Multiclass classification: what a row adds, and what windows say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.metrics.multiclass import MOST_CLASSES, ORDER, Multiclass
from monitor.metrics.task import Task, evaluate
from monitor.sketches.cells import Cells
from monitor.windows.view import Estimate, Undefined

NAN = math.nan
CLASSES = ("bird", "cat", "dog")
ANIMALS = Multiclass(CLASSES, CLASSES, ("cat", "dog"))
OTHER = 3

Row = tuple[float, float, float, float]
"""Predicted code, actual code, probabilities of cat and of dog."""


def contribution(rows: list[Row], task: Multiclass = ANIMALS) -> Any:
    columns = np.array(rows, np.float64).reshape(len(rows), 4)
    score = np.full(len(rows), NAN)
    return task.contribute(score, columns[:, 0], columns[:, 1], 1.0, columns[:, 2:])


def cells_of(rows: list[Row], task: Multiclass = ANIMALS) -> Cells:
    cells = task.cells.zeros()
    cells.add(np.zeros(len(rows), np.int64), *contribution(rows, task))
    cells.count("seen")[0] = len(rows)
    return cells


def metric(name: str, rows: list[Row]) -> Estimate:
    return evaluate(ANIMALS, cells_of(rows), [name])[name].at(0)


codes = st.sampled_from([0.0, 1.0, 2.0, 3.0])
probabilities = st.one_of(st.floats(0.0, 1.0), st.just(NAN))
rows_strategy = st.lists(st.tuples(codes, codes, probabilities, probabilities), max_size=30)


def test_multiclass_is_a_task_whose_vector_starts_with_seen_and_labelled() -> None:
    task: Task = ANIMALS
    assert task.name == "multiclass"
    assert task.cells.names[:2] == ("seen", "labelled")
    assert task.cells.part("confusion").size == 16
    assert list(task.metrics) == [
        *ORDER,
        *("top2_accuracy", "brier", "ece"),
        *(f"{m}:{c}" for c in (*CLASSES, "other") for m in ("precision", "recall", "f1")),
    ]


def test_contributing_leaves_seen_to_the_engine_and_has_a_fixed_width() -> None:
    cell, amount = contribution([(0, 1, 0.5, NAN), (2, 3, NAN, NAN)])
    assert cell.shape == amount.shape == (2, 5 + 6)
    assert (cell.dtype, amount.dtype) == (np.int32, np.int64)
    assert ANIMALS.cells.index("seen") not in cell


def test_the_matrix_is_told_by_name_and_without_zeros() -> None:
    cells = cells_of([(1, 1, NAN, NAN), (1, 1, NAN, NAN), (2, 1, NAN, NAN), (0, OTHER, NAN, NAN)])
    assert ANIMALS.table(cells) == [
        {"confusion:cat:cat": 2, "confusion:cat:dog": 1, "confusion:other:bird": 1},
    ]


def test_a_class_that_another_model_has_is_other_to_this_one() -> None:
    task = Multiclass(("cat",), ("bird", "cat", "dog"))
    cells = task.cells.zeros()
    label, predicted = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 0.0, 3.0])
    cells.add(np.zeros(4, np.int64), *task.contribute(label, predicted, label, 1.0))
    assert task.table(cells) == [{"confusion:cat:cat": 1, "confusion:other:cat": 1, "confusion:other:other": 2}]


def test_the_loss_is_of_the_probability_given_to_the_actual_class() -> None:
    # bird has no probability, other never has one, and the last row's is absent
    rows: list[Row] = [(1, 1, 0.25, 0.7), (1, 2, 0.9, 0.0), (0, 0, 0.5, 0.5), (0, OTHER, 0.5, 0.5), (1, 1, NAN, 0.5)]
    loss = metric("log_loss", rows)
    assert loss.rows == 2
    assert loss.value == pytest.approx((-math.log(0.25) - math.log(1e-15)) / 2, abs=2**-31)
    assert loss.bound == 2**-31


def test_undefined_metrics_say_why() -> None:
    nothing = evaluate(ANIMALS, ANIMALS.cells.zeros())
    assert {column.at(0).undefined for column in nothing.values()} == {Undefined.NO_ROWS}
    one = [(1.0, 1.0, NAN, NAN)]
    assert metric("log_loss", one).undefined is Undefined.NO_SCORE
    assert metric("mcc", one).undefined is Undefined.ONE_CLASS
    for name in ("precision:dog", "recall:dog", "f1:dog"):
        assert metric(name, one).undefined is Undefined.ZERO_DENOMINATOR
    assert metric("recall:cat", one).value == 1.0
    assert metric("f1_macro", one).value == 1.0


def test_in_an_average_a_class_that_was_never_predicted_has_precision_zero() -> None:
    rows: list[Row] = [(1, 1, NAN, NAN), (1, 2, NAN, NAN)]
    assert metric("precision_macro", rows).value == 0.25
    assert metric("precision:dog", rows).undefined is Undefined.ZERO_DENOMINATOR


@given(rows_strategy, st.integers(0, 30))
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
    together = Cells(ANIMALS.cells, np.concatenate([cells_of(rows).array for rows in windows]))
    found = evaluate(ANIMALS, together)
    for i, rows in enumerate(windows):
        alone = evaluate(ANIMALS, cells_of(rows))
        for name, column in found.items():
            assert column.at(i) == alone[name].at(0), name


AVERAGES = (
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "f1_weighted",
    "balanced_accuracy",
    "mcc",
    "kappa",
)


@pytest.mark.parametrize("name", AVERAGES)
def test_intervals_are_those_of_the_delta_method(name: str) -> None:
    """The gradient by differences, against the one that is written out."""
    rng = np.random.default_rng(7)
    counts = rng.integers(5, 90, (4, 4)).astype(np.float64)

    def value(matrix: Any) -> float:
        cells = ANIMALS.cells.zeros()
        scale = 1 << 20
        cells.array[0, ANIMALS.cells.slice("confusion")] = np.rint(matrix * scale).astype(np.int64).reshape(-1)
        cells.array[0, ANIMALS.cells.index("labelled")] = 1
        found = evaluate(ANIMALS, cells, [name])[name].at(0).value
        assert found is not None
        return found

    gradient = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            step = np.zeros((4, 4))
            step[i, j] = 0.25
            gradient[i, j] = (value(counts + step) - value(counts - step)) / 0.5
    expected = 1.959963984540054 * math.sqrt((counts * gradient**2).sum())
    cells = ANIMALS.cells.zeros()
    cells.array[0, ANIMALS.cells.slice("confusion")] = counts.astype(np.int64).reshape(-1)
    cells.array[0, ANIMALS.cells.index("labelled")] = int(counts.sum())
    estimate = evaluate(ANIMALS, cells, [name])[name].at(0)
    assert estimate.value is not None
    assert estimate.upper is not None
    assert estimate.upper - estimate.value == pytest.approx(expected, rel=1e-3)


def test_as_many_classes_as_can_be_listed_work() -> None:
    names = tuple(f"c{i:02}" for i in range(MOST_CLASSES))
    task = Multiclass(names)
    label = np.arange(MOST_CLASSES + 1, dtype=np.float64)
    cells = task.cells.zeros()
    cells.add(np.zeros(len(label), np.int64), *task.contribute(label, label, label, 1.0))
    assert evaluate(task, cells, ["accuracy"])["accuracy"].at(0).value == 1.0
    assert len(task.table(cells)[0]) == MOST_CLASSES + 1
