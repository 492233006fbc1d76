"""Terms are rounded once, and the logarithm has the same bits everywhere."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sketches.fixed_point import CELL_LIMIT, from_fixed, natural_log, to_fixed


def test_halves_are_rounded_to_the_even_unit() -> None:
    units = np.array([0.5, 1.5, 2.5, -0.5, -1.5]) / 4
    assert to_fixed(units, bits=2).tolist() == [0, 2, 2, 0, -2]


@given(st.floats(-(2.0**31), 2.0**31))
def test_a_term_is_the_nearest_unit(x: float) -> None:
    found = int(to_fixed(np.array([x]))[0])
    assert found == round(Fraction(x) * 2**30)  # Fraction rounds half to even, exactly


@given(st.lists(st.integers(-(2**52), 2**52)))
def test_whole_units_survive_the_way_there_and_back(units: list[int]) -> None:
    cells = np.array(units, dtype=np.int64)
    assert to_fixed(from_fixed(cells)).tolist() == units


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, 2.0**32, -(2.0**32)])
def test_a_term_that_does_not_fit_is_an_error_and_not_a_wrong_number(x: float) -> None:
    with pytest.raises(OverflowError, match="must be finite and below 4294967296"):
        to_fixed(np.array([0.0, x]))


def test_the_largest_term_fits_two_cells() -> None:
    largest = int(to_fixed(np.array([np.nextafter(2.0**32, 0.0)]))[0])
    assert largest < CELL_LIMIT
    assert 2 * largest < 2**63


@given(st.floats(1e-300, 1e300))
def test_the_logarithm_is_right_to_the_last_place(x: float) -> None:
    found = float(natural_log(np.array([x]))[0])
    assert abs(found - math.log(x)) <= math.ulp(math.log(x))


def test_the_logarithm_has_these_very_bits() -> None:
    x = np.array([1.0, 0.5, 0.1, 1e-15, 0.7071067811865476, 0.9999999999999999, 2.718281828459045, 1e300])
    assert [float.hex(v) for v in natural_log(x).tolist()] == GOLDEN_LOGARITHMS


def test_the_logarithm_of_a_value_does_not_depend_on_its_neighbours() -> None:
    x = np.random.default_rng(7).random(1001) + 1e-9
    together = natural_log(x)
    assert together.tolist() == [float(natural_log(x[i : i + 1])[0]) for i in range(len(x))]


GOLDEN_LOGARITHMS: list[str] = [
    "0x0.0p+0",
    "-0x1.62e42fefa39efp-1",
    "-0x1.26bb1bbb55515p+1",
    "-0x1.144f69ff9ffc4p+5",
    "-0x1.62e42fefa39eep-2",
    "-0x1.0000000000000p-53",
    "0x1.0000000000000p+0",
    "0x1.5963447f87fb5p+9",
]
