"""Metrics estimated without labels: NannyML's table on car_loan, and the shape of the calibration."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import Int64s
from monitor.metrics.binary import SCORE_BINS
from monitor.metrics.without_labels import Calibration, estimate
from monitor.windows.view import Undefined

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
TABLE = {
    (row["kind"], row["name"], int(row["chunk"]) + (10 if row["period"] == "analysis" else 0)): row
    for row in csv.DictReader((REFERENCE / "nannyml_car_loan.csv").read_text().splitlines())
}
METRICS = ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc")


@cache
def car_loan() -> tuple[Int64s, Int64s, Int64s]:
    """Score bin, predicted class and label of 100,000 loans in order; the first half is the reference."""
    with np.load(REFERENCE / "car_loan.npz") as archive:
        hundredths, predicted, repaid = (
            archive[name].astype(np.int64) for name in ("hundredths", "predicted", "repaid")
        )
    bins = np.minimum(hundredths * SCORE_BINS // 100, SCORE_BINS - 1)
    return bins, predicted, repaid


@cache
def calibration() -> Calibration:
    bins, _, repaid = (column[:50_000] for column in car_loan())
    return Calibration.of(np.bincount(bins[repaid == 1], minlength=SCORE_BINS), np.bincount(bins, minlength=SCORE_BINS))


def chunks(called: int) -> Int64s:
    bins, predicted, _ = car_loan()
    halves = zip(np.split(bins, 20), np.split(predicted, 20), strict=True)
    return np.array([np.bincount(b[p == called], minlength=SCORE_BINS) for b, p in halves])


@pytest.mark.parametrize("metric", METRICS)
def test_estimates_on_bins_are_nannymls(metric: str) -> None:
    found = estimate(calibration(), chunks(1), chunks(0))[metric]
    for chunk in range(20):
        row = TABLE["cbpe", metric, chunk]
        assert found.value[chunk] == pytest.approx(float(row["value"]), abs=1e-4 if metric == "roc_auc" else 1e-6)


@pytest.mark.parametrize("metric", METRICS[:-1])
def test_the_interval_holds_the_truth_that_came_later_while_nothing_changed(metric: str) -> None:
    found = estimate(calibration(), chunks(1), chunks(0))[metric]
    truth = np.array([float(TABLE["realized", metric, chunk]["value"]) for chunk in range(15)])
    inside = (found.lower[:15] <= truth) & (truth <= found.upper[:15])
    assert inside.sum() >= 13  # 95 % of 15, and two standard errors; from the sixteenth chunk on the world is another
    assert float((found.upper - found.lower).max()) < 0.05


def test_the_drop_of_car_loan_is_estimated_before_the_labels() -> None:
    """From its sixth chunk on, the second half is worse; NannyML's own thresholds say so too."""
    found = estimate(calibration(), chunks(1), chunks(0))["accuracy"]
    before, after = found.value[10:15], found.value[15:]
    assert float(found.upper[15:].max()) < float(found.lower[10:15].min())
    assert float(before.min() - after.max()) > 0.01


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40))
def test_a_calibration_never_falls_and_keeps_the_number_of_positives(cells: list[tuple[int, int]]) -> None:
    positives = np.array([p for p, _ in cells])
    rows = positives + np.array([n for _, n in cells])
    if not rows.sum():
        with pytest.raises(ValueError, match="this reference has none"):
            Calibration.of(positives, rows)
        return
    chance = Calibration.of(positives, rows).chance
    assert (np.diff(chance) >= -1e-15).all()
    assert float(chance @ rows) == pytest.approx(float(positives.sum()))
    assert ((chance >= 0) & (chance <= 1)).all()


def test_bins_without_reference_rows_lie_between_their_neighbours() -> None:
    fitted = Calibration.of(np.array([0, 1, 0, 0, 4, 0]), np.array([0, 10, 0, 0, 10, 0]))
    assert fitted.chance.tolist() == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_a_window_without_rows_or_without_a_class_says_so() -> None:
    fitted = Calibration.of(np.array([0, 5]), np.array([5, 5]))
    found = estimate(fitted, np.array([[0, 0], [0, 3]]), np.array([[0, 0], [0, 0]]))
    assert found["accuracy"].at(0).undefined is Undefined.NO_ROWS
    assert found["accuracy"].at(1).value == 1.0
    assert found["specificity"].at(1).undefined is Undefined.ZERO_DENOMINATOR
    assert found["roc_auc"].at(1).undefined is Undefined.ONE_CLASS
