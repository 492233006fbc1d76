"""How soon a change is seen: beside the prototype's yardsticks and beside an oracle who knows both laws."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from monitor.drift.binning import bin_numbers
from monitor.drift.edetector import Channel, Detector
from monitor.drift.functionals import confusion, faults, numeric, single_rate
from monitor.drift.nulls import null_of
from monitor.events import Float64s, Int64s
from tests.drift.streams import Draw, Oracle, alarms, delays, known, one, rates

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
YARDSTICKS = json.loads((REFERENCE / "simulation_yardsticks.json").read_text())
A = YARDSTICKS["A_bernoulli_errors"]
ERRORS = single_rate("errors")


@pytest.mark.parametrize("rate", sorted(A["delay_ticks_edetector"]))
def test_a_higher_error_rate_is_seen_as_soon_as_by_the_prototype_and_within_twice_the_oracle(rate: str) -> None:
    random, lanes = np.random.default_rng(21), 150
    detector = one(ERRORS, known(0.1), 1000.0)
    found = delays(detector, rates(random, 500, 0.1), rates(random, 500, float(rate)), lanes)
    error = 3 * found.std() / lanes**0.5
    assert found.mean() - error <= 1.25 * A["delay_ticks_edetector"][rate]
    assert found.mean() - error <= 2.0 * A["delay_ticks_oracle_cusum_ARL1000"][rate]
    assert found.max() <= 400


@pytest.mark.parametrize("rows", list(YARDSTICKS["C_tightness"]["mean_alarms_by_n"]))
def test_the_budget_is_used_as_far_as_the_prototype_used_it_and_not_beyond(rows: str) -> None:
    random, lanes = np.random.default_rng(22), 60
    found = alarms(one(ERRORS, known(0.1), 200.0), [rates(random, int(rows), 0.1)], 4000, lanes)
    assert found.mean() <= 20.0
    assert found.mean() >= 0.5 * YARDSTICKS["C_tightness"]["mean_alarms_by_n"][rows]  # so quiet that it is blind


@pytest.mark.parametrize(
    ("what", "rows", "before", "after"),
    [
        ("recall from 0.8 to 0.6 under 2 % prevalence: 10 positives a tick", 10, 0.2, 0.4),
        ("a category from 0.1 % to 1 %", 1000, 0.001, 0.01),
        ("missing values from 0.1 % to 2 %", 500, 0.001, 0.02),
        ("false alarms from 3 % to 4 %", 490, 0.03, 0.04),
    ],
)
def test_a_change_of_a_rate_is_seen_within_twice_the_oracle(what: str, rows: int, before: float, after: float) -> None:
    random, lanes = np.random.default_rng(23), 100
    found = delays(one(ERRORS, known(before), 1000.0), rates(random, rows, before), rates(random, rows, after), lanes)
    oracle = Oracle(rows, before, after).delay(1000.0)
    assert found.mean() - 3 * found.std() / lanes**0.5 <= 2.0 * oracle, what


CELLS = (0.02 * 0.8, 0.98 * 0.03, 0.02 * 0.2, 0.98 * 0.97)
"""tp, fp, fn, tn of a model with a prevalence of 2 %, a recall of 0.8 and 3 % of false alarms."""


FLIPPED = tuple(0.9 * CELLS[own] + 0.1 * CELLS[other] for own, other in ((0, 1), (1, 0), (2, 3), (3, 2)))
"""Where of a slice with a tenth of the rows all labels are the other ones."""


@pytest.mark.parametrize(
    ("what", "after", "rows", "rates"),
    [
        ("recall from 0.8 to 0.5", (0.01, CELLS[1], 0.01, CELLS[3]), 20, (0.2, 0.5)),
        ("labels flipped in a slice", FLIPPED, 1000, (CELLS[1] + CELLS[2], FLIPPED[1] + FLIPPED[2])),
    ],
)
def test_a_change_of_a_part_of_the_confusion_matrix_is_seen_within_twice_the_oracle(
    what: str, after: tuple[float, ...], rows: int, rates: tuple[float, float]
) -> None:
    """A thousand rows a tick, all four questions asked, the matrix known; the oracle looks at the one rate that changes,
    on the `rows` that it is about."""
    random, lanes = np.random.default_rng(28), 60
    null = null_of(confusion(), np.rint(np.array(CELLS) * 1e9).astype(np.int64))
    detector = Detector((Channel("confusion", confusion(), null, 1.0),), 1000.0)
    before, changed = (partial(_multinomial, random, 1000, np.array(own)) for own in (CELLS, after))
    found = delays(detector, before, changed, lanes)
    oracle = Oracle(rows, *rates).delay(1000.0)
    assert found.mean() - 3 * found.std() / lanes**0.5 <= 2.0 * oracle, what


def _multinomial(random: np.random.Generator, rows: int, shares: Float64s, tick: int, lanes: int) -> Int64s:
    found: Int64s = random.multinomial(rows, shares / shares.sum(), lanes)
    return found


def test_values_that_begin_to_be_missing_are_seen_at_once() -> None:
    """None of 10,000 reference rows was missing; 2 % of 500 rows are. An oracle sees the first one."""
    random, asked = np.random.default_rng(29), faults(bin_numbers(np.arange(100.0)))
    reference = np.zeros(asked.bins, np.int64)
    reference[5] = 10_000
    detector = Detector((Channel("missing", asked, null_of(asked, reference, asked=4200), 1.0),), 100 * 1000.0)

    def draw(rate: float) -> Draw:
        def counts(tick: int, lanes: int) -> Int64s:
            found = np.zeros((lanes, asked.bins), np.int64)
            found[:, -1] = random.binomial(500, rate, lanes)
            found[:, 5] = 500 - found[:, -1]
            return found

        return counts

    assert asked.values[0, -1] > 0
    found = delays(detector, draw(0.0), draw(0.02), 100)
    assert found.mean() <= 2.0


def test_a_slow_ramp_is_seen_before_it_is_over() -> None:
    random = np.random.default_rng(24)

    def rate(tick: int, lanes: int) -> Float64s:
        return np.full(lanes, 0.1 + min(max(tick - 60, 0), 100) * 0.0005)

    found = delays(one(ERRORS, known(0.1), 1000.0), rates(random, 500, 0.1), rates(random, 500, rate), 40)
    assert 5 <= found.mean() <= 60


def _numbers(random: np.random.Generator, change: Callable[[Float64s], Float64s], binning_of: object) -> Draw:
    def draw(tick: int, lanes: int) -> Int64s:
        values = change(random.normal(size=(lanes, 1000)))
        return np.stack([np.bincount(binning_of.codes(lane), minlength=binning_of.bins) for lane in values])  # type: ignore[attr-defined]

    return draw


@pytest.mark.parametrize(
    ("what", "change", "most"),
    [
        ("0.1 sd", lambda x: x + 0.1, 1.25 * 11.6),
        ("0.25 sd", lambda x: x + 0.25, 1.25 * 1.4),
        ("-0.5 sd", lambda x: x - 0.5, 1.01),
        ("1 sd", lambda x: x + 1.0, 1.01),
        ("variance times 1.5", lambda x: x * 1.5**0.5, 2.0),
    ],
)
def test_one_feature_of_a_hundred_is_seen_as_soon_as_by_the_prototype(
    what: str, change: Callable[[Float64s], Float64s], most: float
) -> None:
    """10,000 reference rows, margins for a hundred features, 1,000 rows a tick. The 99 quiet ones only share the weight,
    so one with a hundredth of it (a patience a hundred times as long) is as late or later."""
    random, found = np.random.default_rng(25), []
    for _ in range(12):
        values = random.normal(size=10_000)
        binning = bin_numbers(values)
        counts = np.bincount(binning.codes(values), minlength=binning.bins)
        asked = numeric(binning, counts)
        channel = Channel("x", asked, null_of(asked, counts, asked=100 * len(asked)), 1.0)
        before, after = _numbers(random, lambda x: x, binning), _numbers(random, change, binning)
        found.append(delays(Detector((channel,), 100 * 1000.0), before, after, 6, quiet=5, most=120).mean())
    assert np.mean(found) - 3 * np.std(found, ddof=1) / 12**0.5 <= most, what


def test_the_oracle_agrees_with_its_own_simulation() -> None:
    oracle, random = Oracle(100, 0.1, 0.12), np.random.default_rng(27)
    limit = oracle.limit(200.0)
    state, found, tick = np.zeros(2000), np.zeros(2000), 0
    while (found == 0).any():
        tick += 1
        wrong = random.binomial(100, 0.1, 2000)
        state = np.maximum(state + wrong * np.log(1.2) + (100 - wrong) * np.log(0.88 / 0.9), 0.0)
        found = np.where((found == 0) & (state > limit), tick, found)
    assert found.mean() == pytest.approx(oracle.run_length(limit, 0.1), rel=0.1)
    assert 150 <= oracle.run_length(limit, 0.1) <= 200
