"""What is in a zip or tar, read from its directory; a reader of our own, because the members' names and sizes are what
an attacker writes, and nothing here may follow them."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from registry.formats.compressed import unpacked
from registry.formats.finding import FILES_MAX, LOOK_BYTES, Malformed

_EOCD: Final = struct.Struct("<4s4H2LH")
_EOCD64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, its declared sizes, what it claims to be, and its first bytes unpacked."""

    name: str
    size_bytes: int
    packed_bytes: int
    kind: str  # file, folder, symlink, special
    head: bytes = b""


def is_zip(view: memoryview) -> bool:
    """Whether a zip reader would find an archive here: they look from the end, whatever stands before."""
    return bytes(view[:4]) in {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"} or _directory(view) is not None


def zip_members(view: memoryview) -> Iterator[Member]:
    """The members by the central directory, one more than are allowed at most. Raises Malformed."""
    found = _directory(view)
    if found is None:
        raise Malformed("it has no directory at its end")
    at, count, shift = found
    for _ in range(min(count, FILES_MAX + 1)):
        if at + _CENTRAL.size > len(view):
            raise Malformed("its directory is cut off")
        fields = _CENTRAL.unpack_from(view, at)
        if fields[0] != b"PK\x01\x02":
            raise Malformed("its directory holds something that is no member")
        flags, method, packed, size = fields[3], fields[4], fields[8], fields[9]
        name_length, extra_length, comment_length = fields[10], fields[11], fields[12]
        attributes, offset = fields[15], fields[16]
        start = at + _CENTRAL.size
        raw = bytes(view[start : start + name_length])
        extra = bytes(view[start + name_length : start + name_length + extra_length])
        size, packed, offset = _zip64(extra, size, packed, offset)
        at = start + name_length + extra_length + comment_length
        name = raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        head = _zip_head(view, offset + shift, packed, method, encrypted=bool(flags & 1))
        yield Member(name, size, packed, _zip_kind(name, attributes >> 16), head)


def _directory(view: memoryview) -> tuple[int, int, int] | None:
    """(offset of the central directory, members, bytes that stand before the archive)."""
    start = max(0, len(view) - 65_557)
    tail = bytes(view[start:])
    place = tail.rfind(b"PK\x05\x06")
    while place >= 0:
        if len(tail) - place >= _EOCD.size:
            fields = _EOCD.unpack_from(tail, place)
            count, size, offset = fields[4], fields[5], fields[6]
            at = start + place
            if count == 0xFFFF or 0xFFFFFFFF in {size, offset}:
                count, size, offset, at = _directory64(view, at) or (count, size, offset, at)
            begins = at - size
            ends_here = fields[7] == len(tail) - place - _EOCD.size
            starts_there = count == 0 or (begins >= 0 and bytes(view[begins : begins + 4]) == b"PK\x01\x02")
            if ends_here and starts_there and begins >= offset >= 0:
                return begins, count, begins - offset
        place = tail.rfind(b"PK\x05\x06", 0, place)
    return None


def _directory64(view: memoryview, end: int) -> tuple[int, int, int, int] | None:
    at = bytes(view[max(0, end - 4096) : end]).rfind(b"PK\x06\x06")
    if at < 0:
        return None
    at += max(0, end - 4096)
    if at + _EOCD64.size > len(view):
        return None
    fields = _EOCD64.unpack_from(view, at)
    return fields[7], fields[8], fields[9], at


def _zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            size = next(values, size) if size == 0xFFFFFFFF else size
            packed = next(values, packed) if packed == 0xFFFFFFFF else packed
            offset = next(values, offset) if offset == 0xFFFFFFFF else offset
        at += 4 + length
    return size, packed, offset


def _zip_kind(name: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "symlink"
    if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "special"
    return "folder" if name.endswith("/") else "file"


def _zip_head(view: memoryview, offset: int, packed: int, method: int, *, encrypted: bool) -> bytes:
    if encrypted or offset < 0 or offset + _LOCAL.size > len(view):
        return b""
    fields = _LOCAL.unpack_from(view, offset)
    if fields[0] != b"PK\x03\x04":
        return b""
    start = offset + _LOCAL.size + fields[9] + fields[10]
    body = view[start : start + packed]
    if method == 0:
        return bytes(body[:LOOK_BYTES])
    name = {8: "deflate", 12: "bzip2", 14: "lzma", 95: "xz"}.get(method)
    return unpacked(body, name) if name else b""


# -------------------------------------------------------------------------------------------------------------- tar

_BLOCK: Final = 512
_KINDS: Final = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"5": "folder",
    b"1": "symlink",
    b"2": "symlink",
    b"S": "file",
}


def is_tar(view: memoryview) -> bool:
    """Whether the first block is the header of a tar: its checksum is right."""
    return len(view) >= _BLOCK and _checksum_holds(bytes(view[:_BLOCK]))


def tar_members(view: memoryview) -> Iterator[Member]:
    """The members in order, one more than are allowed at most. Raises Malformed."""
    at, renamed, count = 0, "", 0
    while at + _BLOCK <= len(view) and count <= FILES_MAX:
        header = bytes(view[at : at + _BLOCK])
        if not any(header):
            return
        if not _checksum_holds(header):
            raise Malformed("a header has a wrong checksum")
        size, kind = _number(header[124:136]), header[156:157]
        body = view[at + _BLOCK : at + _BLOCK + min(size, LOOK_BYTES)]
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if kind in {b"L", b"x"}:
            renamed = _longer_name(bytes(body), kind) or renamed
            continue
        if kind in {b"g", b"K"}:
            continue
        count += 1
        prefix = header[345:500].rstrip(b"\0").decode("utf-8", "replace") if header[257:262] == b"ustar" else ""
        name = header[:100].split(b"\0")[0].decode("utf-8", "replace")
        full = renamed or (f"{prefix}/{name}" if prefix else name)
        renamed = ""
        yield Member(full, size, size, _KINDS.get(kind, "special"), bytes(body) if kind in b"0\0007" else b"")


def _longer_name(body: bytes, kind: bytes) -> str:
    if kind == b"L":
        return body.split(b"\0")[0].decode("utf-8", "replace")
    for record in body.split(b"\n"):
        _, _, setting = record.partition(b" ")
        if setting.startswith(b"path="):
            return setting[5:].decode("utf-8", "replace")
    return ""


def _checksum_holds(header: bytes) -> bool:
    try:
        said = _number(header[148:156])
    except Malformed:
        return False
    return said == sum(header[:148]) + 8 * 32 + sum(header[156:]) and any(header[:100])


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.replace(b"\0", b" ").split()
    try:
        return int(text[0], 8) if text else 0
    except ValueError:
        raise Malformed("a number in a header is none") from None
