"""Named slices of one integer vector: exact sums, exact retraction, no silent overflow."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sketches.cells import CellLayout, Cells, CellSlice, checked, stack
from monitor.sketches.fixed_point import CELL_LIMIT

LAYOUT = CellLayout((CellSlice("seen"), CellSlice("loss", fraction_bits=2), CellSlice("bins", 3)))

cell_rows = st.lists(
    st.tuples(
        st.integers(0, 2), st.lists(st.tuples(st.integers(0, 4), st.integers(-(2**40), 2**40)), min_size=2, max_size=2)
    ),
    max_size=30,
)


Rows = list[tuple[int, list[tuple[int, int]]]]


def added(rows: Rows, cells: Cells | None = None, sign: int = 1) -> Cells:
    """The rows, each (window, [(cell, amount), (cell, amount)]), added to three windows."""
    total = LAYOUT.zeros(3) if cells is None else cells
    window = np.array([w for w, _ in rows], dtype=np.int64)
    pairs = np.array([pair for _, pair in rows], dtype=np.int64).reshape(len(rows), 2, 2)
    total.add(window, pairs[:, :, 0].astype(np.int32), sign * pairs[:, :, 1])
    return total


def test_slices_lie_in_the_order_they_are_named() -> None:
    assert LAYOUT.size == 5
    assert LAYOUT.names == ("seen", "loss", "bins")
    assert LAYOUT.slice("bins") == slice(2, 5)
    assert LAYOUT.index("loss") == 1
    assert "bins" in LAYOUT
    assert "other" not in LAYOUT


def test_layouts_join_end_to_end() -> None:
    joined = LAYOUT + CellLayout((CellSlice("more", 2),))
    assert joined.size == 7
    assert joined.slice("more") == slice(5, 7)
    assert joined != LAYOUT
    assert joined == CellLayout((*LAYOUT.slices, CellSlice("more", 2)))


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names 'seen' twice"):
        LAYOUT + CellLayout((CellSlice("seen"),))


def test_a_slice_needs_a_cell() -> None:
    with pytest.raises(ValueError, match="'empty' has 0 cells"):
        CellLayout((CellSlice("empty", 0),))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no cells named 'tp'; it has seen, loss, bins"):
        LAYOUT.slice("tp")


def test_columns_are_read_by_name() -> None:
    cells = Cells(LAYOUT, np.array([[7, 6, 1, 2, 3], [8, -1, 4, 5, 6]]))
    assert cells.count("seen").tolist() == [7, 8]
    assert cells.fixed("loss").tolist() == [1.5, -0.25]
    assert cells.histogram("bins").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert len(cells) == 2


def test_a_histogram_is_not_a_count() -> None:
    with pytest.raises(ValueError, match="'bins' is a histogram of 3 cells"):
        LAYOUT.zeros().count("bins")


@pytest.mark.parametrize("array", [np.zeros((1, 4), dtype=np.int64), np.zeros((1, 5)), np.zeros(5, dtype=np.int64)])
def test_an_array_of_another_shape_or_type_is_refused(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"int64 of shape \(windows, 5\)"):
        Cells(LAYOUT, array)


@given(cell_rows, st.integers(0, 30))
def test_any_split_of_the_rows_adds_up_to_the_whole(rows: Rows, cut: int) -> None:
    whole = added(rows)
    parts = added(rows[:cut]) + added(rows[cut:])
    assert np.array_equal(whole.array, parts.array)


@given(cell_rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: Rows, shuffler: random.Random) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert np.array_equal(added(rows).array, added(shuffled).array)


@given(cell_rows, cell_rows)
def test_taking_rows_back_restores_the_cells(kept: Rows, taken: Rows) -> None:
    cells = added(taken, added(kept))
    assert np.array_equal(added(taken, cells, sign=-1).array, added(kept).array)


@given(cell_rows)
def test_the_negative_of_cells_takes_them_back(rows: Rows) -> None:
    cells = added(rows)
    assert not (cells + -cells).array.any()


@given(cell_rows)
def test_the_total_is_every_window_added(rows: Rows) -> None:
    cells = added(rows)
    assert cells.total().array.tolist() == [[sum(column) for column in zip(*cells.array.tolist(), strict=True)]]


def test_a_sum_that_leaves_the_limit_is_an_error() -> None:
    row = LAYOUT.zeros()
    row.array[0, 3] = CELL_LIMIT - 1
    one = LAYOUT.zeros()
    one.array[0, 3] = 1
    assert (row + one).array[0, 3] == CELL_LIMIT
    with pytest.raises(OverflowError, match="cells 'bins' of a window exceed"):
        row + one + one
    with pytest.raises(OverflowError, match="cells 'bins' of a window exceed"):
        stack(LAYOUT, [row.array[0], row.array[0], row.array[0], row.array[0]]).total()


def test_a_negative_cell_beyond_the_limit_is_found_too() -> None:
    cells = LAYOUT.zeros(2)
    cells.array[1, 0] = -CELL_LIMIT - 1
    with pytest.raises(OverflowError, match="cells 'seen'"):
        checked(cells)


def test_totals_of_large_cells_that_cancel_are_exact() -> None:
    big = np.array([CELL_LIMIT, 0, 0, 0, 0])
    cells = stack(LAYOUT, [big, -big, big, -big, big])
    assert cells.total().array[0, 0] == CELL_LIMIT


def test_cells_of_different_layouts_are_not_added() -> None:
    other = CellLayout((CellSlice("seen", 5),))
    with pytest.raises(ValueError, match="different layouts"):
        LAYOUT.zeros() + other.zeros()


def test_rows_cannot_be_added_to_a_view_with_holes() -> None:
    holes = Cells(LAYOUT, np.zeros((3, 10), dtype=np.int64)[:, :5])
    with pytest.raises(ValueError, match="contiguous"):
        holes.add(np.array([0]), np.zeros((1, 1), dtype=np.int32), np.ones((1, 1), dtype=np.int64))


def test_no_windows_make_an_empty_array() -> None:
    assert stack(LAYOUT, []).array.shape == (0, 5)
    assert LAYOUT.zeros(0).total().array.tolist() == [[0] * 5]
