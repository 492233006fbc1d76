"""What is in a compressed stream, as far as its first bytes tell."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Final, Protocol

from registry.formats.finding import LOOK_BYTES

_IN_BYTES: Final = 1 << 18


class _Unpacker(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def compression(view: memoryview) -> str | None:
    """The name of the compression, None when the bytes begin like none."""
    head = bytes(view[:16])
    for name, magic in _MAGIC.items():
        if head.startswith(magic):
            return name
    if len(head) > 2 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
        return "zlib"
    return None


_MAGIC: Final = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "lzma": b"\x5d\x00\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\x07",
}


def unpacked(view: memoryview, name: str) -> bytes:
    """The first bytes of a stream, at most LOOK_BYTES. None where it cannot be unpacked here."""
    unpacker = _unpacker(name)
    if unpacker is None:
        return b""
    try:
        return unpacker.decompress(bytes(view[:_IN_BYTES]), LOOK_BYTES)
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, MemoryError):
        return b""


def _unpacker(name: str) -> _Unpacker | None:
    match name:
        case "zlib":
            return zlib.decompressobj()
        case "deflate":
            return zlib.decompressobj(-15)
        case "gzip":
            return zlib.decompressobj(31)
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "xz" | "lzma":
            return lzma.LZMADecompressor(memlimit=256 << 20)
    return None
