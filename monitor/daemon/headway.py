"""How far a worker is that runs to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.daemon.worker import Worker


@dataclass(frozen=True, slots=True)
class Headway:
    """Offsets read and to be read of the partitions owned, towards the ends at the start; ticks closed and known to wait,
    none where another worker evaluates."""

    read: int
    to_read: int
    closed: int
    to_close: int


def headway(worker: Worker) -> Headway:
    """How far it is now."""
    read = total = 0
    for partition, task in worker.tasks.items():
        genesis = task.writer.follower.state.genesis
        assert genesis is not None
        starts = (genesis.prediction_start, genesis.label_start)
        for stream, ends in enumerate(worker.finish):
            total += ends[partition] - starts[stream]
            read += task.engine.next_offsets[stream] - starts[stream]
    engines = worker.judge.evaluator.engines.values() if worker.judge is not None else ()
    return Headway(read, total - read, sum(e.closed for e in engines), sum(e.to_close for e in engines))


def ticks_closed(worker: Worker) -> int:
    """Ticks that the evaluator of this worker has closed; 0 where another one evaluates."""
    return sum(e.closed for e in worker.judge.evaluator.engines.values()) if worker.judge is not None else 0
