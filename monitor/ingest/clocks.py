"""The clocks of one topic partition: a running maximum of event time, moved record by record in offset order.

Two clocks follow from the maximum: the *tick clock* (maximum - disorder) says which ticks may close, the
*finality clock* (maximum - lateness) says how old a record may be and still count. Both are functions of the log
alone: how the log was cut into batches cannot be seen in them.

A record far ahead of the maximum (more than `max_jump_ms`) moves nothing until `AGREEING_IDS` distinct ids lie that
far ahead; then the maximum goes to the smallest of their times, and on to the others that are now in reach. One that the
maximum has come within reach of meanwhile does not lie far ahead any more: it agrees with nobody, and is forgotten when the
next far one comes. The same holds for the first records of a log, so one absurd record cannot make all that follow late.
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
_ROWS_TO_CATCH_UP = 32
"""Records that are taken singly where one is far ahead: most often a new log, or a jump that the next few agree on."""


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
    maximum, ahead = state.maximum_ms, {i: a for a, i in state.ahead}
    before = np.empty(len(at_ms), np.int64)
    done = 0
    while done < len(at_ms):
        if maximum != NEVER:
            steady = _steady(maximum, at_ms[done:], max_jump_ms, before[done:])
            if steady:
                maximum = max(maximum, int(at_ms[done : done + steady].max()))
                done += steady
        few = slice(done, done + _ROWS_TO_CATCH_UP)
        done = min(done + _ROWS_TO_CATCH_UP, len(at_ms))
        for row, (at, who) in enumerate(zip(at_ms[few].tolist(), ids[few, 0].tolist(), strict=True), few.start):
            before[row] = maximum
            if maximum != NEVER and at <= maximum + max_jump_ms:
                maximum = max(maximum, at)
                continue
            ahead = {i: a for i, a in ahead.items() if maximum == NEVER or a > maximum + max_jump_ms}
            ahead.setdefault(who, at)
            if len(ahead) >= AGREEING_IDS:
                maximum, ahead = _agree(ahead, max_jump_ms)
    return ClockState(maximum, tuple(sorted((a, i) for i, a in ahead.items()))), before


def _steady(maximum_ms: int, at_ms: Int64s, max_jump_ms: int, before: Int64s) -> int:
    """How many records come before the first one that is far ahead; `before` is filled for them."""
    running = np.maximum(at_ms, maximum_ms)
    np.maximum.accumulate(running, out=running)
    before[0] = maximum_ms
    before[1:] = running[:-1]
    jumps = at_ms - before > max_jump_ms
    return int(np.argmax(jumps)) if jumps.any() else len(at_ms)


def _agree(ahead: dict[int, int], max_jump_ms: int) -> tuple[int, dict[int, int]]:
    maximum = min(ahead.values())
    for at in sorted(ahead.values()):
        if at <= maximum + max_jump_ms:
            maximum = at
    return maximum, {i: a for i, a in ahead.items() if a > maximum + max_jump_ms}
