"""Labelled rows for the tests of metrics, and their cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from monitor.events import Float64s
from monitor.metrics.binary import BINARY
from monitor.sketches.cells import Cells


@dataclass(frozen=True)
class Rows:
    """Columns of labelled predictions; `score` is NaN where the model gave none."""

    score: Float64s
    predicted: Float64s
    label: Float64s

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, which: slice | list[int]) -> Rows:
        return Rows(self.score[which], self.predicted[which], self.label[which])


def rows_of(*rows: tuple[float, float, float]) -> Rows:
    """Rows from (score, predicted, label)."""
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3).T
    return Rows(columns[0], columns[1], columns[2])


def cells_of(rows: Rows, window: list[int] | None = None, windows: int = 1, positive: float = 1.0) -> Cells:
    """The cells of windows holding these rows; every row was seen."""
    cells = BINARY.cells.zeros(windows)
    where = np.zeros(len(rows), dtype=np.int64) if window is None else np.array(window, dtype=np.int64)
    cells.add(where, *BINARY.contribute(rows.score, rows.predicted, rows.label, positive))
    np.add.at(cells.count("seen"), where, 1)
    return cells


scores = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 0.5, float("nan")]))
classes = st.sampled_from([0.0, 1.0])


def rows_strategy(max_size: int = 40, score: st.SearchStrategy[float] = scores) -> st.SearchStrategy[Rows]:
    """Any labelled rows, with ties, extreme scores and rows without a score."""
    return st.lists(st.tuples(score, classes, classes), max_size=max_size).map(lambda rows: rows_of(*rows))
