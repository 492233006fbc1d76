"""What is fuzzed of records that are wrapped: arrays, CloudEvents in both modes, change events of Debezium."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Model
from monitor.events import Headers, RecordBatch
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder
from tests.checker.shapes import MAPPING, Shape, wrapped
from tests.verify.fuzz import Target

AT_MS = 1_700_000_000_000
BINARY: Headers = [("ce_specversion", b"1.0"), ("ce_type", b"row.v1"), ("ce_time", b"2023-11-14T22:13:20Z")]


def targets() -> list[Target]:
    """A target for each shape and stream."""
    found = [
        Target(f"{stream} in {shape}", _decoding(stream, shape), _corpus(stream, shape), (), "json")
        for stream in ("predictions", "labels")
        for shape in ("each", "cloudevents", "debezium")
    ]
    header = _decoding(
        "predictions", "cloudevents", of=lambda raw: (b'{"id":"a","score":1}', [*BINARY, ("ce_time", raw)])
    )
    data = _decoding("predictions", "cloudevents", of=lambda raw: (raw, BINARY))
    return [
        *found,
        Target("header of a CloudEvent", header, [b"2023-11-14T22:13:20.5+01:00"]),
        Target("data of a binary CloudEvent", data, [json.dumps(_row("a")).encode()], (), "json"),
    ]


def _row(name: str) -> dict[str, object]:
    return {"id": name, "model": "m", "version": "1", "at": AT_MS, "score": 0.5, "features": {"hue": "red"}, "label": 1}


def _corpus(stream: str, shape: Shape) -> list[bytes]:
    """Good records only, with values: a header cannot be changed here."""
    rows = [_row("a"), {**_row("b"), "features": {"hue": None}}, {**_row("c"), "at": AT_MS + 1}, _row("d"), _row("e")]
    if stream == "labels":
        rows.append({**_row("f"), "label": None})
    records = wrapped(rows, shape, (2, 1))
    return [value for value, headers in records if value is not None and "ce_time" not in dict(headers)]


def _decoder(stream: str, shape: Shape) -> PredictionDecoder | LabelDecoder:
    own = MAPPING[shape]
    whole = {name: part for name, part in own.items() if name != "fields"}
    names = ("id", "model", "version", "at", "score") if stream == "predictions" else ("id", "at", "label")
    fields = {name: own.get("fields", {}).get(name, f"$.{name}") for name in names}
    if stream == "labels":
        return LabelDecoder(
            LabelStream.model_validate({"topic": "l", **whole, "fields": fields}), 0, frozenset({0.0, 1.0})
        )
    features = {"hue": "categorical", "wind": "numeric"}
    mapped = PredictionStream.model_validate({"topic": "p", **whole, "fields": fields, "features": features})
    return PredictionDecoder(mapped, [Model.model_validate({"name": "m"})], None, 0)


def _decoding(
    stream: str, shape: Shape, of: Callable[[bytes], tuple[bytes, Headers]] = lambda raw: (raw, ())
) -> Callable[[bytes], object]:
    """Nothing is raised; every rejection is of the changed record, and the good one behind it is one row."""
    decoder = _decoder(stream, shape)
    ((good, good_headers),) = wrapped([{**_row("good"), "at": AT_MS + 5}], shape, (1,))

    def run(raw: bytes) -> object:
        value, headers = of(raw)
        batch = RecordBatch(
            stream, 0, np.arange(2), np.full(2, AT_MS + 9_999), [value, good], 2, [None, None], [headers, good_headers]
        )
        found = decoder.decode(batch)
        assert found.offsets.tolist().count(1) == 1
        assert int(found.at_ms[-1]) == AT_MS + 5
        assert all(rejected.offset == 0 for rejected in found.rejected)
        rows = len(found) - 1 + len(found.rejected)
        indexes = [rejected.index for rejected in found.rejected]
        assert rows + sum(found.skipped.values()) == 1 or shape == "each"
        assert shape == "each" or indexes in ([], [None])
        return found

    return run
