"""A later release, made up: its edition counts how many labelled rows a binary model was sure of, and windows carry their share.

Simulations use it as it is. Into a copy of this tree it is put as `monitor/metrics/made_up.py` (`trees.next_release`), so it
imports nothing of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics.binary import BINARY, Binary
from monitor.metrics.estimates import Estimates
from monitor.metrics.task import Metric, Task
from monitor.sketches.cells import CellLayout, Cells, CellSlice

SURE: Final = 0.8


class Surer:
    """A task of binary models with one cell and one metric more. `number`: of its edition."""

    def __init__(self, before: Task, number: int) -> None:
        self._before, self._number = before, number
        self.name = before.name
        self.cells = before.cells + CellLayout((CellSlice("sure"),))
        self.metrics: Mapping[str, Metric] = MappingProxyType({**before.metrics, "sureness": _sureness})

    def of_edition(self, number: int) -> Task:
        """That before it, for those before it."""
        return self if number >= self._number else self._before.of_edition(number)

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """As before, and the cell of its own."""
        cell, amount = self._before.contribute(score, predicted, label, positive, scores, delay_ms)
        sure = np.full(len(score), self.cells.index("sure"), np.int32)
        return np.column_stack((cell, sure)), np.column_stack((amount, (score >= SURE).astype(np.int64)))

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """As before."""
        return self._before.foresee(score, predicted)

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """As before."""
        return self._before.table(cells)


def _sureness(cells: Cells) -> Estimates:
    """Taken from the accuracy, with the rows that the model was sure of in place of those that it had right."""
    own = BINARY.cells.zeros(len(cells))
    own.array[:, own.layout.index("labelled")] = cells.count("labelled")
    own.array[:, own.layout.index("tp")] = cells.count("sure")
    return BINARY.metrics["accuracy"](own)


def with_surer(task_of: Callable[..., Task], number: int) -> Callable[..., Task]:
    """The making of tasks as the later release has it."""

    def made(*arguments: Any, **named: Any) -> Task:
        task = task_of(*arguments, **named)
        return Surer(task, number) if type(task) is Binary else task

    return made
