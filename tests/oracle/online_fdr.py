"""Online procedures that decide p-values one after the other at a false discovery rate: each level by its printed formula.

LOND (Javanmard and Montanari 2015), LORD++ (Ramdas, Yang, Wainwright and Jordan 2017), SAFFRON (Ramdas, Zrnic, Wainwright and
Jordan 2018), ADDIS (Tian and Ramdas 2019). Nothing of the daemon decides by them: its tests overlap and depend on each other, and
it lists by e-values. They are what that is measured by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Decided = tuple[list[int], list[float]]
"""The rejected, counted from 1, and the level that each p-value was compared with."""
Level = Callable[[int, list[int]], float]
"""The level of the t-th, given those before it that were rejected."""


def slow(j: int) -> float:
    """The sequence of LORD and LOND, which adds up to 1."""
    return 0.07720838 * math.log(max(j, 2)) / (j * math.exp(math.sqrt(math.log(j))))


def fast(j: int) -> float:
    """The sequence of SAFFRON and ADDIS, j^-1.6 made to add up to 1."""
    return 0.4374901658 * math.exp(-1.6 * math.log(j))


def _decide(values: Sequence[float], level: Level) -> Decided:
    rejected, levels = list[int](), list[float]()
    for t, value in enumerate(values, 1):
        levels.append(level(t, rejected))
        if value <= levels[-1]:
            rejected.append(t)
    return rejected, levels


def lond(values: Sequence[float], alpha: float, *, dependent: bool = False) -> Decided:
    """`dependent`: under any dependence, each level divided by the harmonic sum."""

    def level(t: int, rejected: list[int]) -> float:
        price = sum(1 / i for i in range(1, t + 1)) if dependent else 1.0
        return alpha * slow(t) * (len(rejected) + 1) / price

    return _decide(values, level)


def lord(values: Sequence[float], alpha: float, wealth: float) -> Decided:
    """LORD++; `wealth` to begin with."""

    def level(t: int, rejected: list[int]) -> float:
        first = (alpha - wealth) * sum(slow(t - r) for r in rejected[:1])
        return wealth * slow(t) + first + alpha * sum(slow(t - r) for r in rejected[1:])

    return _decide(values, level)


def saffron(values: Sequence[float], alpha: float, wealth: float, candidate: float) -> Decided:
    """p-values up to `candidate` cost nothing: only those above it move the sequence on."""

    def level(t: int, rejected: list[int]) -> float:
        def since(r: int) -> float:
            return fast(t - r - sum(value <= candidate for value in values[r : t - 1]))

        first = (alpha - wealth) * sum(map(since, rejected[:1]))
        found = wealth * since(0) + first + alpha * sum(map(since, rejected[1:]))
        return min(candidate, (1 - candidate) * found)

    return _decide(values, level)


def addis(values: Sequence[float], alpha: float, wealth: float, candidate: float, selected: float) -> Decided:
    """As SAFFRON, and p-values above `selected` are discarded: they move nothing at all."""

    def level(t: int, rejected: list[int]) -> float:
        def since(r: int) -> float:
            return fast(1 + sum(candidate < value <= selected for value in values[r : t - 1]))

        first = (alpha - wealth) * sum(map(since, rejected[:1]))
        found = wealth * since(0) + first + alpha * sum(map(since, rejected[1:]))
        return min(candidate, (selected - candidate) * found)

    return _decide(values, level)
