"""Standard envelopes: what is in a record, and what the envelope itself says.

CloudEvents 1.0 in the Kafka protocol binding: structured mode (the whole event is the JSON value) and binary mode (attributes
are headers `ce_…`, the value is the data), told apart record by record. Debezium: change events of the JSON converter, with
their schema beside them or without.

A record can also hold nothing to be read: a tombstone, an event of another type, a truncation. It is skipped, which is
counted, and is no row.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from monitor.config.envelopes import Envelope
from monitor.events import Headers, Reason
from monitor.ingest.careful import Failure
from monitor.ingest.members import Members, Part, heads_of, is_null, leaves_of, members_of, parsed, text_of, written
from monitor.ingest.times import LAST_MS


class Skip(StrEnum):
    """Why a record is no row and no mistake either. Bounded: it is a metric label."""

    TOMBSTONE = "tombstone"  # the null value that follows a delete
    OTHER_TYPE = "other_type"  # an event of a type that is not read
    DELETE = "delete"  # a deleted row, where deletes are ignored
    NO_ROW = "no_row"  # a truncation or a message: an event that is about no row


class Texts(dict[str, object]):
    """An object whose values can only be texts: numbers are written in them."""


@dataclass(frozen=True, slots=True)
class Inner:
    """What is in a record: its bytes, the leaves of the envelope that are mapped, for a deleted row when that was, and the
    path to it in the record's value (None where it is encoded there)."""

    value: bytes
    envelope: Mapping[str, object]
    deleted_ms: int | None = None
    way: tuple[str, ...] | None = ()


class Unwrapper(Protocol):
    """One standard."""

    def unwrap(self, value: bytes | None, headers: Headers, broker_ms: int) -> Inner | Failure | Skip:
        """What is in a record whose value, if there is one, has passed `check_size`. Never raises for what it holds."""


def unwrapper_of(envelope: Envelope, paths: Sequence[Sequence[str]]) -> Unwrapper:
    """That of a stream. `paths`: the places in the envelope that are mapped."""
    if envelope.format == "cloudevents":
        return CloudEvents(frozenset(envelope.types) if envelope.types is not None else None, paths)
    return Debezium(paths, withdraws=envelope.withdraws)


# -- CloudEvents -------------------------------------------------------------------------------------------------------

_STRUCTURED: Final = "application/cloudevents"
_PREFIX: Final = "ce_"
_DATA: Final = ("data", "data_base64")


class CloudEvents:
    """CloudEvents 1.0, told apart by content type, `ce_specversion` and, without either, by what the value is."""

    def __init__(self, types: frozenset[str] | None, paths: Sequence[Sequence[str]]) -> None:
        self._types, self._heads = types, heads_of(paths)

    def unwrap(self, value: bytes | None, headers: Headers, broker_ms: int) -> Inner | Failure | Skip:
        """See Unwrapper."""
        attributes = Texts()
        content = ""
        for name, data in headers:
            if name.startswith(_PREFIX):
                attributes[name[len(_PREFIX) :]] = _text(data)
            elif name.lower() == "content-type":
                content = _text(data).strip().lower()
        if content.startswith(_STRUCTURED):
            media = content.partition(";")[0].strip()
            if media not in (_STRUCTURED, f"{_STRUCTURED}+json"):
                return Failure(Reason.TYPE, f"content-type: {media[:60]!r} is not read; JSON events are")
            return self._structured(value)
        if "specversion" in attributes:
            return self._binary(value, attributes)
        return self._structured(value)

    def _binary(self, value: bytes | None, attributes: Texts) -> Inner | Failure | Skip:
        version, of = attributes["specversion"], attributes.get("type")
        refused = self._refused(version, of)
        if refused is not None:
            return refused
        if not value:
            return Failure(Reason.EMPTY, "the event has no data")
        wanted = Texts({key: attributes[key] for key in self._heads if key in attributes})
        return Inner(value, wanted)

    def _structured(self, value: bytes | None) -> Inner | Failure | Skip:
        if not value:
            return Failure(Reason.EMPTY, "the record has no value")
        members = members_of(value)
        if isinstance(members, Failure):
            return members
        if "specversion" not in members:
            return Failure(
                Reason.MALFORMED, "no CloudEvent: `specversion` is neither in the value nor a header ce_specversion"
            )
        refused = self._refused(parsed(members["specversion"]), text_of(members, "type"))
        if refused is not None:
            return refused
        data = _data(members)
        if isinstance(data, Failure):
            return data
        return Inner(data, leaves_of(members, self._heads), way=None if is_null(members.get("data")) else ("data",))

    def _refused(self, version: object, of: object) -> Failure | Skip | None:
        if not (isinstance(version, str) and version.startswith("1.")):
            return Failure(Reason.TYPE, "specversion: not 1.0, the version of CloudEvents that is read")
        return Skip.OTHER_TYPE if self._types is not None and of not in self._types else None


def _data(members: Members) -> bytes | Failure:
    if not is_null(part := members.get("data")):
        assert part is not None
        return bytes(part)
    encoded = text_of(members, "data_base64")
    if encoded is None:
        return Failure(Reason.EMPTY, "the event has no data")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return Failure(Reason.ENCODING, "data_base64: not Base64")


def with_data(event: bytes, data: bytes) -> bytes | None:
    """A structured event with other data, in Base64 as it was."""
    members = members_of(event)
    if isinstance(members, Failure):
        return None
    return written(members, "data_base64", b'"%b"' % base64.b64encode(data))


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


# -- Debezium ----------------------------------------------------------------------------------------------------------

_ROWS: Final = frozenset("cru")  # create, read (a snapshot), update
_DELETE: Final = "d"
_NO_ROW: Final = frozenset("tm")  # truncate, message


class Debezium:
    """Change events: the row after the change, of a delete the row before it."""

    def __init__(self, paths: Sequence[Sequence[str]], *, withdraws: bool) -> None:
        self._heads, self._withdraws = heads_of(paths), withdraws

    def unwrap(self, value: bytes | None, headers: Headers, broker_ms: int) -> Inner | Failure | Skip:
        """See Unwrapper."""
        if value is None:
            return Skip.TOMBSTONE
        if not value:
            return Failure(Reason.EMPTY, "the record has no value")
        members, way = members_of(value), tuple[str, ...]()
        if not isinstance(members, Failure) and "op" not in members and "payload" in members:
            if is_null(members["payload"]):
                return Skip.TOMBSTONE
            members, way = members_of(members["payload"]), ("payload",)
        if isinstance(members, Failure):
            return members
        if "op" not in members:
            return Failure(Reason.MALFORMED, "no change event of Debezium: `op` is absent")
        op = text_of(members, "op")
        if op in _ROWS:
            return self._inner(members, (*way, "after"), None)
        if op == _DELETE:
            changed_ms = _changed_ms(members, broker_ms)
            return self._inner(members, (*way, "before"), changed_ms) if self._withdraws else Skip.DELETE
        if op in _NO_ROW:
            return Skip.NO_ROW
        return Failure(Reason.TYPE, "op: none of c, r, u, d, t, m")

    def _inner(self, members: Members, way: tuple[str, ...], deleted_ms: int | None) -> Inner | Failure:
        side = way[-1]
        row = members.get(side)
        if row is None or is_null(row):
            hint = "; a table with REPLICA IDENTITY FULL has it" if deleted_ms is not None else ""
            return Failure(Reason.MISSING, f"{side} is absent or null{hint}")
        return Inner(bytes(row), leaves_of(members, self._heads), deleted_ms, way)


def _changed_ms(members: Members, broker_ms: int) -> int:
    """When the database made a change; when the connector saw it, or the log took it, where that is not said."""
    source: Part | None = members.get("source")
    of_source = None if source is None else parsed(source)
    own = parsed(members["ts_ms"]) if "ts_ms" in members else None
    for at in (of_source.get("ts_ms") if isinstance(of_source, dict) else None, own):
        if isinstance(at, int) and not isinstance(at, bool) and 0 < at <= LAST_MS:
            return at
    return broker_ms
