"""NannyML's car_loan as a stream: calm for five chunks, then worse. Paged by the scores before any label, by the truth after."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from monitor.drift.binning import bin_numbers
from monitor.drift.distances import hellinger, jensen_shannon, psi
from monitor.drift.edetector import Cause, Channel, Detector
from monitor.drift.functionals import Functionals, confusion, numeric
from monitor.drift.nulls import dispersion_of, null_of
from monitor.events import Int64s

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
TICK, CALM = 250, 100  # rows; ticks of five chunks of 5,000
PATIENCE = 240.0


def columns() -> tuple[Int64s, Int64s]:
    """Cell of the confusion matrix and hundredths of the score, 100,000 rows in order."""
    with np.load(REFERENCE / "car_loan.npz") as archive:
        predicted, repaid = archive["predicted"].astype(int), archive["repaid"].astype(int)
        return np.array([[3, 1], [2, 0]])[repaid, predicted], archive["hundredths"].astype(np.int64)


def alarms(functionals: Functionals, ticks: Int64s, materiality: float) -> list[tuple[int, Cause]]:
    """Alarms over the second half (tick, leading cause), the first one being the reference."""
    reference, current = ticks[:200], ticks[200:]
    phi = dispersion_of(functionals, reference)
    null = null_of(functionals, reference.sum(axis=0), dispersion=phi, materiality=materiality)
    detector = Detector((Channel("x", functionals, null, 1.0),), PATIENCE)
    state, found = detector.start(), []
    for tick, counts in enumerate(current):
        state, verdict, seen = detector.step(state, tick, [counts[np.newaxis]])
        if verdict.alarm[0]:
            found.append((tick, detector.explain(seen)[0]))
    return found


def test_the_drop_is_paged_by_the_truth_and_the_calm_chunks_are_not() -> None:
    cells, _ = columns()
    ticks = np.array([np.bincount(part, minlength=4) for part in cells.reshape(-1, TICK)])
    found = alarms(confusion(), ticks, materiality=0.01)
    first, cause = found[0]
    assert CALM <= first < CALM + 20  # within its first chunk
    assert abs(cause.since - CALM) <= 3
    assert cause.mean > cause.limit


def test_the_shift_is_paged_by_the_scores_before_any_label_and_the_calm_chunks_are_not() -> None:
    _, scores = columns()
    binning = bin_numbers(scores[:50_000].astype(np.float64))
    ticks = np.array(
        [np.bincount(binning.codes(p.astype(float)), minlength=binning.bins) for p in scores.reshape(-1, TICK)]
    )
    functionals = numeric(binning, ticks[:200].sum(axis=0))
    found = alarms(functionals, ticks, materiality=0.02)
    first, cause = found[0]
    assert CALM <= first < CALM + 20
    assert abs(cause.since - CALM) <= 3


# -- the same chunks, as Evidently sees them -------------------------------------------------------------------------

SAME = {"psi": 1.0, "hellinger": 1.0, "jensenshannon": 1.0 / math.sqrt(math.log(2.0))}
"""What Evidently's distances are times to be ours: its Jensen-Shannon distance is in nats. Of numbers its bins are others than
ours, and its chi-square is a p-value: these are not compared."""
OURS = {"psi": psi, "hellinger": hellinger, "jensenshannon": jensen_shannon}


@pytest.mark.parametrize("method", SAME)
@pytest.mark.parametrize("feature", ["salary_range", "size_of_downpayment", "repaid_loan_on_prev_car"])
def test_distances_of_categories_are_evidentlys(feature: str, method: str) -> None:
    with np.load(REFERENCE / "car_loan.npz") as archive:
        codes = archive[feature].astype(np.int64)
    size = int(codes.max()) + 1
    reference = np.bincount(codes[:50_000], minlength=size)
    table = csv.DictReader((REFERENCE / "evidently_car_loan.csv").read_text().splitlines())
    said = [row for row in table if (row["feature"], row["method"]) == (feature, method)]
    assert len(said) == 10
    for row in said:
        begin = 50_000 + 5_000 * int(row["chunk"])
        now = np.bincount(codes[begin : begin + 5_000], minlength=size)
        ours = OURS[method](reference, now[np.newaxis])
        assert float(ours[0]) == pytest.approx(float(row["score"]) * SAME[method], rel=1e-6, abs=1e-9), row
