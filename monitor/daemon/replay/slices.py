"""A log made of two: source topics read from one, in stated ranges and never written; everything else in another.

What a replay hands to the worker. To the worker it is a log like any other whose source topics begin and end where the
range does; `end_offsets` never moves, so `until_end` is the end of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monitor.errors import LogError
from monitor.events import RecordBatch
from monitor.ports import Appender, Leases, Log, OutRecord, Reader, TopicInfo, TopicSpec, WallClock

Span = tuple[int, int]
Where = tuple[str, int]


class Given:
    """See `monitor.ports.Leases`: what was dealt, from beginning to end."""

    joined = True

    def __init__(self, held: frozenset[int]) -> None:
        self._held = held

    def poll(self, timeout_ms: int) -> frozenset[int]:
        """What was dealt."""
        return self._held

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Nobody looks at the lag of a replay."""

    def close(self) -> None:
        """Nobody waits for it."""


class SlicedLog:
    """`source` in the ranges of `spans` (topic -> [start, end) by partition), `own` for the topics of `writable`.

    Raises LogError, by name, for an append or a topic to be made that is not in `writable`.
    """

    def __init__(
        self,
        source: Log,
        own: Log,
        spans: Mapping[str, Sequence[Span]],
        writable: Sequence[str],
        clock: WallClock,
        given: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        """`given`: what this process holds of topics that are leased; without it, what the leases of `own` say."""
        clash = sorted(set(spans) & set(writable))
        if clash:
            raise LogError(
                f"a replay would write to topic {clash[0]!r}, which it reads: choose another namespace", topic=clash[0]
            )
        self._source, self._own = source, own
        self._spans = {topic: tuple(ranges) for topic, ranges in spans.items()}
        self._writable, self._clock, self._given = frozenset(writable), clock, given

    def cluster_id(self) -> str:
        """Of the source."""
        return self._source.cluster_id()

    def topic(self, name: str) -> TopicInfo | None:
        """None when there is no such topic on its side."""
        return self._source.topic(name) if name in self._spans else self._own.topic(name)

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Create one of our own topics unless it exists."""
        self._refuse(spec.name)
        return self._own.ensure(spec)

    def begin_offsets(self, topic: str) -> list[int]:
        """Where the ranges start."""
        spans = self._spans.get(topic)
        return self._own.begin_offsets(topic) if spans is None else [start for start, _ in spans]

    def end_offsets(self, topic: str) -> list[int]:
        """Where the ranges end."""
        spans = self._spans.get(topic)
        return self._own.end_offsets(topic) if spans is None else [end for _, end in spans]

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """First offset at or after a time, within the ranges."""
        spans = self._spans.get(topic)
        if spans is None:
            return self._own.offsets_at(topic, at_ms)
        found = self._source.offsets_at(topic, at_ms)
        return [min(max(offset, start), end) for offset, (start, end) in zip(found, spans, strict=True)]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Of our own topics only."""
        self._refuse(topic)
        self._own.delete_records(topic, partition, before)

    def reader(self, *, keys: bool = True, headers: bool = True) -> Reader:
        """A reader of one side: of which, its first assignment decides."""
        return _SlicedReader(self._source, self._own, self._spans, self._clock, keys=keys, headers=headers)

    def appender(self) -> Appender:
        """An appender to our own topics."""
        return _OwnAppender(self._own.appender(), self._refuse)

    def leases(self, topic: str, group: str) -> Leases:
        """Of our own topics."""
        return self._own.leases(topic, group) if self._given is None else Given(self._given[topic])

    def close(self) -> None:
        """Whoever opened the two logs closes them."""

    def _refuse(self, topic: str) -> None:
        if topic not in self._writable:
            raise LogError(f"a replay never writes to topic {topic!r}: it is not one of its own", topic=topic)


class _SlicedReader:
    """See `monitor.ports.Reader`. A partition that has given its range is left alone."""

    def __init__(
        self,
        source: Log,
        own: Log,
        spans: Mapping[str, Sequence[Span]],
        clock: WallClock,
        *,
        keys: bool,
        headers: bool,
    ) -> None:
        self._logs, self._spans, self._clock = (source, own), spans, clock
        self._keys, self._headers = keys, headers
        self._reader: Reader | None = None
        self._assigned: frozenset[Where] = frozenset()
        self._done: frozenset[Where] = frozenset()
        self._paused: frozenset[Where] = frozenset()

    def assign(self, positions: Mapping[Where, int]) -> None:
        """Read these partitions, all of one side, from these offsets on."""
        sides = {topic in self._spans for topic, _ in positions}
        assert len(sides) < 2, "a reader reads source topics or internal ones"
        if self._reader is None:
            if not positions:
                return
            source, own = self._logs
            log = source if sides.pop() else own
            self._reader = log.reader(keys=self._keys, headers=self._headers)
        self._assigned = frozenset(positions)
        self._paused &= self._assigned
        self._done = frozenset(where for where, at in positions.items() if at >= self._end(where))
        self._reader.assign(positions)
        self._reader.pause(sorted(self._paused | self._done))

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """See the port. When every range is read it only waits."""
        if self._reader is None or self._assigned <= self._done:
            self._clock.sleep_ms(timeout_ms)
            return []
        found, over = [], set[Where]()
        for batch in self._reader.poll(max_records, timeout_ms):
            where = (batch.topic, batch.partition)
            end = self._end(where)
            found.append(batch.split(end)[0])
            if batch.next_offset >= end:
                over.add(where)
        if over:
            self._done |= over
            self._reader.pause(sorted(self._paused | self._done))
        return found

    def pause(self, partitions: Sequence[Where]) -> None:
        """Replace the set of partitions that poll leaves alone."""
        self._paused = frozenset(partitions) & self._assigned
        if self._reader is not None:
            self._reader.pause(sorted(self._paused | self._done))

    def close(self) -> None:
        """Close what was opened."""
        if self._reader is not None:
            self._reader.close()

    def _end(self, where: Where) -> int:
        topic, partition = where
        spans = self._spans.get(topic)
        return spans[partition][1] if spans is not None else 1 << 62


class _OwnAppender:
    """See `monitor.ports.Appender`. Refuses topics that are not ours before anything is sent."""

    def __init__(self, appender: Appender, refuse: Callable[[str], None]) -> None:
        self._appender, self._refuse = appender, refuse

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        """Append one record and wait."""
        self._refuse(topic)
        return self._appender.append(topic, partition, record)

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        """Queue a record."""
        self._refuse(topic)
        self._appender.send(topic, record, partition)

    def flush(self, timeout_ms: int) -> None:
        """Wait until everything sent is acknowledged."""
        self._appender.flush(timeout_ms)

    def close(self) -> None:
        """Free what the client holds."""
        self._appender.close()
