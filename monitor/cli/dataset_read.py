"""One partition of both topics, read and decoded as monitoring does, with the clock before each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from monitor.cli.scan import Scan
from monitor.daemon.shared import make_shared
from monitor.errors import MonitorError, OffsetLost
from monitor.events import Int64s, LabelColumns, PredictionColumns, RecordBatch, Rejected
from monitor.ingest.clocks import ClockState, advance
from monitor.ingest.id_texts import IdTexts
from monitor.plan import plan_of

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.ports import Log, TopicInfo

C = TypeVar("C", PredictionColumns, LabelColumns)


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets [start, end) of a partition and the clock before them."""

    start: int
    end: int
    clock: ClockState = ClockState()  # noqa: RUF009  # frozen


@dataclass(slots=True)
class Stream(Generic[C]):
    """What one topic gave: columns of what was decoded, and offset and reason of what was not."""

    span: Span
    parts: list[C] = field(default_factory=list)
    before: list[Int64s] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    clock: ClockState = ClockState()  # noqa: RUF009  # frozen

    def add(self, columns: C, max_jump_ms: int) -> None:
        """The next batch."""
        self.rejected += columns.rejected
        if len(columns):
            self.clock, before = advance(self.clock, columns.at_ms, columns.ids, max_jump_ms)
            self.before.append(before)
            self.parts.append(columns)

    @property
    def before_ms(self) -> Int64s:
        """The running maximum before each record that was decoded."""
        return np.concatenate(self.before) if self.before else np.zeros(0, np.int64)

    def clock_at(self, offset: int, offsets: Int64s, at_ms: Int64s, ids: np.ndarray, max_jump_ms: int) -> ClockState:
        """The clock before an offset."""
        n = int(np.searchsorted(offsets, offset))
        return advance(self.span.clock, at_ms[:n], ids[:n], max_jump_ms)[0] if n else self.span.clock

    def calm(self, offset: int, offsets: Int64s, at_ms: Int64s, ids: np.ndarray, max_jump_ms: int) -> int:
        """An offset, or the nearest one before it, at which no record lies too far ahead of the clock: what is kept of the clock
        there holds nothing of an id. What lay ahead before the range stays."""
        while True:
            ahead = {word for _, word in self.clock_at(offset, offsets, at_ms, ids, max_jump_ms).ahead}
            n = int(np.searchsorted(offsets, offset))
            held = np.flatnonzero(np.isin(ids[:n, 0], np.array(sorted(ahead), np.uint64)))
            if not len(held):
                return offset
            offset = int(offsets[held[-1]])


@dataclass(slots=True)
class Read:
    """One partition of both topics. `ids` are the texts of the ids of what was decoded, when they were asked for."""

    partition: int
    predictions: Stream[PredictionColumns]
    labels: Stream[LabelColumns] | None
    ids: list[str]


class Topics:
    """The two topics of a configuration: decoders, ranges, and reading them partition by partition."""

    def __init__(self, config: Config, log: Log, *, ids: bool) -> None:
        """Raises MonitorError when a topic is missing or the two have different numbers of partitions."""
        self.config, self.log = config, log
        self.plan = plan_of(config)
        self.shared = make_shared(config, self.plan)
        self.cluster = log.cluster_id()
        stream, labels = config.streams.predictions, config.streams.labels
        self.predictions = self._topic(stream.topic)
        self.labels = None if labels is None else self._topic(labels.topic)
        if self.labels is not None and self.labels.partitions != self.predictions.partitions:
            raise MonitorError(
                f"topic {self.predictions.name!r} has {self.predictions.partitions} partitions and {self.labels.name!r} "
                f"has {self.labels.partitions}: labels would not meet their predictions. Give both the same number."
            )
        self._ids = IdTexts(stream) if ids else None

    def _topic(self, name: str) -> TopicInfo:
        found = self.log.topic(name)
        if found is None:
            raise MonitorError(f"there is no topic {name!r}. Create it, or correct `streams` in the configuration.")
        return found

    def held(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]] | None]:
        """Offsets [start, end) that the topics hold now, per partition: predictions, labels."""
        return self._held(self.predictions.name), None if self.labels is None else self._held(self.labels.name)

    def _held(self, topic: str) -> list[tuple[int, int]]:
        return list(zip(self.log.begin_offsets(topic), self.log.end_offsets(topic), strict=True))

    def need(self, topic: str, partition: int, span: Span) -> None:
        """Raises OffsetLost when a range is not held as a whole."""
        begin, end = self._held(topic)[partition]
        if span.start < span.end and (span.start < begin or span.end > end):
            raise OffsetLost(topic, partition, span.start if span.start < begin else span.end - 1, begin, end)

    def scan(self, spans: Sequence[tuple[int, Span, Span | None]]) -> Scan:
        """All of several partitions, as the progress knows it."""
        ranges = {}
        for partition, predictions, labels in spans:
            ranges[self.predictions.name, partition] = (predictions.start, predictions.end)
            if labels is not None and self.labels is not None:
                ranges[self.labels.name, partition] = (labels.start, labels.end)
        return Scan(ranges, {where: start for where, (start, _) in ranges.items()})

    def read(
        self, whole: Scan, partition: int, predictions: Span, labels: Span | None, show: Callable[[], None]
    ) -> Read:
        """Read a partition of both topics; `whole` is told how far. Raises MonitorError when the log gives less."""
        jump = self.plan.max_jump_ms
        ids: list[str] = []
        of_predictions: Stream[PredictionColumns] = Stream(predictions, clock=predictions.clock)
        of_labels: Stream[LabelColumns] | None = None if labels is None else Stream(labels, clock=labels.clock)
        scan = self.scan([(partition, predictions, labels)])
        for batch in self._batches(scan):
            if batch.topic == self.predictions.name:
                rows = self.shared.predictions.open(batch)
                columns = self.shared.predictions.decode(rows)
                of_predictions.add(columns, jump)
                ids += self._texts(rows, columns)
            else:
                assert of_labels is not None
                assert self.shared.labels is not None
                of_labels.add(self.shared.labels.decode(batch), jump)
            whole.done.update(scan.done)
            show()
        for (topic, _), (_, end) in scan.ranges.items():
            reached = scan.done[topic, partition]
            if reached < end:
                raise MonitorError(
                    f"topic {topic!r} partition {partition}: the log gave nothing from offset {reached} on, and [.., {end}) "
                    "was to be read. Try again."
                )
        return Read(partition, of_predictions, of_labels, ids)

    def _batches(self, scan: Scan) -> Iterator[RecordBatch]:
        decoders = [decoder for decoder in (self.shared.predictions, self.shared.labels) if decoder is not None]
        keys, headers = any(d.needs_keys for d in decoders), any(d.needs_headers for d in decoders)
        return (batch for batch in scan.batches(self.log, keys=keys, headers=headers) if len(batch))

    def _texts(self, rows: RecordBatch, columns: PredictionColumns) -> list[str]:
        if self._ids is None or not len(columns):
            return []
        found = dict(self._ids.read(rows))
        places = np.searchsorted(rows.offsets, columns.offsets) if columns.places is None else columns.places
        return [found[place] for place in places.tolist()]
