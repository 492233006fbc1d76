"""How far a worker is that runs to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.ingest.clocks import FOREVER, NEVER

if TYPE_CHECKING:
    from monitor.daemon.worker import Worker


@dataclass(frozen=True, slots=True)
class PartitionHeadway:
    """Offsets of one partition, both streams together. `at_ms`: the largest event time of its predictions so far; None
    before there is one and after the recorded end."""

    partition: int
    read: int
    to_read: int
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Headway:
    """Offsets read and to be read of the partitions owned, towards the ends at the start; ticks closed and known to wait,
    none where another worker evaluates."""

    read: int
    to_read: int
    closed: int
    to_close: int
    partitions: tuple[PartitionHeadway, ...] = ()


def headway(worker: Worker, others: Sequence[PartitionHeadway] = ()) -> Headway:
    """How far it is now, with partitions that other processes read."""
    partitions = list(others)
    for partition, task in sorted(worker.tasks.items()):
        genesis = task.writer.follower.state.genesis
        assert genesis is not None
        starts = (genesis.prediction_start, genesis.label_start)
        state = task.writer.follower.state
        # Of one whose end is recorded nothing is rebuilt, so its engine does not know how far it was read.
        reached = (state.next_prediction, state.next_label) if task.ended else task.engine.next_offsets
        read = to_read = 0
        for stream, ends in enumerate(worker.finish):
            read += reached[stream] - starts[stream]
            to_read += max(0, ends[partition] - reached[stream])
        at_ms = task.engine.clocks[0].maximum_ms
        partitions.append(PartitionHeadway(partition, read, to_read, at_ms if NEVER < at_ms < FOREVER else None))
    engines = worker.judge.evaluator.engines.values() if worker.judge is not None else ()
    return Headway(
        sum(own.read for own in partitions),
        sum(own.to_read for own in partitions),
        sum(e.closed for e in engines),
        sum(e.to_close for e in engines),
        tuple(sorted(partitions, key=lambda own: own.partition)),
    )


def records_read(worker: Worker) -> int:
    """Records of the partitions owned that were read since their ledgers began. Fewer than offsets, where producers write
    transactions: their markers take an offset each."""
    read = 0
    for task in worker.tasks.values():
        commit = task.writer.follower.state.commit
        read += task.engine.records if not task.ended else sum(commit.records) if commit is not None else 0
    return read


def ticks_closed(worker: Worker) -> int:
    """Ticks that the evaluator of this worker has closed; 0 where another one evaluates."""
    return sum(e.closed for e in worker.judge.evaluator.engines.values()) if worker.judge is not None else 0
