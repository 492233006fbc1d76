"""Labels: JSON records of one topic partition to columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.config.streams import LabelStream
from monitor.config.types import ModelTemplate
from monitor.events import LabelColumns, RecordBatch
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import rejections, rows_to_keep
from monitor.ingest.columns import Problems
from monitor.ingest.decode_predictions import Parts, frozen, reject_future
from monitor.ingest.records import RecordReader


class LabelDecoder:
    """Turns batches of labels into columns. Built once, and nothing in it changes.

    Every mapped field is required. A label that is null takes back what was said before and has the value NaN; a label
    that is absent rejects its record.
    """

    def __init__(self, stream: LabelStream, models: Sequence[ModelTemplate], skew_ms: int) -> None:
        """`models`: all that may be meant, the template included; they say which values a label can have."""
        self._leaves = mapping.label_leaves(stream)
        self._reader = RecordReader(tuple(self._leaves.values()), stream.max_bytes)
        self._seconds = stream.fields.at.unit == "s"
        self._skew_ms = skew_ms
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves)
        known = mapping.known_classes(stream.values, [model.positive for model in models])
        self._labels = convert.Classes(self._leaves["label"], stream.values, known)

    def decode(self, batch: RecordBatch) -> LabelColumns:
        """The columns of a batch, in offset order; rows and rejections together are the records. Never raises for what
        a record holds. Arrays are read-only."""
        reading = self._reader.read(batch)
        problems, parts = Problems(), Parts()
        for block in reading.blocks:
            ids, at, label = block.columns
            parts.add("places", block.places)
            parts.add("id", convert.ids(ids, problems))
            parts.add("at", convert.event_times(at, self._leaves["at"], self._seconds, problems))
            value, null = self._labels.read(label, problems)
            parts.add("value", value if null is None else np.where(null, math.nan, value))
            problems.base += len(block)
        places, at_ms = parts.take("places", np.int64), parts.take("at", np.int64)
        whole = len(places) == len(batch) and reading.in_order
        broker = batch.timestamps_ms if whole else batch.timestamps_ms[places]
        reject_future(at_ms, broker, self._skew_ms, problems)
        problems.settle_missing((), np.zeros(len(places), np.bool_))
        keep = rows_to_keep(reading, places, problems)
        rows = slice(None) if keep is None else keep
        return LabelColumns(
            offsets=frozen((batch.offsets if whole else batch.offsets[places])[rows]),
            broker_ms=frozen(broker[rows]),
            ids=frozen(parts.take("id", np.uint64, (0, 2))[rows]),
            at_ms=frozen(at_ms[rows]),
            value=frozen(parts.take("value", np.float64)[rows]),
            rejected=rejections(batch, reading.failures, places, problems),
        )
