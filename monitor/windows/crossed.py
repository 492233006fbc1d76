"""Labelled rows and errors of every combination of a model's segments: what slices of two segments are found in.

A group of the ledger is such a combination already: it has a value for each dimension. Windows add groups up by one segment
at a time and forget which of them went together; here each window of a version keeps two integers for each combination
instead, for as long as rules can read the window.

Bounded: dimensions are crossed in the order in which they are configured, while all their values together make at most 1,000
combinations; a model with fewer than two such dimensions keeps nothing. A combination of a window takes about 200 bytes.

Not done: regression models, whose errors are no counts.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from monitor.events import Bools, Int64s
from monitor.groups import Group, model_of
from monitor.metrics.binary import BINARY
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.task import Task
from monitor.plan import Dimension, ModelPlan
from monitor.windows.pieces import Piece
from monitor.windows.view import SeriesKey, WindowKey

MOST_COMBINATIONS: Final = 1_000
"""Of the values of dimensions that are crossed, those that are no segment (`other`) among them."""

Combination = tuple[tuple[str, str], ...]
"""(dimension, value) for each dimension that is crossed, in the configured order."""
Errors = tuple[int, int]
"""Labelled rows, and those that were wrong."""


class Addition(NamedTuple):
    """What a tick adds to one combination of a window of all of a version's rows. Takings back are negative."""

    key: WindowKey
    combination: Combination
    rows: int
    errors: int


def crossed(dimensions: Sequence[Dimension]) -> frozenset[str]:
    """The dimensions that are crossed: in their order, each that does not make more than `MOST_COMBINATIONS` with those before
    it. None where that leaves fewer than two."""
    found, combinations = list[str](), 1
    for dimension in dimensions:
        with_it = combinations * (len(dimension.values) + 1)
        if with_it <= MOST_COMBINATIONS:
            found.append(dimension.name)
            combinations = with_it
    return frozenset(found if len(found) > 1 else ())


class Crossed:
    """The combinations of all windows that rules can read. Mutable; a function of what was added."""

    def __init__(self) -> None:
        self.held: dict[tuple[SeriesKey, str], dict[int, dict[Combination, Errors]]] = {}
        """By series (of all rows) and window name, by start."""
        self._counted: dict[str, tuple[frozenset[str], Int64s]] = {}

    def crosses(self, plan: ModelPlan) -> bool:
        """Whether combinations of a model's segments are kept."""
        if plan.sense not in self._counted:
            dimensions, weights = crossed(plan.dimensions), _weights(plan.task)
            self._counted[plan.sense] = dimensions if weights.any() else frozenset(), weights
        return bool(self._counted[plan.sense][0])

    def follow_editions(self) -> None:
        """Another edition holds: vectors have more cells."""
        self._counted.clear()

    def additions(
        self,
        plan: ModelPlan,
        pieces: Iterable[Piece],
        spans: Callable[[int], Iterable[tuple[str, int, int]]],
        live: Container[object],
    ) -> list[Addition]:
        """What pieces of one model add to those of its windows (`spans` of a pane) that are `live`."""
        if not self.crosses(plan):
            return []
        dimensions, weights = self._counted[plan.sense]
        sums: dict[tuple[Group, int], tuple[int, int]] = {}
        for piece in pieces:
            for slot, rows, errors in _by_slot(piece, weights):
                was = sums.get(slot, (0, 0))
                sums[slot] = was[0] + rows, was[1] + errors
        found = []
        for (group, pane_ms), (rows, errors) in sums.items():
            if rows or errors:
                series = SeriesKey(model_of(group.model), group.version, group.series()[0])
                own = tuple(part for part in group.segments if part[0] in dimensions)
                keys = (WindowKey(series, *span) for span in spans(pane_ms))
                found += [Addition(key, own, rows, errors) for key in keys if key in live]
        return found

    def add(self, additions: Iterable[Addition]) -> None:
        """Have them counted. What is taken back as a whole is forgotten, as if it had never come."""
        for key, combination, rows, errors in additions:
            window = self.held.setdefault((key.series, key.window), {}).setdefault(key.start_ms, {})
            was = window.get(combination, (0, 0))
            window[combination] = now = (was[0] + rows, was[1] + errors)
            if now == (0, 0):
                del window[combination]

    def keep(self, series: SeriesKey, window: str, starts: Container[int]) -> None:
        """Forget the other windows of a series: nobody can read them any more."""
        held = self.held.get((series, window), {})
        for start in [start for start in held if start not in starts]:
            del held[start]

    def total(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        """What windows add up to, by combination."""
        held = self.held.get((series, window), {})
        found: dict[Combination, Errors] = {}
        for start in starts:
            for combination, (rows, errors) in held.get(start, {}).items():
                was = found.get(combination, (0, 0))
                found[combination] = was[0] + rows, was[1] + errors
        return found


def _weights(task: Task) -> Int64s:
    """What each cell of a task's vector says of labelled rows and of errors, (2, cells); nothing where errors are no counts."""
    found = np.zeros((2, task.cells.size), np.int64)
    if isinstance(task, Multiclass):
        matrix = found[1, task.cells.slice("confusion")].reshape(len(task.classes), -1)
        matrix[np.arange(len(matrix)), np.arange(len(matrix))] = -1
        found[:, task.cells.slice("labelled")] = 1
    elif task.name == BINARY.name:
        found[0, task.cells.slice("labelled")] = 1
        found[1, task.cells.slice("fp")] = found[1, task.cells.slice("fn")] = 1
    return found


def _by_slot(piece: Piece, weights: Int64s) -> Iterator[tuple[tuple[Group, int], int, int]]:
    """Rows and errors of each (group, pane) of a piece that has any."""
    said: Bools = (weights[0] != 0) | (weights[1] != 0)
    says = said[piece.cells]
    slot, cells, amounts = (
        column[says] for column in (np.repeat(np.arange(len(piece.length)), piece.length), piece.cells, piece.amounts)
    )
    sums = np.zeros((2, len(piece.length)), np.int64)
    for own, weight in zip(sums, weights, strict=True):
        np.add.at(own, slot, weight[cells] * amounts)
    for i in np.flatnonzero(sums.any(axis=0)).tolist():
        yield (piece.groups[int(piece.group[i])], int(piece.pane_ms[i])), int(sums[0, i]), int(sums[1, i])
