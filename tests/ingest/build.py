"""Batches and decoders for the tests of decoding."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Model, ModelTemplate
from monitor.events import Headers, PredictionColumns, RecordBatch
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder

AT_MS = 1_700_000_000_000
BROKER_MS = AT_MS + 3_600_000
FIELDS = {"id": "$.id", "model": "$.model", "version": "$.version", "at": "$.at", "score": "$.score"}
FEATURES: dict[str, Any] = {"hour": "numeric", "origin": "categorical"}


def batch(
    values: Sequence[bytes | None],
    *,
    first: int = 100,
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Headers | None] | None = None,
) -> RecordBatch:
    """Values as records from offset `first` on."""
    n = len(values)
    offsets = np.arange(first, first + n, dtype=np.int64)
    return RecordBatch("topic", 0, offsets, np.full(n, BROKER_MS, np.int64), list(values), first + n, keys, headers)


def record(**changes: Any) -> dict[str, Any]:
    """A good prediction, with changes; `...` takes a field out."""
    good: dict[str, Any] = {
        "id": "a-1",
        "model": "delay",
        "version": "v1",
        "at": AT_MS,
        "score": 0.75,
        "features": {"hour": 7, "origin": "EWR"},
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


def raw(**changes: Any) -> bytes:
    """The bytes of `record`."""
    return json.dumps(record(**changes)).encode()


def predictions(
    fields: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    *,
    values: dict[str, float] | None = None,
    max_bytes: int = 1 << 20,
    template: dict[str, Any] | None = None,
    skew_ms: int = 0,
    models: Sequence[dict[str, Any]] = ({"name": "delay", "threshold": 0.25}, {"name": "fraud", "threshold": 0.9}),
) -> PredictionDecoder:
    """A decoder of predictions; `fields` are changes to FIELDS, None takes one out."""
    mapped = {key: place for key, place in {**FIELDS, **(fields or {})}.items() if place is not None}
    stream = PredictionStream.model_validate(
        {
            "topic": "predictions",
            "max_bytes": max_bytes,
            "fields": mapped,
            "features": FEATURES if features is None else features,
            "values": values or {},
        }
    )
    return PredictionDecoder(
        stream,
        [Model.model_validate(model) for model in models],
        None if template is None else ModelTemplate.model_validate(template),
        skew_ms,
    )


def labels(
    fields: dict[str, Any] | None = None,
    *,
    values: dict[str, float] | None = None,
    known: frozenset[float] | None = frozenset({0.0, 1.0}),
    skew_ms: int = 0,
) -> LabelDecoder:
    """A decoder of labels."""
    mapped = {"id": "$.id", "at": "$.at", "label": "$.label", **(fields or {})}
    stream = LabelStream.model_validate({"topic": "labels", "fields": mapped, "values": values or {}})
    return LabelDecoder(stream, skew_ms, known)


def rows(decoder: PredictionDecoder, columns: PredictionColumns) -> list[tuple[Any, ...]]:
    """The rows with names in place of codes and None in place of NaN, so that they can be compared."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    def category(name: str, code: int) -> str | int:
        return decoder.categories[name].values[code] if code >= 0 else code

    return [
        (
            int(columns.offsets[i]),
            int(columns.broker_ms[i]),
            tuple(columns.ids[i].tolist()),
            int(columns.at_ms[i]),
            decoder.models.values[columns.model[i]],
            decoder.versions.values[columns.version[i]],
            number(columns.score[i]),
            number(columns.predicted[i]),
            bool(columns.withdrawn[i]),
            *(number(column[i]) for _, column in sorted(columns.numeric.items())),
            *(category(name, int(column[i])) for name, column in sorted(columns.category.items())),
        )
        for i in range(len(columns))
    ]


def only_rejection(columns: Any) -> tuple[str, str]:
    """Reason and detail of a batch of one rejected record."""
    assert len(columns) == 0
    (rejected,) = columns.rejected
    return str(rejected.reason), rejected.detail
