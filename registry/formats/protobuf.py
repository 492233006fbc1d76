"""The wire format of Protocol Buffers: fields of a message, in order, without knowing what they mean."""

from __future__ import annotations

from collections.abc import Iterator

from registry.formats.finding import Malformed

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def fields(view: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(number, wire type, value) of each field. Values of BYTES are slices, others integers. Raises Malformed."""
    at, end = 0, len(view)
    while at < end:
        tag, at = varint(view, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number <= 536_870_911:
            raise Malformed(f"field {number} at byte {at} cannot be")
        if wire == VARINT:
            value, at = varint(view, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, at = varint(view, at)
        elif wire in {FIXED64, FIXED32}:
            length = 8 if wire == FIXED64 else 4
        else:
            raise Malformed(f"wire type {wire} at byte {at} is not used")
        if length > end - at:
            raise Malformed(f"field {number} at byte {at} is longer than what is there")
        yield number, wire, view[at : at + length]
        at += length


def varint(view: memoryview, at: int) -> tuple[int, int]:
    """(value, where it ends). Raises Malformed."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise Malformed("the last number is cut off")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise Malformed(f"a number at byte {at} is too long")


def text(value: int | memoryview) -> str:
    """A string field. Raises Malformed."""
    try:
        return bytes(value).decode() if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise Malformed("a name is no UTF-8") from None
