"""The limits of what a worker's joins hold, and what is done at them: predictions wait, nothing is dropped.

There are two: `state.max_rows`, wherever rows are kept, and the disk that rows beyond `state.memory_rows` are put on. When it
takes no more it is asked again every few seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from monitor.daemon.timers import Every
from monitor.join.memory import Memory
from monitor.partition import Partition

_log = logging.getLogger("driftline.capacity")

RETRY_EVERY_MS = 5_000
ROOM_AGAIN = 0.95
"""Share of the limit below which it is no longer full: at the limit a row follows every one that leaves."""


class Capacity:
    """`full` are the partitions of which it is said, and recorded in their commits, that their predictions wait."""

    def __init__(self, max_rows: int, memory: Memory | None = None) -> None:
        """`max_rows`: predictions held by all partitions of the worker together."""
        self._limit, self._memory = max_rows, memory
        self._retry = Every(RETRY_EVERY_MS)
        self._room = 0  # rows that can be fed before it is worth another look
        self.full: frozenset[int] = frozenset()

    def take_over(self, partition: int, *, full: bool) -> None:
        """A partition was opened; `full` as its last commit says."""
        self._room = 0
        self.full = self.full | {partition} if full else self.full - {partition}

    def waiting(self, live: Mapping[int, Partition], fed_rows: int, now_ms: int) -> frozenset[int]:
        """The partitions whose predictions must not be read now. `fed_rows` were fed since the last call."""
        if self._refused(now_ms):
            self.full, self._room = frozenset(live), 0
            return self.full
        self._room -= fed_rows
        if self._room > 0 and not self.full:
            return frozenset()
        rows = sum(engine.held_rows for engine in live.values())
        waiting = frozenset(live) if rows >= self._limit else frozenset()
        self._room = self._limit - rows
        if waiting and not self.full:
            _log.error(
                "the join holds %d rows, state.max_rows is %d: predictions of %s wait",
                rows,
                self._limit,
                sorted(waiting),
            )
        self.full = waiting or (self.full & live.keys() if rows > ROOM_AGAIN * self._limit else frozenset())
        return waiting

    def _refused(self, now_ms: int) -> bool:
        """Whether rows that should leave memory cannot."""
        memory = self._memory
        if memory is None or memory.refused is None:
            return False
        if self._retry.due(now_ms):
            _log.error("%s", memory.refused)
            memory.retry()
        return memory.refused is not None
