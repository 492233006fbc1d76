"""Bins fixed on the reference: every value has one, and where the edges lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drift import binning
from monitor.drift.binning import (
    MAX_BINS,
    CategoricalBinning,
    NumericBinning,
    bin_categories,
    bin_numbers,
    category_hash,
    count_categories,
)
from monitor.errors import ReferenceProfileError
from monitor.events import INVALID, MISSING, Float64s

NAN = math.nan

numbers = st.one_of(
    st.integers(-20, 20).map(float), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, -1.0, NAN, math.inf, -math.inf])
)
columns = st.lists(numbers, max_size=200).map(lambda values: np.array(values, dtype=np.float64))


def counts(bins: NumericBinning, values: Float64s) -> list[int]:
    found: list[int] = np.bincount(bins.codes(values), minlength=bins.bins).tolist()
    return found


@given(columns)
def test_the_reference_lies_inside_its_own_bins(values: Float64s) -> None:
    bins = bin_numbers(values)
    found = counts(bins, values)
    assert bins.bins <= MAX_BINS
    assert found[bins.missing] == int((~np.isfinite(values)).sum())
    if len(bins.uppers):
        assert found[0] == found[bins.ordered - 1] == 0


@given(columns, columns)
def test_codes_follow_the_order_of_the_numbers(reference: Float64s, values: Float64s) -> None:
    bins = bin_numbers(reference)
    finite = np.sort(values[np.isfinite(values)])
    assert (np.diff(bins.codes(finite).astype(int)) >= 0).all()


@given(columns)
def test_a_value_with_more_than_a_32nd_of_the_rows_is_alone_in_its_bin(values: Float64s) -> None:
    bins = bin_numbers(values)
    finite = values[np.isfinite(values)]
    distinct, held = np.unique(finite + 0.0, return_counts=True)
    heavy = distinct[held * 32 > len(finite)]
    assert bins.atoms == tuple(heavy)
    for atom in heavy:
        code = bins.codes(np.array([atom]))[0]
        assert bins.singletons[code]
        neighbours = np.array([np.nextafter(atom, -np.inf), np.nextafter(atom, np.inf)])
        assert code not in bins.codes(neighbours)


@given(columns)
def test_bins_of_several_values_hold_at_most_a_16th(values: Float64s) -> None:
    bins = bin_numbers(values)
    finite = int(np.isfinite(values).sum())
    for code in range(bins.ordered):
        if not bins.singletons[code]:
            # a 32nd and a half from rounding the number of bins, and one value that is almost an atom
            assert counts(bins, values)[code] <= finite * 2.5 / 32 + 1


@given(columns.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values.tolist()))))
def test_the_order_of_the_reference_does_not_matter(drawn: tuple[Float64s, list[float]]) -> None:
    values, shuffled = drawn
    assert bin_numbers(values) == bin_numbers(np.array(shuffled))


def test_smooth_values_get_32_bins_of_equal_mass() -> None:
    values = np.random.default_rng(1).normal(size=32_000)
    bins = bin_numbers(values)
    assert counts(bins, values) == [0, *[1000] * 32, 0, 0]


def test_zeros_and_a_sentinel_get_bins_of_their_own() -> None:
    values = np.concatenate([np.zeros(400), np.full(100, -1.0), np.linspace(0.5, 10.0, 500)])
    bins = bin_numbers(values)
    assert bins.atoms == (-1.0, 0.0)
    assert bins.minimum == -1.0
    probes = np.array([-1.5, -1.0, -0.5, 0.0, 0.25, 10.0, 10.5, NAN])
    assert [bins.label(code) for code in bins.codes(probes)] == [
        "< -1",
        "= -1",
        "> -1 to below 0",
        "= 0",
        f"> 0 to {bins.edges[0]:.12g}",
        f"> {bins.edges[-2]:.12g} to 10",
        "> 10",
        "missing",
    ]


def test_no_sliver_is_left_between_quantiles_and_an_atom() -> None:
    values = np.concatenate([np.arange(1000) / 1000, np.full(500, 1.0), 1.0 + np.arange(1, 1001) / 1000])
    bins = bin_numbers(values)
    inside = [c for c in counts(bins, values)[1:-2] if c]
    assert min(inside) >= len(values) // 64


def test_the_largest_and_lowest_doubles_have_bins_like_any_other() -> None:
    largest = 1.7976931348623157e308
    bins = bin_numbers(np.array([-largest, 0.0, largest]))
    assert counts(bins, np.array([-largest, 0.0, largest, math.inf])) == [0, 1, 0, 1, 0, 1, 0, 1]


def test_minus_zero_is_zero() -> None:
    bins = bin_numbers(np.array([-0.0, 0.0, 0.0, 5.0]))
    assert bins.atoms == (0.0, 5.0)
    assert math.copysign(1.0, bins.atoms[0]) == 1.0
    assert bins.codes(np.array([-0.0]))[0] == bins.codes(np.array([0.0]))[0]


@pytest.mark.parametrize("values", [[], [NAN, math.inf]])
def test_a_reference_without_numbers_still_bins_what_comes(values: list[float]) -> None:
    bins = bin_numbers(np.array(values, dtype=np.float64))
    assert bins.bins == 2
    assert [bins.label(c) for c in bins.codes(np.array([1.0, -math.inf, NAN]))] == ["any number", "missing", "missing"]


def test_a_constant_feature_has_its_value_and_both_sides() -> None:
    bins = bin_numbers(np.full(10, 3.5))
    assert [bins.label(c) for c in bins.codes(np.array([3.0, 3.5, 4.0]))] == ["< 3.5", "= 3.5", "> 3.5"]


def test_twenty_values_are_twenty_atoms() -> None:
    values = np.repeat(np.arange(20.0), 5)
    bins = bin_numbers(values)
    assert bins.edges == ()
    assert len(bins.atoms) == 20
    assert sum(1 for c in counts(bins, values) if c) == 20


@pytest.mark.parametrize(
    ("minimum", "edges", "atoms", "message"),
    [
        (0.0, (1.0, 1.0), (), "edges: must increase strictly"),
        (0.0, (), (2.0, 1.0), "atoms: must increase strictly"),
        (0.0, (math.inf,), (), "edges: must be finite"),
        (0.0, (), (NAN,), "atoms: must be finite"),
        (None, (1.0,), (), "minimum: must be given"),
        (2.0, (1.0,), (), "minimum: must be a number not above"),
        (0.0, (), (), "minimum: must be a number not above"),
        (0.0, tuple(map(float, range(1, 300))), (), "edges: make 302 bins, at most 250"),
    ],
)
def test_bins_that_cannot_be_are_refused(
    minimum: float | None, edges: tuple[float, ...], atoms: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ReferenceProfileError, match=message):
        NumericBinning(minimum, edges, atoms)


def test_categories_from_half_a_percent_are_kept_by_count_then_name() -> None:
    bins = bin_categories({"b": 400, "a": 400, "c": 195, "d": 5, "e": 4})
    assert bins.categories == ("a", "b", "c")
    assert bin_categories({"a": 995, "d": 5}).categories == ("a", "d")


def test_rare_categories_are_other_and_new_ones_unseen() -> None:
    bins = bin_categories({"a": 1000, "rare": 1})
    labels = [bins.label(bins.bin_of(name)) for name in ("a", "rare", "new")]
    assert labels == ["'a'", "other", "unseen"]
    assert bins.bins == 5


def test_rare_names_are_not_stored() -> None:
    bins = bin_categories({"a": 1000, "jane.doe@example.org": 1})
    assert bins.rare == (category_hash("jane.doe@example.org"),)
    assert "jane" not in repr(bins)


def test_too_many_rare_categories_make_every_unknown_one_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binning, "RARE_LIMIT", 2)
    complete = bin_categories({"a": 1000, "x": 1, "y": 1})
    crowded = bin_categories({"a": 1000, "x": 1, "y": 1, "z": 1})
    assert complete.label(complete.bin_of("new")) == "unseen"
    assert crowded.label(crowded.bin_of("new")) == "other"


def test_a_table_answers_codes_missing_and_invalid_among_them() -> None:
    bins = bin_categories({"a": 10, "b": 10})
    table = bins.table(["b", "new", "a"])
    codes = np.array([0, 1, 2, MISSING, INVALID])
    assert [bins.label(code) for code in table[codes]] == ["'b'", "unseen", "'a'", "missing", "invalid"]


def test_two_hundred_categories_of_half_a_percent_fit() -> None:
    bins = bin_categories({f"c{i}": 5 for i in range(200)})
    assert len(bins.categories) == 200
    assert bins.bins <= MAX_BINS
    with pytest.raises(ReferenceProfileError, match="at most 250"):
        CategoricalBinning(tuple(f"c{i}" for i in range(247)), ())


@pytest.mark.parametrize(
    ("categories", "rare", "message"),
    [(("a", "a"), (), "categories: must be named once"), (("a",), ("b", "a"), "rare: must increase strictly")],
)
def test_categories_that_cannot_be_are_refused(
    categories: tuple[str, ...], rare: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ReferenceProfileError, match=message):
        CategoricalBinning(categories, rare)


def test_a_column_of_categories_is_counted_with_what_is_wrong_in_it() -> None:
    assert count_categories(["a", None, "a", "b", INVALID, MISSING]) == ({"a": 2, "b": 1}, 2, 1)
    with pytest.raises(ValueError, match="not the number 7"):
        count_categories(["a", 7])


def test_a_name_that_is_not_unicode_has_a_bin_too() -> None:
    bins = bin_categories({"\ud800": 10})
    assert bins.label(bins.bin_of("\ud801")) == "unseen"
