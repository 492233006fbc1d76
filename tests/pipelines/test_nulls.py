"""Challengers that are not better, one after the other, each looked at every hour for two weeks: how many are promoted by luck.

Rows are hard or easy for both models at once, and hard hours come together, as on a bad day; labels come up to two days late,
and a look sees those that have come. One champion's tenure meets five challengers, whose shares of alpha are the trigger's own.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from pipelines.gate import GateSpec, Outcome, Paired, judge
from pipelines.losses import Floats, Loss, LossSpec
from pipelines.policy import DAY_MS
from pipelines.runs import Admission, Mode, RunSummary
from pipelines.sequential import average_bounds
from pipelines.states import State
from pipelines.trigger import challenger_alpha
from tests.pipelines.memory import BORN_MS, policy

HOURS, PER_HOUR, DELAY_HOURS = 336, 12, 48
CHALLENGERS = 5
POLICY = policy(gate=GateSpec(LossSpec(Loss.ZERO_ONE)))


def alphas(count: int) -> list[float]:
    """What the trigger gives the first so many challengers of a champion."""
    runs: list[RunSummary] = []
    found = []
    for number in range(count):
        found.append(challenger_alpha(POLICY, runs))
        at_ms = BORN_MS + number * 14 * DAY_MS
        admission = Admission(
            1, number + 1, None, f"{number:032x}", "fraud", Mode.FULL, (), found[-1], POLICY, "w", "why", at_ms
        )
        runs.append(RunSummary(admission, State.REJECTED, at_ms + DAY_MS))
    return found


def null(luck: np.random.Generator) -> tuple[Paired, np.ndarray]:
    """Losses of two models that are equally good, in the order in which labels came, and how many had come by each hour."""
    rows = HOURS * PER_HOUR
    hour = np.repeat(np.arange(HOURS), PER_HOUR)
    bad_day = np.convolve(luck.normal(size=HOURS), np.ones(24) / 24, mode="same")[hour]
    rate = np.clip(0.15 + 0.5 * bad_day, 0.01, 0.6)
    shared, own = luck.random(rows), luck.random((2, rows))
    together = luck.random(rows) < 0.7
    old, new = ((np.where(together, shared, each) < rate).astype(np.float64) for each in own)
    known = hour + luck.integers(0, DELAY_HOURS, rows)
    order = np.argsort(known, kind="stable")
    come = np.searchsorted(known[order], np.arange(1, HOURS + 1))
    return Paired(old[order], new[order]), come


def promoted(paired: Paired, come: np.ndarray, alpha: float) -> np.ndarray:
    """At which looks the gate says yes."""
    looks = np.maximum(come, 1)
    _, lower, _ = average_bounds((paired.champion - paired.challenger) / 2 + 0.5, alpha, looks)
    return (lower > 0.5) & (come >= POLICY.gate.rows_min)


def naive(paired: Paired, come: np.ndarray) -> bool:
    """A test at 5 % of each look, as if it were the only one."""
    difference: Floats = paired.champion - paired.challenger
    total, squares = np.cumsum(difference), np.cumsum(difference**2)
    at = come[come >= POLICY.gate.rows_min] - 1
    return bool((total[at] / np.sqrt(np.maximum(squares[at], 1)) > 1.645).any())


def tell(tenures: int, seed: int) -> tuple[int, int]:
    """(tenures in which luck promoted somebody, challengers that a naive test promotes)."""
    luck, shares = np.random.default_rng(seed), alphas(CHALLENGERS)
    wrong = fooled = 0
    for tenure in range(tenures):
        lucky = False
        for alpha in shares:
            paired, come = null(luck)
            said = promoted(paired, come, alpha)
            lucky = lucky or bool(said.any())
            fooled += naive(paired, come)
            if tenure < 2:  # the gate itself, at looks here and there
                for hour in (60, 200, HOURS - 1):
                    seen = Paired(paired.champion[: come[hour]], paired.challenger[: come[hour]])
                    assert (judge(seen, POLICY.gate, alpha).outcome is Outcome.PASS) == said[hour]
        wrong += lucky
    return wrong, fooled


def test_the_shares_of_alpha_of_all_challengers_of_a_champion_add_up_to_no_more_than_alpha() -> None:
    shares = alphas(200)
    assert shares[0] == pytest.approx(0.05 * 6 / math.pi**2)
    assert all(later < before for before, later in pairwise(shares))
    assert sum(shares) < POLICY.gate.alpha
    assert sum(shares) > 0.99 * POLICY.gate.alpha, "nothing is given away either"


def test_challengers_that_are_not_better_are_promoted_within_alpha_a_sample() -> None:
    wrong, fooled = tell(6, 1)
    assert wrong == 0
    assert fooled >= 4, (
        "a test that ignores how often it looks promotes a good part of them: else nothing is shown here"
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_challengers_that_are_not_better_looked_at_hourly_are_promoted_within_alpha() -> None:
    wrong, fooled = tell(200, 2)
    assert wrong <= POLICY.gate.alpha * 200
    assert fooled > 150
