"""The bounds against the numbers of another implementation, and against their promise: wrong at most alpha of the time."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.sequential import average_bounds, constant_mean_bounds, mixture_bound

# From confseq 0.0.11: one-sided normal mixture tuned for a variance of 100 at alpha 0.05, at variances 1, 10, ... 100,000.
NORMAL_MIXTURE = [
    8.88325927270489,
    11.492681796253237,
    27.660708830694603,
    94.39391616939474,
    332.7971567838972,
    1155.8793846738524,
]


def test_towards_a_range_of_nothing_the_mixture_is_the_normal_one_of_confseq() -> None:
    found = mixture_bound(np.array([1.0, 10, 100, 1000, 10_000, 100_000]), 0.05, tuned=100.0, scale=1e-3)
    assert found == pytest.approx(NORMAL_MIXTURE, rel=3e-4)


def test_a_wider_range_needs_a_wider_bound() -> None:
    spread = np.geomspace(0.1, 1e5, 20)
    widths = [mixture_bound(spread, 0.05, scale=scale) for scale in (0.01, 0.1, 1.0)]
    assert np.all(np.diff(widths, axis=0) > 0)
    assert np.all(np.diff(widths[-1]) > 0)
    assert np.all(mixture_bound(spread, 0.01) > widths[-1])


def test_the_plug_in_bound_is_that_of_confseq_to_the_last_digits() -> None:
    rows = np.zeros(10)
    rows[4] = 1.0
    lower, upper = constant_mean_bounds(rows, 0.025)
    # predmix_empbern_twosided_cs of confseq 0.0.11 at alpha 0.05, for ten rows with a mean of 0.1
    assert upper[-1] == pytest.approx(0.9195218277801812, rel=1e-13)
    assert lower[-1] == 0.0


@pytest.mark.parametrize("shape", ["coins", "rare", "moving", "dependent"])
def test_looked_at_after_every_row_a_bound_is_wrong_at_most_alpha_of_the_time(shape: str) -> None:
    luck, streams, rows, alpha = np.random.default_rng(7), 2000, 1000, 0.05
    draws = luck.random((streams, rows))
    chance = np.full((streams, rows), 0.03 if shape == "rare" else 0.5)
    if shape == "moving":  # better first, worse later; the average is what is bounded
        chance[:] = np.where(np.arange(rows) < 300, 0.2, 0.8)
    elif shape == "dependent":  # every row's chance hangs on the row before
        for t in range(1, rows):
            chance[:, t] = np.where(draws[:, t - 1] < chance[:, t - 1], 0.9, 0.1)
    values = (draws < chance).astype(np.float64)
    truth = np.cumsum(chance, axis=1) / np.arange(1, rows + 1)
    looks = np.unique(np.geomspace(1, rows, 80).astype(np.int64))
    _, lower, upper = average_bounds(values, alpha, looks)
    truth = truth[:, looks - 1]
    for wrong in ((lower > truth).any(axis=1), (upper < truth).any(axis=1)):
        assert wrong.mean() <= alpha


def test_a_test_that_is_looked_at_forty_times_is_what_this_replaces() -> None:
    luck = np.random.default_rng(3)
    difference = luck.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=(2000, 4000))
    looks = np.arange(100, 4001, 100)
    rows = np.arange(1, 4001)
    mean = np.cumsum(difference, axis=1) / rows
    spread = np.sqrt(np.cumsum(difference**2, axis=1) / rows - mean**2)
    naive = (mean / (spread / np.sqrt(rows) + 1e-12))[:, looks - 1] > 1.645
    _, lower, _ = average_bounds(difference / 2 + 0.5, 0.05, looks)
    assert naive.any(axis=1).mean() > 0.2
    assert (lower > 0.5).any(axis=1).mean() <= 0.05
