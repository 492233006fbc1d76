"""Calibration error from histograms: value, bound, interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.metrics.binary import BINARY
from monitor.metrics.task import evaluate
from tests.metrics.rows import Rows, cells_of, rows_of, rows_strategy


def exact(rows: Rows) -> float:
    """By the definition, with every row's own score."""
    place = np.minimum((rows.score * 15 + 1e-9).astype(int), 14)
    off = [abs((rows.label[place == k] - rows.score[place == k]).sum()) for k in range(15)]
    return float(sum(off) / len(rows))


@given(rows_strategy(score=st.integers(0, 4000).map(lambda k: k / 4000)))
def test_the_exact_error_lies_within_the_bound(rows: Rows) -> None:
    assume(len(rows))
    found = evaluate(BINARY, cells_of(rows), ["ece"])["ece"].at(0)
    assert found.bound == 1 / 2400
    assert found.value is not None
    assert abs(found.value - exact(rows)) <= found.bound + 1e-12


def test_scores_that_keep_their_promise_have_none_and_those_that_do_not_have_all_of_it() -> None:
    rng = np.random.default_rng(5)
    score = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 20_000)
    for shift, expected in ((0.0, 0.0), (0.08, 0.08)):
        label = (rng.random(len(score)) < score + shift).astype(float)
        found = evaluate(BINARY, cells_of(Rows(score, score, label)), ["ece"])["ece"].at(0)
        assert found.value == pytest.approx(expected, abs=0.006)


def test_the_interval_covers_an_error_that_is_there() -> None:
    """Scores 0.1 too low in every bin: the signs are certain, and nine in ten intervals of 95 % and more cover it."""
    rng, covered = np.random.default_rng(6), 0
    for _ in range(300):
        score = rng.choice([0.1, 0.3, 0.5, 0.7], 2_000)
        label = (rng.random(len(score)) < score + 0.1).astype(float)
        found = evaluate(BINARY, cells_of(Rows(score, score, label)), ["ece"])["ece"].at(0)
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower - found.bound <= 0.1 <= found.upper + found.bound
    assert 270 <= covered <= 300


def test_one_row_is_as_far_off_as_it_is() -> None:
    found = evaluate(BINARY, cells_of(rows_of((0.25, 0.0, 1.0))), ["ece"])["ece"].at(0)
    assert found.value == pytest.approx(0.75, abs=found.bound + 1e-12)
