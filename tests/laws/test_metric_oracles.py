"""Metrics against results that scikit-learn gave on public data, and cells against the bits they had before."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from monitor.metrics.binary import BINARY
from monitor.metrics.calibration import calibration_error, reliability
from monitor.metrics.task import evaluate
from monitor.sketches.cells import Cells

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
RATES = ["accuracy", "precision", "recall", "f1", "specificity", "balanced_accuracy", "mcc", "kappa"]
METRICS = [*RATES, "roc_auc", "average_precision", "log_loss", "brier"]
"""Columns of metrics_binary.csv that are metrics of the task `binary`; `base_rate` is `prevalence`."""


GOLDEN_DIGEST = "sha256:d49d163064caea68ac95b58d1468860423aa5c4e1c205d7228c5d33f64b55f2c"
"""Of the cells of january(): a processor or a library that changes one unit of one sum changes it."""


def phishing() -> tuple[Cells, list[dict[str, str]]]:
    """The cells of every row of metrics_binary.csv, evaluated together."""
    table = list(csv.DictReader((REFERENCE / "metrics_binary.csv").read_text().splitlines()))
    stream = np.load(REFERENCE / "stream_phishing_river_lr.npz")
    score, label = stream["p"].astype(np.float64), stream["y"].astype(np.float64)
    cells = BINARY.cells.zeros(len(table))
    for i, row in enumerate(table):
        part = slice(int(row["start"]), int(row["end"]))
        where = np.full(part.stop - part.start, i)
        predicted = (score[part] >= 0.5).astype(np.float64)
        cells.add(where, *BINARY.contribute(score[part], predicted, label[part], 1.0))
    return cells, table


def test_every_window_of_the_phishing_stream_is_scikit_learns() -> None:
    cells, table = phishing()
    found = evaluate(BINARY, cells)
    assert len(table) == 11
    for i, row in enumerate(table):
        for name in ("tp", "fp", "fn", "tn"):
            assert cells.count(name)[i] == int(row[name])
        for name in METRICS:
            estimate = found[name].at(i)
            allowed = 1e-9 + (estimate.bound if name in ("roc_auc", "average_precision") else 0.0)
            assert estimate.value == pytest.approx(float(row[name]), abs=allowed, rel=0), (row["window"], name)
        assert found["prevalence"].at(i).value == pytest.approx(float(row["base_rate"]), abs=1e-12)


CALIBRATION = {"ece": "ece15_l1_torchmetrics", "mce": "mce15_torchmetrics", "rmsce": "rmsce15_torchmetrics"}


def test_the_calibration_errors_of_every_window_are_torchmetrics_within_their_bound() -> None:
    cells, table = phishing()
    found = evaluate(BINARY, cells, CALIBRATION)
    tens = calibration_error(reliability(cells.histogram("positives"), cells.histogram("negatives"), 10))
    for i, row in enumerate(table):
        for name, column in CALIBRATION.items():
            one = found[name].at(i)
            assert 0.0 < one.bound < 0.0005
            assert one.value == pytest.approx(float(row[column]), abs=one.bound + 1e-6, rel=0), (row["window"], name)
        assert tens[0][i] == pytest.approx(float(row["ece10_p1_plain"]), abs=tens[1], rel=0)


def test_the_areas_bound_is_small_enough_to_be_useful() -> None:
    cells, _ = phishing()
    bounds = evaluate(BINARY, cells, ["roc_auc"])["roc_auc"].bound
    assert 0 < bounds.max() < 0.03


def january() -> tuple[Cells, dict[str, dict[str, dict[str, float]]]]:
    """The flights of January: row 0 is the month, row d the day d of it."""
    flights = np.load(REFERENCE / "flights_january.npz")
    truth = json.loads((REFERENCE / "flights_january_truth.json").read_text())
    known = flights["label"] >= 0
    day = flights["day"][known].astype(np.int64)
    columns = (
        flights["score"][known] / 1e6,
        flights["predicted"][known].astype(np.float64),
        flights["label"][known].astype(np.float64),
    )
    cells = BINARY.cells.zeros(32)
    contribution = BINARY.contribute(*columns, 1.0)
    cells.add(np.zeros_like(day), *contribution)
    cells.add(day, *contribution)
    np.add.at(cells.count("seen"), flights["day"].astype(np.int64), 1)
    cells.count("seen")[0] = len(flights["day"])
    return cells, truth


def test_january_and_its_days_are_scikit_learns() -> None:
    cells, truth = january()
    expected = [truth["month"]["2013-01"], *(truth["day"][f"2013-01-{d:02}"] for d in range(1, 32))]
    found = evaluate(BINARY, cells)
    for i, row in enumerate(expected):
        assert cells.count("seen")[i] == row["predictions"]
        for name in ("labelled", "tp", "fp", "fn", "tn"):
            assert cells.count(name)[i] == row[name]
        for name in set(row) & set(found):
            estimate = found[name].at(i)
            allowed = 1e-9 + (estimate.bound if name == "roc_auc" else 0.0)
            assert estimate.value == pytest.approx(row[name], abs=allowed, rel=0), (i, name)
    assert {"roc_auc", "brier", "log_loss"} <= set(expected[0])


def test_the_days_add_up_to_the_month_to_the_last_unit() -> None:
    cells, _ = january()
    assert np.array_equal(Cells(BINARY.cells, cells.array[1:]).total().array[0], cells.array[0])


def test_the_cells_of_january_have_these_very_bits() -> None:
    cells, _ = january()
    digest = hashlib.sha256(cells.array.astype("<i8").tobytes()).hexdigest()
    assert f"sha256:{digest}" == GOLDEN_DIGEST
