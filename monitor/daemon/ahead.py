"""Reading many partitions of the ledger by one reader, each as far as it is asked for.

Deciding again goes evaluation by evaluation, and each took a few records of every partition. A reader for each would be a
client of the broker for each: what was read beyond is kept for the next one instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from monitor.daemon.tail import Follower, Stored
from monitor.ledger.fold import Verdict
from monitor.ledger.records import decode
from monitor.ports import Log

_CHUNK = 2_000
_WAIT_MS = 200
_KEPT = 1_000
"""Records of a partition that wait to be asked for; beyond, it is not read on: a few megabytes of each."""


class ReadAhead:
    """Followers of one topic, caught up in steps. Close it when they are."""

    def __init__(self, log: Log, topic: str, followers: Sequence[Follower]) -> None:
        self._topic, self._followers = topic, followers
        self._reader = log.reader(keys=False, headers=False)
        self._reader.assign({(topic, f.partition): f.next_offset for f in followers})
        self._waiting: list[deque[Stored]] = [deque() for _ in followers]
        self._read_to = [f.next_offset for f in followers]

    def catch_up(self, partition: int, end: int, on: Callable[[Stored, Verdict], None]) -> None:
        """Fold a partition up to offset `end`, which the log must reach."""
        follower, waiting = self._followers[partition], self._waiting[partition]
        while follower.next_offset < end:
            if waiting and waiting[0].offset < end:
                follower.apply(waiting.popleft(), on)
            elif waiting or self._read_to[partition] >= end:
                follower.next_offset = end  # the rest are markers of the log itself
            else:
                self._read(partition)

    def _read(self, wanted: int) -> None:
        full = [p for p, waiting in enumerate(self._waiting) if len(waiting) >= _KEPT and p != wanted]
        self._reader.pause([(self._topic, p) for p in full])
        for batch in self._reader.poll(_CHUNK, _WAIT_MS):
            rows = zip(batch.offsets.tolist(), batch.values, batch.timestamps_ms.tolist(), strict=True)
            for offset, value, at_ms in rows:
                if value is not None:
                    record = decode(value, f"{self._topic}[{batch.partition}]@{offset}")
                    self._waiting[batch.partition].append(Stored(offset, value, record, at_ms))
            self._read_to[batch.partition] = batch.next_offset

    def close(self) -> None:
        """Give the reader back."""
        self._reader.close()
