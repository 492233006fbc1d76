"""Floors: from which offset of a source partition the join state could be rebuilt.

A mark remembers a stretch of the log: its first offset, the clock before it, the newest event time in it. Marks leave
from the left, in offset order, once everything in them was dropped from the join; the leftmost mark is the floor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.ingest.clocks import NEVER, ClockState

MARKS_MAX = 512
"""Marks kept per stream; beyond, neighbours are merged, which only makes the floor a little older."""


@dataclass(slots=True)
class Mark:
    """A stretch of the log, from `offset` to the next mark. `until_ms`: the time until which it is held beyond its own
    records, for what other stretches hold."""

    offset: int
    clock: ClockState
    newest_ms: int
    until_ms: int = NEVER


class Floors:
    """The marks of one stream."""

    __slots__ = ("_marks",)

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks: list[Mark] = list(marks)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All of them, from the left."""
        return tuple(self._marks)

    def mark(self, offset: int, clock: ClockState, newest_ms: int) -> None:
        """A stretch was read: it starts at `offset`, with `clock` before it."""
        self._marks.append(Mark(offset, clock, newest_ms))
        if len(self._marks) > MARKS_MAX:
            self._merge()

    def hold(self, earliest_ms: int, latest_ms: int) -> int:
        """A key of time `earliest_ms` came again with time `latest_ms`: its first record is needed as long as the
        second would be held. Which mark it is in is not known, so the leftmost it could be in holds all; gives its offset."""
        for mark in self._marks:
            if mark.newest_ms >= earliest_ms:
                mark.until_ms = max(mark.until_ms, latest_ms)
                return mark.offset
        return -1

    def release(self, dropped_below_ms: int) -> None:
        """Everything older than `dropped_below_ms` has left the join."""
        del self._marks[: self._released(dropped_below_ms)]

    def floor_after(self, dropped_below_ms: int, next_offset: int, clock: ClockState) -> tuple[int, ClockState]:
        """Where a rebuild would start once that is released: the leftmost mark, or where reading goes on when nothing is
        held."""
        n = self._released(dropped_below_ms)
        return (self._marks[n].offset, self._marks[n].clock) if n < len(self._marks) else (next_offset, clock)

    def _released(self, dropped_below_ms: int) -> int:
        for n, mark in enumerate(self._marks):
            if max(mark.newest_ms, mark.until_ms) >= dropped_below_ms:
                return n
        return len(self._marks)

    def floor(self, next_offset: int, clock: ClockState) -> tuple[int, ClockState]:
        """Where a rebuild starts: the leftmost mark, or where reading goes on when nothing is held."""
        if not self._marks:
            return next_offset, clock
        return self._marks[0].offset, self._marks[0].clock

    def _merge(self) -> None:
        merged: list[Mark] = []
        for i, mark in enumerate(self._marks):
            if i % 2 and merged:
                merged[-1].newest_ms = max(merged[-1].newest_ms, mark.newest_ms)
                merged[-1].until_ms = max(merged[-1].until_ms, mark.until_ms)
            else:
                merged.append(mark)
        self._marks = merged
