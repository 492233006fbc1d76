"""Predictions: JSON records of one topic partition to columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.config.streams import PredictionStream
from monitor.config.types import Model, ModelTemplate
from monitor.events import Float64s, Int32s, Int64s, PredictionColumns, Reason, RecordBatch
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import fault_counts, joined, rejections, rows_to_keep
from monitor.ingest.careful import Failure
from monitor.ingest.columns import Problems
from monitor.ingest.interner import UNKNOWN, Interner, is_category, is_name
from monitor.ingest.records import Block, RecordReader
from monitor.ingest.values import Column, Kind

OVERFLOW: Final = "…overflow"
"""Stands for all values of a categorical feature that came after `CATEGORIES_MAX` others. No reference knows it, so it is
counted as what it is: a value that was never seen before."""
CATEGORIES_MAX: Final = 100_000
"""Values of one categorical feature that are told apart, besides those known beforehand: 15 MB at most, hostile or not."""

_OPTIONAL_IF_WITHDRAWN: Final = ("score", "prediction")


class PredictionDecoder:
    """Turns batches of predictions into columns. Built once; its interners grow, and nothing else changes.

    What a record gives depends on the record and the configuration alone, not on its batch or on earlier records
    (codes are local; `models`, `versions` and `categories` say what they mean).

    A mapped field is required: absent or null, the record is rejected. Three exceptions: features (NaN or MISSING),
    `withdrawn` (then it is not), and score and prediction of a withdrawn prediction (NaN). Features that are
    not what they should be are faults, not rejections: a text among numbers is NaN (`true` is 1), an object among
    categories is INVALID; numbers and booleans are categories by their text, and `3.0` is `3`.
    """

    def __init__(
        self,
        stream: PredictionStream,
        models: Sequence[Model],
        template: ModelTemplate | None,
        skew_ms: int,
        known_categories: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`template` is for models that are not listed; None rejects them. `known_categories` (feature -> values, e.g. of
        references) are told apart however many others came before; those of `segments` always are."""
        self._leaves = mapping.prediction_leaves(stream)
        self._reader = RecordReader(tuple(self._leaves.values()), stream.max_bytes)
        self._column_of = {field: i for i, field in enumerate(self._leaves)}
        self._seconds = stream.fields.at.unit == "s"
        self._skew_ms = skew_ms
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves)

        self.models = Interner((model.name for model in models), limit=None if template else 0, admits=is_name)
        self.versions = Interner(admits=is_name)
        kinds: list[Model | ModelTemplate] = [*models, *([template] if template else [])]
        self.categories: Mapping[str, Interner] = {
            name: _categories(name, kinds, (known_categories or {}).get(name, ()))
            for name, feature in stream.features.items()
            if feature.type == "categorical"
        }
        self._numeric = [name for name, feature in stream.features.items() if feature.type == "numeric"]
        self._template = template
        self._thresholds: Float64s = np.array([model.threshold for model in models], np.float64)
        self._positives: Float64s = np.array([model.positive for model in models], np.float64)
        self._classes = self._class_reader(stream, [kind.positive for kind in kinds])

    def _class_reader(self, stream: PredictionStream, positives: Sequence[float]) -> convert.Classes | None:
        leaf = self._leaves.get("prediction")
        return None if leaf is None else convert.Classes(leaf, stream.values, mapping.known_classes(stream.values, positives))

    def decode(self, batch: RecordBatch) -> PredictionColumns:
        """The columns of a batch, in offset order; rows and rejections together are the records. Never raises for what
        a record holds. Arrays are read-only."""
        reading = self._reader.read(batch)
        problems = Problems()
        parts = Parts()
        for block in reading.blocks:
            self._convert(block, parts, problems)
            problems.base += len(block)
        places = parts.take("places", np.int64)
        at_ms, broker_ms = parts.take("at", np.int64), batch.timestamps_ms
        models = parts.take("model", np.int32)
        whole = len(places) == len(batch) and reading.in_order
        broker = broker_ms if whole else broker_ms[places]
        reject_future(at_ms, broker, self._skew_ms, problems)
        self._reject_unknown(models, reading.blocks, problems)
        withdrawn = parts.take("withdrawn", np.bool_)
        problems.settle_missing(_OPTIONAL_IF_WITHDRAWN, withdrawn)

        score = parts.take("score", np.float64)
        keep = rows_to_keep(reading, places, problems)
        pick: Callable[[NDArray[Any]], NDArray[Any]] = _all if keep is None else lambda column: frozen(column[keep])
        return PredictionColumns(
            offsets=pick(batch.offsets if whole else batch.offsets[places]),
            broker_ms=pick(broker),
            ids=pick(parts.take("id", np.uint64, (0, 2))),
            at_ms=pick(at_ms),
            model=pick(models),
            version=pick(parts.take("version", np.int32)),
            score=pick(score),
            predicted=pick(self._predicted(models, score, parts)),
            withdrawn=pick(withdrawn),
            numeric={name: pick(parts.take(f"feature:{name}", np.float64)) for name in self._numeric},
            category={name: pick(parts.take(f"feature:{name}", np.int32)) for name in self.categories},
            rejected=rejections(batch, reading.failures, places, problems),
            faults=fault_counts(problems),
        )

    def _convert(self, block: Block, parts: Parts, problems: Problems) -> None:
        """The columns of a block as arrays."""

        def column(field: str) -> Column:
            return block.columns[self._column_of[field]]

        parts.add("places", block.places)
        parts.add("id", convert.ids(column("id"), problems))
        parts.add("model", convert.names(column("model"), "model", self.models, problems))
        parts.add("version", convert.names(column("version"), "version", self.versions, problems))
        parts.add("at", convert.event_times(column("at"), self._leaves["at"], self._seconds, problems))
        n = len(block)
        parts.add(
            "withdrawn",
            convert.flags(column("withdrawn"), "withdrawn", problems)
            if "withdrawn" in self._leaves
            else np.zeros(n, np.bool_),
        )
        parts.add(
            "score", convert.scores(column("score"), problems) if "score" in self._leaves else np.full(n, math.nan)
        )
        if self._classes:
            classes, null = self._classes.read(column("prediction"), problems)
            if null is not None:
                for row in np.flatnonzero(null).tolist():
                    problems.add_missing(row, "prediction")
            parts.add("prediction", classes)
        for field, leaf in self._leaves.items():
            if leaf.kind is Kind.NUMERIC:
                parts.add(field, convert.numeric_feature(column(field), leaf.name, problems))
            elif leaf.kind is Kind.CATEGORY:
                interner = self.categories[leaf.name]
                parts.add(field, convert.category_feature(column(field), leaf.name, interner, problems))

    def _reject_unknown(self, models: Int32s, blocks: Sequence[Block], problems: Problems) -> None:
        if self._template:
            return
        unknown = models == UNKNOWN
        if unknown.any():
            for row in np.flatnonzero(unknown).tolist():
                problems.by_row.setdefault(row, _UNLISTED)

    def _predicted(self, models: Int32s, score: Float64s, parts: Parts) -> Float64s:
        """1 for the positive class of the row's model, else 0; NaN where neither class nor score is."""
        if self._template and len(self._thresholds) < len(self.models):
            more = len(self.models) - len(self._thresholds)
            self._thresholds = np.append(self._thresholds, np.full(more, self._template.threshold))
            self._positives = np.append(self._positives, np.full(more, self._template.positive))
        if not len(self._thresholds):
            return np.full(len(models), math.nan)  # no model has been seen: every row is rejected
        rows = np.maximum(models, 0)  # rejected rows have codes below 0
        if self._classes:
            value = parts.take("prediction", np.float64)
            called = value == self._positives[rows]
        else:
            value = score
            called = score >= self._thresholds[rows]
        predicted: Float64s = called.astype(np.float64)
        missing = np.isnan(value)
        if missing.any():
            predicted[missing] = math.nan
        return predicted


_UNLISTED: Final = Failure(Reason.UNKNOWN_MODEL, "the model is not listed, and unlisted models are rejected")


class Parts:
    """Columns of blocks by name, put together at the end."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def add(self, name: str, part: NDArray[Any]) -> None:
        """The part of one block."""
        self._parts.setdefault(name, []).append(part)

    def take(self, name: str, dtype: type[np.generic], shape: tuple[int, ...] = (0,)) -> NDArray[Any]:
        """All parts as one array."""
        return joined(self._parts.get(name, ()), np.zeros(shape, dtype))


def _categories(
    name: str, models: Sequence[Model | ModelTemplate], known: Sequence[str]
) -> Interner:
    """The interner of a categorical feature; segments and what the references know are told apart whatever comes."""
    listed = [value for model in models for value in model.segments.get(name, ())]
    return Interner([*listed, *known], limit=CATEGORIES_MAX, overflow=OVERFLOW, admits=is_category)


def reject_future(at_ms: Int64s, broker_ms: Int64s, skew_ms: int, problems: Problems) -> None:
    """A record cannot have happened after the log received it, give or take the skew."""
    late = at_ms > broker_ms + skew_ms
    if late.any():
        problems.base = 0
        for row in np.flatnonzero(late).tolist():
            ahead = int(at_ms[row] - broker_ms[row])
            problems.add(row, Reason.FUTURE, f"at: {ahead} ms after the log received it; allowed: {skew_ms}")


def _all(column: NDArray[Any]) -> NDArray[Any]:
    return frozen(column)


def frozen(column: NDArray[Any]) -> NDArray[Any]:
    """The column, read-only from now on."""
    column.flags.writeable = False
    return column
