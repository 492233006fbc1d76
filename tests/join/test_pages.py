"""Columns in pages of their own keep what they hold however they grow."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.join import pages
from monitor.join.pages import Column


@pytest.mark.parametrize("width", [0, 3])
def test_a_column_that_grows_keeps_its_rows_and_what_is_new_is_zero(width: int) -> None:
    column = Column(np.uint16, width, 10)
    column.array[:] = np.arange(column.array.size).reshape(column.array.shape)
    before = column.array.copy()
    column.grow(100_000)
    assert column.array.shape == ((100_000, width) if width else (100_000,))
    assert (column.array[:10] == before).all()
    assert not column.array[10:].any()


def test_who_keeps_an_old_array_sees_the_rows_as_they_were() -> None:
    column = Column(np.int64, 0, 4)
    column.array[:] = 7
    kept = column.array
    column.grow(1 << 16)
    column.array[:4] = 8
    assert kept.tolist() == [7] * 4
    assert column.array[:5].tolist() == [8, 8, 8, 8, 0]


def test_zeros_are_zero_and_can_be_written_to() -> None:
    array = pages.zeros(1000, np.uint32)
    assert array.dtype == np.uint32
    assert array.shape == (1000,)
    assert not array.any()
    array[999] = 1
    assert array.sum() == 1
