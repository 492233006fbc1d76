"""JSON that is a model (XGBoost, CatBoost, plain weights): strict JSON, and no pickle in it by another name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

from registry.codec import strict_json
from registry.errors import FormatError
from registry.formats.finding import JSON_BYTES_MAX, Malformed
from registry.formats.pickles import pickled

_BASE64_PICKLE: Final = ("gAN", "gAR", "gAS", "gAU", "gAJ", "gAI")
_TAGS: Final = ("py/", "!!python/")


def json_model(view: memoryview) -> Any:
    """The document. Raises Malformed for what is no JSON object or list, or too large."""
    if len(view) > JSON_BYTES_MAX:
        raise Malformed(f"it has {len(view):,} bytes, more than the {JSON_BYTES_MAX:,} that are parsed")
    try:
        document = strict_json(bytes(view), "it")
    except FormatError as error:
        raise Malformed(error.why) from None
    if not isinstance(document, dict | list):
        raise Malformed("it is JSON, but no object or list")
    return document


def hidden_pickles(document: Any) -> Iterator[str]:
    """What in a document some reader would unpickle: tags of jsonpickle, base64 of a pickle."""
    ahead = [document]
    while ahead:
        value = ahead.pop()
        if isinstance(value, dict):
            yield from (f"the tag {key!r} of jsonpickle" for key in value if key.startswith(_TAGS))
            ahead.extend(value.values())
        elif isinstance(value, list):
            ahead.extend(value)
        elif isinstance(value, str) and value.startswith(_BASE64_PICKLE) and (kind := _decoded(value)) is not None:
            yield f"base64 of {kind}"


def _decoded(value: str) -> str | None:
    try:
        return pickled(memoryview(base64.b64decode(value + "=" * (-len(value) % 4), validate=False)))
    except (binascii.Error, ValueError):
        return None
