"""Violations are counted by bins: exactly those a plain recount finds, without any distance noticing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drift.binning import CategoricalBinning, NumericBinning, bin_categories, bin_numbers
from monitor.drift.checked import CheckedCategorical, CheckedNumeric, Violation, in_reference, of_base, violations
from monitor.events import INVALID, MISSING, WRONG_NUMBER, Float64s

numbers = st.one_of(
    st.sampled_from([-5.0, -0.0, 0.0, 1.0, 3.0, 3.0, 7.5, 100.0, math.nan, WRONG_NUMBER]),
    st.floats(-20, 120, width=32),
)
limits = st.one_of(st.none(), st.sampled_from([-5.0, 0.0, 3.0, 7.5]), st.floats(-20, 120, width=32))
references = st.one_of(
    st.just(NumericBinning(None, (), ())),
    st.lists(st.sampled_from([0.0, 1.0, 2.5, 3.0, 4.0, 50.0]), min_size=1, max_size=60).map(
        lambda rows: bin_numbers(np.array(rows))
    ),
)


def column(rows: list[float]) -> Float64s:
    return np.array(rows, np.float64)


def histogram(checked: CheckedNumeric | CheckedCategorical, codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes, minlength=checked.bins)[np.newaxis].astype(np.int64)


def told(checked: CheckedNumeric | CheckedCategorical, counts: np.ndarray) -> dict[Violation, int]:
    return {kind: int(n[0]) for kind, n in violations(checked, counts).items()}


def recount(rows: list[float], low: float | None, high: float | None) -> dict[Violation, int]:
    """Row by row, in plain Python."""
    wrong = [np.float64(x).view(np.uint64) == np.float64(WRONG_NUMBER).view(np.uint64) for x in rows]
    found = {
        Violation.MISSING: sum(math.isnan(x) and not bad for x, bad in zip(rows, wrong, strict=True)),
        Violation.WRONG_TYPE: sum(wrong),
    }
    if low is not None:
        found[Violation.BELOW_MIN] = sum(x < low for x in rows)
    if high is not None:
        found[Violation.ABOVE_MAX] = sum(x > high for x in rows)
    return found


@given(references, st.lists(numbers, max_size=80), limits, limits)
def test_violations_of_numbers_are_those_of_a_plain_recount(
    base: NumericBinning, rows: list[float], low: float | None, high: float | None
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    checked = CheckedNumeric(base, low, high)
    codes = checked.codes(column(rows))
    assert told(checked, histogram(checked, codes)) == recount(rows, low, high)


@given(references, st.lists(numbers, min_size=1, max_size=80), limits, limits)
def test_the_bins_of_the_reference_count_what_they_counted_without_limits(
    base: NumericBinning, rows: list[float], low: float | None, high: float | None
) -> None:
    checked = CheckedNumeric(base, low, high)
    codes = checked.codes(column(rows))
    plain = base.codes(column(rows))
    assert checked.parents[codes].tolist() == plain.tolist()
    assert of_base(checked, histogram(checked, codes))[0].tolist() == np.bincount(plain, minlength=base.bins).tolist()


@given(references, st.lists(numbers, max_size=60), st.integers(0, 60), limits)
def test_any_split_of_the_rows_merges_to_the_whole(
    base: NumericBinning, rows: list[float], cut: int, high: float | None
) -> None:
    checked = CheckedNumeric(base, None, high)
    whole, head, tail = (histogram(checked, checked.codes(column(part))) for part in (rows, rows[:cut], rows[cut:]))
    assert (whole == head + tail).all()
    assert told(checked, whole) == {kind: n + told(checked, tail)[kind] for kind, n in told(checked, head).items()}


words = st.sampled_from(["AA", "DL", "UA", "9E", "rare", "new", "…overflow"])


@given(
    st.dictionaries(words, st.integers(1, 400), max_size=5),
    st.lists(st.one_of(words, st.sampled_from([MISSING, INVALID])), max_size=60),
    st.one_of(st.none(), st.frozensets(words)),
)
def test_unexpected_categories_are_those_of_a_plain_recount(
    reference: dict[str, int], rows: list[str | int], values: frozenset[str] | None
) -> None:
    base = bin_categories(reference) if reference else CategoricalBinning((), (), rare_complete=False)
    checked = CheckedCategorical(base, values)
    names = sorted({row for row in rows if isinstance(row, str)})
    codes = np.array([names.index(row) if isinstance(row, str) else row for row in rows], np.int32)
    bins = checked.table(names)[codes] if rows else np.zeros(0, np.uint8)
    expected = {Violation.MISSING: rows.count(MISSING), Violation.WRONG_TYPE: rows.count(INVALID)}
    if values is not None:
        expected[Violation.UNEXPECTED] = sum(isinstance(row, str) and row not in values for row in rows)
    assert told(checked, histogram(checked, bins)) == expected
    plain = base.table(names)[codes] if rows else np.zeros(0, np.uint8)
    assert checked.parents[bins].tolist() == plain.tolist()


def test_both_limits_are_right_themselves() -> None:
    checked = CheckedNumeric(NumericBinning(None, (), ()), 0.0, 6000.0)
    rows = column([math.nextafter(0.0, -1.0), 0.0, 6000.0, math.nextafter(6000.0, 7000.0)])
    found = told(checked, histogram(checked, checked.codes(rows)))
    assert (found[Violation.BELOW_MIN], found[Violation.ABOVE_MAX]) == (1, 1)


def test_the_largest_reference_and_both_limits_fit_a_byte() -> None:
    base = NumericBinning(0.0, tuple(range(1, 248)), ())
    assert base.bins == 250
    checked = CheckedNumeric(base, 0.5, 100.5)
    assert checked.bins == 253
    assert int(checked.codes(column([WRONG_NUMBER]))[0]) == 252
    kept = CategoricalBinning(tuple(map(str, range(246))), ())
    assert CheckedCategorical(kept, frozenset({"0"})).bins == 252


@pytest.mark.parametrize(
    ("low", "high", "below", "above"),
    [(0.0, 9.0, 0, 0), (3.0, None, 2, None), (2.5, None, 2, None), (None, 2.0, None, 2), (None, 1.5, None, 3)],
)
def test_of_a_reference_only_what_surely_was_outside_counts(
    low: float | None, high: float | None, below: int | None, above: int | None
) -> None:
    """Values 1, 2, 3, 4, an atom each; then a missing one."""
    base = NumericBinning(1.0, (), (1.0, 2.0, 3.0, 4.0))
    counts = np.zeros(base.bins, np.int64)
    np.add.at(counts, base.codes(column([1.0, 2.0, 3.0, 4.0, math.nan])), 1)
    found = in_reference(CheckedNumeric(base, low, high), counts)
    assert found.get(Violation.BELOW_MIN) == below
    assert found.get(Violation.ABOVE_MAX) == above
    assert found[Violation.MISSING] == 1


def test_a_bin_of_the_reference_that_a_limit_cuts_in_two_is_not_held_against_it() -> None:
    base = NumericBinning(0.0, (10.0, 20.0), ())
    counts = np.array([0, 30, 70, 0, 0], np.int64)
    assert in_reference(CheckedNumeric(base, None, 15.0), counts)[Violation.ABOVE_MAX] == 0
    assert in_reference(CheckedNumeric(base, None, 10.0), counts)[Violation.ABOVE_MAX] == 70
