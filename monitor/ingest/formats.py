"""Values in the framing of a schema registry, as JSON: what decoders, envelopes and everybody else read.

A framed value begins with a zero byte and the number of its schema, or its schema is named by a header. Avro is read with the
schema it was written with, whatever the mapping asks of it: a schema with more fields changes nothing, one without a mapped
field is a record without it. JSON behind the frame is taken as it is, and not held to its schema: its producer did that.

Logical types are what they are stored as: a time is a number of ms or µs (`unit`), a day a number of days. Only decimals
are turned into numbers. Bytes are Base64.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import msgspec

from monitor.errors import MonitorError
from monitor.events import Headers, Reason
from monitor.ingest.careful import Failure
from monitor.ports import Schema, Schemas

HEADER: Final = "__value_schema_id"
_BY_NUMBER, _BY_GUID = 0, 1
_FRAME_BYTES: Final = 5
_SCHEMAS_MAX: Final = 10_000
"""Schemas that are kept ready. A topic has a handful; who makes them up gains no more than this."""
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_UNREADABLE: Final = (
    EOFError, ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError, ArithmeticError, MemoryError,
    RecursionError, msgspec.MsgspecError,
)  # fmt: skip
"""What comes out of bytes that are no record of their schema."""


class Framed:
    """Takes the frame off. `schemas`: where they are kept."""

    def __init__(self, kind: str, schemas: Schemas | None) -> None:
        self._avro, self._schemas = kind == "avro", schemas
        self._read: dict[int | str, Callable[[bytes], bytes] | Failure] = {}

    def open(self, value: bytes, headers: Headers) -> bytes | Failure:
        """The value as JSON. Raises SchemasUnreachable where the registry does not say what its schema is."""
        found = frame_of(value, headers)
        if isinstance(found, Failure):
            return found
        number, payload = found
        if not self._avro:
            return payload
        read = self._reader(number)
        if isinstance(read, Failure):
            return read
        try:
            return read(payload)
        except _UNREADABLE as error:
            return Failure(Reason.MALFORMED, f"not a record of schema {number}: {type(error).__name__}")

    def ready(self, value: bytes, headers: Headers) -> None:
        """Look the schema of a value up, so that `open` need not wait. Raises SchemasUnreachable."""
        found = frame_of(value, headers)
        if self._avro and not isinstance(found, Failure):
            self._reader(found[0])

    def _reader(self, number: int | str) -> Callable[[bytes], bytes] | Failure:
        known = self._read.get(number)
        if known is None:
            if self._schemas is None:
                raise MonitorError(
                    "records of format avro need their schemas: set schema_registry.url in the configuration"
                )
            schema = self._schemas.schema(number)
            if schema is None:  # not kept: it may become known
                return Failure(Reason.SCHEMA, f"schema {number} is not known to the registry")
            known = _avro(number, schema)
            if len(self._read) >= _SCHEMAS_MAX:
                self._read.clear()
            self._read[number] = known
        return known


def frame_of(value: bytes, headers: Headers) -> tuple[int | str, bytes] | Failure:
    """The number, or the GUID, of the schema of a value, and what is behind the frame."""
    for name, data in reversed(headers):
        if name == HEADER and data:
            if data[0] == _BY_NUMBER and len(data) == _FRAME_BYTES:
                return int.from_bytes(data[1:], "big"), value
            if data[0] == _BY_GUID and len(data) == 17:
                digits = data[1:].hex()
                return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])), value
            return Failure(Reason.SCHEMA, f"{HEADER}: not the id of a schema")
    if len(value) < _FRAME_BYTES or value[0] != _BY_NUMBER:
        return Failure(Reason.SCHEMA, "no id of a schema: not written by a serializer of a schema registry")
    return int.from_bytes(value[1:_FRAME_BYTES], "big"), value[_FRAME_BYTES:]


# -- Avro --------------------------------------------------------------------------------------------------------------


class _Unsuitable(Exception):
    """A schema that is not read here."""


def _avro(number: int | str, schema: Schema) -> Callable[[bytes], bytes] | Failure:
    """From the bytes of a record of a schema to JSON."""
    from fastavro import parse_schema, schemaless_reader
    from fastavro.schema import SchemaParseException, UnknownType

    if schema.kind != "AVRO":
        return Failure(Reason.SCHEMA, f"schema {number} is {schema.kind}, and the stream is avro")
    try:
        named: dict[str, Any] = {}
        for text in schema.references:
            parse_schema(_plain(json.loads(text), ()), named_schemas=named)
        plain = _plain(json.loads(schema.text), ())
        if not isinstance(plain, dict) or plain.get("type") != "record":
            raise _Unsuitable("no record")
        parsed = parse_schema(plain, named_schemas=named)
    except _Unsuitable as error:
        return Failure(Reason.SCHEMA, f"schema {number}: {error}")
    except (*_UNREADABLE, SchemaParseException, UnknownType) as error:
        return Failure(Reason.SCHEMA, f"schema {number} cannot be read: {type(error).__name__}")

    def read(payload: bytes) -> bytes:
        file = BytesIO(payload)
        record = schemaless_reader(file, parsed, None)
        if file.tell() != len(payload):
            raise ValueError("bytes are left")
        return _encode(record)

    return read


def _plain(schema: Any, within: tuple[str, ...]) -> Any:
    """A schema without the logical types that hide what is stored. Raises _Unsuitable for one that a few bytes could make an
    endless value of: a type within itself, an array of nothing."""
    if isinstance(schema, list):
        return [_plain(branch, within) for branch in schema]
    if isinstance(schema, str):
        if schema in within:
            raise _Unsuitable(f"{schema[:60]!r} is within itself")
        return schema
    if not isinstance(schema, Mapping):
        raise _Unsuitable("a part that is no schema")
    made = {key: part for key, part in schema.items() if key != "logicalType" or part == "decimal"}
    kind, name = made.get("type"), made.get("name")
    here = (*within, str(name)) if isinstance(name, str) else within
    if isinstance(kind, Mapping | list):
        made["type"] = _plain(kind, within)
    elif kind in ("record", "error"):
        made["fields"] = [{**field, "type": _plain(field["type"], here)} for field in made["fields"]]
    elif kind == "array":
        made["items"] = _plain(made["items"], within)
        if made["items"] == "null" or (isinstance(made["items"], Mapping) and made["items"].get("fields") == []):
            raise _Unsuitable("an array of nothing")
    elif kind == "map":
        made["values"] = _plain(made["values"], within)
    elif isinstance(kind, str) and kind in within:
        raise _Unsuitable(f"{kind[:60]!r} is within itself")
    return made
