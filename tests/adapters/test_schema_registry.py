"""Avro and JSON Schema through a registry: what is read, what is refused, what waits. The registry is a stand-in over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters import schema_registry
from monitor.adapters.schema_registry import RegistrySchemas
from monitor.config.schema_registry import SchemaRegistry
from monitor.config.streams import PredictionStream
from monitor.config.types import Model
from monitor.errors import ConfigError, SchemasUnreachable
from monitor.events import PredictionColumns
from monitor.ingest.decode_predictions import PredictionDecoder
from monitor.ports import Schema
from tests.adapters.registry import Registry, avro, framed, running
from tests.ingest.build import AT_MS, FEATURES, batch, only_rejection

FIELDS = {"id": "$.id", "model": "$.model", "version": "$.version", "at": "$.at", "score": "$.score"}
ROW = {"id": "a", "model": "delay", "version": "v1", "at": AT_MS, "score": 0.25}


def of(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def record(*fields: dict[str, Any], name: str = "Row") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


BASE = [
    of("id", "string"), of("model", "string"), of("version", "string"),
    of("at", {"type": "long", "logicalType": "timestamp-millis"}), of("score", "double"),
]  # fmt: skip
V1 = record(*BASE)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def asks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "_AGAIN_AFTER_S", 0.0)


def decoder(registry: Registry, stream: dict[str, Any] | None = None, **settings: Any) -> PredictionDecoder:
    whole = {"topic": "p", "features": FEATURES, "fields": FIELDS, "format": "avro", **(stream or {})}
    made = PredictionStream.model_validate(whole)
    made.read_with(RegistrySchemas(SchemaRegistry.model_validate({"url": registry.url, **settings})))
    return PredictionDecoder(made, [Model.model_validate({"name": "delay"})], None, skew_ms=0)


def read(registry: Registry, *values: bytes | None, **stream: Any) -> PredictionColumns:
    return decoder(registry, stream).decode(batch(values, headers=[()] * len(values)))


def test_a_record_is_read_with_the_schema_it_was_written_with(registry: Registry) -> None:
    first = registry.register(V1)
    features = record(
        of("hour", ["null", "double"]), of("origin", {"type": "enum", "name": "O", "symbols": ["EWR", "JFK"]}), name="F"
    )
    more = record(*BASE, of("features", features), of("note", "string", default=""))
    second = registry.register(more)
    row = {**ROW, "id": "b", "features": {"hour": 7.5, "origin": "JFK"}, "note": "new"}
    found = read(registry, framed(first, avro(V1, ROW)), framed(second, avro(more, row)), framed(first, avro(V1, ROW)))
    assert not found.rejected
    assert found.at_ms.tolist() == [AT_MS] * 3
    assert found.score.tolist() == [0.25] * 3
    assert found.numeric["hour"][1] == 7.5
    assert (found.category["origin"] >= 0).tolist() == [False, True, False]
    assert registry.asked == [f"/schemas/ids/{first}", f"/schemas/ids/{second}"], "each is asked for once"


def test_a_field_that_was_renamed_is_missing_and_what_is_added_is_free(registry: Registry) -> None:
    renamed = record(*BASE[:-1], of("probability", "double"))
    number = registry.register(renamed)
    row = {**{k: v for k, v in ROW.items() if k != "score"}, "probability": 0.5}
    found = read(registry, framed(number, avro(renamed, row)))
    assert only_rejection(found) == ("missing", "score is absent or null")


def test_unions_nested_types_decimals_and_micros_are_what_they_are_stored_as(registry: Registry) -> None:
    schema = record(
        of("id", ["null", "string"]), of("model", "string"), of("version", "int"),
        of("at", {"type": "long", "logicalType": "timestamp-micros"}),
        of("score", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
        of("features", {"type": "map", "values": ["double", "string"]}),
    )  # fmt: skip
    number = registry.register(schema)
    from decimal import Decimal

    row = {**ROW, "version": 3, "at": AT_MS * 1_000, "score": Decimal("0.25"), "features": {"hour": 3.0, "origin": "X"}}
    at = {"from": "$.at", "unit": "us"}
    made = decoder(registry, {"fields": {**FIELDS, "at": at}})
    found = made.decode(batch([framed(number, avro(schema, row))], headers=[()]))
    assert not found.rejected
    assert (found.at_ms.tolist(), found.score.tolist(), found.numeric["hour"].tolist()) == ([AT_MS], [0.25], [3.0])
    assert made.versions.values[found.version[0]] == "3"


def test_schemas_that_name_others_are_read_with_them(registry: Registry) -> None:
    inner = record(of("hour", "double"), name="F")
    number = registry.register(inner)
    outer = record(*BASE, of("features", "F"))
    second = registry.register(outer, references=[{"name": "F", "subject": f"subject-{number}", "version": 1}])
    whole = record(*BASE, of("features", inner))
    found = read(registry, framed(second, avro(whole, {**ROW, "features": {"hour": 5.0}})))
    assert (len(found), found.numeric["hour"].tolist()) == (1, [5.0])


def test_a_schema_may_be_named_in_a_header_by_id_or_guid(registry: Registry) -> None:
    number = registry.register(V1)
    headers = [
        [("__value_schema_id", b"\x01" + registry.guid(number).bytes)],
        [("__value_schema_id", b"\x00" + number.to_bytes(4, "big"))],
        [("__value_schema_id", b"\x07")],
    ]
    found = decoder(registry).decode(batch([avro(V1, ROW)] * 3, headers=headers))
    assert len(found) == 2
    assert [str(r.reason) for r in found.rejected] == ["schema"]


def test_json_behind_a_frame_needs_no_registry() -> None:
    whole = {"topic": "p", "features": {}, "fields": FIELDS, "format": "json-schema"}
    made = PredictionDecoder(PredictionStream.model_validate(whole), [Model.model_validate({"name": "delay"})], None, 0)
    values = [framed(7, json.dumps(ROW).encode()), json.dumps(ROW).encode(), framed(7, b"{"), framed(7, b""), None]
    found = made.decode(batch(values, headers=[()] * 5))
    assert [str(r.reason) for r in found.rejected] == ["schema", "malformed", "empty", "empty"]
    assert found.score.tolist() == [0.25]


def test_arrays_and_envelopes_are_read_in_avro_too(registry: Registry) -> None:
    row = record(of("id", "string"), of("score", "double"), name="Each")
    schema = record(
        of("model", "string"), of("version", "string"), of("at", "long"), of("rows", {"type": "array", "items": row})
    )
    number = registry.register(schema)
    value = avro(schema, {**ROW, "rows": [{"id": "a", "score": 0.1}, {"id": "b", "score": 0.2}]})
    beside = {name: f"outer:$.{name}" for name in ("model", "version", "at")}
    found = read(registry, framed(number, value), each="$.rows", fields={**FIELDS, **beside})
    assert (found.score.tolist(), found.rejected) == ([0.1, 0.2], ())
    change = record(
        of("op", "string"), of("before", ["null", V1]), of("after", ["null", "Row"]), of("ts_ms", "long"), name="Change"
    )
    number = registry.register(change)
    gone = avro(change, {"op": "d", "before": ROW, "after": None, "ts_ms": AT_MS + 1})
    found = read(registry, framed(number, gone), envelope="debezium")
    assert (found.withdrawn.tolist(), found.at_ms.tolist()) == ([True], [AT_MS + 1])


@pytest.mark.parametrize(
    ("schema", "payload", "reason"),
    [
        (V1, b"", "malformed"),
        (V1, avro(V1, ROW)[:-3], "malformed"),
        (V1, avro(V1, ROW) + b"more", "malformed"),
        (V1, b"\xff" * 40, "malformed"),
        (V1, b"\xfe\xff\xff\xff\x7f" + b"x" * 9, "malformed"),
        ("string", b"\x02a", "schema"),
        (record(of("next", ["null", "Row"])), b"\x02" * 50_000 + b"\x00", "schema"),
        (record(of("rows", {"type": "array", "items": "null"})), b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "schema"),
        ({"type": "record", "name": "R"}, b"", "schema"),
        ({"type": "record", "name": "R", "fields": [{"name": "x", "type": "Nowhere"}]}, b"", "schema"),
    ],
)
def test_what_is_no_record_of_its_schema_is_rejected_and_hostile_schemas_are_not_read(
    registry: Registry, schema: Any, payload: bytes, reason: str
) -> None:
    number = registry.register(schema)
    assert only_rejection(read(registry, framed(number, payload)))[0] == reason


def test_of_another_kind_or_unknown_or_not_framed(registry: Registry) -> None:
    number = registry.register({"type": "object"}, "JSON")
    values = [framed(number, b"{}"), framed(99, b"x"), b"\x00\x00", b'{"id": "a"}', b"\x05\x00\x00\x00\x01x"]
    found = read(registry, *values)
    assert [str(r.reason) for r in found.rejected] == ["schema"] * 5
    assert "schema 99 is not known" in found.rejected[1].detail
    assert "is JSON" in found.rejected[0].detail


def test_nobody_answers_is_no_answer_and_what_is_known_is_read_on(registry: Registry) -> None:
    first, second = registry.register(V1), registry.register(record(*BASE, of("x", "int", default=0)))
    made = decoder(registry)
    good = batch([framed(first, avro(V1, ROW))], headers=[()])
    assert len(made.decode(good)) == 1
    registry.stop()
    assert len(made.decode(good)) == 1
    other = batch([framed(second, avro(V1, ROW) + b"\x00")], headers=[()])
    for attempt in (made.ready, made.decode):
        with pytest.raises(SchemasUnreachable, match=f"does not say what schema {second} is"):
            attempt(other)
    registry.start_again()
    made.ready(other)
    assert len(made.decode(other)) == 1


def test_a_password_is_sent_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret\n")
    with running("ada:s3cret") as registry:
        number = registry.register(V1)
        good = batch([framed(number, avro(V1, ROW))], headers=[()])
        assert len(decoder(registry, username="ada", password_file=str(tmp_path / "pw")).decode(good)) == 1
        (tmp_path / "pw").write_text("wr0ng")
        with pytest.raises(SchemasUnreachable, match="it answers 401") as caught:
            decoder(registry, username="ada", password_file=str(tmp_path / "pw")).decode(good)
        assert "wr0ng" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"password_file: .*cannot be read: No such file"):
        RegistrySchemas(
            SchemaRegistry.model_validate({"url": "http://x:1", "username": "a", "password_file": "/nowhere"})
        )


def test_the_schema_that_a_registry_keeps_is_what_the_port_promises(registry: Registry) -> None:
    number = registry.register(V1)
    schemas = RegistrySchemas(SchemaRegistry.model_validate({"url": registry.url}))
    assert schemas.schema(number) == Schema("AVRO", json.dumps(V1))
    assert schemas.schema(77) is None
    asked = len(registry.asked)
    assert schemas.schema(77) is None
    assert len(registry.asked) == asked, "that it is unknown is remembered for a while"
