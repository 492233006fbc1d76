"""What multiclass models say of the probabilities of classes: against scikit-learn, and by their definitions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.editions import FIRST, NEWEST
from monitor.metrics import confidence, one_vs_rest
from monitor.metrics.multiclass import ORDER, PER_CLASS, Multiclass
from monitor.metrics.task import evaluate
from monitor.sketches.cells import Cells
from monitor.windows.view import Estimate, Undefined

NAMES = ("cat", "dog", "eel", "fox")
TASK = Multiclass(NAMES, scored=NAMES, one_vs_rest=True)
LATER = ("top2_accuracy", "top3_accuracy", "brier", "ece", "roc_auc_macro")
Row = tuple[int, int, tuple[float, ...]]
"""Label, answer, probabilities; code 4 is a class that nobody lists."""

shares = st.sampled_from([0.0, 1e-9, 0.1, 0.25, 0.25, 0.5, 1.0 - 2.0**-30, 1.0])
row = st.tuples(st.integers(0, 4), st.integers(0, 4), st.tuples(shares, shares, shares, shares))
rows_strategy = st.lists(row, min_size=1, max_size=30)


def columns(rows: list[Row]) -> tuple[Any, Any, Any]:
    label, answer = (np.array([one[i] for one in rows], np.float64) for i in (0, 1))
    return label, answer, np.array([one[2] for one in rows], np.float64).reshape(len(rows), -1)


def cells_of(rows: list[Row], task: Multiclass = TASK) -> Cells:
    label, answer, scores = columns(rows)
    cells = task.cells.zeros()
    cells.add(np.zeros(len(rows), np.int64), *task.contribute(answer, answer, label, 1.0, scores))
    return cells


def metric(name: str, rows: list[Row], task: Multiclass = TASK) -> Estimate:
    return evaluate(task, cells_of(rows, task), [name])[name].at(0)


@given(rows_strategy)
def test_first_classes_are_scikit_learns_ties_among_them(rows: list[Row]) -> None:
    from sklearn.metrics import top_k_accuracy_score

    label, _, scores = columns(rows)
    listed = label < len(NAMES)
    for k in (2, 3):
        found = metric(f"top{k}_accuracy", rows)
        hits = 0.0
        if listed.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                hits = top_k_accuracy_score(
                    label[listed], scores[listed], k=k, labels=range(len(NAMES)), normalize=False
                )
        assert found.value == pytest.approx(hits / len(rows))
        assert found.rows == len(rows)


@given(rows_strategy)
def test_brier_and_calibration_are_as_defined(rows: list[Row]) -> None:
    label, answer, scores = columns(rows)
    truth = np.eye(len(NAMES) + 1)[label.astype(int)]
    given = np.column_stack((scores, np.zeros(len(rows))))
    terms = ((given - truth) ** 2).sum(axis=1)
    found = metric("brier", rows)
    assert found.value == pytest.approx(terms.mean(), abs=found.bound + 1e-12)
    if len(rows) > 1:
        half = 1.959963984540054 * terms.std(ddof=1) / np.sqrt(len(rows))
        assert found.upper == pytest.approx(min(terms.mean() + half, 5.0), abs=2e-3)
    said, right = given[np.arange(len(rows)), answer.astype(int)], (label == answer).astype(float)
    sure = answer < len(NAMES)
    found = metric("ece", rows)
    assert found.rows == sure.sum()
    if not sure.any():
        assert found.undefined is Undefined.NO_SCORE
        return
    for bins in (10, 12, 15, 20, 24):
        place = np.minimum(np.searchsorted(np.arange(1, bins) / bins, said, side="right"), bins - 1)
        gaps = [abs((right - said)[sure & (place == i)].sum()) for i in range(bins)]
        estimate = confidence.calibration_error(cells_of(rows), bins).at(0)
        assert estimate.value == pytest.approx(sum(gaps) / sure.sum(), abs=estimate.bound + 1e-12), bins


@given(rows_strategy)
def test_areas_are_scikit_learns_within_their_bound(rows: list[Row]) -> None:
    from sklearn.metrics import roc_auc_score

    label, _, scores = columns(rows)
    areas = []
    for i, name in enumerate(NAMES):
        own, found = label == i, metric(f"roc_auc:{name}", rows)
        if own.all() or not own.any():
            assert found.undefined is Undefined.ONE_CLASS
            continue
        areas.append(roc_auc_score(own, scores[:, i]))
        assert found.value == pytest.approx(areas[-1], abs=found.bound + 1e-12)
    found = metric("roc_auc_macro", rows)
    if areas:
        assert found.value == pytest.approx(np.mean(areas), abs=found.bound + 1e-12)
    else:
        assert found.undefined is Undefined.ONE_CLASS


def test_bins_of_areas_are_fine_where_probabilities_are() -> None:
    assert (np.diff(one_vs_rest.EDGES) > 0).all()
    assert f"in {one_vs_rest.BINS} bins" in (one_vs_rest.__doc__ or "")
    draw = np.random.default_rng(3)
    tiny = np.exp(-draw.exponential(3.0, 4_000) - 6.0)  # hardly a pair of them in bins of equal width
    rows: list[Row] = [(int(draw.random() < 0.5), 0, (float(p), 1.0 - float(p), 0.0, 0.0)) for p in tiny]
    for name in ("cat", "dog"):
        assert metric(f"roc_auc:{name}", rows).bound < 0.06


def test_the_interval_of_the_mean_area_covers_it() -> None:
    draw, runs, held = np.random.default_rng(5), 300, 0
    many = draw.integers(0, 4, 200_000)

    def scores_of(label: Any) -> Any:
        raw = draw.normal(size=(len(label), 4)) + 1.5 * np.eye(4)[label]
        return np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)

    def said(label: Any) -> Estimate:
        cells, scores = TASK.cells.zeros(), scores_of(label)
        answer = scores.argmax(axis=1).astype(float)
        cells.add(np.zeros(len(label), np.int64), *TASK.contribute(answer, answer, label.astype(float), 1.0, scores))
        return evaluate(TASK, cells, ["roc_auc_macro"])["roc_auc_macro"].at(0)

    truth = said(many).value or 0.0
    for _ in range(runs):
        found = said(draw.integers(0, 4, 250))
        assert found.lower is not None
        assert found.upper is not None
        held += found.lower <= truth <= found.upper
    assert held / runs > 0.95


def test_a_row_without_one_of_the_probabilities_is_not_ranked() -> None:
    nan = float("nan")
    rows: list[Row] = [(0, 0, (0.5, 0.3, 0.1, 0.1)), (1, 0, (0.5, nan, 0.1, 0.1))]
    for name in LATER[:4]:
        assert metric(name, rows).rows == 1
    assert metric("top2_accuracy", rows).value == 1.0
    assert metric("log_loss", rows).rows == 1
    assert metric("brier", rows[1:]).undefined is Undefined.NO_SCORE


def test_order_of_the_configuration_does_not_matter() -> None:
    turned = Multiclass(NAMES[::-1], coded=NAMES, scored=NAMES)
    rows: list[Row] = [(2, 2, (0.25, 0.25, 0.25, 0.25)), (0, 1, (0.25, 0.25, 0.25, 0.25))]
    for name in ("top2_accuracy", "top3_accuracy", "brier", "ece"):
        assert metric(name, rows, turned) == metric(name, rows)
    # Of four alike the later name stands first: eel is second, cat is last.
    assert metric("top2_accuracy", rows).value == 0.5
    assert metric("top3_accuracy", rows).value == 0.5


def test_without_probabilities_metrics_say_so() -> None:
    plain = Multiclass(NAMES)
    found = evaluate(plain, plain.cells.zeros(), LATER[:4])
    assert {one.at(0).undefined for one in found.values()} == {Undefined.NO_ROWS}
    cells = plain.cells.zeros()
    cells.add(np.zeros(1, np.int64), *plain.contribute(np.zeros(1), np.zeros(1), np.zeros(1), 1.0))
    assert {one.at(0).undefined for one in evaluate(plain, cells, LATER[:4]).values()} == {Undefined.NO_SCORE}
    assert plain.cells == plain.of_edition(FIRST).cells


def test_few_classes_have_few_first_ones() -> None:
    assert "top2_accuracy" not in Multiclass(NAMES[:2], scored=NAMES[:2]).metrics
    assert [name for name in Multiclass([*NAMES, "gnu", "hen"]).metrics if name.startswith("top")] == [
        "top2_accuracy", "top3_accuracy", "top5_accuracy",
    ]  # fmt: skip


@given(rows_strategy, rows_strategy)
def test_rows_that_are_taken_back_leave_nothing(kept: list[Row], taken: list[Row]) -> None:
    cells = cells_of(kept)
    label, answer, scores = columns(taken)
    cell, amount = TASK.contribute(answer, answer, label, 1.0, scores)
    cells.add(np.zeros(len(taken), np.int64), cell, amount)
    cells.add(np.zeros(len(taken), np.int64), cell, -amount)
    assert np.array_equal(cells.array, cells_of(kept).array)


@given(rows_strategy)
def test_edition_1_has_the_first_cells_and_metrics_of_the_newest(rows: list[Row]) -> None:
    first = TASK.of_edition(FIRST)
    per_class = [f"{name}:{each}" for each in (*NAMES, "other") for name in PER_CLASS]
    assert list(first.metrics) == [*ORDER, *per_class]
    assert set(TASK.of_edition(NEWEST).metrics) == set(TASK.metrics) > set(first.metrics)
    now, then = cells_of(rows), cells_of(rows, first)
    assert np.array_equal(now.array[:, : first.cells.size], then.array)
    said = evaluate(TASK, now)
    assert {name: one.at(0) for name, one in evaluate(first, then).items()} == {
        name: said[name].at(0) for name in first.metrics
    }
