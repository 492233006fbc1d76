"""When bad records are an accident of somebody's release, not letters to be read one by one: the breaker.

Counted in records, never in seconds, so that a replay decides the same. A stretch of `min_records` records of a
partition in which more than `ratio` were bad starts a flood; a whole stretch that is better ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.events import Reason, Rejected


@dataclass(frozen=True, slots=True)
class FloodState:
    """The stretch that is being counted, and whether letters are cut to pointers now."""

    records: int = 0
    bad: int = 0
    flooding: bool = False


UNREADABLE_RECORDS: Final = 20
"""So many records one after the other, none of which can be used, are no accident of single records: a field was renamed, or
the configuration does not fit. Fewer would wake people for a handful of broken records in a quiet partition."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Rejections since the last row that could be used, and when the first of them was written."""

    rejected: int = 0
    since_ms: int = 0
    reason: str = ""

    @property
    def unreadable(self) -> bool:
        """Whether nothing can be used any more."""
        return self.rejected >= UNREADABLE_RECORDS

    def step(self, usable: int | None, rejected: Sequence[Rejected], at_ms: int) -> Streak:
        """Take what was rejected of a batch, in order, and the offset of its newest row that can be used. What is rejected for
        its model alone could be read."""
        read = [each.offset for each in rejected if each.reason is Reason.UNKNOWN_MODEL]
        last = max(read, default=None) if usable is None else max([usable, *read])
        if last is not None:
            rejected = [each for each in rejected if each.offset > last]
        before = self if last is None else Streak()
        if not rejected:
            return before
        since_ms = before.since_ms if before.rejected else at_ms
        return Streak(before.rejected + len(rejected), since_ms, str(rejected[-1].reason))


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker's setting: `dead_letters.flood` of the configuration."""

    ratio: float
    min_records: int

    def step(self, state: FloodState, records: int, bad: int) -> FloodState:
        """Take a batch of `records`, `bad` of them rejected."""
        records, bad = state.records + records, state.bad + bad
        if bad > self.ratio * max(records, self.min_records):
            # Enough are bad to condemn the stretch, however good the rest of it might be.
            return FloodState(0, 0, flooding=True)
        if records >= self.min_records:
            return FloodState(0, 0, flooding=False)
        return FloodState(records, bad, state.flooding)
