"""What a kind of prediction has to say for itself, so that the engine can count it without knowing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics.estimates import Estimates
from monitor.sketches.cells import CellLayout, Cells

Metric = Callable[[Cells], Estimates]
"""A metric reads the cells of W windows and gives W estimates. Pure: window i's estimate depends on row i alone."""


class Task(Protocol):
    """A kind of prediction; each is one file beside this one.

    `cells` begins with the counts `seen` (the engine adds it, for every prediction) and `labelled`.
    """

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def cells(self) -> CellLayout:
        """The vector of a performance window."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """By name, in the order in which people want to read them."""

    def of_edition(self, number: int) -> Task:
        """The task as an edition has it (`monitor.editions`), up to the newest, which this is. Its cells are the first of this
        one's, its metrics some of this one's with the same values."""

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, k) with k fixed.

        Includes `labelled`, not `seen`. The negated amounts take the rows back exactly. `scores` are the probabilities
        of classes, a column each, where the stream has them; `delay_ms` how long the labels took, for a task that counts it.
        """

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """What n predictions add beside `seen`, labelled or not: cell index and amount, both (n, k) with k fixed; None for
        a task that keeps nothing of what waits."""

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """Counts of each window that are published beside those of the layout, without zeros; nothing for no window where
        the layout says it all."""


def evaluate(task: Task, cells: Cells, names: Iterable[str] | None = None) -> dict[str, Estimates]:
    """The named metrics (all when None) of W windows, in the task's order; only what is asked for is computed.

    Raises KeyError for a name the task does not have.
    """
    wanted = task.metrics.keys() if names is None else set(names)
    unknown = sorted(wanted - task.metrics.keys())
    if unknown:
        raise KeyError(f"task {task.name!r} has no metric {unknown[0]!r}; it has {', '.join(task.metrics)}")
    return {name: metric(cells) for name, metric in task.metrics.items() if name in wanted}
