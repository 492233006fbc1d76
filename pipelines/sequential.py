"""Bounds on the mean of a bounded sequence that hold at every row at once: look whenever you like, stop whenever you like.

Two of them, because they answer two questions.

`average_bounds` is about the *average* of the conditional means so far, whatever they do: no row needs to be independent of,
or distributed like, another. Empirical Bernstein by a gamma-exponential mixture (Howard, Ramdas, McAuliffe & Sekhon 2021,
"Time-uniform, nonparametric, nonasymptotic confidence sequences", Theorem 4 and Proposition 9); for paired losses of two
forecasters this is Choe & Ramdas, "Comparing sequential forecasters", 2023. A challenger that is better first and worse later
is judged by what it was on the whole. This is what a gate decides by.

`constant_mean_bounds` assumes one mean throughout. The predictable plug-in empirical Bernstein bound of Waudby-Smith & Ramdas
2024, "Estimating means of bounded random variables by betting", Theorem 2: tighter early, weighs early rows more, and
says nothing sure about a mean that moves. A second opinion in reports, never the decision.

Every bound here is one-sided: it is wrong, at any row ever, with probability at most alpha. Values are within [0, 1].
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

TUNED_VARIANCE: Final = 20.0
"""Sum of squared deviations at which the mixture is tightest: 2,000 rows whose values spread by 0.1. Any value is valid;
one that is ten times off costs about a tenth in width."""
_HALVINGS: Final = 60


def average_bounds(values: Floats, alpha: float, looks: Ints | None = None) -> tuple[Floats, Floats, Floats]:
    """(mean, lower, upper) after each number of rows in `looks` (all of them when None), along the last axis.

    Each end fails with probability at most `alpha` over all rows together.
    """
    rows = np.arange(1, values.shape[-1] + 1)
    total = np.cumsum(values, axis=-1)
    guess = (0.5 + total - values) / rows  # of the next value, from those before it and one of 0.5
    spread = np.cumsum((values - guess) ** 2, axis=-1)
    at = rows if looks is None else looks
    total, spread = total[..., at - 1], spread[..., at - 1]
    radius = mixture_bound(spread, alpha) / at
    mean = total / at
    return mean, np.maximum(mean - radius, 0.0), np.minimum(mean + radius, 1.0)


def mixture_bound(
    spread: Floats, alpha: float, tuned: float = TUNED_VARIANCE, scale: float = 1.0, tuned_alpha: float = 0.05
) -> Floats:
    """How far a sum can be from its conditional mean, ever, with probability `alpha`, as a function of its variance
    process; values within a range of `scale`. Towards a scale of 0 it is the one-sided normal mixture."""
    rho = _rho(tuned, tuned_alpha)
    threshold = -math.log(alpha)
    low = np.zeros_like(spread)
    high = np.sqrt(2 * (spread + rho) * (threshold + 1)) + 2 * scale * (threshold + 1)
    while bool(np.any(short := _log_mixture(high, spread, rho, scale) < threshold)):
        high = np.where(short, 2 * high, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = _log_mixture(middle, spread, rho, scale) < threshold
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high


def constant_mean_bounds(values: Floats, alpha: float, truncation: float = 0.5) -> tuple[Floats, Floats]:
    """(lower, upper) after each row, for values with one mean. Needs at least one row."""
    return _plug_in_lower(values, alpha, truncation), 1.0 - _plug_in_lower(1.0 - values, alpha, truncation)


def _plug_in_lower(values: Floats, alpha: float, truncation: float) -> Floats:
    rows = np.arange(1, values.shape[-1] + 1)
    total = np.cumsum(values, axis=-1)
    shrunk = (0.5 + total) / (rows + 1)
    variance = (0.25 + np.cumsum((values - shrunk) ** 2, axis=-1)) / (rows + 1)
    before = np.concatenate([np.full_like(values[..., :1], 0.25), variance[..., :-1]], axis=-1)
    stakes = np.minimum(np.sqrt(2 * math.log(1 / alpha) / (rows * np.log1p(rows) * before)), truncation)
    mean_before = np.concatenate([np.zeros_like(values[..., :1]), (total / rows)[..., :-1]], axis=-1)
    cost = np.cumsum((values - mean_before) ** 2 * (-np.log1p(-stakes) - stakes), axis=-1)
    staked = np.cumsum(stakes, axis=-1)
    lower: Floats = (np.cumsum(stakes * values, axis=-1) - math.log(1 / alpha) - cost) / staked
    return np.maximum(lower, 0.0)


def _rho(tuned: float, alpha: float) -> float:
    """The mixing parameter that is best, within a few percent, at a variance of `tuned` (one-sided)."""
    both = 2 * math.log(1 / (2 * alpha))
    return tuned / (both + math.log1p(both))


def _log_mixture(sums: Floats, spread: Floats, rho: float, scale: float) -> Floats:
    from scipy.special import gammainc, gammaln

    square = scale * scale
    prior, shape, rate = rho / square, (spread + rho) / square, (scale * sums + spread + rho) / square
    constant = prior * math.log(prior) - gammaln(prior) - np.log(gammainc(prior, prior))
    found: Floats = (
        constant
        + gammaln(shape)
        + np.log(gammainc(shape, rate))
        - shape * np.log(rate)
        + (scale * sums + spread) / square
    )
    return found
