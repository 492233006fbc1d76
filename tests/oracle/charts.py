"""Average run lengths of control charts on independent normal values of variance 1, by their integral equations.

The run length from a state solves a Fredholm equation of the second kind (Page 1954 for the CUSUM; Crowder 1987 for the EWMA),
here at the nodes of Gauss and Legendre. Charts start at 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Float64s = NDArray[np.float64]

NODES = 120


def cusum(k: float, h: float, shift: float) -> float:
    """Of the one-sided chart max(0, S + x - k), which alarms above h; x has the mean `shift`."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    states, weights = h / 2 * (nodes + 1), h / 2 * weights
    # From z the next state is 0 with a probability, or x with a density; beyond h the chart has alarmed.
    every = np.concatenate(([0.0], states))
    move = np.column_stack((ndtr(k - every - shift), _density(states + k - every[:, None] - shift) * weights))
    found = np.linalg.solve(np.eye(NODES + 1) - move, np.ones(NODES + 1))
    return float(found[0])


def two_sided_cusum(k: float, h: float, shift: float) -> float:
    """Of two of them, one for each side: the rates of both add up (Van Dobben de Bruyn 1968)."""
    return 1 / (1 / cusum(k, h, shift) + 1 / cusum(k, h, -shift))


def ewma(weight: float, limit: float, shift: float) -> float:
    """Of (1 - weight) z + weight x, which alarms beyond `limit` asymptotic standard deviations on either side."""
    end = limit * math.sqrt(weight / (2 - weight))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    states, weights = end * nodes, end * weights
    every = np.concatenate(([0.0], states))
    move = _density((states - (1 - weight) * every[:, None]) / weight - shift) / weight * weights
    inside = np.linalg.solve(np.eye(NODES) - move[1:], np.ones(NODES))
    return float(1 + move[0] @ inside)


def shewhart(limit: float, shift: float) -> float:
    """Of single values beyond `limit` standard deviations on either side."""
    return float(1 / (ndtr(-limit - shift) + ndtr(shift - limit)))


def _density(x: Float64s) -> Float64s:
    found: Float64s = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return found
