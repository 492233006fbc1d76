"""Bins of signed integers: which number is in which, and that they are ordered and symmetric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sketches.sizes import (
    FINE,
    FINE_SIGNED,
    FINE_SIZES,
    SIGNED,
    SIZE_BITS,
    SIZES,
    end_of,
    fine_bins,
    fine_ends,
    signed_bins,
    without_sign,
)

numbers = st.integers(-(2**SIZE_BITS), 2**SIZE_BITS)


@given(st.lists(numbers, min_size=1, max_size=50))
def test_a_bin_holds_the_sizes_up_to_its_end_and_from_that_of_the_one_before(values: list[int]) -> None:
    found = signed_bins(np.array(values, np.int64)).tolist()
    for value, place in zip(values, found, strict=True):
        size = abs(place - (SIZES - 1))
        assert (place > SIZES - 1) == (value > 0)
        assert (place < SIZES - 1) == (value < 0)
        assert abs(value) < end_of(size) or size == SIZES - 1
        assert size == 0 or abs(value) >= end_of(size - 1)


@given(st.lists(numbers, min_size=2, max_size=30))
def test_bins_are_in_the_order_of_the_numbers_and_those_of_negatives_mirror_them(values: list[int]) -> None:
    column = np.array(sorted(values), np.int64)
    assert (np.diff(signed_bins(column)) >= 0).all()
    assert (signed_bins(-column) == SIGNED - 1 - signed_bins(column)).all()
    counts = np.bincount(signed_bins(column), minlength=SIGNED)
    sizes = np.bincount(signed_bins(np.abs(column)) - (SIZES - 1), minlength=SIZES)
    assert without_sign(counts).tolist() == sizes.tolist()


@pytest.mark.parametrize(("value", "size"), [(0, 0), (1, 1), (2, 3), (3, 4), (4, 5), (5, 5), (6, 6), (7, 6), (8, 7)])
def test_there_are_two_bins_to_a_doubling(value: int, size: int) -> None:
    assert signed_bins(np.array([value, -value])).tolist() == [SIZES - 1 + size, SIZES - 1 - size]


def test_the_largest_sizes_are_in_the_last_bin() -> None:
    assert signed_bins(np.array([2**SIZE_BITS - 1, 2**SIZE_BITS, 2**50, -(2**50)])).tolist() == [
        SIGNED - 1, SIGNED - 1, SIGNED - 1, 0,
    ]  # fmt: skip


@given(st.lists(st.integers(-(2**SIZE_BITS) + 1, 2**SIZE_BITS - 1), min_size=1, max_size=50))
def test_fine_bins_are_parts_of_the_others_and_end_where_they_say(values: list[int]) -> None:
    column, ends = np.array(values, np.int64), fine_ends()
    assert len(ends) == FINE_SIZES + 1
    found = fine_bins(column)
    for value, place in zip(values, found.tolist(), strict=True):
        size = abs(place - (FINE_SIZES - 1))
        assert ends[size] <= abs(value) < ends[size + 1]
        assert np.sign(value) == np.sign(place - (FINE_SIZES - 1))
        assert size == 0 or ends[size + 1] / ends[size] <= 1 + 1 / FINE
    assert without_sign(np.bincount(found, minlength=FINE_SIGNED)).sum() == len(values)
    order = np.argsort(found, kind="stable")
    assert (np.diff(signed_bins(column)[order]) >= 0).all()
