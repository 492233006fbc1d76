"""Predictions: JSON records of one topic partition to columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.config.streams import PredictionStream
from monitor.config.types import Model, ModelTemplate
from monitor.events import Float64s, Int32s, PredictionColumns, Reason, RecordBatch
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import Parts, fault_counts, reject_future, rejections, rows_to_keep
from monitor.ingest.careful import Failure
from monitor.ingest.columns import Problems
from monitor.ingest.interner import UNKNOWN, Interner, is_category, is_name
from monitor.ingest.records import Block, RecordReader
from monitor.ingest.values import Column

OVERFLOW: Final = "…overflow"
"""Stands for all values of a categorical feature that came after `CATEGORIES_MAX` others. No reference knows it, so it is
counted as what it is: a value that was never seen before."""
CATEGORIES_MAX: Final = 100_000
"""Values of one categorical feature that are told apart, besides those known beforehand: 15 MB at most, hostile or not."""

_OPTIONAL_IF_WITHDRAWN: Final = ("score", "prediction")
_UNLISTED: Final = Failure(Reason.UNKNOWN_MODEL, "model: not one of `models`, and `unlisted_models` is reject")


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
        self._seconds = stream.fields.at.unit == "s"
        self._skew_ms = skew_ms
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves)

        self.models = Interner((model.name for model in models), limit=None if template else 0, admits=is_name)
        self.versions = Interner(admits=is_name)
        kinds: list[ModelTemplate] = [*models, *([template] if template else [])]
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
        return (
            None
            if leaf is None
            else convert.Classes(leaf, stream.values, mapping.known_classes(stream.values, positives))
        )

    def decode(self, batch: RecordBatch) -> PredictionColumns:
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
        at_ms, model = parts.joined("at", np.int64), parts.joined("model", np.int32)
        withdrawn, score = parts.joined("withdrawn", np.bool_), parts.joined("score", np.float64)
        reject_future(at_ms, broker_ms, self._skew_ms, problems)
        self._reject_unlisted(model, problems)
        problems.settle_missing(_OPTIONAL_IF_WITHDRAWN, withdrawn)
        keep = rows_to_keep(reading, places, problems)

        def kept(column: NDArray[Any]) -> NDArray[Any]:
            return column if keep is None else column[keep]

        return PredictionColumns(
            offsets=kept(offsets),
            broker_ms=kept(broker_ms),
            ids=kept(parts.joined("id", np.uint64, 2)),
            at_ms=kept(at_ms),
            model=kept(model),
            version=kept(parts.joined("version", np.int32)),
            score=kept(score),
            predicted=kept(self._predicted(model, score, parts)),
            withdrawn=kept(withdrawn),
            numeric={name: kept(parts.joined(f"feature:{name}", np.float64)) for name in self._numeric},
            category={name: kept(parts.joined(f"feature:{name}", np.int32)) for name in self.categories},
            rejected=rejections(batch, reading.failures, places, problems),
            faults=fault_counts(problems),
        )

    def _convert(self, block: Block, parts: Parts, problems: Problems) -> None:
        """Add the columns of a block as arrays."""
        columns: dict[str, Column] = dict(zip(self._leaves, block.columns, strict=True))
        parts.add("places", block.places)
        parts.add("id", convert.ids(columns["id"], problems))
        parts.add("model", convert.names(columns["model"], "model", self.models, problems))
        parts.add("version", convert.names(columns["version"], "version", self.versions, problems))
        parts.add("at", convert.event_times(columns["at"], self._leaves["at"], self._seconds, problems))
        if "withdrawn" in columns:
            parts.add("withdrawn", convert.flags(columns["withdrawn"], "withdrawn", problems))
        else:
            parts.add("withdrawn", np.zeros(len(block), np.bool_))
        if "score" in columns:
            parts.add("score", convert.scores(columns["score"], problems))
        else:
            parts.add("score", np.full(len(block), math.nan))
        if self._classes:
            classes, null = self._classes.read(columns["prediction"], problems)
            if null is not None:
                for row in np.flatnonzero(null).tolist():
                    problems.add_missing(row, "prediction")
            parts.add("prediction", classes)
        for name in self._numeric:
            field = f"feature:{name}"
            parts.add(field, convert.numeric_feature(columns[field], name, problems))
        for name, interner in self.categories.items():
            field = f"feature:{name}"
            parts.add(field, convert.category_feature(columns[field], name, interner, problems))

    def _reject_unlisted(self, model: Int32s, problems: Problems) -> None:
        unlisted = model == UNKNOWN
        if unlisted.any():
            for row in np.flatnonzero(unlisted).tolist():
                problems.by_row.setdefault(row, _UNLISTED)

    def _predicted(self, model: Int32s, score: Float64s, parts: Parts) -> Float64s:
        """1 for the positive class of the row's model, else 0; NaN without a class (withdrawn) or score."""
        if self._template and len(self._thresholds) < len(self.models):
            more = len(self.models) - len(self._thresholds)
            self._thresholds = np.append(self._thresholds, np.full(more, self._template.threshold))
            self._positives = np.append(self._positives, np.full(more, self._template.positive))
        if not len(self._thresholds):
            return np.full(len(model), math.nan)  # no model is listed, none was seen: every row is rejected
        value = parts.joined("prediction", np.float64) if self._classes else score
        of_model = np.maximum(model, 0)  # rejected rows have codes below 0
        called = value == self._positives[of_model] if self._classes else value >= self._thresholds[of_model]
        predicted = called.astype(np.float64)
        missing = np.isnan(value)
        if missing.any():
            predicted[missing] = math.nan
        return predicted


def _categories(name: str, models: Sequence[ModelTemplate], known: Sequence[str]) -> Interner:
    """The interner of a categorical feature: what segments and references name is in it from the start."""
    segments = [value for model in models for value in model.segments.get(name, ())]
    named = dict.fromkeys([*segments, *known])
    return Interner(named, limit=len(named) + CATEGORIES_MAX, overflow=OVERFLOW, admits=is_category)
