"""Whether somebody works on each partition, as the evaluator sees it.

A partition whose source holds records that nobody has counted, and of whose ledger nothing was heard for UNOWNED_AFTER_MS,
has no owner, or one that does no work. The evaluator records that with the time of the wall; reading it again asks no
clock. Silence alone says nothing: with nothing to read there is nothing to commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.daemon.tail import Follower
from monitor.errors import LogError
from monitor.ports import Log, WallClock

UNOWNED_AFTER_MS = 180_000
"""Longer than a hand-over after a crash with the broker's default session (45 s), and than most rebuilds."""
ASK_EVERY_MS = 30_000


class Owners:
    """When each partition's ledger was last heard, since this evaluator opened."""

    def __init__(self, log: Log, topics: Sequence[str], partitions: int, clock: WallClock) -> None:
        """`topics`: predictions and, unless there are none, labels."""
        self._log, self._topics, self._clock = log, tuple(topics), clock
        self._heard_ms = [clock.monotonic_ms()] * partitions
        self._spoke = [False] * partitions
        self._due_ms = 0

    def heard(self, partition: int) -> None:
        """A record of its owner was read: a fence, or a commit."""
        self._heard_ms[partition], self._spoke[partition] = self._clock.monotonic_ms(), True

    def unowned(self, before: frozenset[int], followers: Sequence[Follower]) -> frozenset[int]:
        """The partitions without an owner now; `before` are those that were, which end only by being heard."""
        still = frozenset(p for p in before if not self._spoke[p])
        now = self._clock.monotonic_ms()
        silent = [p for p, at in enumerate(self._heard_ms) if now - at >= UNOWNED_AFTER_MS and p not in still]
        if not silent or now < self._due_ms:
            return still
        self._due_ms = now + ASK_EVERY_MS
        try:
            ends = [self._log.end_offsets(topic) for topic in self._topics]
        except LogError:
            return still  # a log that does not answer says nothing about owners
        new = frozenset(p for p in silent if _waits(followers[p], [end[p] for end in ends]))
        for partition in new:
            self._spoke[partition] = False
        return still | new


def _waits(follower: Follower, ends: Sequence[int]) -> bool:
    """Whether the sources hold what the ledger has not counted, and its owner did not say why."""
    state = follower.state
    if state.ended or (state.commit is not None and state.commit.full is True):
        return False
    return any(end > at for end, at in zip(ends, (state.next_prediction, state.next_label), strict=False))
