"""How durable documents are written and read: canonical JSON of a frozen type, with a format version in it.

Newer code reads older formats; older code refuses newer ones with advice. Unknown fields, missing fields, doubled keys
and numbers that are none are refused: what is read is exactly what some version of this code wrote.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from registry.digest import canonical_bytes
from registry.errors import BadName, FormatError

T = TypeVar("T")

_UPGRADE = "Run the version of Driftline that wrote it, or a newer one."
_FOREIGN = "It was not written by Driftline, or it was changed since."


def encode(document: msgspec.Struct) -> bytes:
    """The bytes of a document: equal documents have equal bytes. Raises FormatError for what JSON cannot say (NaN)."""
    try:
        return canonical_bytes(msgspec.to_builtins(document, str_keys=True))
    except (ValueError, TypeError) as error:
        what = type(document).__name__.lower()
        raise FormatError(f"the {what}", f"cannot be written as JSON: {error}", "Write it as text.") from error


def decode(kind: Any, raw: bytes, where: str, newest: int) -> Any:
    """The document of type `kind` in `raw`; `where` names it in errors, `newest` is the format this code writes.

    Raises FormatError for a newer format, and for bytes that are no such document.
    """
    document = strict_json(raw, where)
    version = document.get("format") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(where, "cannot be read: it says no format version", _FOREIGN)
    if version > newest:
        why = f"has format {version}, this version of Driftline reads up to {newest}"
        raise FormatError(where, why, _UPGRADE)
    try:
        return msgspec.convert(document, kind, strict=True)
    except (msgspec.ValidationError, UnicodeEncodeError, BadName) as error:
        raise FormatError(where, f"cannot be read: {error}", _FOREIGN) from error


def strict_json(raw: bytes, where: str) -> Any:
    """JSON as the standard has it: UTF-8, no doubled keys, no NaN or Infinity, not nested without end.

    Two readers of a document with doubled keys may see two documents; that is why they are refused. Raises FormatError.
    """
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FormatError(where, f"is not JSON: {why}", _FOREIGN) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return made


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
