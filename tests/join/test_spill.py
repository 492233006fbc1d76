"""Rows that are put aside are never seen to be: everything a join says is the same with a budget of a few rows."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.join.memory import Memory
from monitor.join.segments import GONE, Segment
from tests.examples import examples
from tests.join.driver import Driver
from tests.join.keeping import Store
from tests.join.test_join_equals_oracle import PARAMS, labels, lateness, predictions, randoms
from tests.oracle.join import Label, Prediction


def said(driver: Driver) -> tuple[object, ...]:
    """What a commit would carry of a join."""
    join = driver.join
    outcomes = join.prediction_outcomes, join.label_outcomes
    return join.held, join.digest, *outcomes, join.settler.dropped_below(), list(join.repeats), driver.tally.windows()


def play_both(
    one: Driver, other: Driver, p: list[Prediction], q: list[Label], rng: random.Random, store: Store
) -> None:
    """The same slices in the same order; `other` has the store, which is full at times."""
    i = j = 0
    while i < len(p) or j < len(q):
        n = rng.randint(1, 5)
        store.full = rng.random() < 0.15
        if j >= len(q) or (i < len(p) and rng.random() < 0.5):
            for driver in (one, other):
                driver.feed_predictions(p[i : i + n])
            i += n
        else:
            for driver in (one, other):
                driver.feed_labels(q[j : j + n])
            j += n
        if rng.random() < 0.4:
            for driver in (one, other):
                driver.settle()
        assert said(other) == said(one)
    for driver in (one, other):
        driver.end()
    assert said(other) == said(one)
    assert not store.kept, "everything has expired"


@settings(max_examples=examples(400), deadline=None)
@given(
    predictions, labels, lateness, st.sampled_from([1, 16, 40]), st.sampled_from([0, 1, 4, 9]), st.booleans(), randoms
)
def test_nothing_that_is_said_depends_on_where_rows_are(
    p: list[Prediction], q: list[Label], late: int, settle: int, budget: int, absent: bool, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=late, disorder_ms=min(20, late), settle_ms=settle)
    if absent:
        params = replace(params, absent_value=0.0, absent_after_ms=50)
    store = Store()
    memory = Memory(budget, store)
    one, other = Driver(params, settle), Driver(params, settle, memory=memory)
    play_both(one, other, p, q, rng, store)
    for tick in range(0, 32, 5):
        assert other.tally.windows(tick) == one.tally.windows(tick)
    memory.retry()
    assert memory.refused is None


def test_rows_are_really_put_aside_and_memory_keeps_its_budget() -> None:
    store = Store()
    memory = Memory(40, store)
    driver = Driver(PARAMS, 16, memory=memory)
    for i in range(200):
        driver.feed_predictions(
            [Prediction(id=f"p{i}", model="m", version="1", at=1_000 + i // 4, score=0.5, prediction=1.0)]
        )
        assert memory.resident_rows <= 41
    assert driver.join.held == (200, 0)
    assert store.rows >= 160
    driver.feed_labels([Label(id=f"p{i}", at=1_060, label=1.0) for i in range(0, 200, 2)])
    assert driver.join.prediction_outcomes.matched == 100
    assert driver.join.held == (200, 100)
    driver.feed_labels([Label(id="q", at=1_061, label=1.0)])
    assert memory.resident_rows <= 41
    assert driver.join.nbytes > 0
    driver.join.close()
    assert not store.kept
    assert memory.resident_rows == 0


def test_what_cannot_be_put_aside_stays_in_memory_and_says_why() -> None:
    store = Store()
    store.full = True
    memory = Memory(10, store)
    driver = Driver(PARAMS, 16, memory=memory)
    for i in range(50):
        driver.feed_predictions(
            [Prediction(id=f"p{i}", model="m", version="1", at=1_000 + i, score=0.5, prediction=1.0)]
        )
    assert memory.resident_rows == 50
    assert "cannot be put aside in '/there' (state.directory): no space left on device" in str(memory.refused)
    store.full = False
    memory.retry()
    assert memory.refused is None
    assert memory.resident_rows <= 10


def test_half_empty_segments_are_written_together() -> None:
    store = Store()
    memory = Memory(64, store)
    driver = Driver(PARAMS, 16, memory=memory)
    for i in range(1_200):
        prediction = Prediction(id=f"p{i}", model="m", version="1", at=1_000 + i // 60, score=0.5, prediction=1.0)
        driver.feed_predictions([prediction])
        if i >= 500 and i % 5:
            driver.feed_labels([Label(id=f"p{i - 400}", at=1_000 + i // 60, label=1.0)])
    memory.make_room()
    thin = sorted(s.live for s in driver.join.spilled.predictions if 2 * s.live <= len(s.state))
    assert len(thin) < 2 or thin[0] + thin[1] > 64 // 4
    assert driver.join.held == (1_200, 560)


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 400), st.randoms(use_true_random=False))
def test_a_segment_finds_its_ids_and_no_others(n: int, rng: random.Random) -> None:
    random_words = np.random.default_rng(rng.randrange(1 << 30))
    ids = random_words.integers(0, 1 << 64, (2 * n, 2), dtype=np.uint64)
    ids[:, 0] &= np.uint64(rng.choice([3, 1 << 40, (1 << 64) - 1]))  # first words that many share
    held = ids[:n][np.argsort(ids[:n, 0], kind="stable")]
    store = Store()
    columns = {"first": held[:, 0].copy(), "second": held[:, 1].copy(), "at_ms": np.arange(n)}
    segment = Segment(store.keep(columns), np.zeros(n, np.uint8))
    gone = np.flatnonzero(random_words.random(n) < 0.3)
    segment.take_out(gone)
    there = {tuple(row) for place, row in enumerate(held.tolist()) if place not in set(gone.tolist())}
    asked = np.concatenate([ids, ids[:3]])
    assert segment.has(asked).tolist() == [tuple(row) in there for row in asked.tolist()]
    wanted = {tuple(row) for row in asked.tolist()}
    places = [p for p, row in enumerate(held.tolist()) if tuple(row) in there & wanted and segment.state[p] != GONE]
    assert segment.find(asked).tolist() == places
    assert segment.living().tolist() == [p for p in range(n) if segment.state[p] != GONE]
    assert segment.live == len(segment.living())
