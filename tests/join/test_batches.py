"""Where a batch is cut is not to be seen: records of one key in one batch are taken one after the other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.join.driver import Driver
from tests.join.test_join_equals_oracle import PARAMS
from tests.oracle import join as oracle
from tests.oracle.join import Label, Prediction


def prediction(at: int, version: str = "1") -> Prediction:
    return {"id": "h", "model": "m", "version": version, "at": at, "score": 0.5, "prediction": 1.0}


def filler(at: int) -> Prediction:
    return {**prediction(at), "id": f"filler {at}"}


def test_an_earlier_record_does_not_replace_the_next_prediction_of_its_key_in_the_same_batch() -> None:
    """58 is bettered by 44, which is forgotten when 83 comes; 259 stands behind them, and is another prediction."""
    start = [filler(0), filler(1), filler(2)]  # a clock needs three ids
    log = [*start, prediction(58), prediction(44), filler(115), prediction(83), filler(186), prediction(259)]
    driver = Driver(PARAMS)
    driver.feed_predictions(log)
    assert driver.tally.windows() == oracle.final_windows([log], [[]], PARAMS)
    assert sorted(key[3] for key in driver.tally.windows()) == [0, 50, 100, 150, 250]


keys = st.sampled_from([("h", "1"), ("h", "1"), ("h", "1"), ("h", "2"), ("x", "1"), ("y", "1")])
one_key = st.lists(st.tuples(st.integers(5, 40), st.integers(0, 70), keys), max_size=25)


@settings(max_examples=examples(100))
@given(one_key)
def test_one_batch_is_what_its_records_are_one_after_the_other(steps: list[tuple[int, int, tuple[str, str]]]) -> None:
    """Time goes on, and each record is up to a bit more than the lateness behind it."""
    params, log, now = PARAMS, [filler(0), filler(1), filler(2)], 50
    for step, behind, (id_, version) in steps:
        now += step
        log += [filler(now), {**prediction(max(0, now - behind), version), "id": id_}]
    whole, single = Driver(params), Driver(params)
    whole.feed_predictions(log)
    for record in log:
        single.feed_predictions([record])
    assert whole.tally.windows() == single.tally.windows() == oracle.final_windows([log], [[]], params)
    assert whole.join.prediction_outcomes == single.join.prediction_outcomes
    assert whole.join.digest == single.join.digest


@pytest.mark.parametrize("cut", [2, 1], ids=["one batch", "two batches"])
def test_of_two_contents_at_one_time_the_smaller_wins_whichever_came_first(cut: int) -> None:
    contents: list[Prediction] = [{**prediction(40), "prediction": 0.0}, prediction(40)]
    for log in (contents, contents[::-1]):
        driver = Driver(PARAMS)
        driver.feed_predictions(log[:cut])
        driver.feed_predictions(log[cut:])
        driver.feed_labels([Label(id="h", at=60, label=1.0)])
        found = driver.tally.windows()
        assert found == oracle.final_windows([log], [[Label(id="h", at=60, label=1.0)]], PARAMS)
        assert [(counts["fn"], counts["tp"]) for counts in found.values()] == [(1, 0)]
