"""Columns of estimates and the reasons for having none."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.metrics.estimates import CODE_OF, CODES, Estimates, estimates, first_reason, undefined_everywhere
from monitor.windows.view import Estimate, Undefined


def columns() -> Estimates:
    undefined = first_reason(3, (np.array([False, False, True]), Undefined.ZERO_DENOMINATOR))
    interval = np.array([0.1, np.nan, 0.0]), np.array([0.3, np.nan, 0.0])
    return estimates(np.array([0.2, 0.5, 0.0]), interval, np.array([10, 1, 0]), undefined, 0.01)


def test_each_window_reads_as_an_estimate() -> None:
    found = columns()
    assert found.at(0) == Estimate(0.2, 0.1, 0.3, 10, 0.01)
    assert found.at(1) == Estimate(0.5, None, None, 1, 0.01)
    assert found.at(2) == Estimate(None, None, None, 0, 0.0, Undefined.ZERO_DENOMINATOR)
    assert len(found) == 3


def test_an_undefined_value_is_not_a_number_in_the_column_either() -> None:
    assert np.isnan(columns().value).tolist() == [False, False, True]
    assert columns().bound.tolist() == [0.01, 0.01, 0.0]


def test_every_reason_has_a_code_of_its_own() -> None:
    assert set(CODE_OF) == set(Undefined)
    assert [CODES[CODE_OF[reason]] for reason in Undefined] == list(Undefined)
    assert CODES[0] is None


@pytest.mark.parametrize("reason", list(Undefined))
def test_a_reason_for_all_windows_is_told_by_each(reason: Undefined) -> None:
    found = undefined_everywhere(np.array([4, 5]), reason)
    assert [found.at(i) for i in range(2)] == [Estimate(None, None, None, rows, 0.0, reason) for rows in (4, 5)]


def test_the_first_reason_that_holds_is_given() -> None:
    both = np.array([True, True]), np.array([True, False])
    codes = first_reason(2, (both[1], Undefined.NO_ROWS), (both[0], Undefined.ONE_CLASS))
    assert [CODES[code] for code in codes] == [Undefined.NO_ROWS, Undefined.ONE_CLASS]
