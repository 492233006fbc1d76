"""Labels: JSON records of one topic partition to columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from monitor.config.streams import LabelStream
from monitor.events import LabelColumns, RecordBatch
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import Arrays, joined, reject_future, rejections, rows_to_keep
from monitor.ingest.class_names import ClassNames
from monitor.ingest.columns import Problems
from monitor.ingest.records import Block, RecordReader
from monitor.ingest.rows import Rows, opener_of, value_bytes

_NEVER_OPTIONAL: Final = ()
_EMPTY: Final[Arrays] = {
    "id": np.zeros((0, 2), np.uint64),
    "at": np.zeros(0, np.int64),
    "label": np.zeros(0, np.float64),
}


class LabelDecoder:
    """Turns batches of labels into columns. Built once; nothing in it changes.

    A label that is null, in a record with an id and a time, is a withdrawal: its value is NaN. A record without the
    field at all is rejected: that is no way to say it.
    """

    def __init__(
        self,
        stream: LabelStream,
        skew_ms: int,
        known: frozenset[float] | None,
        classes: Sequence[str] | None = None,
    ) -> None:
        """`known`: the numbers a label may be, after `values` (`mapping.known_classes` for binary tasks); None: any.
        `classes`: labels are names, and their values the codes of these."""
        self._leaves = mapping.label_leaves(stream)
        self._reader = RecordReader(tuple(self._leaves.values()), value_bytes(stream))
        self._unit = stream.fields.at.unit
        self._opener = opener_of(stream, list(self._leaves.values()))
        self.opens = self._opener is not None
        self._skew_ms = skew_ms
        leaf = self._leaves["label"]
        self._classes: convert.Classes | ClassNames = (
            convert.Classes(leaf, stream.values, known) if classes is None else ClassNames(leaf, classes)
        )
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves) or (
            self._opener is not None and self._opener.needs_headers
        )

    def ready(self, batch: RecordBatch) -> None:
        """Have everything at hand that a batch is decoded with. Raises SchemasUnreachable: then it is to be tried again."""
        if self._opener is not None:
            self._opener.ready(batch)

    def open(self, batch: RecordBatch) -> RecordBatch:
        """The rows of a batch: itself where its records are its rows, or where it was opened before."""
        return batch if self._opener is None or isinstance(batch, Rows) else self._opener.open(batch)

    def decode(self, batch: RecordBatch) -> LabelColumns:
        """The columns of a batch, in offset order; rows and rejections together are its rows. Never raises for what
        a record holds. The arrays must not be written to."""
        batch = self.open(batch)
        reading = self._reader.read(batch)
        problems = Problems()
        parts = [self._convert(block, problems) for block in reading.blocks]
        arrays = joined(parts, _EMPTY)
        places = reading.places()
        arrays["offsets"] = batch.offsets if places is None else batch.offsets[places]
        arrays["broker"] = batch.timestamps_ms if places is None else batch.timestamps_ms[places]
        reject_future(arrays["at"], arrays["broker"], self._skew_ms, problems)
        problems.settle_missing(_NEVER_OPTIONAL, np.zeros(0, np.bool_))
        keep = rows_to_keep(reading, places, len(arrays["at"]), problems)
        if keep is not None:
            arrays = {field: array[keep] for field, array in arrays.items()}
        return LabelColumns(
            offsets=arrays["offsets"],
            broker_ms=arrays["broker"],
            ids=arrays["id"],
            at_ms=arrays["at"],
            value=arrays["label"],
            rejected=rejections(batch, reading.failures, places, problems),
            skipped=batch.skipped if isinstance(batch, Rows) else {},
        )

    def _convert(self, block: Block, problems: Problems) -> Arrays:
        """The columns of a block as arrays."""
        id_column, at_column, label_column = block.columns
        arrays: Arrays = {
            "id": convert.ids(id_column, problems),
            "at": convert.event_times(at_column, self._leaves["at"], self._unit, problems),
            "label": self._classes.read(label_column, problems)[0],
        }
        problems.base += len(block)
        return arrays
