"""Reading from Kafka: a consumer in assign mode, which no group and no rebalance can touch.

The reader keeps its own positions and gives them to librdkafka whenever a partition is added, so no offset store, no
reset policy and no seek is involved. Pausing is giving a partition back and taking it again later at its position:
librdkafka's own pause drops the prefetched records just the same.

The hot path costs about 0.12 µs a record on top of consume(), value() included: values, times and partitions are taken
by C loops (`map` over the methods of Message), and nothing is branched on record by record.
- An error comes as a Message whose value() is the error's text. Its time is always -1 (librdkafka says so in
  rd_kafka_message_timestamp), so one look at the smallest time of a chunk finds every error; a record produced without
  a time leads to that look too and passes it.
- Keys and headers are taken when somebody looks at them (`OnDemand`).
- Offsets are only looked at one by one when a run does not fill exactly the offsets from its first to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar, cast, overload

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.adapters.kafka_settings import Errors, Settings, connect, log_error
from monitor.errors import LogError, LogUnreachable, OffsetLost
from monitor.events import Headers, Int64s, RecordBatch

Where = tuple[str, int]

_BOUNDS_TIMEOUT_SECS = 10.0
_HOPELESS = {"UNKNOWN_TOPIC_OR_PART", "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"}
"""What librdkafka complains about again and again, without a message, while it waits for ever."""
# Unbound methods for `map`. Every one of them is typed as possibly None, which a record's coordinates never are.
_value = cast("Callable[[Message], bytes | None]", Message.value)
_key = cast("Callable[[Message], bytes | None]", Message.key)
_headers = cast("Callable[[Message], Headers | None]", Message.headers)
_topic = cast("Callable[[Message], str]", Message.topic)
_partition = cast("Callable[[Message], int]", Message.partition)
_offset = cast("Callable[[Message], int]", Message.offset)
_timestamp = Message.timestamp
Run = tuple[str, int, Sequence[Message], Int64s]

T = TypeVar("T")


class OnDemand(Sequence[T]):
    """A part of every message, taken out when somebody looks: keys and headers are most often wanted of rejected records
    alone, for their dead letters."""

    __slots__ = ("_messages", "_of", "_taken")

    def __init__(self, of: Callable[[Message], T], messages: Sequence[Message]) -> None:
        self._of, self._messages, self._taken = of, messages, list[T]()

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._all()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def _all(self) -> list[T]:
        if not self._taken:
            self._taken = list(map(self._of, self._messages))
        return self._taken


class KafkaReader:
    """See `monitor.ports.Reader`. After OffsetLost assign anew; after any other LogError close it and make another
    one."""

    def __init__(self, settings: Settings, errors: Errors, *, keys: bool, headers: bool) -> None:
        self._consumer = connect(Consumer, "reader", settings, errors, on_error=self._note)
        self._open = True
        self._errors = errors
        self._keys, self._headers = keys, headers
        self._positions: dict[Where, int] = {}
        self._active: set[Where] = set()  # what librdkafka reads now
        self._paused: frozenset[Where] = frozenset()
        self._one_topic: str | None = None
        self._failed: dict[Where | None, LogError] = {}

    def assign(self, positions: Mapping[Where, int]) -> None:
        """Read exactly these partitions from these offsets on; one that is read at its position keeps its prefetched
        records."""
        if None in self._failed:  # librdkafka's own positions may be ahead of ours
            self._give_back(set(self._active))
        self._give_back({where for where in self._active if self._positions[where] != positions.get(where)})
        self._failed.clear()
        self._positions = dict(positions)
        topics = {topic for topic, _ in positions}
        self._one_topic = topics.pop() if len(topics) == 1 else None
        self._paused &= positions.keys()
        self._take(self._positions.keys() - self._active - self._paused)

    def pause(self, partitions: Sequence[Where]) -> None:
        """Replace the set of partitions that poll leaves alone. What was prefetched of them is fetched again later."""
        self._paused = frozenset(partitions) & self._positions.keys()
        self._give_back(self._active & self._paused)
        self._take(self._positions.keys() - self._active - self._paused - self._failed.keys())

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """At most `max_records`, waiting at most `timeout_ms` for the first; see the port.

        A batch may be empty: then its `next_offset` says how far transaction markers reach. An error that comes with
        records is raised by the next call, and again until `assign`.
        """
        if self._failed:
            raise next(iter(self._failed.values()))
        messages = self._consume(max_records, timeout_ms)
        if not messages:
            if self._failed:
                raise next(iter(self._failed.values()))
            return []
        times = np.fromiter([at_ms for _, at_ms in map(_timestamp, messages)], np.int64, len(messages))
        ends: dict[Where, int] = {}
        if times.min() < 0:
            good = [row for row, message in enumerate(messages) if self._is_record(message, ends)]
            messages, times = [messages[row] for row in good], times[good]
        batches = [self._batch(*run) for run in self._runs(messages, times)]
        self._past_markers(batches, ends)
        if self._failed and not batches:
            raise next(iter(self._failed.values()))
        return batches

    def close(self) -> None:
        """Release the client; nothing is committed."""
        if self._open:
            self._open = False
            self._consumer.close()

    def _note(self, error: KafkaError) -> None:
        if error.name() in _HOPELESS:
            self._failed[None] = log_error("reading", error)

    def _consume(self, max_records: int, timeout_ms: int) -> list[Message]:
        # consume(n, timeout) waits for n records or the whole timeout: so poll for the first, then take what is there.
        try:
            messages = self._consumer.consume(max_records, 0)
            if not messages and timeout_ms > 0:
                first = self._consumer.poll(timeout_ms / 1000)
                if first is not None:
                    messages = [first, *(self._consumer.consume(max_records - 1, 0) if max_records > 1 else ())]
        except BaseException as e:
            # Whatever was pulled is gone while librdkafka's position moved on: start from our positions again.
            if isinstance(e, KafkaException):
                self._failed[None] = log_error("reading from Kafka was interrupted, which", e.args[0])
                raise self._failed[None] from e
            self._failed[None] = LogError(f"reading from Kafka was interrupted ({e!r}); make a new reader")
            raise
        return messages

    def _runs(self, messages: list[Message], times: Int64s) -> list[Run]:
        """The records by topic and partition, each in the order in which they came."""
        if not messages:
            return []
        partitions, count = list(map(_partition, messages)), len(messages)
        topics = None if self._one_topic is not None else list(map(_topic, messages))
        topic, partition = _topic(messages[0]), partitions[0]
        if partitions.count(partition) == count and (topics is None or topics.count(topic) == count):
            return [(topic, partition, messages, times)]
        codes = np.array(partitions)
        if topics is not None:
            numbers = {name: number for number, name in enumerate(set(topics))}
            codes += np.array([numbers[name] for name in topics]) << 32
        cuts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), count]
        pieces: dict[int, list[slice]] = {}
        for start, stop in pairwise(cuts):
            pieces.setdefault(int(codes[start]), []).append(slice(start, stop))
        runs: list[Run] = []
        for slices in pieces.values():
            first = messages[slices[0].start]
            rows = messages[slices[0]] if len(slices) == 1 else [row for piece in slices for row in messages[piece]]
            runs.append((_topic(first), _partition(first), rows, np.concatenate([times[piece] for piece in slices])))
        return [run for run in runs if run[:2] in self._active]

    def _batch(self, topic: str, partition: int, messages: Sequence[Message], times: Int64s) -> RecordBatch:
        where = (topic, partition)
        first, last, count = _offset(messages[0]), _offset(messages[-1]), len(messages)
        if last - first == count - 1:
            offsets = np.arange(first, last + 1)
        else:
            offsets = np.fromiter(map(_offset, messages), np.int64, count)
        position = self._positions[where]
        if first < position or (last - first != count - 1 and np.diff(offsets).min() <= 0):
            self._failed[None] = LogError(
                f"topic {topic!r} partition {partition}: the client returned offset {first} where {position} was next; "
                "make a new reader",
                topic=topic,
                partition=partition,
            )
            raise self._failed[None]
        self._positions[where] = last + 1
        return RecordBatch(
            topic,
            partition,
            offsets,
            times,
            list(map(_value, messages)),
            last + 1,
            OnDemand(_key, messages) if self._keys else None,
            OnDemand(_headers, messages) if self._headers else None,
        )

    def _past_markers(self, batches: list[RecordBatch], ends: Mapping[Where, int]) -> None:
        """Move positions over what is not a record at the end of a partition, and say so in its batch."""
        for where, end in ends.items():
            if where not in self._active or self._positions[where] >= end:
                continue
            self._positions[where] = end
            found = [at for at, batch in enumerate(batches) if (batch.topic, batch.partition) == where]
            if found:
                batches[found[0]] = _ending_at(batches[found[0]], end)
            else:
                none = np.empty(0, np.int64)
                empty = RecordBatch(
                    *where, none, none, [], end, [] if self._keys else None, [] if self._headers else None
                )
                batches.append(empty)

    def _is_record(self, message: Message, ends: dict[Where, int]) -> bool:
        """Whether this is a record. Else note what it tells: the end of a partition, a lost offset, a failure."""
        error = message.error()
        if error is None:
            return True
        topic, partition = message.topic(), message.partition()
        where = (topic, partition) if topic is not None and partition is not None and partition >= 0 else None
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if where is not None:
                ends[where] = _offset(message)
            return False
        count = ("reader", error.name())
        self._errors[count] = self._errors.get(count, 0) + 1
        if code == KafkaError._AUTO_OFFSET_RESET and where in self._active:
            self._failed[where] = self._lost(where)
        elif error.fatal() or not error.retriable():
            self._failed[where] = log_error("reading", error, topic=topic, partition=partition)
        return False

    def _lost(self, where: Where) -> LogError:
        self._give_back({where})
        try:
            begin, end = self._consumer.get_watermark_offsets(TopicPartition(*where), timeout=_BOUNDS_TIMEOUT_SECS)
        except KafkaException as e:
            return log_error("asking for the bounds of a partition", e.args[0], topic=where[0], partition=where[1])
        wanted = self._positions[where]
        if begin <= wanted <= end:  # it was refused by a broker that did not know better yet
            said = (
                f"topic {where[0]!r} partition {where[1]}: offset {wanted} was refused and is there now: leaders move"
            )
            return LogUnreachable(said, topic=where[0], partition=where[1])
        return OffsetLost(*where, wanted, begin, end)

    def _take(self, wanted: set[Where]) -> None:
        if wanted:
            places = [TopicPartition(*where, self._positions[where]) for where in sorted(wanted)]
            _change("beginning to read", self._consumer.incremental_assign, places)
            self._active |= wanted

    def _give_back(self, leaving: set[Where]) -> None:
        if leaving:
            places = [TopicPartition(*where) for where in sorted(leaving)]
            _change("ending to read", self._consumer.incremental_unassign, places)
            self._active -= leaving


def _change(doing: str, change: Callable[[list[TopicPartition]], None], places: list[TopicPartition]) -> None:
    """Change what a consumer reads. Raises LogError."""
    try:
        change(places)
    except KafkaException as e:
        raise log_error(f"{doing} topic {places[0].topic!r}", e.args[0], topic=places[0].topic) from e


def _ending_at(batch: RecordBatch, end: int) -> RecordBatch:
    return RecordBatch(
        batch.topic, batch.partition, batch.offsets, batch.timestamps_ms, batch.values, end, batch.keys, batch.headers
    )
