"""The clocks of one topic partition: a running maximum of event time, moved record by record in offset order.

Two clocks follow from the maximum: the *tick clock* (maximum - disorder) says which ticks may close, the
*finality clock* (maximum - lateness) says how old a record may be and still count. Both are functions of the log
alone: how the log was cut into batches cannot be seen in them.

A record far ahead of the maximum (more than `max_jump_ms`) moves nothing until `AGREEING_IDS` distinct ids lie that
far ahead; then the maximum goes to the smallest of their times, and on to the others that are now in reach. The
same holds for the first records of a log, so one absurd record cannot make all that follow late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.events import Int64s, UInt64s

NEVER = -(1 << 62)
"""A clock that has not started: earlier than every event time, with room to subtract a lateness."""
FOREVER = 1 << 62
"""A clock after the recorded end of input: later than every event time, with room to add a horizon."""
AGREEING_IDS = 3
"""Distinct ids that must lie far ahead before the clock believes them. More would hold up a real jump (a night without
traffic), fewer would let one retried record through."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """Where the running maximum is (`NEVER` before it starts) and the (time, id) pairs that lie too far ahead of it."""

    maximum_ms: int = NEVER
    ahead: tuple[tuple[int, int], ...] = ()

    @property
    def ended(self) -> bool:
        """True after the end of input was recorded."""
        return self.maximum_ms >= FOREVER


ENDED = ClockState(FOREVER)


def advance(state: ClockState, at_ms: Int64s, ids: UInt64s, max_jump_ms: int) -> tuple[ClockState, Int64s]:
    """Move the clock over records; returns the new state and, per record, the maximum *before* it, shape (n,)."""
    if not len(at_ms):
        return state, at_ms
    if state.maximum_ms != NEVER:
        running = np.empty(len(at_ms) + 1, np.int64)
        running[0] = state.maximum_ms
        np.maximum.accumulate(np.maximum(at_ms, state.maximum_ms), out=running[1:])
        before = running[:-1]
        if not (at_ms > before + max_jump_ms).any():
            return ClockState(int(running[-1]), state.ahead), before
    return _one_by_one(state, at_ms, ids, max_jump_ms)


def _one_by_one(state: ClockState, at_ms: Int64s, ids: UInt64s, max_jump_ms: int) -> tuple[ClockState, Int64s]:
    maximum, ahead = state.maximum_ms, {i: a for a, i in state.ahead}
    before = np.empty(len(at_ms), np.int64)
    for row, (at, who) in enumerate(zip(at_ms.tolist(), ids[:, 0].tolist(), strict=True)):
        before[row] = maximum
        if maximum != NEVER and at <= maximum + max_jump_ms:
            maximum = max(maximum, at)
            continue
        ahead = {i: a for i, a in ahead.items() if maximum == NEVER or a > maximum + max_jump_ms}
        ahead.setdefault(who, at)
        if len(ahead) >= AGREEING_IDS:
            maximum, ahead = _agree(ahead, max_jump_ms)
    return ClockState(maximum, tuple(sorted((a, i) for i, a in ahead.items()))), before


def _agree(ahead: dict[int, int], max_jump_ms: int) -> tuple[int, dict[int, int]]:
    maximum = min(ahead.values())
    for at in sorted(ahead.values()):
        if at <= maximum + max_jump_ms:
            maximum = at
    return maximum, {i: a for i, a in ahead.items() if a > maximum + max_jump_ms}
