"""Digests and canonical JSON, spelled as everywhere in Driftline: one value has one digest on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

PREFIX: Final = "sha256:"


def digest_of(body: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return PREFIX + hashlib.sha256(body).hexdigest()


def canonical_bytes(document: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; floats by their shortest repr. Raises ValueError for NaN."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
