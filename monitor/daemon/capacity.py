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
        self.full: frozenset[int] = frozenset()

    def take_over(self, partition: int, *, full: bool) -> None:
        """A partition was opened; `full` as its last commit says."""
        self.full = self.full | {partition} if full else self.full - {partition}

    def waiting(self, live: Mapping[int, Partition]) -> frozenset[int]:
        """The partitions whose predictions must not be read now."""
        rows = sum(len(engine.join.predictions) for engine in live.values())
        waiting = frozenset(p for p, engine in live.items() if rows >= self._limit or engine.full)
        if waiting and not self.full:
            _log.error(
                "the join holds %d rows, state.max_rows is %d: predictions of %s wait",
                rows,
                self._limit,
                sorted(waiting),
            )
        self.full = waiting or (self.full & live.keys() if rows > ROOM_AGAIN * self._limit else frozenset())
        return waiting
