"""The forms in which an id may have been written, and what must stand beside one for it to be that id.

A *check* gets the bytes, where a form begins and ends in them, and the id: whether it is that id and no part of another.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from monitor.ingest.ids import hash_text

WIDE_CHARS_MIN: Final = 4
"""Shorter ids are not looked for in UTF-16 and UTF-32: small numbers side by side look like them."""
BASE64_BYTES_MIN: Final = 6
"""Shorter ids are not looked for in Base64: hardly a character of it is theirs alone."""
LAYERS_MAX: Final = 3
"""Escapes within escapes that are undone: JSON in a URL in HTML."""

_MARKS: Final = (b"0x", b"0X", b"\\x")

Check = Callable[[bytes, int, int, bytes], bool]

_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_OF_BASE64: Final = re.compile(rb"[0-9A-Za-z+/_-]*")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_ESCAPES: Final = (  # each begins with one byte, which is quickly found
    (b"\\", re.compile(rb"\\(?:u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*|x[0-9a-fA-F]{2}|[bfnrtv0])")),
    (b"%", re.compile(rb"%[0-9a-fA-F]{2}")),
    (b"&", re.compile(rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][0-9A-Za-z]{1,31});")),
)


def alone(held: bytes, at: int, end: int, _: bytes = b"") -> bool:
    """No letter, digit or `_` stands right beside it."""
    return (at == 0 or held[at - 1] not in _WORD) and (end == len(held) or held[end] not in _WORD)


def alone_or_marked(held: bytes, at: int, end: int, text: bytes) -> bool:
    r"""As `alone`, or behind what says that digits are hexadecimal: `0x`, or `\x` of dumps of databases."""
    return alone(held, at, end, text) or (
        held[max(0, at - 2) : at] in _MARKS and (end == len(held) or held[end] not in _WORD)
    )


def anywhere(_held: bytes, _at: int, _end: int, _id: bytes) -> bool:
    """Bytes of a hash need nothing beside them."""
    return True


def exact_forms(text: str) -> Iterator[tuple[bytes, Check]]:
    """As bytes: as text of several encodings, in JSON and in URLs, within Base64; its hash as bytes and in hexadecimal."""
    for form in _spelled(text):
        for written in (form, *_in_json(form), urllib.parse.quote(form, safe=""), urllib.parse.quote_plus(form)):
            yield written.encode(), alone
        yield urllib.parse.quote(form).encode(), alone
    with contextlib.suppress(UnicodeEncodeError):
        yield text.encode("latin-1"), alone
    if len(text) >= WIDE_CHARS_MIN:
        for width, order in _WIDE:
            yield text.encode(f"utf-{8 * width}-{order[0]}e"), _alone_wide[width, order]
    yield from _in_base64(text)
    yield from ((digits.encode(), alone_or_marked) for digits in _digits(text))
    first, second = hash_text(text)
    # The whole little-endian hash begins with its first half in that order; so does every array of hashes.
    yield from ((half, anywhere) for half in (first.to_bytes(8, "little"), first.to_bytes(8, "big")))
    yield second.to_bytes(8, "little"), anywhere


def bare_forms(text: str) -> Iterator[tuple[bytes, Check]]:
    """What is left of an id where `bare` has been at work."""
    for form in _spelled(text):
        yield bare(form.encode()), alone
    yield from _in_base64(text)
    yield from ((digits.encode(), alone_or_marked) for digits in _digits(text))


def bare(raw: bytes) -> bytes:
    r"""Bytes without escapes: `\u0061`, `\x61`, `\n`, `%61`, `&#97;`, `&quot;` give what they stand for, then every other
    backslash goes, and of two quotes side by side one."""
    for _ in range(LAYERS_MAX):
        before = raw
        for first, escape in _ESCAPES:
            if first in raw:
                raw = escape.sub(_meaning, raw)
        if raw == before:
            break
    return raw.replace(b"\\", b"").replace(b'""', b'"').replace(b"''", b"'")


def has_escapes(raw: bytes) -> bool:
    """Whether `bare` would find something to do."""
    return any(two in raw for two in (b"\\", b'""', b"''")) or any(
        first in raw and escape.search(raw) for first, escape in _ESCAPES
    )


# ----------------------------------------------------------------------------------------------------------- within

_WIDE: Final = tuple((width, order) for width in (2, 4) for order in ("little", "big"))


def _wide(width: int, order: str, held: bytes, at: int, end: int, _: bytes) -> bool:
    """As `alone`, where a character has `width` bytes."""
    beside = (held[at - width : at] if at >= width else b"", held[end : end + width])
    return not any(
        len(unit) == width and int.from_bytes(unit, "little" if order == "little" else "big") in _WORD
        for unit in beside
    )


_alone_wide: Final[dict[tuple[int, str], Check]] = {each: partial(_wide, *each) for each in _WIDE}


def _spelled(text: str) -> tuple[str, ...]:
    """An id whose accents may be characters of their own."""
    return tuple(dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))))


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield from (escaped, escaped.replace("/", "\\/"))


def _digits(text: str) -> Iterator[str]:
    """The hash in hexadecimal, in either order of its halves and bytes, or its first half, or its bytes in Base64; and the id
    itself in hexadecimal, where it is long enough to be no number."""
    first, second = hash_text(text)
    raw = first.to_bytes(8, "little") + second.to_bytes(8, "little")
    hashes = (f"{first:016x}{second:016x}", f"{second:016x}{first:016x}", f"{first:016x}", raw.hex(), raw[:8].hex())
    of_id = (text.encode().hex(),) if len(text.encode()) >= BASE64_BYTES_MIN else ()
    for digits in (*hashes, *of_id):
        yield from (digits, digits.upper())
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")


def _in_base64(text: str) -> Iterator[tuple[bytes, Check]]:
    """The characters that are the id's alone, for each of the three places where it can begin within a group of four."""
    raw = text.encode()
    if len(raw) < BASE64_BYTES_MIN:
        return
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        form = encoded[_LEAD[before] : 8 * (before + len(raw)) // 6]
        yield form, _within_base64[before]
        yield form.replace(b"+", b"-").replace(b"/", b"_"), _within_base64[before]


_LEAD: Final = (0, 2, 3)
"""Characters of a group that are of what stands before the id."""


def _decoded(before: int, held: bytes, at: int, end: int, text: bytes) -> bool:
    """Whether the id stands alone in what the Base64 around it decodes to."""
    group = at - _LEAD[before]
    begin = group - 4 if group >= 4 and _OF_BASE64.fullmatch(held, group - 4, group) else group
    if begin < 0:
        return False
    behind = _OF_BASE64.match(held, end, end + 8)
    found = held[begin : behind.end() if behind else end].translate(_URL_SAFE)
    found = found[: -1 if len(found) % 4 == 1 else None]
    try:
        plain = base64.b64decode(found + b"=" * (-len(found) % 4), validate=True)
    except binascii.Error:
        return False
    start = plain.find(text)
    return start >= 0 and alone(plain, start, start + len(text))


_within_base64: Final[tuple[Check, ...]] = tuple(partial(_decoded, before) for before in range(3))


def _meaning(match: re.Match[bytes]) -> bytes:
    found = match.group()
    if found[:1] == b"&":
        return html.unescape(found.decode()).encode("utf-8", "replace")
    if found[:1] == b"%" or found[1:2] == b"x":
        return bytes.fromhex(found[-2:].decode())
    if found[1:2] == b"u":
        return bytes.fromhex(found.replace(b"\\u", b"").decode()).decode("utf-16-be", "replace").encode()
    return b"\n"
