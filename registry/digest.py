"""Digests and canonical JSON: what a thing is called when machines speak of it.

A digest is `sha256:` and 64 hexadecimal digits of the SHA-256 of the bytes. Documents are hashed as canonical JSON, so
that one value has one digest on every machine and in every run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeGuard

from registry.errors import BadName

PREFIX: Final = "sha256:"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WITHIN: Final = re.compile(rb"sha256:([0-9a-f]{64})(?![0-9a-f])")


def digest_of(body: bytes | memoryview) -> str:
    """The digest of bytes."""
    return PREFIX + hashlib.sha256(body).hexdigest()


def digest_of_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """The digest of bytes that come in pieces; where they are cut does not matter."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return PREFIX + hasher.hexdigest()


def is_digest(text: object) -> TypeGuard[str]:
    """Whether this is a digest as this module writes them: lower case, the full length."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def checked_digest(text: str) -> str:
    """The digest itself. Raises BadName for anything else."""
    if not is_digest(text):
        raise BadName("digest", text, "Write sha256: and 64 hexadecimal digits in lower case.")
    return text


def hex_of(digest: str) -> str:
    """The 64 digits without the prefix."""
    return checked_digest(digest).removeprefix(PREFIX)


def digests_in(body: bytes) -> frozenset[str]:
    """Every digest that is written out anywhere in a document, whoever wrote it: what it refers to."""
    return frozenset(PREFIX + found.decode() for found in _WITHIN.findall(body))


def canonical_bytes(document: Any) -> bytes:
    """UTF-8 JSON of dicts with string keys, lists, strings, ints, floats, booleans and None.

    Keys sorted by code point, no spaces, characters beyond ASCII as they are, integers in decimal, floats by their
    shortest round-trip repr as Python writes it. Raises ValueError for NaN, infinities and lone surrogates. Python's
    json and not a faster one: how a float is spelled is part of the digest.
    """
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
