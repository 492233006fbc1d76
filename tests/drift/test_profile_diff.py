"""Two profiles with bins of their own: what is said of their distance holds for the values behind them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drift.pairs import Name
from monitor.drift.profile_diff import diff, diff_pairs
from monitor.drift.reference import Column, Reference, build_reference
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


def test_of_categories_the_largest_change_of_one_that_either_names_is_told() -> None:
    one = ["EWR"] * 50 + ["JFK"] * 50
    other = ["EWR"] * 20 + ["JFK"] * 60 + ["LGA"] * 20
    old, new = (build_reference("m", {"origin": list(column)}, None, ORIGIN) for column in (one, other))
    (found,) = diff(old, new)
    assert found.distance == pytest.approx(0.3)
    assert found.moved == "'EWR' 50.0% -> 20.0%"


def test_categories_that_were_replaced_are_as_far_apart_as_can_be() -> None:
    old, new = (build_reference("m", {"c": column}, None, ORIGIN) for column in (["x"] * 90, ["y"] * 90))
    (found,) = diff(old, new)
    assert (found.distance, found.moved) == (1.0, "'x' 100.0% -> 0.0%")
    rare = build_reference("m", {"c": ["x"] + ["y"] * 999}, None, ORIGIN)
    (found,) = diff(old, rare)
    assert found.distance == pytest.approx(0.999)
    assert found.moved in ("'x' 100.0% -> at most 0.1%", "'y' 0.0% -> 99.9%")


categories = st.lists(st.integers(0, 12), min_size=1, max_size=400)


@given(categories, categories)
def test_a_distance_of_categories_is_at_most_the_exact_one(one: list[int], other: list[int]) -> None:
    columns = [[f"c{value**2 // 9}" for value in values] for values in (one * 3, other)]
    old, new = (build_reference("m", {"c": list(column)}, None, ORIGIN) for column in columns)
    (found,) = diff(old, new)
    names = {*columns[0], *columns[1]}
    exact = max(abs(columns[0].count(n) / len(columns[0]) - columns[1].count(n) / len(columns[1])) for n in names)
    assert found.distance is not None
    assert exact - 0.005 <= found.distance <= exact + 1e-12


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


def together(
    rng: np.random.Generator, rows: int, strength: float, swapped: bool = False
) -> tuple[dict[str, Column], Name]:
    """A number and a category that go together more or less; `swapped`: another category is the commonest."""
    x = rng.normal(0, 1, rows)
    by_rank = np.clip((x * 1.2 + 2).astype(int), 0, 3)
    code = np.where(rng.random(rows) < strength, by_rank, rng.integers(0, 4, rows))
    names = np.array(["a", "b", "c", "d"])
    drawn = names[code]
    if swapped:  # every second row of `a` twice over: shares change, not how they go together
        keep = (drawn != "b") | (rng.random(rows) < 0.3)
        x, drawn = x[keep], drawn[keep]
    return {"x": x, "k": drawn.tolist()}, ("x", "k")


def paired(rng: np.random.Generator, strength: float, *, swapped: bool = False, turned: bool = False) -> Reference:
    columns, pair = together(rng, 40_000, strength, swapped)
    return build_reference("m", columns, None, ORIGIN, pairs=[pair[::-1] if turned else pair])


def test_a_pair_that_goes_together_otherwise_is_apart_and_one_that_does_not_is_not() -> None:
    rng = np.random.default_rng(5)
    old = paired(rng, 0.6)
    (same,), (other,) = diff_pairs(old, paired(rng, 0.6)), diff_pairs(old, paired(rng, 0.1))
    assert same.distance is not None
    assert other.distance is not None
    assert same.distance < 0.02
    assert other.distance > 0.2
    assert (same.pair, same.only, same.rows) == ("x~k", None, (40_000, 40_000))


def test_neither_the_order_of_its_features_nor_that_of_its_categories_is_a_difference() -> None:
    rng = np.random.default_rng(6)
    old = paired(rng, 0.6)
    (turned,) = diff_pairs(old, paired(rng, 0.6, turned=True))
    assert turned.distance is not None
    assert turned.distance < 0.02
    (swapped,) = diff_pairs(old, paired(rng, 0.6, swapped=True))
    assert swapped.distance is not None
    assert swapped.distance < 0.1, "the commonest category is another one, and groups are matched by name"


def test_groups_of_other_categories_are_not_compared_and_a_pair_of_one_profile_is_said() -> None:
    rng = np.random.default_rng(7)
    old = paired(rng, 0.6)
    columns, pair = together(rng, 1_000, 0.6)
    renamed = {**columns, "k": [f"{name}2" for name in columns["k"]]}
    (found,) = diff_pairs(old, build_reference("m", renamed, None, ORIGIN, pairs=[pair]))
    assert (found.only, found.distance) == (None, None)
    (gone,) = diff_pairs(old, build_reference("m", columns, None, ORIGIN))
    assert (gone.pair, gone.only) == ("x~k", "old")
