"""Labels: JSON records of one topic partition to columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.config.streams import LabelStream
from monitor.events import LabelColumns, RecordBatch
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import Parts, reject_future, rejections, rows_to_keep
from monitor.ingest.columns import Problems
from monitor.ingest.records import Block, RecordReader

_NEVER_OPTIONAL: Final = ()


class LabelDecoder:
    """Turns batches of labels into columns. Built once; nothing in it changes.

    A label that is null, in a record with an id and a time, is a withdrawal: its value is NaN. A record without the
    field at all is rejected: that is no way to say it.
    """

    def __init__(self, stream: LabelStream, skew_ms: int, known: frozenset[float] | None) -> None:
        """`known`: the numbers a label may be, after `values` (`mapping.known_classes` for binary tasks); None: any."""
        self._leaves = mapping.label_leaves(stream)
        self._reader = RecordReader(tuple(self._leaves.values()), stream.max_bytes)
        self._seconds = stream.fields.at.unit == "s"
        self._skew_ms = skew_ms
        self._classes = convert.Classes(self._leaves["label"], stream.values, known)
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves)

    def decode(self, batch: RecordBatch) -> LabelColumns:
        """The columns of a batch, in offset order; rows and rejections together are the records. Never raises for what
        a record holds. The arrays must not be written to."""
        reading = self._reader.read(batch)
        problems, parts = Problems(), Parts()
        for block in reading.blocks:
            self._convert(block, parts, problems)
            problems.base += len(block)
        places = parts.joined("places", np.int64)
        whole = reading.in_order and len(places) == len(batch)
        offsets = batch.offsets if whole else batch.offsets[places]
        broker_ms = batch.timestamps_ms if whole else batch.timestamps_ms[places]
        at_ms = parts.joined("at", np.int64)
        reject_future(at_ms, broker_ms, self._skew_ms, problems)
        problems.settle_missing(_NEVER_OPTIONAL, np.zeros(0, np.bool_))
        keep = rows_to_keep(reading, places, problems)

        def kept(column: NDArray[Any]) -> NDArray[Any]:
            return column if keep is None else column[keep]

        return LabelColumns(
            offsets=kept(offsets),
            broker_ms=kept(broker_ms),
            ids=kept(parts.joined("id", np.uint64, 2)),
            at_ms=kept(at_ms),
            value=kept(parts.joined("label", np.float64)),
            rejected=rejections(batch, reading.failures, places, problems),
        )

    def _convert(self, block: Block, parts: Parts, problems: Problems) -> None:
        """Add the columns of a block as arrays."""
        id_column, at_column, label_column = block.columns
        parts.add("places", block.places)
        parts.add("id", convert.ids(id_column, problems))
        parts.add("at", convert.event_times(at_column, self._leaves["at"], self._seconds, problems))
        label, _ = self._classes.read(label_column, problems)
        parts.add("label", label)
