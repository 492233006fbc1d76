"""Whether partitions are silent: idle altogether, quiet because labels come and predictions do not, or so that the ticks of what
a stream said have gone by (`monitor.frontier`).

All are decisions of the owner that go into commits: ticks do not wait for the clocks of what is silent. They are taken
after a time without records, and only at the end of the logs, asked for at that moment: who is slow to read never takes
himself for a pause. Who leaves decides nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.daemon.sources import at_end
from monitor.daemon.task import Task
from monitor.editions import LASTING
from monitor.frontier import still_ahead, tick_gone_by
from monitor.ports import Log


class Silence:
    """When the partitions of a worker were last heard, by a monotonic clock."""

    def __init__(self, log: Log, topics: Sequence[str], idle_after_ms: int) -> None:
        """`topics`: predictions and, unless there are none, labels."""
        self._log, self._topics, self._after_ms = log, tuple(topics), idle_after_ms
        self._heard: dict[int, list[int]] = {}

    def open(self, partition: int, now_ms: int) -> None:
        """A partition was opened: silence is counted from here."""
        self._heard[partition] = [now_ms] * 2

    def heard(self, partition: int, stream: int, now_ms: int) -> None:
        """Records of a stream (0 predictions, 1 labels) were read."""
        self._heard[partition][stream] = now_ms

    def idle(self, task: Task, now_ms: int, *, stopping: bool) -> bool:
        """Nothing came for long, and both logs hold nothing more."""
        if now_ms - max(self._heard[task.partition]) < self._after_ms:
            return False
        return task.flags.idle if task.flags.idle or stopping else self._at_end(task, self._topics)

    def quiet(self, task: Task, now_ms: int, *, ask: bool) -> bool:
        """No prediction came for long, and their log holds no more. Without `ask` it stays as the last commit says."""
        if len(self._topics) < 2 or now_ms - self._heard[task.partition][0] < self._after_ms:
            return False
        return task.flags.quiet if task.flags.quiet or not ask else self._at_end(task, self._topics[:1])

    def gone_by(self, task: Task, now_ms: int, wall_ms: int, *, ask: bool) -> tuple[int, int]:
        """The first tick of each stream that has not gone by; 0 where its clock says as much. Without `ask` nothing new."""
        join = task.engine.shared.plan.join
        found = [0, 0]
        for stream in range(len(self._topics)):
            at_ms, before = task.engine.clocks[stream].maximum_ms, task.flags.gone_by[stream]
            if (
                ask
                and task.engine.edition >= LASTING
                and now_ms - self._heard[task.partition][stream] >= self._after_ms
            ):
                newer = tick_gone_by(before, at_ms, wall_ms, join.tick_ms, join.disorder_ms)
                if newer is not None and self._at_end(task, self._topics[stream : stream + 1]):
                    before = newer
            found[stream] = still_ahead(before, at_ms, join.tick_ms, join.disorder_ms)
        return found[0], found[1]

    def _at_end(self, task: Task, topics: Sequence[str]) -> bool:
        return at_end(self._log, topics, task.partition, task.engine.next_offsets)
