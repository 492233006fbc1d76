"""How many rows the joins of a process keep in memory together; beyond, the oldest are put aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.errors import SpillRefused
from monitor.ports import SegmentStore

if TYPE_CHECKING:
    from monitor.join.join import Join

SHED_SHIFT = 2
"""A quarter of the budget goes at once: a segment is worth its file, and few are to be searched."""
PAUSE_SHIFT = 3
"""Where nothing could be put aside (rows with a history stay), it is tried again after an eighth more rows."""


class Memory:
    """The budget, and the joins that share it."""

    def __init__(self, limit_rows: int, store: SegmentStore) -> None:
        """`limit_rows`: predictions and labels in memory together; each batch is taken in before there is another look."""
        self.limit_rows, self._store = limit_rows, store
        self._joins: list[Join] = []
        self._next = limit_rows
        self.refused: SpillRefused | None = None
        """Why rows stay in memory beyond the budget; None while there is room for them elsewhere."""

    def enter(self, join: Join) -> None:
        """A join shares the budget from now on."""
        self._joins.append(join)

    def leave(self, join: Join) -> None:
        """A join was closed."""
        self._joins = [other for other in self._joins if other is not join]
        self._next = self.limit_rows

    @property
    def resident_rows(self) -> int:
        """Rows in memory."""
        return sum(len(join.predictions) + len(join.labels) for join in self._joins)

    def make_room(self) -> None:
        """Put the oldest rows aside when there are too many."""
        if self.refused is None and self.resident_rows > self._next:
            self._shed()

    def retry(self) -> None:
        """What refused may take something by now."""
        self.refused = None
        self._next = self.limit_rows
        self.make_room()

    def _shed(self) -> None:
        excess = self.resident_rows - (self.limit_rows - (self.limit_rows >> SHED_SHIFT))
        try:
            for join in sorted(self._joins, key=lambda j: len(j.predictions) + len(j.labels), reverse=True):
                if excess <= 0:
                    break
                excess -= join.spilled.spill(excess, self._store)
                join.spilled.merge(max(1, self.limit_rows >> SHED_SHIFT), self._store)
        except SpillRefused as refused:
            self.refused = refused
        rows = self.resident_rows
        self._next = self.limit_rows if rows <= self.limit_rows else rows + (self.limit_rows >> PAUSE_SHIFT)
