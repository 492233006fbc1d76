"""Binary classification: what a row adds, and what windows say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.metrics.binary import BINARY, LAYOUT, SCORE_BINS, WIDTH
from monitor.metrics.task import Task, evaluate
from monitor.sketches.cells import Cells
from monitor.windows.view import Estimate, Undefined
from tests.metrics.rows import Rows, cells_of, rows_of, rows_strategy

NAN = math.nan


def metric(name: str, rows: Rows) -> Estimate:
    return evaluate(BINARY, cells_of(rows), [name])[name].at(0)


def test_binary_is_a_task_whose_vector_starts_with_seen_and_labelled() -> None:
    task: Task = BINARY
    assert task.name == "binary"
    assert task.cells.names[:2] == ("seen", "labelled")
    assert task.cells.size == 11 + 2 * SCORE_BINS


@pytest.mark.parametrize(
    ("predicted", "label", "cell"), [(1.0, 1.0, "tp"), (1.0, 0.0, "fp"), (0.0, 1.0, "fn"), (0.0, 0.0, "tn")]
)
def test_a_row_is_counted_in_one_cell_of_the_confusion_matrix(predicted: float, label: float, cell: str) -> None:
    cells = cells_of(rows_of((0.3, predicted, label)))
    counts = {name: int(cells.count(name)[0]) for name in ("tp", "fp", "fn", "tn")}
    assert counts == {name: int(name == cell) for name in counts}
    assert cells.count("labelled")[0] == cells.count("scored")[0] == 1


def test_the_positive_class_may_have_another_number() -> None:
    rows = Rows(np.array([0.9, 0.2]), np.array([1.0, 0.0]), np.array([7.0, 1.0]))
    cells = cells_of(rows, positive=7.0)
    assert (int(cells.count("tp")[0]), int(cells.count("tn")[0])) == (1, 1)
    assert cells.histogram("positives").sum() == 1


def test_contributing_leaves_seen_to_the_engine_and_has_a_fixed_width() -> None:
    cell, amount = BINARY.contribute(np.array([0.5, NAN]), np.array([1.0, 0.0]), np.array([1.0, 1.0]), 1.0)
    assert cell.shape == amount.shape == (2, WIDTH)
    assert cell.dtype == np.int32
    assert amount.dtype == np.int64
    assert LAYOUT.index("seen") not in cell


def test_a_row_without_a_score_counts_in_the_matrix_only() -> None:
    cells = cells_of(rows_of((NAN, 1.0, 1.0)))
    assert {name: int(cells.array[0, LAYOUT.slice(name)].sum()) for name in LAYOUT.names if name != "seen"} == {
        "labelled": 1,
        "tp": 1,
        **dict.fromkeys(("fp", "fn", "tn", "scored", "log_loss", "log_loss_squares", "brier", "brier_squares"), 0),
        "positives": 0,
        "negatives": 0,
    }


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.0, 0), (1 / 1200, 1), (0.5, 600), (0.999999, 1199), (1.0, 1199), (0.1, 120), (0.29, 348), (0.57, 684)],
)
def test_score_bins_are_open_above_and_the_last_is_closed(score: float, expected: int) -> None:
    histogram = cells_of(rows_of((score, 1.0, 0.0))).histogram("negatives")[0]
    assert np.flatnonzero(histogram).tolist() == [expected]


def test_edges_of_ten_fifteen_and_twenty_bins_are_edges_of_the_score_bins() -> None:
    for bins in (10, 12, 15, 20, 24):
        for j in range(1, bins):
            histogram = cells_of(rows_of((j / bins, 1.0, 1.0))).histogram("positives")[0]
            assert np.flatnonzero(histogram).tolist() == [j * SCORE_BINS // bins]


def test_every_bin_begins_at_its_edge_and_not_a_double_before() -> None:
    edges = np.arange(1, SCORE_BINS) / SCORE_BINS
    for score, expected in ((edges, np.arange(1, SCORE_BINS)), (np.nextafter(edges, 0.0), np.arange(SCORE_BINS - 1))):
        cell, _ = BINARY.contribute(score, np.ones_like(score), np.ones_like(score), 1.0)
        assert np.array_equal(cell[:, -1] - LAYOUT.index("positives"), expected)


def test_a_certain_and_wrong_score_costs_the_clipped_loss() -> None:
    wrong = metric("log_loss", rows_of((0.0, 0.0, 1.0)))
    right = metric("log_loss", rows_of((1.0, 1.0, 1.0)))
    assert wrong.value == pytest.approx(-math.log(1e-15), abs=2**-31)
    assert right.value == 0.0


@given(rows_strategy(), st.integers(0, 40))
def test_any_split_of_the_rows_merges_to_the_whole(rows: Rows, cut: int) -> None:
    whole = cells_of(rows)
    merged = cells_of(rows[:cut]) + cells_of(rows[cut:])
    assert np.array_equal(whole.array, merged.array)


@given(rows_strategy(), rows_strategy())
def test_retracting_rows_restores_the_window(kept: Rows, taken: Rows) -> None:
    cells = cells_of(kept)
    before = cells.array.copy()
    where = np.zeros(len(taken), dtype=np.int64)
    cell, amount = BINARY.contribute(taken.score, taken.predicted, taken.label, 1.0)
    cells.add(where, cell, amount)
    cells.add(where, cell, -amount)
    assert np.array_equal(cells.array, before)


@given(rows_strategy().flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(range(len(rows))))))
def test_the_order_of_rows_does_not_matter(drawn: tuple[Rows, list[int]]) -> None:
    rows, order = drawn
    assert np.array_equal(cells_of(rows).array, cells_of(rows[order]).array)


@given(rows_strategy(), st.data())
def test_a_window_is_evaluated_to_the_same_bits_alone_and_among_others(rows: Rows, data: st.DataObject) -> None:
    window = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    cells = cells_of(rows, window, windows=5)
    together = evaluate(BINARY, cells)
    for i in range(5):
        alone = evaluate(BINARY, Cells(LAYOUT, cells.array[i : i + 1].copy()))
        assert {name: column.at(i) for name, column in together.items()} == {
            name: column.at(0) for name, column in alone.items()
        }


@given(rows_strategy())
@example(rows_of((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)))  # mcc: -1.0000000000000002
def test_a_value_lies_in_its_interval_and_range_or_there_is_a_reason(rows: Rows) -> None:
    for name, column in evaluate(BINARY, cells_of(rows)).items():
        found = column.at(0)
        lowest = -1.0 if name in ("mcc", "kappa", "gini") else 0.0
        assert (found.value is None) == (found.undefined is not None)
        if found.value is not None:
            assert lowest <= found.value <= (35.0 if name == "log_loss" else 1.0)
            if found.lower is not None and found.upper is not None:
                assert lowest <= found.lower <= found.value + 1e-12
                assert found.value - 1e-12 <= found.upper
        else:
            assert found.lower is found.upper is None


@given(rows_strategy(score=st.floats(0.0, 1.0)))
def test_counts_and_losses_equal_a_plain_recount(rows: Rows) -> None:
    pairs = list(zip(rows.score.tolist(), rows.predicted.tolist(), rows.label.tolist(), strict=True))
    expected_accuracy = Fraction(sum(p == y for _, p, y in pairs), len(pairs)) if pairs else None
    found = {name: column.at(0) for name, column in evaluate(BINARY, cells_of(rows)).items()}
    if expected_accuracy is None:
        assert {estimate.undefined for estimate in found.values()} == {Undefined.NO_ROWS}
        return
    assert found["accuracy"].value == float(expected_accuracy)
    brier = sum((s - y) ** 2 for s, _, y in pairs) / len(pairs)
    loss = -sum(math.log(max(s if y else 1 - s, 1e-15)) for s, _, y in pairs) / len(pairs)
    for name, expected in (("brier", brier), ("log_loss", loss)):
        value = found[name].value
        assert value is not None
        assert abs(value - expected) <= found[name].bound + 1e-12


NOTHING = rows_of()
ALL_NEGATIVE = rows_of((0.2, 0.0, 0.0), (0.6, 0.0, 0.0))
NEVER_CALLED = rows_of((0.2, 0.0, 0.0), (0.4, 0.0, 1.0))
ALWAYS_RIGHT_POSITIVE = rows_of((0.9, 1.0, 1.0), (0.8, 1.0, 1.0))
WITHOUT_SCORES = rows_of((NAN, 1.0, 1.0), (NAN, 0.0, 0.0))


@pytest.mark.parametrize(
    ("rows", "name", "reason"),
    [
        *((NOTHING, name, Undefined.NO_ROWS) for name in BINARY.metrics),
        (ALL_NEGATIVE, "precision", Undefined.ZERO_DENOMINATOR),
        (ALL_NEGATIVE, "recall", Undefined.ZERO_DENOMINATOR),
        (ALL_NEGATIVE, "f1", Undefined.ZERO_DENOMINATOR),
        (ALL_NEGATIVE, "balanced_accuracy", Undefined.ONE_CLASS),
        (ALL_NEGATIVE, "mcc", Undefined.ONE_CLASS),
        (ALL_NEGATIVE, "roc_auc", Undefined.ONE_CLASS),
        (ALL_NEGATIVE, "average_precision", Undefined.ONE_CLASS),
        (NEVER_CALLED, "precision", Undefined.ZERO_DENOMINATOR),
        (NEVER_CALLED, "mcc", Undefined.ZERO_DENOMINATOR),
        (ALWAYS_RIGHT_POSITIVE, "specificity", Undefined.ZERO_DENOMINATOR),
        (ALWAYS_RIGHT_POSITIVE, "fpr", Undefined.ZERO_DENOMINATOR),
        (ALWAYS_RIGHT_POSITIVE, "npv", Undefined.ZERO_DENOMINATOR),
        (ALWAYS_RIGHT_POSITIVE, "roc_auc", Undefined.ONE_CLASS),
        (ALWAYS_RIGHT_POSITIVE, "kappa", Undefined.ONE_CLASS),
        (WITHOUT_SCORES, "log_loss", Undefined.NO_SCORE),
        (WITHOUT_SCORES, "brier", Undefined.NO_SCORE),
        (WITHOUT_SCORES, "roc_auc", Undefined.NO_SCORE),
        (WITHOUT_SCORES, "average_precision", Undefined.NO_SCORE),
        (WITHOUT_SCORES, "ece", Undefined.NO_SCORE),
    ],
)
def test_an_undefined_metric_says_why(rows: Rows, name: str, reason: Undefined) -> None:
    found = metric(name, rows)
    assert found.undefined is reason
    assert found.value is found.lower is found.upper is None


def test_f1_is_zero_and_defined_when_everything_positive_was_missed() -> None:
    found = metric("f1", NEVER_CALLED)
    assert (found.value, found.undefined, found.rows) == (0.0, None, 1)


def test_rows_are_the_denominator_of_each_metric() -> None:
    rows = rows_of((0.9, 1.0, 1.0), (0.8, 1.0, 0.0), (0.7, 0.0, 1.0), (NAN, 0.0, 0.0), (0.1, 0.0, 0.0))
    counted = {name: column.at(0).rows for name, column in evaluate(BINARY, cells_of(rows)).items()}
    assert counted == {
        "accuracy": 5,
        "precision": 2,
        "recall": 2,
        "f1": 3,
        "f0_5": 3,
        "f2": 3,
        "specificity": 3,
        "npv": 3,
        "fpr": 3,
        "balanced_accuracy": 5,
        "g_mean": 5,
        "mcc": 5,
        "kappa": 5,
        "prevalence": 5,
        "log_loss": 4,
        "brier": 4,
        "ece": 4,
        "rmsce": 4,
        "mce": 4,
        "roc_auc": 4,
        "gini": 4,
        "ks_classes": 4,
        "average_precision": 4,
    }


def test_one_row_has_a_loss_but_no_interval_of_it() -> None:
    found = metric("brier", rows_of((0.5, 1.0, 1.0)))
    assert (found.value, found.lower, found.upper) == (0.25, None, None)


def test_only_the_metrics_asked_for_are_computed() -> None:
    cells = cells_of(ALL_NEGATIVE)
    assert list(evaluate(BINARY, cells, ["recall", "accuracy"])) == ["accuracy", "recall"]
    assert list(evaluate(BINARY, cells)) == list(BINARY.metrics)


def test_an_unknown_metric_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="'binary' has no metric 'acuracy'; it has accuracy, precision"):
        evaluate(BINARY, LAYOUT.zeros(), ["acuracy"])


def test_the_worst_losses_of_a_hundred_million_rows_fit_their_cells() -> None:
    _, amount = BINARY.contribute(np.array([0.0]), np.array([0.0]), np.array([1.0]), 1.0)
    assert int(amount.max()) * 100_000_000 < 2**62
    squares = int(amount[0, 3])
    assert squares * 3_000_000_000 < 2**62
