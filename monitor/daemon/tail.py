"""Reading internal topics: one partition to its end, or all of them as they grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitor.errors import LedgerError
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import Record, decode
from monitor.ports import Log, Reader

MOST = 200
"""Records asked for at once. A commit may be half a megabyte: ten times as many showed in the memory of long replays."""
_WAIT_MS = 200
_LONG_MS = 1_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of an internal topic with its offset and bytes; `timestamp_ms` is when the log took it (wall clock)."""

    offset: int
    raw: bytes
    record: Record
    timestamp_ms: int


def read_range(log: Log, topic: str, partition: int, start: int, end: int) -> Iterator[Stored]:
    """Every record of one partition in [start, end), in order."""
    if start >= end:
        return
    reader = log.reader(keys=False, headers=False)
    try:
        reader.assign({(topic, partition): start})
        position = start
        while position < end:
            for batch in reader.poll(MOST, _WAIT_MS):
                for row, (offset, value) in enumerate(zip(batch.offsets.tolist(), batch.values, strict=True)):
                    if offset < end and value is not None:
                        record = decode(value, f"{topic}[{partition}]@{offset}")
                        yield Stored(offset, value, record, int(batch.timestamps_ms[row]))
                position = batch.next_offset
    finally:
        reader.close()


@dataclass(slots=True)
class Follower:
    """A partition of an internal topic, folded as far as it was read. `next_offset` is where reading goes on."""

    topic: str
    partition: int
    next_offset: int
    state: FoldState
    counted_at: int = -1  # offset of the last record that counted; -1 before any

    def catch_up(self, log: Log, end: int, on: Callable[[Stored, Verdict], None] | None = None) -> None:
        """Fold up to offset `end`."""
        for stored in read_range(log, self.topic, self.partition, self.next_offset, end):
            self.apply(stored, on)
        self.next_offset = max(self.next_offset, end)

    def apply(self, stored: Stored, on: Callable[[Stored, Verdict], None] | None = None) -> Verdict:
        """Fold one record."""
        self.state, verdict = fold(self.state, stored.record, stored.raw)
        self.next_offset = stored.offset + 1
        if verdict is Verdict.ACCEPTED:
            self.counted_at = stored.offset
        if on is not None:
            on(stored, verdict)
        return verdict


def refuse_shorter(log: Log, topic: str, partition: int, end: int, evaluation: int) -> None:
    """Raise LedgerError when a ledger partition ends before what an evaluation had read of it."""
    now = log.end_offsets(topic)[partition]
    if now < end:
        raise LedgerError(
            f"{topic}[{partition}] ends at offset {now}, evaluation {evaluation} had read it up to {end}: records that were "
            "acknowledged are lost, or the topic was made again",
            "What they said was published. Choose another `namespace`, and look at the broker's replication (acks, "
            "min.insync.replicas, unclean elections) before you trust it with that one.",
        )


def follow_from_start(log: Log, topic: str, partition: int) -> Follower:
    """A follower at the first record held, nothing folded."""
    return Follower(topic, partition, log.begin_offsets(topic)[partition], FoldState())


class Stride:
    """How many records a turn takes: as many as it has done in about a second.

    What a record costs is known only afterwards: one commit of a long catch-up closes a thousand ticks. Whoever does other
    things between two turns (reads, looks at the configuration, answers a probe) waits for the turn.
    """

    def __init__(self) -> None:
        self.most = MOST

    def took(self, ms: int) -> None:
        """A turn took so long."""
        if ms > _LONG_MS:
            self.most = max(1, self.most // 2)
        elif ms < _LONG_MS // 4:
            self.most = min(MOST, self.most * 2)


def poll_followers(
    reader: Reader,
    followers: list[Follower],
    on: Callable[[Follower, Stored, Verdict], None],
    wait_ms: int,
    most: int = MOST,
) -> int:
    """Fold whatever is new in all followers of one topic, at most `most` records, read by one reader; returns how many."""
    count = 0
    for batch in reader.poll(most, wait_ms):
        follower = followers[batch.partition]
        for row, (offset, value) in enumerate(zip(batch.offsets.tolist(), batch.values, strict=True)):
            if value is None:
                continue
            record = decode(value, f"{batch.topic}[{batch.partition}]@{offset}")
            stored = Stored(offset, value, record, int(batch.timestamps_ms[row]))
            verdict = follower.apply(stored)
            on(follower, stored, verdict)
            count += 1
        follower.next_offset = batch.next_offset
    return count
