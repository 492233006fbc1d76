"""Ids as records write them: for whoever needs them back, since the join keeps hashes alone."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.config.sources import Source
from monitor.config.streams import LabelStream, PredictionStream
from monitor.events import RecordBatch
from monitor.ingest.mapping import Leaf, label_leaves, needs_headers, needs_keys, prediction_leaves
from monitor.ingest.records import RecordReader
from monitor.ingest.rows import Opener, Rows, opener_of, value_bytes
from monitor.ingest.values import Kind, plain


class IdTexts:
    """Reads the ids of one stream, and nothing else."""

    def __init__(self, stream: PredictionStream | LabelStream, by: Source | None = None) -> None:
        """`by`: another place to read than that of the id."""
        leaves = prediction_leaves(stream) if isinstance(stream, PredictionStream) else label_leaves(stream)
        leaf = leaves["id"] if by is None else Leaf("by", Kind.TEXT, by)
        self.reads_keys = needs_keys({**leaves, "by": leaf})
        """Whether a field of the stream is in the key."""
        self.opener: Opener | None = opener_of(stream, [leaf])
        self._reader = RecordReader((leaf,), value_bytes(stream))
        self.needs_keys = needs_keys({"id": leaf})
        self.needs_headers = needs_headers({"id": leaf}) or (self.opener is not None and self.opener.needs_headers)

    def open(self, batch: RecordBatch) -> RecordBatch:
        """The rows of a batch, as the decoders of the stream open it."""
        return batch if self.opener is None or isinstance(batch, Rows) else self.opener.open(batch)

    def read(self, rows: RecordBatch) -> Iterator[tuple[int, str]]:
        """Row and id of every row of an opened batch that has one: a text, or an integer in decimal."""
        for block in self._reader.read(rows).blocks:
            for row, value in zip(block.places, plain(block.columns[0]), strict=True):
                if isinstance(value, str | int) and not isinstance(value, bool):
                    yield int(row), str(value)
