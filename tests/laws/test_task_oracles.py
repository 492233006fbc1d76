"""Multiclass and regression metrics against results that scikit-learn gave on public data, and against scikit-learn itself."""

from __future__ import annotations

import math
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.metrics.multiclass import ORDER, Multiclass
from monitor.metrics.regression import Regression
from monitor.metrics.task import Task, evaluate
from monitor.sketches.cells import Cells
from tests.metrics.streams import Stream, approval, segments


def cells_of(task: Task, stream: Stream) -> Cells:
    """The windows of the stream's table, evaluated together."""
    cells = task.cells.zeros(len(stream.table))
    for i, row in enumerate(stream.table):
        part = stream.part(row["window"])
        predicted, label = stream.predicted[part], stream.label[part]
        where = np.full(len(label), i)
        contribution = task.contribute(predicted, predicted, label, 1.0, stream.probabilities[part])
        cells.add(where, *contribution)
        assert cells.count("labelled")[i] == int(row["n"])
    return cells


OF_PROBABILITIES = {
    "top2_accuracy": ("top2_accuracy", 1e-9),
    "brier": ("brier_multiclass", 1e-9),
    "ece": ("ece15_top1_torchmetrics", 1e-6),
    "roc_auc_macro": ("roc_auc_ovr_macro", 1e-9),
}
"""Metrics of the table by their column, with what is allowed beside the bound: torchmetrics adds up in single precision."""


def test_every_window_of_the_segments_is_scikit_learns() -> None:
    stream = segments()
    task = Multiclass(stream.classes, stream.classes, stream.classes, one_vs_rest=True)
    found = evaluate(task, cells_of(task, stream))
    columns = [name for name in ORDER if name in stream.table[0]]
    assert columns == list(ORDER)
    for i, row in enumerate(stream.table):
        for name in columns:
            assert found[name].at(i).value == pytest.approx(float(row[name]), abs=1e-9, rel=0), (row["window"], name)
        for name, (column, allowed) in OF_PROBABILITIES.items():
            one = found[name].at(i)
            assert one.bound < 0.02
            assert one.value == pytest.approx(float(row[column]), abs=allowed + one.bound, rel=0), (row["window"], name)


NUMBERS = {
    **{name: (name, 1e-9) for name in ("bias", "mae", "mse", "rmse", "r2", "explained_variance", "pinball_0_9")},
    "mape": ("mape", 2e-9),
    "correlation": ("pearson", 1e-9),
    "median_ae": ("median_ae", 1 / 16),
    "max_error": ("max_error", 1 / 32),
}
"""Metrics of the table by their column, and how large their bound may be beside the value (1 where that is less)."""


def test_every_window_of_the_approval_ratings_is_scikit_learns() -> None:
    stream = approval()
    task = Regression(100.0)
    found = evaluate(task, cells_of(task, stream))
    for i, row in enumerate(stream.table):
        for name, (column, largest_bound) in NUMBERS.items():
            estimate = found[name].at(i)
            assert estimate.bound < largest_bound * max(abs(float(row[column])), 1.0)
            expected = pytest.approx(float(row[column]), abs=1e-9 + estimate.bound, rel=0)
            assert estimate.value == expected, (row["window"], name)


classes = st.integers(0, 3)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=60))
def test_any_matrix_has_the_averages_that_scikit_learn_gives(rows: list[tuple[int, int]]) -> None:
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        cohen_kappa_score,
        matthews_corrcoef,
        precision_recall_fscore_support,
    )

    label, predicted = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    task = Multiclass(("a", "b", "c"))  # code 3 is `other`, a class like the others
    cells = task.cells.zeros()
    cells.add(np.zeros(len(rows), np.int64), *task.contribute(label, predicted, label, 1.0))
    found = {name: column.at(0) for name, column in evaluate(task, cells).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a single label, or a class that only predictions have
        for average in ("macro", "micro", "weighted"):
            expected = precision_recall_fscore_support(label, predicted, average=average, zero_division=0.0)[:3]
            for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
                assert found[f"{name}_{average}"].value == pytest.approx(value, abs=1e-12), (name, average)
        each = precision_recall_fscore_support(label, predicted, labels=range(4), average=None, zero_division=np.nan)[
            :3
        ]
        assert found["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(label, predicted), abs=1e-12)
        correlation = matthews_corrcoef(label, predicted)
        agreement = cohen_kappa_score(label, predicted)
    assert found["accuracy"].value == pytest.approx(accuracy_score(label, predicted), abs=1e-12)
    for name, values in zip(("precision", "recall", "f1"), each, strict=True):
        for of, value in zip((*"abc", "other"), values, strict=True):
            own = found[f"{name}:{of}"].value
            assert own == (None if math.isnan(value) else pytest.approx(value, abs=1e-12)), (name, of)
    assert found["kappa"].value == (None if len({*label, *predicted}) == 1 else pytest.approx(agreement, abs=1e-12))
    single = len(set(label)) == 1 or len(set(predicted)) == 1
    assert found["mcc"].value == (None if single else pytest.approx(correlation, abs=1e-12))


numbers = st.floats(-1000.0, 1000.0)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_any_numbers_have_the_errors_that_scikit_learn_gives(rows: list[tuple[float, float]]) -> None:
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    predicted, label = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    task = Regression(1024.0)
    cells = task.cells.zeros()
    cells.add(np.zeros(len(rows), np.int64), *task.contribute(predicted, predicted, label, 1.0))
    found = {name: column.at(0) for name, column in evaluate(task, cells).items()}
    close = partial(pytest.approx, abs=2 * task.resolution, rel=1e-12)
    assert found["bias"].value == close(float(np.mean(predicted - label)))
    assert found["mae"].value == close(mean_absolute_error(label, predicted))
    assert found["rmse"].value == close(root_mean_squared_error(label, predicted))
    r2 = found["r2"]
    if r2.value is None:
        assert np.std(label) <= 2 * task.resolution
    else:
        assert r2.value == pytest.approx(r2_score(label, predicted), abs=2 * r2.bound, rel=1e-9)
