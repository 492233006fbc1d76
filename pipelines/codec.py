"""How durable documents are written and read: canonical JSON of a frozen type, with a format version in it.

Newer code reads older formats; older code refuses newer ones with advice. Unknown and missing fields are refused: what is
read is exactly what some version of this code wrote. The same rules as the registry's; between the packages only bytes travel.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import msgspec

from pipelines.errors import FormatError

PREFIX: Final = "sha256:"
_FOREIGN: Final = "It was not written by Driftline, or it was changed since."


def digest_of(body: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return PREFIX + hashlib.sha256(body).hexdigest()


def canonical_bytes(document: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal documents are equal bytes. Raises ValueError for NaN."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def encode(document: msgspec.Struct) -> bytes:
    """The bytes of a document."""
    return canonical_bytes(msgspec.to_builtins(document, str_keys=True))


def decode(kind: Any, raw: bytes, where: str, newest: int) -> Any:
    """The document of type `kind` in `raw`. Raises FormatError for a newer format, and for what is no such document."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FormatError(where, f"is not JSON: {error}", _FOREIGN) from error
    version = document.get("format") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(where, "cannot be read: it says no format version", _FOREIGN)
    if version > newest:
        why = f"has format {version}, this version of Driftline reads up to {newest}"
        raise FormatError(where, why, "Run the version of Driftline that wrote it, or a newer one.")
    try:
        return msgspec.convert(document, kind, strict=True)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half of a surrogate pair is JSON, and no text
        raise FormatError(where, f"cannot be read: {error}", _FOREIGN) from error
