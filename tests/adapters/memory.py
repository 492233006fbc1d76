"""An in-memory `Log` for tests of everything above the port: fast, deterministic, and able to fail on demand.

It passes the contract suite (one process only; not safe for several threads). Nothing waits: an empty poll moves the
`ManualClock` by its timeout instead. Beyond the port a test can

- `fail_next(landing)`: the next append, or the next record flushed, ends in UnknownOutcome while the record landed,
  was lost, or lands only when the test calls `land()`;
- `truncate`, `cut`, `delete`: retention, a lost tail, a topic that is deleted (and made again with a new id);
- `mark`: a transaction marker, which takes an offset and is no record;
- `records(topic)`: look at what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from monitor.adapters.partitioner import murmur2_partition
from monitor.adapters.shares import settle
from monitor.errors import LogError, OffsetLost, UnknownOutcome
from monitor.events import RecordBatch
from monitor.ports import OutRecord, TopicInfo, TopicSpec, cleanup_policy


class ManualClock:
    """A `WallClock` that a test moves by hand; both of its times move together, sleeping moves them too."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    def sleep_ms(self, ms: int) -> None:
        self._now_ms += max(ms, 0)

    advance = sleep_ms


class Landing(Enum):
    """What became of an append whose outcome was not acknowledged."""

    LANDED = "landed"
    LOST = "lost"
    LATER = "later"  # when the test calls MemoryLog.land()


@dataclass(frozen=True, slots=True)
class Stored:
    """One record in the log."""

    offset: int
    timestamp_ms: int
    record: OutRecord


@dataclass(slots=True)
class _Partition:
    begin: int = 0
    records: list[Stored] = field(default_factory=list)
    markers: set[int] = field(default_factory=set)  # offsets that hold no record for anybody

    @property
    def end(self) -> int:
        return self.begin + len(self.records)


@dataclass(slots=True)
class _Topic:
    info: TopicInfo
    partitions: list[_Partition]


@dataclass(slots=True)
class _Group:
    members: dict[str, int] = field(default_factory=dict)  # member -> last poll, ms; in joining order
    owners: dict[int, str] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)


class MemoryLog:
    """Topics in dictionaries. `session_ms` is how long a lease member may go without polling."""

    def __init__(self, clock: ManualClock | None = None, *, session_ms: int = 2_000) -> None:
        self.clock = clock or ManualClock()
        self.session_ms = session_ms
        self.groups: dict[tuple[str, str], _Group] = {}
        self._topics: dict[str, _Topic] = {}
        self._made = 0
        self._members = 0
        self._failures: list[Landing] = []
        self._in_flight: list[tuple[str, int, OutRecord]] = []

    # --- the port ---

    def cluster_id(self) -> str:
        return "memory"

    def topic(self, name: str) -> TopicInfo | None:
        topic = self._topics.get(name)
        return None if topic is None else topic.info

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        if spec.name not in self._topics:
            self._made += 1
            config = {
                "cleanup.policy": cleanup_policy(spec),
                "retention.ms": str(-1 if spec.retention_ms is None else spec.retention_ms),
                "message.timestamp.type": "CreateTime",
            }
            info = TopicInfo(spec.name, f"memory-{self._made}", spec.partitions, config)
            self._topics[spec.name] = _Topic(info, [_Partition() for _ in range(spec.partitions)])
        return self._topics[spec.name].info

    def begin_offsets(self, topic: str) -> list[int]:
        return [partition.begin for partition in self._of(topic).partitions]

    def end_offsets(self, topic: str) -> list[int]:
        return [partition.end for partition in self._of(topic).partitions]

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        return [
            next((s.offset for s in held.records if s.timestamp_ms >= at_ms and s.offset not in held.markers), held.end)
            for held in self._of(topic).partitions
        ]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        held = self._of(topic).partitions[partition]
        self.truncate(topic, partition, min(before, held.end))

    def reader(self, *, keys: bool = True, headers: bool = True) -> MemoryReader:
        return MemoryReader(self, keys=keys, headers=headers)

    def appender(self) -> MemoryAppender:
        return MemoryAppender(self)

    def leases(self, topic: str, group: str) -> MemoryLeases:
        self._members += 1
        partitions = len(self._of(topic).partitions)
        shared = self.groups.setdefault((topic, group), _Group())
        return MemoryLeases(self, shared, f"member-{self._members}", partitions)

    def close(self) -> None:
        """Nothing to release; the records stay, as they would in a real log."""

    # --- what a test can do beyond the port ---

    def fail_next(self, landing: Landing) -> None:
        """Make the next append (after those already asked for) end in UnknownOutcome."""
        self._failures.append(landing)

    def land(self) -> None:
        """Let every append that was held back (Landing.LATER) arrive now."""
        for topic, partition, record in self._in_flight:
            self._store(topic, partition, record)
        self._in_flight.clear()

    def records(self, topic: str, partition: int | None = None) -> list[Stored]:
        """What `topic` holds, one partition after the other, or of one partition."""
        partitions = self._of(topic).partitions
        chosen = partitions if partition is None else [partitions[partition]]
        return [stored for each in chosen for stored in each.records if stored.offset not in each.markers]

    def truncate(self, topic: str, partition: int, begin: int) -> None:
        """Retention: records below `begin` are gone."""
        held = self._of(topic).partitions[partition]
        held.records = [stored for stored in held.records if stored.offset >= begin]
        held.begin = max(held.begin, begin)

    def mark(self, topic: str, partition: int) -> int:
        """Put a marker at the end, as a Kafka transaction does: an offset that holds no record. Returns it."""
        offset = self._store(topic, partition, OutRecord(None))
        self._of(topic).partitions[partition].markers.add(offset)
        return offset

    def cut(self, topic: str, partition: int, end: int) -> None:
        """An unclean election: records from `end` on are gone and their offsets will be used again."""
        held = self._of(topic).partitions[partition]
        held.records = [stored for stored in held.records if stored.offset < end]

    def configure(self, topic: str, **settings: str) -> None:
        """Change settings that `topic` shows; `_` in a name stands for a dot. They are shown, not acted on."""
        held = self._of(topic)
        changed = {name.replace("_", "."): value for name, value in settings.items()}
        held.info = replace(held.info, config={**held.info.config, **changed})

    def delete(self, topic: str) -> None:
        """Delete a topic; `ensure` makes it again, empty and with a new id."""
        del self._topics[topic]

    # --- inside ---

    def _of(self, topic: str) -> _Topic:
        found = self._topics.get(topic)
        if found is None:
            raise LogError(f"there is no topic {topic!r} in this log; create it or correct the name", topic=topic)
        return found

    def _append(self, topic: str, partition: int, record: OutRecord) -> int:
        partitions = self._of(topic).partitions
        if not 0 <= partition < len(partitions):
            raise LogError(f"topic {topic!r} has no partition {partition}", topic=topic, partition=partition)
        landing = self._failures.pop(0) if self._failures else None
        if landing is Landing.LATER:
            self._in_flight.append((topic, partition, record))
        if landing in (Landing.LATER, Landing.LOST):
            raise _unknown(topic, partition)
        offset = self._store(topic, partition, record)
        if landing is Landing.LANDED:
            raise _unknown(topic, partition)
        return offset

    def _store(self, topic: str, partition: int, record: OutRecord) -> int:
        held = self._of(topic).partitions[partition]
        at_ms = self.clock.now_ms() if record.timestamp_ms is None else record.timestamp_ms
        held.records.append(Stored(held.end, at_ms, record))
        return held.end - 1


def _unknown(topic: str, partition: int) -> UnknownOutcome:
    return UnknownOutcome(
        f"the append to topic {topic!r} partition {partition} was not acknowledged (injected)",
        topic=topic,
        partition=partition,
    )


class MemoryReader:
    """See `monitor.ports.Reader`."""

    def __init__(self, log: MemoryLog, *, keys: bool, headers: bool) -> None:
        self._log, self._keys, self._headers = log, keys, headers
        self._positions: dict[tuple[str, int], int] = {}
        self._paused: frozenset[tuple[str, int]] = frozenset()
        self._turn = 0

    def assign(self, positions: Mapping[tuple[str, int], int]) -> None:
        self._positions = dict(positions)
        self._paused &= self._positions.keys()

    def pause(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._paused = frozenset(partitions) & self._positions.keys()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        wanted = [each for each in self._positions if each not in self._paused]
        ready = [each for each in wanted if self._available(*each)]
        if not ready:
            self._log.clock.sleep_ms(timeout_ms)
            return []
        self._turn += 1
        start = self._turn % len(ready)
        batches: list[RecordBatch] = []
        for left, (topic, partition) in zip(range(len(ready), 0, -1), ready[start:] + ready[:start], strict=True):
            room = -(-max_records // left)
            if room:
                batches.append(self._batch(topic, partition, room))
                max_records -= len(batches[-1])
        return batches

    def _available(self, topic: str, partition: int) -> bool:
        held, position = self._log._of(topic).partitions[partition], self._positions[topic, partition]
        if not held.begin <= position <= held.end:
            raise OffsetLost(topic, partition, position, held.begin, held.end)
        return position < held.end

    def _batch(self, topic: str, partition: int, room: int) -> RecordBatch:
        held, position = self._log._of(topic).partitions[partition], self._positions[topic, partition]
        run = held.records[position - held.begin : position - held.begin + room]
        self._positions[topic, partition] = next_offset = run[-1].offset + 1
        run = [stored for stored in run if stored.offset not in held.markers]
        return RecordBatch(
            topic,
            partition,
            np.array([stored.offset for stored in run], np.int64),
            np.array([stored.timestamp_ms for stored in run], np.int64),
            [stored.record.value for stored in run],
            next_offset,
            [stored.record.key for stored in run] if self._keys else None,
            [list(stored.record.headers) or None for stored in run] if self._headers else None,
        )

    def close(self) -> None:
        self._positions = {}


class MemoryAppender:
    """See `monitor.ports.Appender`. Records sent are stored by `flush`, `append` or `close`, in the order sent."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._queue: list[tuple[str, int, OutRecord]] = []
        self._keyless = 0
        self._usable = True

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        self.flush(0)
        return self._do(topic, partition, record)

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        self._check()
        if partition is None:
            count = len(self._log._of(topic).partitions)
            if record.key is None:
                self._keyless += 1
                partition = self._keyless % count
            else:
                partition = murmur2_partition(record.key, count)
        self._queue.append((topic, partition, record))

    def flush(self, timeout_ms: int) -> None:
        self._check()
        queue, self._queue = self._queue, []
        for topic, partition, record in queue:
            self._do(topic, partition, record)

    def close(self) -> None:
        if self._usable:
            self.flush(0)
        self._usable = False

    def _do(self, topic: str, partition: int, record: OutRecord) -> int:
        try:
            return self._log._append(topic, partition, record)
        except UnknownOutcome:
            self._usable = False
            raise

    def _check(self) -> None:
        if not self._usable:
            raise LogError("this appender is closed, or an outcome of it is unknown: make a new one")


class MemoryLeases:
    """See `monitor.ports.Leases`. `kill` stops polling without giving back, as a crash does."""

    def __init__(self, log: MemoryLog, group: _Group, member: str, partitions: int) -> None:
        self._log, self._group, self._member, self._partitions = log, group, member, partitions
        self._open = True

    @property
    def joined(self) -> bool:
        return self._open and self._member in self._group.members

    def poll(self, timeout_ms: int) -> frozenset[int]:
        if not self._open:
            return frozenset()
        self._log.clock.sleep_ms(timeout_ms)
        now_ms = self._log.clock.monotonic_ms()  # sessions do not run out because somebody sets the time
        members = self._group.members
        for member in [m for m, seen in members.items() if m != self._member and now_ms - seen > self._log.session_ms]:
            del members[member]
        members[self._member] = now_ms
        mine = settle(self._member, list(members), self._group.owners, self._partitions)
        kept = {p: who for p, who in self._group.owners.items() if who in members and who != self._member}
        self._group.owners = kept | dict.fromkeys(mine, self._member)
        return mine

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self._group.offsets.update(offsets)

    def close(self) -> None:
        self._open = False
        self._group.members.pop(self._member, None)
        self._group.owners = {p: who for p, who in self._group.owners.items() if who != self._member}

    def kill(self) -> None:
        """Crash: the lease is not given back and runs out after `session_ms`."""
        self._open = False
