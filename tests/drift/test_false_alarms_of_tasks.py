"""The budget holds for multiclass and regression models too: null worlds of classes and of numbers, learned as the daemon
learns them, with few reference rows, and with bursts.

As in `test_false_alarms`: small here, large under `slow`, and failing where margins or tempering are switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from monitor.drift.edetector import Channel, Detector
from monitor.drift.functionals import Functionals, by_class, residuals
from monitor.drift.nulls import Null, dispersion_of, null_of
from monitor.events import Float64s, Int64s
from monitor.sketches.sizes import SIGNED, signed_bins
from tests.drift.streams import Draw, Tally, alarms, tally, without_margin, without_tempering
from tests.drift.test_false_alarms import Alter, as_it_is

C = 200.0
CLASSES = 4
SHARES = np.array([0.5, 0.3, 0.15, 0.05])
ERRORS = np.array([0.05, 0.1, 0.2, 0.3])
"""Of each class: how frequent it is, and how often it is missed."""
UNIT = 2.0**-20


def classes(random: np.random.Generator, rows: int, dispersion: float) -> Draw:
    """Counts of right, missed and false rows by class; with a dispersion beyond 1 rows come alike in groups of so many."""
    chances = SHARES[:, np.newaxis] * ERRORS[:, np.newaxis] / (CLASSES - 1) * np.ones((CLASSES, CLASSES))
    chances[np.diag_indices(CLASSES)] = SHARES * (1 - ERRORS)

    def draw(tick: int, lanes: int) -> Int64s:
        groups = random.multinomial(int(rows / dispersion), chances.ravel(), lanes) * int(dispersion)
        matrix = groups.reshape(lanes, CLASSES, CLASSES)
        right = np.diagonal(matrix, axis1=1, axis2=2)
        found: Int64s = np.concatenate([right, matrix.sum(axis=2) - right, matrix.sum(axis=1) - right], axis=1)
        return found

    return draw


def numbers(random: np.random.Generator, rows: int, dispersion: float) -> Draw:
    """Residuals with heavy tails (t with 3 degrees of freedom), one in a thousand out of bounds."""

    def draw(tick: int, lanes: int) -> Int64s:
        found = np.zeros((lanes, SIGNED + 1), np.int64)
        values: Float64s = random.standard_t(3, (lanes, int(rows / dispersion)))
        bins = np.where(
            random.random(values.shape) < 0.001, SIGNED, signed_bins(np.rint(values / UNIT).astype(np.int64))
        )
        np.add.at(found, (np.arange(lanes)[:, np.newaxis], bins), int(dispersion))
        return found

    return draw


def asked(task: str, reference: Int64s) -> Functionals:
    return by_class([str(i) for i in range(CLASSES)]) if task == "classes" else residuals(reference, UNIT)


SMALL, FULL, MANY = (6, 4, 250), (40, 5, 1000), (24, 2, 100)
"""References, lanes of each, ticks."""


def world(
    task: str,
    learn: int,
    *,
    size: tuple[int, int, int] = SMALL,
    rows: int = 200,
    dispersion: float = 1.0,
    alter: Alter = as_it_is,
    busier: int = 1,
) -> Tally:
    """Ticks of so many rows; the reference are `learn` such ticks, those that follow have `busier` times as many."""
    references, lanes, ticks = size
    random, found = np.random.default_rng(learn + int(dispersion)), []
    for _ in range(references):
        draw = {"classes": classes, "numbers": numbers}[task](random, rows, dispersion)
        counts = np.concatenate([draw(tick, 1) for tick in range(learn)])
        functionals = asked(task, counts.sum(axis=0))
        null: Null = alter(null_of(functionals, counts.sum(axis=0), dispersion=dispersion_of(functionals, counts)))
        draw = {"classes": classes, "numbers": numbers}[task](random, busier * rows, dispersion)
        found.append(alarms(Detector((Channel(task, functionals, null, 1.0),), C), [draw], ticks, lanes))
    return tally(found, ticks, C)


SCENARIOS: dict[str, Callable[..., Tally]] = {
    f"{task}, reference of {learn} ticks{f', dispersion {dispersion:g}' if dispersion > 1 else ''}": partial(
        world, task, learn, dispersion=dispersion
    )
    for task in ("classes", "numbers")
    for learn, dispersion in ((64, 1.0), (500, 1.0), (500, 5.0))
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sample_of_a_null_world_keeps_the_budget(name: str) -> None:
    found = SCENARIOS[name]()
    assert found.holds, found


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_null_world_keeps_the_budget(name: str) -> None:
    found = SCENARIOS[name](size=FULL)
    print(f"\n{name}: {found.mean:.2f} +- {found.error:.2f} alarms, bound {found.bound:.1f}")
    assert found.expected >= 100
    assert found.holds, found


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_the_criterion_fails_without_margins_and_without_tempering(task: str) -> None:
    assert world(task, 16, size=MANY, busier=20).holds
    assert not world(task, 16, size=MANY, busier=20, alter=without_margin).holds
    assert not world(task, 500, dispersion=5.0, alter=without_tempering).holds
