"""Partitions of one topic taken as one stream, in the order of the log's own times: none runs ahead of the others.

Whoever copies a backlog partition by partition would write what is new of one before what is old of another, and for the reader
of the copy the old would be late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.ports import OutRecord

BUFFERED_MAX: Final = 5_000
"""Records of a partition that wait for others; then it is read no further."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record that was read: where and when it is in its partition, and its copies by partition of the copy."""

    partition: int
    offset: int
    at_ms: int
    copies: Sequence[tuple[int, OutRecord]]
    unplaced: bool


class Merge:
    """What was read of each partition and not yet given on. Where a partition has nothing more to give nobody waits for it."""

    def __init__(self, positions: Sequence[int]) -> None:
        self._waiting: list[deque[Due]] = [deque() for _ in positions]
        self._read = list(positions)

    def add(self, partition: int, records: Iterable[Due], next_offset: int) -> None:
        """Records of a partition were read, in their order, and whatever lies below `next_offset`."""
        self._waiting[partition].extend(records)
        self._read[partition] = next_offset

    def full(self) -> list[int]:
        """Partitions of which enough waits."""
        return [p for p, held in enumerate(self._waiting) if len(held) >= BUFFERED_MAX]

    def positions(self) -> list[int]:
        """By partition the offset below which all was given on."""
        return [held[0].offset if held else read for held, read in zip(self._waiting, self._read, strict=True)]

    def due(self, ends: Sequence[int]) -> Iterator[Due]:
        """What can be given on, in order: the oldest head, as long as no partition may have an older one. `ends`: where the
        partitions end, as far as is known."""
        while True:
            heads = [held[0] for held in self._waiting if held]
            empty = (p for p, held in enumerate(self._waiting) if not held)
            if not heads or any(self._read[p] < ends[p] for p in empty):
                return
            oldest = min(heads, key=_at_ms)
            yield self._waiting[oldest.partition].popleft()


def _at_ms(one: Due) -> int:
    return one.at_ms
