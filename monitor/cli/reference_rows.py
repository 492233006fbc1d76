"""The rows of a reference: one model's predictions out of a topic or a file, decoded as the daemon decodes them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.events import Float64s, Int64s

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.drift.reference import Column
    from monitor.events import PredictionColumns, RecordBatch
    from monitor.ingest.decode_predictions import PredictionDecoder
    from monitor.ports import Log

Identity = bytes


@dataclass(slots=True)
class _Partition:
    """What was read of one partition: the rows to use, in offset order, each identity once."""

    parts: list[tuple[PredictionColumns, Int64s]] = field(default_factory=list)
    known: dict[Identity, None] = field(default_factory=dict)
    position: int = 0
    ended: bool = False


class Rows:
    """Collects rows of one model. Tells how many records were read, rejected, said twice and taken back, and which
    models were met (by name, predictions of the range)."""

    def __init__(self, config: Config, model: str, from_ms: int | None = None, to_ms: int | None = None) -> None:
        from monitor.config.tasks import task_name
        from monitor.ingest.decode_predictions import PredictionDecoder

        stream = config.streams.predictions
        self.decoder: PredictionDecoder = PredictionDecoder(
            stream, config.models, config.unlisted_models, config.time.skew_ms
        )
        # Of regression models the number they predict is the score.
        self._has_score = stream.fields.score is not None or task_name(config) == "regression"
        self._model = model
        self._span = (-math.inf if from_ms is None else from_ms, math.inf if to_ms is None else to_ms)
        self._partitions: dict[int, _Partition] = {}
        self._taken_back: set[Identity] = set()
        self._chosen: list[tuple[int, PredictionColumns, Int64s]] | None = None
        self.read = self.rejected = self.duplicates = self.withdrawn = 0
        self.models: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def partition(self, number: int) -> _Partition:
        """What was read of a partition so far."""
        return self._partitions.setdefault(number, _Partition())

    def add(self, batch: RecordBatch) -> None:
        """Decode a batch and keep what is wanted of it."""
        columns = self.decoder.decode(batch)
        here = self.partition(batch.partition)
        here.position = batch.next_offset
        self.read += len(batch)
        self.rejected += len(columns.rejected)
        inside = (columns.at_ms >= self._span[0]) & (columns.at_ms < self._span[1])
        codes, counts = np.unique(columns.model[inside], return_counts=True)
        names = self.decoder.models.values
        self.models.update({names[code]: int(count) for code, count in zip(codes, counts, strict=True)})
        mine = self.decoder.models.code(self._model)
        wanted = np.flatnonzero((columns.model == mine) & inside)
        if not len(wanted):
            return
        keep = []
        for row in wanted.tolist():
            identity = columns.ids[row].tobytes() + columns.version[row].tobytes()
            if columns.withdrawn[row]:
                self._taken_back.add(identity)
            elif identity in here.known:
                self.duplicates += 1
            else:
                here.known[identity] = None
                keep.append(row)
        if keep:
            here.parts.append((columns, np.array(keep, np.int64)))
        self.faults.update(columns.faults)

    def settle(self, quotas: dict[int, int] | None = None) -> None:
        """Choose: everything, or the first so many rows of each partition; then leave out what was taken back."""
        chosen = []
        for number, here in sorted(self._partitions.items()):
            room = quotas[number] if quotas is not None else len(here.known)
            identities = iter(here.known)
            for columns, rows in here.parts:
                mine = [next(identities) for _ in rows]
                keep = [row for row, who in zip(rows.tolist(), mine, strict=True) if who not in self._taken_back]
                self.withdrawn += len(rows) - len(keep)
                if keep[:room]:
                    chosen.append((number, columns, np.array(keep[:room], np.int64)))
                room -= len(keep[:room])
        self._chosen = chosen

    def usable(self, number: int) -> int:
        """Rows of a partition that may be chosen, as far as it was read."""
        known = self.partition(number).known
        return len(known) - sum(identity in known for identity in self._taken_back)

    def __len__(self) -> int:
        return sum(len(rows) for _, _, rows in self._picked())

    @property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """(partition, first offset, one past the last) of the rows chosen."""
        spans: dict[int, tuple[int, int]] = {}
        for number, columns, rows in self._picked():
            first, last = int(columns.offsets[rows[0]]), int(columns.offsets[rows[-1]]) + 1
            spans[number] = (spans[number][0] if number in spans else first, last)
        return tuple((number, *span) for number, span in sorted(spans.items()))

    def columns(self, features: Sequence[str]) -> dict[str, Column]:
        """The watched features of the rows: numbers, or texts with MISSING and INVALID among them."""
        made: dict[str, Column] = {}
        for name in features:
            interner = self.decoder.categories.get(name)
            if interner is None:
                made[name] = self._numbers(lambda columns, name=name: columns.numeric[name])
                continue
            codes = [columns.category[name][rows] for _, columns, rows in self._picked()]
            values = interner.values
            made[name] = [values[code] if code >= 0 else code for part in codes for code in part.tolist()]
        return made

    def score(self) -> Float64s | None:
        """The scores; None when the stream maps none."""
        return self._numbers(lambda columns: columns.score) if self._has_score else None

    def _numbers(self, of: Any) -> Float64s:
        parts = [of(columns)[rows] for _, columns, rows in self._picked()]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _picked(self) -> list[tuple[int, PredictionColumns, Int64s]]:
        assert self._chosen is not None, "settle comes first"
        return self._chosen


def rows_of_file(
    config: Config, model: str, file: Path, key_field: str, from_ms: int | None, to_ms: int | None
) -> tuple[Rows, str]:
    """The rows of a file of JSON lines, and the SHA-256 of its bytes in hex."""
    from monitor.cli.produce import key_of
    from monitor.cli.scan import batches_of

    rows = Rows(config, model, from_ms, to_ms)
    for batch in batches_of(file, lambda line: key_of(line, key_field) if rows.decoder.needs_keys else None):
        rows.add(batch)
    rows.settle()
    with file.open("rb") as stream:
        return rows, hashlib.file_digest(stream, "sha256").hexdigest()


def rows_of_topic(
    config: Config, embedded: Path | None, model: str, from_ms: int | None, to_ms: int | None, first: int | None
) -> Rows:
    """The rows of the predictions topic in a range of event time, or its first ones."""
    from monitor.cli.scan import Scan, ScanProgress, need_topic, open_existing

    rows = Rows(config, model, from_ms, to_ms)
    topic = config.streams.predictions.topic
    log = open_existing(config, embedded)
    try:
        need_topic(log, topic, "Create it, or correct `streams` in the configuration.")
        scan = Scan.of(log, topic)
        if first is not None:
            rows.settle(_read_first(log, scan, rows, first))
            return rows
        decoder = rows.decoder
        with ScanProgress(scan, "reading predictions") as progress:
            for batch in scan.batches(log, keys=decoder.needs_keys, headers=decoder.needs_headers):
                rows.add(batch)
                progress.show()
    finally:
        log.close()
    rows.settle()
    return rows


def _read_first(log: Log, whole: Any, rows: Rows, first: int) -> dict[int, int]:
    """Read until there are `first` rows, as evenly over the partitions as they allow; how many to take of each.

    The choice depends on what the topic holds, not on how it was cut into batches, but for withdrawals: one that was
    read on the way counts even when it stands behind the last row chosen.
    """
    spans = {partition: span for (_, partition), span in whole.ranges.items()}
    for partition, (start, end) in spans.items():
        rows.partition(partition).position, rows.partition(partition).ended = start, start >= end
    level = -(-first // len(spans))
    while True:
        for partition in spans:
            _read_until(log, whole, rows, partition, level)
        quotas = {partition: min(rows.usable(partition), level) for partition in spans}
        open_ = [partition for partition in spans if rows.usable(partition) >= level]
        missing = first - sum(quotas.values())
        if missing <= 0 or not open_:
            break
        level += -(-missing // len(open_))
    for partition in sorted(quotas, reverse=True):  # rounding up may have given a few too many
        spare = min(quotas[partition], max(0, sum(quotas.values()) - first))
        quotas[partition] -= min(spare, 1) if len(quotas) > 1 else spare
    return quotas


def _read_until(log: Log, whole: Any, rows: Rows, partition: int, level: int) -> None:
    """Read a partition on until it has `level` usable rows or ends."""
    from monitor.cli.scan import Scan, ScanProgress

    here, decoder = rows.partition(partition), rows.decoder
    if here.ended or rows.usable(partition) >= level:
        return
    where = next(where for where in whole.ranges if where[1] == partition)
    end = whole.ranges[where][1]
    scan = Scan({where: (here.position, end)})
    with ScanProgress(scan, f"reading partition {partition}") as progress:
        for batch in scan.batches(log, keys=decoder.needs_keys, headers=decoder.needs_headers):
            rows.add(batch)
            progress.show()
            if rows.usable(partition) >= level:
                return
    here.ended = True
