"""The join against a dict: any cuts, any interleaving, any settling."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.join.outcomes import as_counts
from tests.examples import examples
from tests.join.driver import NO_JUMP, Driver, play
from tests.oracle import join as oracle
from tests.oracle.join import Label, Params, Prediction, Window


def _content(record: Prediction) -> int:
    return int(8 * (record.get("score") or 0) + (record.get("prediction") or 0))


PARAMS = Params(
    horizon_ms=100,
    lateness_ms=60,
    window=Window(50),
    skew_ms=10,
    disorder_ms=20,
    tick_ms=10,
    max_jump_ms=NO_JUMP,
    content=_content,
)

moments = st.integers(0, 300)
predictions = st.lists(
    st.builds(
        lambda at, i, y, v, w, s: Prediction(id=i, model="m", version=v, at=at, score=s, prediction=y, withdrawn=w),
        moments,
        st.sampled_from("abcdef"),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from("123"),
        st.sampled_from([False] * 9 + [True]),
        st.sampled_from([0.25, 0.5]),
    ),
    max_size=25,
)
labels = st.lists(
    st.builds(
        lambda at, i, y: Label(id=i, at=at, label=y),
        moments,
        st.sampled_from("abcdef"),
        st.sampled_from([0.0, 1.0, 1.0, None]),
    ),
    max_size=25,
)
randoms = st.randoms(use_true_random=False)
lateness = st.sampled_from([0, 15, 60, 300])


@settings(max_examples=examples(800), deadline=None)
@given(predictions, labels, lateness, st.sampled_from([1, 16, 40]), randoms)
def test_final_windows_are_the_dicts(
    p: list[Prediction], q: list[Label], late: int, settle: int, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=late, disorder_ms=min(20, late))
    driver = play(Driver(params, settle), p, q, rng)
    assert driver.tally.windows() == oracle.final_windows([p], [q], params)


@settings(max_examples=examples(500), deadline=None)
@given(predictions, labels, lateness, st.sampled_from([1, 16]), randoms)
def test_windows_at_every_tick_are_the_dicts(
    p: list[Prediction], q: list[Label], late: int, settle: int, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=late, disorder_ms=min(20, late), settle_ms=settle)
    driver = play(Driver(params, settle), p, q, rng)
    for tick in range(0, 32, 3):
        assert driver.tally.windows(tick) == oracle.windows_at_tick([p], [q], params, tick)


@settings(max_examples=examples(500), deadline=None)
@given(predictions, labels, st.sampled_from([15, 60]), st.sampled_from([1, 16]), randoms)
def test_absent_labels_are_the_dicts(
    p: list[Prediction], q: list[Label], late: int, settle: int, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=late, absent_value=0.0, absent_after_ms=50, settle_ms=settle, disorder_ms=10)
    driver = play(Driver(params, settle), p, q, rng)
    assert driver.tally.windows() == oracle.final_windows([p], [q], params)
    for tick in (5, 10, 15, 20, 30, 40):
        assert driver.tally.windows(tick) == oracle.windows_at_tick([p], [q], params, tick)


@settings(max_examples=examples(500), deadline=None)
@given(predictions, labels, lateness, randoms)
def test_every_record_has_the_outcome_of_the_dict(
    p: list[Prediction], q: list[Label], late: int, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=late, disorder_ms=min(20, late))
    driver = play(Driver(params), p, q, rng)
    of_predictions, of_labels = oracle.outcomes([p], [q], params)
    assert as_counts(driver.join.prediction_outcomes) == {
        name: of_predictions[name] for name in as_counts(driver.join.prediction_outcomes)
    }
    assert driver.join.label_outcomes.total() == of_labels.total() == len(q)


@settings(max_examples=examples(500), deadline=None)
@given(predictions, labels, randoms, randoms)
def test_the_state_is_a_function_of_the_logs(
    p: list[Prediction], q: list[Label], one: random.Random, other: random.Random
) -> None:
    first, second = Driver(PARAMS, 16), Driver(PARAMS, 16)
    for driver, rng in ((first, one), (second, other)):
        i = j = 0
        while i < len(p) or j < len(q):
            n = rng.randint(1, 6)
            if j >= len(q) or (i < len(p) and rng.random() < 0.5):
                driver.feed_predictions(p[i : i + n])
                i += n
            else:
                driver.feed_labels(q[j : j + n])
                j += n
            if rng.random() < 0.5:
                driver.settle()
        driver.settle()
    assert first.join.digest == second.join.digest
    assert len(first.join.predictions) == len(second.join.predictions)
    assert first.join.prediction_outcomes == second.join.prediction_outcomes
