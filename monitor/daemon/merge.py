"""Partitions of one topic read as one stream, in the order of the log's own times: none runs ahead of the others.

Whoever copies a backlog partition by partition would write what is new of one before what is old of another, and for the reader
of the copy the old would be late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from monitor.events import RecordBatch

SLACK_MS: Final = 1_000
"""A partition may be ahead of the one that is furthest behind by so much: fewer and longer runs."""
BUFFERED_MAX: Final = 5_000
"""Records of a partition that wait for others; then it is read no further."""


class Merge:
    """What was read of each partition and not yet given on. Where a partition has nothing more to give nobody waits for it."""

    def __init__(self, positions: Sequence[int]) -> None:
        self._buffers: list[deque[RecordBatch]] = [deque() for _ in positions]
        self._read = list(positions)

    def add(self, batch: RecordBatch) -> None:
        """A batch was read."""
        self._read[batch.partition] = batch.next_offset
        self._buffers[batch.partition].append(batch)

    def full(self) -> list[int]:
        """Partitions of which enough waits."""
        return [p for p, held in enumerate(self._buffers) if sum(map(len, held)) >= BUFFERED_MAX]

    def due(self, ends: Sequence[int]) -> Iterator[RecordBatch]:
        """What can be given on, in order. `ends`: where the partitions end, as far as is known."""
        while True:
            for held in self._buffers:
                while held and not len(held[0]):  # only markers of the log itself
                    yield held.popleft()
            waited_for = [p for p, held in enumerate(self._buffers) if not held and self._read[p] < ends[p]]
            heads = {p: int(held[0].timestamps_ms[0]) for p, held in enumerate(self._buffers) if held}
            if waited_for or not heads:
                return
            partition = min(heads, key=lambda p: heads[p])
            yield self._run(partition, heads)

    def _run(self, partition: int, heads: Mapping[int, int]) -> RecordBatch:
        """The records of a partition before the next one is further behind."""
        batch = self._buffers[partition].popleft()
        others = [at for p, at in heads.items() if p != partition]
        if not others:
            return batch
        beyond = np.flatnonzero(batch.timestamps_ms > min(others) + SLACK_MS)
        if not len(beyond):
            return batch
        cut = max(1, int(beyond[0]))
        self._buffers[partition].appendleft(batch.rows(cut, len(batch), batch.next_offset))
        return batch.rows(0, cut, int(batch.offsets[cut - 1]) + 1)
