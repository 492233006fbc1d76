"""How far a worker is that runs to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.daemon.worker import Worker


def read_so_far(worker: Worker) -> tuple[int, int]:
    """Offsets read and offsets to read of the partitions owned, towards the ends at the start."""
    done = total = 0
    for partition, task in worker.tasks.items():
        genesis = task.writer.follower.state.genesis
        assert genesis is not None
        starts = (genesis.prediction_start, genesis.label_start)
        for stream, ends in enumerate(worker.finish):
            total += ends[partition] - starts[stream]
            done += task.engine.next_offsets[stream] - starts[stream]
    return done, total
