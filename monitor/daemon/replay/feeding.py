"""Source records up to stated offsets, into the engine of one partition: as often as commits were cut."""

from __future__ import annotations

from monitor.errors import LogError, OffsetLost
from monitor.events import RecordBatch
from monitor.partition import Partition
from monitor.ports import Log, Reader

CHUNK = 5_000
_WAIT_MS = 200
_PATIENCE_POLLS = 150
"""Thirty seconds without a record that the log says it holds."""


class Feeding:
    """The two readers of one partition. What a poll gave beyond the wanted offset waits for the next call."""

    def __init__(self, log: Log, topics: tuple[str, ...], engine: Partition) -> None:
        """`topics`: predictions and, unless there are none, labels; reading starts where the engine is. Raises
        OffsetLost when that has left a topic."""
        self._log, self._topics, self._engine = log, topics, engine
        decoders = (engine.shared.predictions, engine.shared.labels)
        self._readers: list[Reader] = []
        self._left: list[RecordBatch | None] = [None] * len(topics)
        self.records = 0
        for name, decoder, position in zip(topics, decoders, engine.next_offsets, strict=False):
            assert decoder is not None
            begin, end = log.begin_offsets(name)[engine.partition], log.end_offsets(name)[engine.partition]
            if not begin <= position <= end:
                raise OffsetLost(name, engine.partition, position, begin, end)
            reader = log.reader(keys=decoder.needs_keys, headers=decoder.needs_headers)
            self._readers.append(reader)
            reader.assign({(name, engine.partition): position})

    def up_to(self, predictions: int, labels: int) -> None:
        """Feed both streams up to these offsets. Raises OffsetLost or LogError."""
        for stream, end in zip(range(len(self._topics)), (predictions, labels), strict=False):
            self._feed(stream, end)

    def _feed(self, stream: int, end: int) -> None:
        engine = self._engine
        feed = engine.feed_labels if stream else engine.feed_predictions
        silent = 0
        while engine.next_offsets[stream] < end:
            batch = self._left[stream] or self._poll(stream)
            self._left[stream] = None
            if batch is None:
                silent += 1
                if silent > _PATIENCE_POLLS:
                    raise LogError(
                        f"topic {self._topics[stream]!r} partition {engine.partition}: no record from offset "
                        f"{engine.next_offsets[stream]} on in {_PATIENCE_POLLS * _WAIT_MS // 1_000} s, {end} was read "
                        "before. The log does not give what it says it holds.",
                        topic=self._topics[stream],
                        partition=engine.partition,
                    )
                continue
            silent = 0
            part, self._left[stream] = batch.split(end)
            if len(part):
                feed(part)
                self.records += len(part)
            engine.skip_to(stream, part.next_offset)

    def _poll(self, stream: int) -> RecordBatch | None:
        batches = self._readers[stream].poll(CHUNK, _WAIT_MS)
        return batches[0] if batches else None

    def skip(self, stream: int, offset: int) -> None:
        """A gap: go on at this offset without what is before it."""
        self._left[stream] = None
        self._readers[stream].assign({(self._topics[stream], self._engine.partition): offset})

    def close(self) -> None:
        """Close the readers."""
        for reader in self._readers:
            reader.close()
