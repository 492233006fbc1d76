"""The limit of what a worker's joins hold, and what is done at it: predictions wait, nothing is dropped."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from monitor.partition import Partition

_log = logging.getLogger("driftline.capacity")

ROOM_AGAIN = 0.95
"""Share of the limit below which it is no longer full: at the limit a row follows every one that leaves."""


class Capacity:
    """`full` are the partitions of which it is said, and recorded in their commits, that their predictions wait."""

    def __init__(self, max_rows: int) -> None:
        """`max_rows`: predictions held by all partitions of the worker together."""
        self._limit = max_rows
        self._room = 0  # rows that can be fed before it is worth another look
        self.full: frozenset[int] = frozenset()

    def take_over(self, partition: int, *, full: bool) -> None:
        """A partition was opened; `full` as its last commit says."""
        self._room = 0
        self.full = self.full | {partition} if full else self.full - {partition}

    def waiting(self, live: Mapping[int, Partition], fed_rows: int) -> frozenset[int]:
        """The partitions whose predictions must not be read now. `fed_rows` were fed since the last call."""
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
