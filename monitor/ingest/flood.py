"""When bad records are an accident of somebody's release, not letters to be read one by one: the breaker.

Counted in records, never in seconds, so that a replay decides the same. A stretch of `min_records` records of a
partition in which more than `ratio` were bad starts a flood; a whole stretch that is better ends it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FloodState:
    """The stretch that is being counted, and whether letters are cut to pointers now."""

    records: int = 0
    bad: int = 0
    flooding: bool = False


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
