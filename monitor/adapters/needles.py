"""Ids to be found again, in whatever form they were written: what redaction and the proof of absence look for.

An id is found as text (as it is, as JSON and URLs escape it) where no letter, digit or `_` stands right beside it, and as
its hash: the 128 bits as bytes, their first half as bytes in either order, either written out in hexadecimal. So `5` is
found in `{"hour": 5}` too: of short ids what is found need not be the id. What is not found: an id that was encrypted,
cut, or hashed by somebody else.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Final

from monitor.ingest.ids import hash_text

OVERLAP_BYTES: Final = 4_096
"""More than any form of an id that is looked for: pieces of a stream overlap by it."""
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class Needles:
    """Some ids, each in all of its forms. Their order is that of `ids`; places in it stand for the ids in findings."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = tuple(dict.fromkeys(ids))
        self.texts = frozenset(self.ids)
        self.hashes = tuple(hash_text(each) for each in self.ids)
        self._forms = [(_texts(each), _bytes(*hashed)) for each, hashed in zip(self.ids, self.hashes, strict=True)]

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, raw: bytes | memoryview) -> list[int]:
        """Which of the ids are in these bytes."""
        held = bytes(raw)
        return [
            place
            for place, (texts, binary) in enumerate(self._forms)
            if any(form in held for form in binary) or any(_stands(form, held) for form in texts)
        ]

    def among(self, chunks: Iterable[bytes]) -> set[int]:
        """Which of the ids are in a stream of bytes, wherever it was cut."""
        found: set[int] = set()
        for piece in overlapping(chunks):
            found.update(self.within(piece))
        return found


def overlapping(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a stream, each with the end of the one before it."""
    tail = b""
    for chunk in chunks:
        piece = tail + chunk
        yield piece
        tail = piece[-OVERLAP_BYTES:]


def _texts(text: str) -> tuple[bytes, ...]:
    r"""As text: plain, in JSON (with and without escapes beyond ASCII, with `\/`), in URLs; and the hash in hexadecimal."""
    escaped = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    escaped += [each.replace("/", "\\/") for each in escaped]
    first, second = hash_text(text)
    digits = (f"{first:016x}{second:016x}", f"{second:016x}{first:016x}", f"{first:016x}")
    raw = (first.to_bytes(8, "little") + second.to_bytes(8, "little")).hex()
    forms = [text, *escaped, urllib.parse.quote(text, safe=""), urllib.parse.quote(text), *digits, raw]
    forms += [each.upper() for each in (*digits, raw)]
    return tuple(dict.fromkeys(form.encode() for form in forms))


def _bytes(first: int, second: int) -> tuple[bytes, ...]:
    # The whole little-endian hash begins with its first half in that order; so does every array of hashes.
    return first.to_bytes(8, "little"), first.to_bytes(8, "big"), second.to_bytes(8, "little")


def _stands(form: bytes, held: bytes) -> bool:
    """Whether a text is there with no letter, digit or `_` right beside it."""
    at = held.find(form)
    while at >= 0:
        end = at + len(form)
        if (at == 0 or held[at - 1] not in _WORD) and (end == len(held) or held[end] not in _WORD):
            return True
        at = held.find(form, at + 1)
    return False
