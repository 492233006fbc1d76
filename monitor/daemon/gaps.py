"""Gaps: source records that retention took before they were read, or that a rebuild still needed.

A task refuses to open without them, since to go on would be to lose them in silence. An operator may decide to: the gap is
recorded in the ledger with who and why, and counts as lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitor.config.types import Config
from monitor.daemon.checkpoints import follow, of_ledger
from monitor.daemon.genesis import recognise
from monitor.daemon.shared import decoders
from monitor.daemon.sources import source_topics
from monitor.daemon.writer import LedgerWriter
from monitor.errors import LedgerError
from monitor.ledger.fold import FoldState
from monitor.ledger.records import PARTIAL_FORMAT, Gap
from monitor.ports import Appender, Log

STREAMS = ("predictions", "labels")
_WAIT_MS = 200
_LOOK_AT = 1_000
"""Records after a loss among which one is looked for that can be used."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a partition cannot read of one stream: offsets never read, [start, end), and rows held that cannot be rebuilt
    because their records, from `floor` on, have left the log."""

    partition: int
    stream: str
    topic: str
    start: int
    end: int
    floor: int
    begin: int
    pending: int  # predictions that wait in this partition
    waiting: int  # labels that wait

    @property
    def unread(self) -> int:
        """Offsets that were never read: the most records that are lost."""
        return self.end - self.start


def missing(log: Log, config: Config) -> Iterator[Missing]:
    """What is missing, by partition and stream. Raises LedgerError when there is no ledger, it lost records itself, or it is
    about other topics than those that are there now: made again, or with other partitions."""
    topics = config.topics()
    if log.topic(topics.ledger) is None:
        raise LedgerError(
            f"there is no ledger: topic {topics.ledger!r} does not exist", "Has `driftline run` been started?"
        )
    sources = source_topics(log, config)
    names = sources.names
    for partition, state in enumerate(_states(log, config)):
        if state.genesis is None or state.ended:
            continue
        recognise(log, config.namespace, sources, state.genesis)
        commit = state.commit
        nexts = (state.next_prediction, state.next_label)
        ends = (commit.predictions[1], commit.labels[1]) if commit else nexts
        floors = (commit.prediction_floor.offset, commit.label_floor.offset) if commit else nexts
        for stream, (name, next_, floor, end) in enumerate(zip(names, nexts, floors, ends, strict=False)):
            begin = log.begin_offsets(name)[partition]
            rebuilds = floor < min(begin, end) and not state.gap
            if begin > next_ or rebuilds:
                yield Missing(
                    partition,
                    STREAMS[stream],
                    name,
                    next_,
                    max(begin, next_),
                    floor,
                    begin,
                    commit.prediction_outcomes["pending"] if commit and not state.gap else 0,
                    commit.label_outcomes["waiting"] if commit and not state.gap else 0,
                )


def _states(log: Log, config: Config) -> Iterator[FoldState]:
    topics = config.topics()
    for partition, end in enumerate(log.end_offsets(topics.ledger)):
        follower, _ = follow(log, topics.ledger, partition, of_ledger(log, topics.checkpoints, partition))
        follower.catch_up(log, end)
        yield follower.state


def record(log: Log, appender: Appender, config: Config, gap: Missing, who: str, why: str, now_ms: int) -> int:
    """Append a gap to the ledger; returns its offset. `now_ms`: clock of the wall. Raises LostOwnership when a commit came
    between: look again."""
    topics = config.topics()
    checkpoints = of_ledger(log, topics.checkpoints, gap.partition)
    follower, _ = follow(log, topics.ledger, gap.partition, checkpoints)
    follower.catch_up(log, log.end_offsets(topics.ledger)[gap.partition])
    writer = LedgerWriter(log, appender, follower, who)
    until_ms = _newest_lost_ms(log, config, gap, now_ms)
    writer.append(Gap(PARTIAL_FORMAT, gap.stream, (gap.start, gap.end), who, why, follower.state.chain, until_ms))
    return follower.counted_at


def _newest_lost_ms(log: Log, config: Config, gap: Missing, now_ms: int) -> int:
    """The newest event time that a record lost unread can have; 0 where none was lost unread.

    The first usable record that is held tells: records lie in the order of their times but for `disorder`. Nor does any lie
    further ahead of the log's clock than `skew`; what was lost had been taken before the first record that is held, or
    before now.
    """
    if not gap.unread:
        return 0
    predictions, labels = decoders(config)
    decoder = predictions if gap.stream == STREAMS[0] else labels
    assert decoder is not None, "a stream that is read has a decoder"
    end, offset, taken_ms = log.end_offsets(gap.topic)[gap.partition], gap.end, now_ms
    reader = log.reader(keys=decoder.needs_keys, headers=decoder.needs_headers)
    try:
        reader.assign({(gap.topic, gap.partition): offset})
        while offset < min(end, gap.end + _LOOK_AT):
            for batch in reader.poll(_LOOK_AT, _WAIT_MS):
                first, offset = offset == gap.end, batch.next_offset
                if not len(batch):  # only markers of the log itself
                    continue
                if first:
                    taken_ms = int(batch.timestamps_ms[0])
                at_ms = decoder.decode(batch).at_ms
                if len(at_ms):
                    return min(int(at_ms[0]) + config.time.disorder_ms, taken_ms + config.time.skew_ms)
    finally:
        reader.close()
    return taken_ms + config.time.skew_ms
