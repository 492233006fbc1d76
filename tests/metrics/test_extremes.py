"""What an area can end at: against every way in which the missing labels can come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.metrics.extremes import area_bounds

FINE, COARSE = 60, 12
Row = tuple[int, int | None]
"""A score in sixtieths, and the label, None where it is missing."""


def bounds(rows: Sequence[Row]) -> tuple[float, float]:
    counts = {label: np.zeros((1, FINE), np.int64) for label in (0, 1, None)}
    for score, label in rows:
        counts[label][0, score] += 1
    missing = counts[None].reshape(1, COARSE, -1).sum(axis=2)
    low, high = area_bounds(counts[1], counts[0], missing)
    return float(low[0]), float(high[0])


def areas(rows: Sequence[Row]) -> list[float]:
    """Of every way in which the missing labels can come, ties half."""
    open_ = [i for i, (_, label) in enumerate(rows) if label is None]
    found = []
    for said in product((0, 1), repeat=len(open_)):
        labels = {**{i: label for i, (_, label) in enumerate(rows)}, **dict(zip(open_, said, strict=True))}
        positive, negative = ([rows[i][0] for i, label in labels.items() if label == side] for side in (1, 0))
        if positive and negative:
            won = sum((p > q) + 0.5 * (p == q) for p in positive for q in negative)
            found.append(won / (len(positive) * len(negative)))
    return found


label = st.sampled_from([0, 1, None])


@given(st.lists(st.tuples(st.integers(0, FINE - 1), label), max_size=9))
@example([(5, None), (5, None), (5, None), (6, 1), (4, 0)])
def test_whatever_the_missing_labels_say_the_area_ends_within_the_bounds(rows: list[Row]) -> None:
    low, high = bounds(rows)
    found = areas(rows)
    assert bool(found) == (not np.isnan(low) and not np.isnan(high))
    if found:
        assert 0.0 <= low <= min(found) + 1e-12
        assert max(found) - 1e-12 <= high <= 1.0


@given(st.lists(st.tuples(st.integers(0, COARSE - 1), label), max_size=9, unique_by=lambda row: row[0]))
def test_without_ties_the_bounds_are_reached(rows: list[Row]) -> None:
    low, high = bounds([(score * (FINE // COARSE), label) for score, label in rows])
    if found := areas(rows):
        assert (low, high) == pytest.approx((min(found), max(found)))


def test_many_rows_in_one_bin_are_cut_where_it_is_best() -> None:
    """Forty missing labels of one score between labelled rows: the best cut lies inside the bin."""
    labelled: list[tuple[int, int]] = [(0, 0)] * 10 + [(0, 1)] * 3 + [(59, 1)] * 10 + [(59, 0)] * 3
    counts = np.zeros((3, 1, FINE), np.int64)
    for score, truth in labelled:
        counts[truth, 0, score] += 1
    missing = np.zeros((1, COARSE), np.int64)
    missing[0, 6] = 40
    _, high = (float(end[0]) for end in area_bounds(counts[1], counts[0], missing))

    def area(positives: int) -> float:
        """With so many of them positive, each above all that are not; labelled rows of one score in the better order."""
        p, q = 13 + positives, 13 + 40 - positives
        won = 10 * 13 + 3 * 10 + positives * 10 + 10 * (40 - positives) + positives * (40 - positives)
        return won / (p * q)

    best = max(area(k) for k in range(41))
    assert high == pytest.approx(best)
    assert best > max(area(0), area(40)) + 0.05
