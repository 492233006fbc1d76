"""Streams of other tasks than binary, with what somebody else's software says of their windows."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parent.parent / "data" / "reference"


@dataclass(frozen=True)
class Stream:
    """Rows in stream order; `table` has a line per window of `size` rows, and one for `all`."""

    label: Any
    predicted: Any
    probabilities: Any
    classes: tuple[str, ...]
    table: list[dict[str, str]]
    size: int

    def part(self, window: str) -> slice:
        """The rows of a window."""
        return slice(None) if window == "all" else slice(int(window) * self.size, (int(window) + 1) * self.size)


def _table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((REFERENCE / f"{name}.csv").read_text().splitlines()))


def segments() -> Stream:
    """Image segments of seven classes. The table's log loss is of probabilities that add up to 1, so they are made to."""
    with np.load(REFERENCE / "stream_segment.npz") as data:
        given = data["P"].astype(np.float64)
        label, classes = data["y"].astype(np.float64), tuple(map(str, data["classes"]))
    probabilities = given / given.sum(axis=1, keepdims=True)
    predicted = given.argmax(axis=1).astype(np.float64)
    return Stream(label, predicted, probabilities, classes, _table("metrics_multiclass"), 330)


def approval() -> Stream:
    """Approval ratings, predicted one after the other by an online linear regression."""
    with np.load(REFERENCE / "stream_trump_river_lin.npz") as data:
        label, predicted = data["y"].astype(np.float64), data["pred"].astype(np.float64)
    return Stream(label, predicted, np.zeros((len(label), 0)), (), _table("metrics_regression"), 100)
