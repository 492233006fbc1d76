"""Predictions: JSON records of one topic partition to columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from monitor.config.streams import PredictionStream
from monitor.config.types import Model, ModelTemplate
from monitor.events import Float64s, Int64s, PredictionColumns, Reason, RecordBatch, Unlisted
from monitor.ingest import columns as convert
from monitor.ingest import mapping
from monitor.ingest.assemble import Arrays, fault_counts, joined, reject_future, rejections, rows_to_keep
from monitor.ingest.class_names import ClassNames
from monitor.ingest.columns import Problems
from monitor.ingest.interner import Interner, is_category, is_name
from monitor.ingest.records import Block, RecordReader
from monitor.ingest.rows import Rows, opener_of, value_bytes
from monitor.ingest.values import Column, Kind

OVERFLOW: Final = "…overflow"
"""Stands for all values of a categorical feature that came after `CATEGORIES_MAX` others. No reference knows it, so it is
counted as what it is: a value that was never seen before."""
CATEGORIES_MAX: Final = 100_000
"""Values of one categorical feature that are told apart, besides those known beforehand: 15 MB at most, hostile or not."""

_OPTIONAL_IF_WITHDRAWN: Final = ("score", "prediction")
_Reader = convert.Classes | ClassNames


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
        self._unit = stream.fields.at.unit
        self._opener = opener_of(stream, list(self._leaves.values()))
        self.opens = self._opener is not None
        self._skew_ms = skew_ms
        self.needs_keys = mapping.needs_keys(self._leaves)
        self.needs_headers = mapping.needs_headers(self._leaves) or (
            self._opener is not None and self._opener.needs_headers
        )

        self.models = Interner((model.name for model in models), limit=None if template else 0, admits=is_name)
        self.versions = Interner(admits=is_name)
        kinds: list[ModelTemplate] = [*models, *([template] if template else [])]
        self.categories: Mapping[str, Interner] = {
            name: _categories(name, kinds, (known_categories or {}).get(name, ()))
            for name, feature in stream.features.items()
            if feature.type == "categorical"
        }
        interner_of = {"model": self.models, "version": self.versions}
        interner_of |= {f"feature:{name}": interner for name, interner in self.categories.items()}
        interners = {i: interner_of[field] for i, field in enumerate(self._leaves) if field in interner_of}
        self._reader = RecordReader(tuple(self._leaves.values()), value_bytes(stream), interners)
        self._leaf_names = [leaf.name for leaf in self._leaves.values()]
        self._numeric, self._categorical = (
            {f"feature:{name}": name for name, feature in stream.features.items() if feature.type == wanted}
            for wanted in ("numeric", "categorical")
        )
        self._empty = _empty_arrays(self._leaves)
        self._template = template
        self._thresholds: Float64s = np.array([model.threshold for model in models], np.float64)
        self._positives: Float64s = np.array([model.positive for model in models], np.float64)
        self._task = kinds[0].task if kinds else "binary"
        self._classes = self._class_reader(stream, kinds)
        self._scores = [(f"score:{name}", f"score of {name}") for name in stream.fields.scores or ()]

    def _class_reader(self, stream: PredictionStream, kinds: Sequence[ModelTemplate]) -> _Reader | None:
        leaf = self._leaves.get("prediction")
        if leaf is None:
            return None
        if self._task == "multiclass":
            return ClassNames(leaf, sorted({name for kind in kinds for name in kind.classes or ()}))
        known = mapping.known_classes(stream.values, [kind.positive for kind in kinds])
        return convert.Classes(leaf, stream.values, None if self._task == "regression" else known)

    def ready(self, batch: RecordBatch) -> None:
        """Have everything at hand that a batch is decoded with. Raises SchemasUnreachable: then it is to be tried again."""
        if self._opener is not None:
            self._opener.ready(batch)

    def open(self, batch: RecordBatch) -> RecordBatch:
        """The rows of a batch: itself where its records are its rows, or where it was opened before."""
        return batch if self._opener is None or isinstance(batch, Rows) else self._opener.open(batch)

    def decode(self, batch: RecordBatch) -> PredictionColumns:
        """The columns of a batch, in offset order; rows and rejections together are its rows. Never raises for what
        a record holds. The arrays must not be written to."""
        batch = self.open(batch)
        reading = self._reader.read(batch)
        problems = Problems()
        parts = [self._convert(block, problems) for block in reading.blocks]
        arrays = joined(parts, self._empty)
        n, places = len(arrays["at"]), reading.places()
        arrays["offsets"] = batch.offsets if places is None else batch.offsets[places]
        arrays["broker"] = batch.timestamps_ms if places is None else batch.timestamps_ms[places]
        reject_future(arrays["at"], arrays["broker"], self._skew_ms, problems)
        if problems.missing:
            problems.settle_missing(_OPTIONAL_IF_WITHDRAWN, arrays["withdrawn"])
        if self._task == "regression":
            arrays["score"] = arrays["prediction"] + 0.0  # a zero has one sign, so that equal numbers are equal bits
        arrays["predicted"] = self._predicted(arrays, clean=not (problems.by_row or problems.missing))
        unlisted = _unlisted(arrays, problems) if problems.by_row else None
        keep = rows_to_keep(reading, places, n, problems)
        if keep is not None:
            arrays = {field: array[keep] for field, array in arrays.items()}
        return PredictionColumns(
            offsets=arrays["offsets"],
            broker_ms=arrays["broker"],
            ids=arrays["id"],
            at_ms=arrays["at"],
            model=arrays["model"],
            version=arrays["version"],
            score=arrays["score"],
            predicted=arrays["predicted"],
            withdrawn=arrays["withdrawn"],
            numeric={name: arrays[field] for field, name in self._numeric.items()},
            category={name: arrays[field] for field, name in self._categorical.items()},
            rejected=rejections(batch, reading.failures, places, problems),
            faults=fault_counts(problems),
            scores=np.stack([arrays[field] for field, _ in self._scores], axis=1) if self._scores else None,
            unlisted=unlisted,
            **_of_rows(batch, places, keep),
        )

    def _convert(self, block: Block, problems: Problems) -> Arrays:
        """The columns of a block as arrays."""
        columns: dict[str, Column] = dict(zip(self._leaves, block.columns, strict=True))
        n = len(block)
        arrays: Arrays = {
            "id": convert.ids(columns["id"], problems),
            "model": convert.names(columns["model"], "model", self.models, problems),
            "version": convert.names(columns["version"], "version", self.versions, problems),
            "at": convert.event_times(columns["at"], self._leaves["at"], self._unit, problems),
            "withdrawn": convert.flags(columns["withdrawn"], "withdrawn", problems)
            if "withdrawn" in columns
            else np.zeros(n, np.bool_),
            "score": convert.scores(columns["score"], problems) if "score" in columns else np.full(n, math.nan),
        }
        for field, name in self._scores:
            arrays[field] = convert.class_scores(columns[field], name, problems)
        if self._classes:
            arrays["prediction"], null = self._classes.read(columns["prediction"], problems)
            if null is not None:
                for row in np.flatnonzero(null).tolist():
                    problems.add_missing(row, "prediction")
        for field, name in self._numeric.items():
            arrays[field] = convert.numeric_feature(columns[field], name, problems)
        for field, name in self._categorical.items():
            arrays[field] = convert.category_feature(columns[field], name, self.categories[name], problems)
        for row, leaf in block.faults:
            problems.fault(self._leaf_names[leaf], row)
        problems.base += n
        return arrays

    def _predicted(self, arrays: Arrays, *, clean: bool) -> Float64s:
        """1 for the positive class of the row's model, else 0; NaN without a class or score, which happens only if not
        `clean`. Of other tasks the code of the class, or 0. Rejected rows: anything."""
        if self._task != "binary":
            return arrays["prediction"] if self._task == "multiclass" else np.zeros(len(arrays["at"]))
        if self._template and len(self._thresholds) < len(self.models):
            more = len(self.models) - len(self._thresholds)
            self._thresholds = np.append(self._thresholds, np.full(more, self._template.threshold))
            self._positives = np.append(self._positives, np.full(more, self._template.positive))
        if not len(self._thresholds):
            return arrays["score"]  # no model is listed, none was seen: every row is rejected
        settings = self._positives if self._classes else self._thresholds
        # Codes below 0 get some model's setting; their rows are rejected.
        setting = settings[0] if len(settings) == 1 else settings.take(arrays["model"], mode="clip")
        value = arrays["prediction"] if self._classes else arrays["score"]
        predicted: Float64s = (value == setting if self._classes else value >= setting).astype(np.float64)
        if not clean:
            predicted[np.isnan(value)] = math.nan
        return predicted


def _of_rows(batch: RecordBatch, places: Int64s | None, keep: Int64s | None) -> dict[str, Any]:
    """What is said of rows beside their columns, where records were opened."""
    if not isinstance(batch, Rows):
        return {}
    own = np.arange(len(batch)) if places is None else places
    own = own if keep is None else own[keep]
    return {"places": own, "index": batch.index[own], "skipped": batch.skipped}


def _unlisted(arrays: Arrays, problems: Problems) -> Unlisted | None:
    """The rows that would count if their model were listed: they have no other problem."""
    rows = [row for row, failure in problems.by_row.items() if failure.reason is Reason.UNKNOWN_MODEL]
    rows = [row for row in rows if row not in problems.repeated]
    return Unlisted(*(arrays[name][rows] for name in ("offsets", "id", "at"))) if rows else None


def _categories(name: str, models: Sequence[ModelTemplate], known: Sequence[str]) -> Interner:
    """The interner of a categorical feature: what segments and references name is in it from the start."""
    segments = [value for model in models for value in model.segments.get(name, ())]
    named = dict.fromkeys([*segments, *known])
    return Interner(named, limit=len(named) + CATEGORIES_MAX, overflow=OVERFLOW, admits=is_category)


def _empty_arrays(leaves: Mapping[str, mapping.Leaf]) -> Arrays:
    """Arrays without rows."""
    types = {"id": np.uint64, "model": np.int32, "version": np.int32, "at": np.int64, "withdrawn": np.bool_}
    fields = dict.fromkeys(("score", "withdrawn", *leaves))
    arrays: Arrays = {
        field: np.zeros(0, types.get(field, np.int32 if leaves[field].kind is Kind.CATEGORY else np.float64))
        if field in leaves
        else np.zeros(0, types.get(field, np.float64))
        for field in fields
    }
    return arrays | {"id": np.zeros((0, 2), np.uint64)}
