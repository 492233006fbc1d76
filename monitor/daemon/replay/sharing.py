"""Who does what where several processes run one replay: dealt beforehand, not found out by heartbeats.

The processes write one ledger, as the workers of a deployment do, and the same rules keep it right: a partition counts what
its owner appends, whoever that is, and the evaluator decides by what the ledger says. So what is told does not depend on how
many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.daemon.worker import Worker
from monitor.frontier import PartitionClock
from monitor.ingest.clocks import NEVER

AHEAD_PANES = 4
AHEAD_TICKS = 240
"""What a partition has that is this much ahead of the slowest one stays in the ledger: the evaluator keeps in memory what waits
for its tick."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does: which partitions it reads, and whether it evaluates."""

    partitions: frozenset[int]
    evaluates: bool = True

    def given(self, tasks: str, evals: str) -> dict[str, frozenset[int]]:
        """What it holds of the two topics that are leased."""
        return {tasks: self.partitions, evals: frozenset({0} if self.evaluates else ())}


def shares(partitions: int, processes: int) -> list[Share]:
    """Partitions dealt to processes, of which the first one evaluates too and has none more than the others."""
    dealt = [frozenset(range(first, partitions, processes)) for first in range(min(processes, partitions))]
    evaluating, *others = sorted(dealt, key=len)
    return [Share(evaluating), *(Share(own, evaluates=False) for own in others)]


def too_far(clocks: Sequence[PartitionClock], ahead_ms: int, *, labels: bool) -> list[int]:
    """The partitions that are farther than that ahead of the slowest one; without `labels` by predictions alone."""
    reached = [min(clock.prediction_ms, clock.label_ms) if labels else clock.prediction_ms for clock in clocks]
    slowest = min(reached)
    if slowest == NEVER:
        return [p for p, at_ms in enumerate(reached) if at_ms != NEVER]
    return [p for p, at_ms in enumerate(reached) if at_ms > slowest + ahead_ms]


class InStep:
    """Has the evaluator of a worker leave in the ledger what lies far ahead."""

    def __init__(self) -> None:
        self._left: list[int] = []

    def look(self, worker: Worker) -> None:
        """To be called once a loop."""
        if worker.judge is None:
            self._left = []
            return
        plan = worker.plan
        ahead_ms = max(AHEAD_PANES * plan.pane_ms, AHEAD_TICKS * plan.join.tick_ms)
        left = too_far(worker.judge.evaluator.clocks, ahead_ms, labels=plan.has_labels)
        if left != self._left:
            self._left = left
            worker.judge.reader.pause([(worker.topics.ledger, p) for p in left])
