"""Metrics while labels are missing: bounds that are always true, and estimates that are right on real delays."""

from __future__ import annotations

import csv
import gzip
import math
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import Bools, Int64s
from monitor.metrics.delays import NO_LABEL, DelayCounts, delay_ends, merge
from monitor.metrics.partial import Completion, manski, manski_interval, prediction_powered

FLIGHTS = Path(__file__).parents[2] / "monitor" / "demo" / "flights"
REFERENCE = Path(__file__).parent.parent / "data" / "reference"
PARTIAL = list(csv.DictReader((REFERENCE / "partial_labels.csv").read_text().splitlines()))
HOUR = 3_600_000
FEBRUARY_MS = 1_359_676_800_000


def chunk(row: dict[str, str]) -> tuple[Int64s, Bools, Bools]:
    """Hundredths of confidence, whether right, and whether labelled, of one row of the table."""
    with np.load(REFERENCE / "car_loan.npz") as archive:
        first = 50_000 + 5_000 * int(row["chunk"])
        part = {name: archive[name][first : first + 5_000].astype(np.int64) for name in archive.files}
    confidence = np.where(part["predicted"] == 1, part["hundredths"], 100 - part["hundredths"]).astype(np.int64)
    return confidence, np.equal(part["predicted"], part["repaid"]), np.arange(5_000) < int(row["labelled"])


@pytest.mark.parametrize("row", PARTIAL, ids=lambda row: f"{row['chunk']}-{row['labelled']}")
def test_the_prediction_powered_estimate_is_that_of_the_table(row: dict[str, str]) -> None:
    confidence, right, labelled = chunk(row)
    counted = (
        np.bincount(confidence[rows], minlength=101)[np.newaxis] for rows in (labelled & right, labelled, ~labelled)
    )
    of_right, of_labelled, of_missing = counted
    confidences = np.arange(101) / 100
    value, lower, upper = prediction_powered(of_right, of_labelled, of_missing, confidences, z=1.6448536269514722)
    assert value[0] == pytest.approx(float(row["ppi_point"]), abs=1e-9)
    assert lower[0] == pytest.approx(float(row["ppi_lo"]), abs=1e-9)
    assert upper[0] == pytest.approx(float(row["ppi_hi"]), abs=1e-9)


@pytest.mark.parametrize("row", PARTIAL, ids=lambda row: f"{row['chunk']}-{row['labelled']}")
def test_manskis_bounds_are_those_of_the_table_and_hold_the_truth(row: dict[str, str]) -> None:
    _, right, labelled = chunk(row)
    tp, nothing = np.array([int((right & labelled).sum())]), np.zeros(1, np.int64)
    wrong, missing = np.array([int((~right & labelled).sum())]), np.array([int((~labelled).sum())])
    lower, upper = manski(tp, wrong, nothing, nothing, missing, nothing)["accuracy"]
    assert (lower[0], upper[0]) == pytest.approx((float(row["manski_lo"]), float(row["manski_hi"])), abs=1e-12)
    assert lower[0] <= float(row["true_accuracy"]) <= upper[0]
    wider = manski_interval(tp, wrong, missing)
    assert wider[0][0] < lower[0] <= upper[0] <= wider[1][0]


counts = st.integers(0, 20)


@given(counts, counts, counts, counts, counts, counts, st.data())
def test_whatever_the_missing_labels_say_the_metric_ends_within_the_bounds(
    tp: int, fp: int, fn: int, tn: int, called: int, rejected: int, data: st.DataObject
) -> None:
    good, bad = data.draw(st.integers(0, called)), data.draw(st.integers(0, rejected))
    found = manski(*(np.array([n]) for n in (tp, fp, fn, tn, called, rejected)))
    a, b, c, d = tp + good, fp + called - good, fn + bad, tn + rejected - bad
    ends = {
        "accuracy": (a + d, a + b + c + d),
        "precision": (a, a + b),
        "recall": (a, a + c),
        "f1": (2 * a, 2 * a + b + c),
        "specificity": (d, b + d),
    }
    for name, (above, below) in ends.items():
        lower, upper = (float(end[0]) for end in found[name])
        if below and not math.isnan(lower) and not math.isnan(upper):
            assert lower - 1e-12 <= above / below <= upper + 1e-12, name


def test_too_few_labels_give_no_prediction_powered_estimate() -> None:
    one = np.array([[1]])
    assert math.isnan(prediction_powered(one, one, 5 * one, np.array([0.9]))[0][0])
    assert math.isnan(prediction_powered(one, 5 * one, 0 * one, np.array([0.9]))[0][0])


# -- delays ----------------------------------------------------------------------------------------------------------


def test_bins_of_delay_end_at_the_horizon() -> None:
    ends = delay_ends(36 * HOUR)
    assert ends[0] == 60_000
    assert ends[-1] == 36 * HOUR
    assert (np.diff(ends) > 0).all()
    assert delay_ends(30_000).tolist() == [30_000]


def test_the_curve_is_kaplan_and_meiers() -> None:
    """Six patients by hand: labels after 1 and 3, two given up after 2, one after 3, one never within 4."""
    ends = np.array([1, 2, 3, 4])
    found = DelayCounts.of(ends, np.array([1, 3, -1, -1, -1, -1]), np.array([9, 9, 2, 2, 3, 4]))
    assert found.arrived.tolist() == [1, 0, 1, 0]
    assert found.waiting.tolist() == [0, 0, 2, 1, 1]
    assert found.at_risk.tolist() == [6, 5, 3, 1]
    curve = found.curve()
    assert curve.share.tolist() == pytest.approx([1 / 6, 1 / 6, 1 - 5 / 6 * 2 / 3, 1 - 5 / 6 * 2 / 3])
    assert curve.error[0] == pytest.approx(math.sqrt(5 / 36 / 6))


def test_a_label_is_not_counted_before_its_bin_is_over_for_everybody() -> None:
    """Of predictions one and a half bins old only those that have their label would count: too fast a curve."""
    random = np.random.default_rng(31)
    ends, delay = np.arange(1, 11) * 10, random.integers(0, 100, 20_000)
    age = np.full(20_000, 15)
    young = DelayCounts.of(ends, np.where(delay <= age, delay, NO_LABEL), age).curve()
    assert young.share[0] == pytest.approx(0.11, abs=0.01)
    assert np.isnan(young.share[1:]).all()


def test_censored_predictions_do_not_bend_the_curve_and_some_labels_never_come() -> None:
    random = np.random.default_rng(32)
    ends = np.arange(1, 21) * 5
    delay = np.where(random.random(40_000) < 0.2, 10**9, random.integers(0, 60, 40_000))
    age = random.integers(1, 140, 40_000)
    seen = np.where(delay <= np.minimum(age, 100), delay, NO_LABEL)
    curve = DelayCounts.of(ends, seen, age).curve()
    expected = 0.8 * np.minimum((ends + 1) / 60, 1.0)
    assert (np.abs(curve.share - expected) <= 4 * curve.error + 1e-9).all()
    assert curve.eventual == pytest.approx(0.8, abs=0.02)
    assert curve.settled_after_ms() in (60, 65)
    assert curve.maturity(np.array([10, 10]), np.array([200, 0])) == pytest.approx(0.5)


def test_within_a_bin_the_curve_may_be_taken_as_even() -> None:
    counts = DelayCounts.of(np.array([10, 30]), np.array([5, 5, 20, NO_LABEL]), np.full(4, 100))
    curve = counts.curve()
    ages = np.array([0, 5, 10, 20, 30, 99])
    assert curve.by(ages).tolist() == [0.0, 0.0, 0.5, 0.5, 0.75, 0.75]
    assert curve.around(ages).tolist() == [0.0, 0.25, 0.5, 0.625, 0.75, 0.75]


@given(st.lists(st.tuples(st.integers(-1, 60), st.integers(0, 80)), min_size=1, max_size=60), st.integers(0, 60))
def test_counts_of_any_split_add_up(rows: list[tuple[int, int]], cut: int) -> None:
    ends = np.array([5, 10, 20, 40])
    delay, age = (np.array(column) for column in zip(*rows, strict=True))
    whole = DelayCounts.of(ends, delay, age)
    parts = merge([DelayCounts.of(ends, delay[rows_], age[rows_]) for rows_ in (slice(cut), slice(cut, None))])
    assert whole.arrived.tolist() == parts.arrived.tolist()
    assert whole.waiting.tolist() == parts.waiting.tolist()
    assert int(whole.arrived.sum() + whole.waiting.sum()) == len(rows)


# -- real delays: flights land the later the later they are -----------------------------------------------------------


@cache
def flights() -> tuple[Int64s, Int64s, Int64s, Int64s, Int64s]:
    """Time (ms), predicted class, score in fiftieths, label (-1: never) and delay (ms) of January's flights."""
    predictions, labels = (
        map(orjson.loads, gzip.decompress((FLIGHTS / f"{name}.jsonl.gz").read_bytes()).splitlines())
        for name in ("predictions", "labels")
    )
    known = {row["id"]: row for row in labels}
    rows = [row for row in predictions if row["at"] < FEBRUARY_MS]
    label = [known[r["id"]]["label"] if r["id"] in known else -1 for r in rows]
    delay = [known[r["id"]]["at"] - r["at"] if r["id"] in known else NO_LABEL for r in rows]
    columns = (
        [r["at"] for r in rows],
        [r["prediction"] for r in rows],
        [int(r["score"] * 50) for r in rows],
        label,
        delay,
    )
    at, predicted, score, label_, delay_ = (np.array(column, np.int64) for column in columns)
    return at, predicted, score, label_, delay_


ENDS = np.array([h * HOUR // 2 for h in range(1, 17)] + [h * HOUR for h in (10, 12, 16, 24, 36)])


def strata(predicted: Int64s, score: Int64s) -> Int64s:
    """Ten coarse scores of each predicted class."""
    return predicted * 10 + np.minimum(score // 2, 9)


def history(rows: Int64s) -> Completion:
    """What these flights, all of them long over, turned out to be."""
    _, predicted, score, label, delay = (column[rows] for column in flights())
    stratum, came = strata(predicted, score), delay != NO_LABEL
    found = np.zeros((20, len(ENDS), 2), np.int64)
    np.add.at(found, (stratum[came], np.searchsorted(ENDS, delay[came]), label[came]), 1)
    return Completion(found, np.bincount(stratum[~came], minlength=20))


def test_the_history_of_two_halves_is_that_of_the_whole() -> None:
    rows = np.arange(len(flights()[0]))
    whole, halves = history(rows), history(rows[::2]) + history(rows[1::2])
    assert (whole.history == halves.history).all()
    assert (whole.never == halves.never).all()


@pytest.mark.parametrize(("hours", "share"), [(2, 0.4), (3, 0.75), (4, 1.0)])
def test_a_day_of_flights_is_completed_to_what_it_ends_with_where_the_labels_that_came_mislead(
    hours: int, share: float
) -> None:
    at, predicted, score, label, delay = flights()
    day = (at - at.min()) // (24 * HOUR)
    past = history(np.flatnonzero(day < 18))
    watched = int(np.searchsorted(ENDS, hours * HOUR, side="right"))
    plain, completed, covered = [], [], 0
    for number in range(20, 31):
        rows = np.flatnonzero(day == number)
        came = (delay[rows] != NO_LABEL) & (delay[rows] <= hours * HOUR)
        stratum = strata(predicted[rows], score[rows])
        labelled, waiting = np.zeros((1, 20, 2), np.int64), np.zeros((1, 20, len(ENDS) + 1), np.int64)
        np.add.at(labelled[0], (stratum[came], label[rows][came]), 1)
        np.add.at(waiting[0], (stratum[~came], watched), 1)
        found = past.complete(labelled, waiting, np.arange(20) // 10)["accuracy"].at(0)
        right = predicted[rows] == label[rows]
        truth = float(right[delay[rows] != NO_LABEL].mean())
        plain.append(abs(float(right[came].mean()) - truth))
        assert found.value is not None
        assert found.lower is not None
        assert found.upper is not None
        completed.append(abs(found.value - truth))
        assert found.lower < found.value < found.upper
        covered += found.lower <= truth <= found.upper
    assert covered >= 7  # of 11: flights of a day share their weather, which the interval does not know
    assert np.mean(completed) < share * np.mean(plain)


def test_the_curve_of_flights_has_its_atom_of_those_that_never_land() -> None:
    _, _, _, _, delay = flights()
    curve = DelayCounts.of(delay_ends(36 * HOUR), delay, np.full(len(delay), 40 * HOUR)).curve()
    assert curve.eventual == pytest.approx(float((delay != NO_LABEL).mean()), abs=1e-12)
    median = np.median(delay[delay != NO_LABEL])
    before, after = curve.by(np.array([int(median), int(median * 1.2)]))  # a bin of delay is 17 % wide
    assert before <= 0.5 * curve.eventual <= after
    settled = curve.settled_after_ms()
    assert settled is not None
    assert 6 * HOUR < settled < 12 * HOUR
