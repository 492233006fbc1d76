"""Two profiles with bins of their own: what is said of their distance holds for the values behind them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drift.profile_diff import diff
from monitor.drift.reference import build_reference
from monitor.events import Float64s
from tests.drift.profiles import ORIGIN, small


def exact_ks(one: Float64s, other: Float64s) -> float:
    at = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


numbers = st.lists(st.integers(-40, 40), min_size=5, max_size=300)


@given(numbers, numbers, st.floats(0.1, 3.0))
def test_a_distance_of_numbers_is_at_most_the_exact_one(one: list[int], other: list[int], scale: float) -> None:
    a, b = np.array(one, np.float64), np.array(other) * scale
    old, new = (build_reference("m", {"x": values}, None, ORIGIN) for values in (a, b))
    (found,) = diff(old, new)
    assert found.distance is not None
    assert 0.0 <= found.distance <= exact_ks(a, b) + 1e-12


def test_a_clear_shift_is_seen_nearly_whole_and_said_where() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 20_000), rng.normal(1, 1, 20_000)
    old, new = (build_reference("m", {"x": values}, None, ORIGIN) for values in (a, b))
    (found,) = diff(old, new)
    assert found.distance == pytest.approx(exact_ks(a, b), abs=0.05)
    assert found.moved is not None
    assert abs(float(found.moved.removeprefix("up to ")) - 0.5) < 0.3


def test_of_categories_the_largest_change_of_one_that_both_name_is_told() -> None:
    one = ["EWR"] * 50 + ["JFK"] * 50
    other = ["EWR"] * 20 + ["JFK"] * 60 + ["LGA"] * 20
    old, new = (build_reference("m", {"origin": list(column)}, None, ORIGIN) for column in (one, other))
    (found,) = diff(old, new)
    assert found.distance == pytest.approx(0.3)
    assert found.moved == "'EWR' 50.0% -> 20.0%"


def test_features_that_came_or_went_or_are_of_another_type_have_no_distance() -> None:
    old = build_reference("m", {"a": np.arange(50.0), "c": np.arange(50.0)}, None, ORIGIN)
    new = build_reference("m", {"b": np.arange(50.0), "c": ["x"] * 50}, None, ORIGIN)
    found = {one.feature: one for one in diff(old, new)}
    assert (found["a"].only, found["b"].only, found["c"].only) == ("old", "new", None)
    assert found["c"].types == ("numeric", "categorical")
    assert [one.distance for one in found.values()] == [None, None, None]


def test_a_profile_does_not_differ_from_itself() -> None:
    for one in diff(small(), small()):
        assert one.distance == 0.0
        assert one.moved is None
        assert one.missing is not None
        assert one.missing[0] == one.missing[1]


def test_missing_values_take_no_part_in_a_distance() -> None:
    whole = np.arange(100.0)
    holes = np.where(np.arange(200) % 2, math.nan, np.arange(200) / 2)
    old, new = (build_reference("m", {"x": values}, None, ORIGIN) for values in (whole, holes))
    (found,) = diff(old, new)
    assert found.missing == (0.0, 0.5)
    assert found.distance == pytest.approx(0.0, abs=0.02)
