"""Slices of two segments that became worse: where neither segment alone says it.

Every segment and every pair of segments of different dimensions is a candidate. Small ones are drawn to the model's own rate,
as single segments are. A candidate counts only with evidence. Its e-value is the largest of eight binomial likelihood ratios of
its rows of now, at rates between that of its rows of now and before together and 1, divided by eight. If its rows are wrong
no more often than before, that is 1 at most on average: given how many of both are wrong, the errors of now are drawn without
replacement, and a convex function of them is no larger on average than of errors drawn with it (Hoeffding, 1963, theorem 4).
Which candidates have enough is decided over all of them at once by e-BH at 0.1 (Wang & Ramdas, 2022).

Then, as long as something is left: of what has enough, the one with the largest z among rows that no earlier one covers, at
least 3, where a pair must add a tenth to the z of either of its segments and of the whole. Single segments cover
rows too, but are not told here: they stand in `slices`.

Bounded by the combinations that are kept (`windows.crossed`): at most 1,000, each of which is in one candidate of every pair
of dimensions. Not done: three segments at once, combinations that did not occur before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from monitor.alerts.explained import CrossedSlice
from monitor.events import Float64s
from monitor.sketches.fixed_point import natural_log
from monitor.windows.canonical import rounded
from monitor.windows.crossed import Combination, Errors

DRAWN: Final = 20
"""Rows at the model's rate that every segment's past is mixed with: a segment of three rows has no rate of its own."""
LEAST_Z: Final = 3.0
MOST: Final = 5
ADDS: Final = 1.1
"""A pair must have so many times the z of each of its segments: else the segment says it."""
LEVEL: Final = 0.1
"""Of e-BH: the share of candidates without a change, among those with enough evidence, is so much at most on average."""
_BETS: Final = 8


@dataclass(frozen=True, slots=True)
class Expected:
    """A slice against what was to be expected of it: the rate, the standard error of the difference, and z."""

    rate: float
    deviation: float
    z: float


def expected_of(now: Errors, before: Errors, whole: Errors) -> Expected:
    """`whole`: all rows before, of which there must be some; `now` must have some too."""
    (rows, errors), (before_rows, before_errors) = now, before
    drawn = DRAWN * whole[1] / whole[0]
    rate = (before_errors + drawn) / (before_rows + DRAWN)
    pooled = (errors + before_errors + drawn) / (rows + before_rows + DRAWN)
    deviation = math.sqrt(pooled * (1.0 - pooled) * (1.0 / rows + 1.0 / (before_rows + DRAWN)))
    return Expected(rate, deviation, (errors / rows - rate) / deviation if deviation > 0 else 0.0)


def crossed_slices(
    now: Mapping[Combination, Errors], before: Mapping[Combination, Errors]
) -> tuple[list[CrossedSlice], int]:
    """Pairs of segments that became worse, as they were found, and how many candidates were looked at; given labelled rows
    and errors by combination."""
    cells = sorted(now.keys() | before.keys())
    current, past = ([side.get(cell, (0, 0)) for cell in cells] for side in (now, before))
    whole, everything = _sum(past, range(len(cells))), range(len(cells))
    members: dict[Combination, list[int]] = {}
    for place, cell in enumerate(cells):
        for part in (*combinations(cell, 1), *combinations(cell, 2)):
            members.setdefault(part, []).append(place)
    if not whole[0] or not any(rows for rows, _ in current):
        return [], len(members)
    both = {part: (_sum(current, own), _sum(past, own)) for part, own in members.items()}
    enough = _enough(both)
    left, found = set(everything), list[Combination]()
    for _ in range(MOST + len(enough)):
        z = {
            part: _z_left(current, past, whole, own, left)
            for part, own in members.items()
            if part in enough or len(part) == 1
        }
        all_z = _z_left(current, past, whole, everything, left)
        best = max((part for part in enough if _stands(part, z, all_z)), key=lambda part: (z[part], part), default=None)
        if best is None or len(found) == MOST:
            break
        found += [best] if len(best) > 1 else []
        left -= set(members[best])
    rise = _sum(current, everything)[1] - _sum(current, everything)[0] * whole[1] / whole[0]
    return [_told(part, both[part], whole, rise) for part in found], len(members)


def _stands(part: Combination, z: Mapping[Combination, float], all_z: float) -> bool:
    """Whether it is far enough above what was to be expected, and a pair further than what it is made of."""
    above = max(all_z, *(z[(one,)] for one in part)) if len(part) > 1 else 0.0
    return z[part] >= max(LEAST_Z, ADDS * above)


def _z_left(
    current: Sequence[Errors], past: Sequence[Errors], whole: Errors, own: Iterable[int], left: set[int]
) -> float:
    places = [place for place in own if place in left]
    now = _sum(current, places)
    return expected_of(now, _sum(past, places), whole).z if now[0] else 0.0


def _sum(side: Sequence[Errors], places: Iterable[int]) -> Errors:
    rows = errors = 0
    for place in places:
        rows, errors = rows + side[place][0], errors + side[place][1]
    return rows, errors


def _enough(both: Mapping[Combination, tuple[Errors, Errors]]) -> set[Combination]:
    """The candidates with enough evidence, by e-BH over all of them."""
    names = list(both)
    log_e = log_evidence([both[name] for name in names])
    order = sorted(range(len(names)), key=lambda i: (-log_e[i], names[i]))
    needed = natural_log(len(names) / (LEVEL * np.arange(1.0, len(names) + 1.0)))
    passed = [k for k, i in enumerate(order) if log_e[i] >= needed[k]]
    return {names[i] for i in order[: passed[-1] + 1]} if passed else set()


def log_evidence(both: Sequence[tuple[Errors, Errors]]) -> Float64s:
    """Logarithms of the e-values of candidates, each (now, before); no evidence where nothing was before, or all rows or none
    are wrong."""
    (rows, errors), (before_rows, before_errors) = np.array(both, np.float64).reshape(-1, 2, 2).transpose(1, 2, 0)
    every, wrong = rows + before_rows, errors + before_errors
    usable = (rows > 0) & (before_rows > 0) & (wrong > 0) & (wrong < every)
    mean = np.where(usable, wrong / np.where(usable, every, 1.0), 0.5)
    most = np.full(len(rows), -np.inf)
    for step in range(1, _BETS + 1):
        rate = mean + (1.0 - mean) * 2.0**-step
        most = np.maximum(
            most, errors * natural_log(rate / mean) + (rows - errors) * natural_log((1.0 - rate) / (1.0 - mean))
        )
    found: Float64s = np.where(usable, most, 0.0) - natural_log(np.array([float(_BETS)]))
    return found


def _told(part: Combination, both: tuple[Errors, Errors], whole: Errors, rise: float) -> CrossedSlice:
    (rows, errors), (before_rows, before_errors) = both
    expected = expected_of((rows, errors), (before_rows, before_errors), whole)
    excess = errors - rows * expected.rate
    return CrossedSlice(
        segments=[f"{dimension}={value}" for dimension, value in part],
        rows=rows,
        errors=errors,
        before_rows=before_rows,
        before_errors=before_errors,
        expected=rounded(expected.rate),
        z=rounded(expected.z),
        excess=rounded(excess),
        share=rounded(excess / rise) if rise > 0 else None,
    )
