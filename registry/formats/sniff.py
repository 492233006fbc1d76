"""The name of what is not taken: what a file is, and, for a container, the worst that is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from registry.formats.archives import Member, is_tar, is_zip, tar_members, zip_members
from registry.formats.compressed import compression, unpacked
from registry.formats.finding import (
    BUNDLE_BYTES_MAX,
    FILES_MAX,
    LOOK_BYTES,
    NESTING_MAX,
    RATIO_MAX,
    Finding,
    Malformed,
    Refusal,
)
from registry.formats.pickles import pickled
from registry.names import path_fault

_EXECUTABLE: Final = {
    "a program for Linux (ELF)": b"\x7fELF",
    "a program for Windows": b"MZ",
    "a program for macOS": b"\xcf\xfa\xed\xfe",
    "Java or a fat program for macOS": b"\xca\xfe\xba\xbe",
    "a script": b"#!",
}
_PICKLE_NAMES: Final = re.compile(r"\.(pkl|pickle|p|joblib|cloudpickle|dill)$", re.IGNORECASE)


def containers(path: str, view: memoryview, depth: int = 0) -> Iterator[Finding]:
    """Findings for bytes that are an archive, a compressed stream or a pickle, whatever else they may be as well."""
    if (kind := pickled(view, data=True)) is not None:
        yield Finding(path, Refusal.PICKLE, kind)
    if is_zip(view):
        yield from _archive(path, view, "zip", depth)
    if is_tar(view):
        yield from _archive(path, view, "tar", depth)


def named(path: str, view: memoryview, depth: int = 0) -> Iterator[Finding]:
    """Findings for a file that no reader took: at least one."""
    found = list(containers(path, view, depth)) or [*_stream(path, view, depth)] or [*_other(path, view)]
    yield from found or [Finding(path, Refusal.UNKNOWN_FORMAT, "it is no ONNX, safetensors or JSON")]


def _stream(path: str, view: memoryview, depth: int) -> Iterator[Finding]:
    name = compression(view)
    if name is None:
        return
    head = unpacked(view, name)
    if len(head) >= LOOK_BYTES and len(view) * RATIO_MAX < len(head):
        yield Finding(path, Refusal.BOMB, f"{len(view):,} bytes of {name} become more than {len(head):,}")
    if head and depth < NESTING_MAX:
        inner = named(f"{path}!{name}", memoryview(head), depth + 1)
        yield from (each for each in inner if each.refusal is not Refusal.UNKNOWN_FORMAT)
    yield Finding(path, Refusal.COMPRESSED, f"a {name} stream")


def _other(path: str, view: memoryview) -> Iterator[Finding]:
    head = bytes(view[:4096])
    if (kind := pickled(view)) is not None:
        yield Finding(path, Refusal.PICKLE, kind)
    for what, magic in _EXECUTABLE.items():
        if head.startswith(magic):
            yield Finding(path, Refusal.EXECUTABLE, what)
    if head.startswith(b"\x93NUMPY"):
        objects = re.search(rb"'descr':[^}]*[|<>=]?O", head) is not None
        detail = "a NumPy array of objects, which are pickled" if objects else "a NumPy array"
        yield Finding(path, Refusal.PICKLE if objects else Refusal.UNKNOWN_FORMAT, detail)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        yield Finding(path, Refusal.UNKNOWN_FORMAT, "an HDF5 file, in which Keras keeps code")


def _archive(path: str, view: memoryview, kind: str, depth: int) -> Iterator[Finding]:
    count = size = packed = 0
    try:
        for member in zip_members(view) if kind == "zip" else tar_members(view):
            count, size, packed = count + 1, size + member.size_bytes, packed + member.packed_bytes
            if count > FILES_MAX:
                yield Finding(path, Refusal.TOO_MANY_FILES, f"it has more than {FILES_MAX:,} members")
                break
            yield from _member(path, member, depth)
    except Malformed as error:
        yield Finding(path, Refusal.MALFORMED, f"as {kind}: {error}")
    if size > max(RATIO_MAX * min(packed, len(view)), LOOK_BYTES) or size > BUNDLE_BYTES_MAX:
        yield Finding(path, Refusal.BOMB, f"{len(view):,} bytes claim to be {size:,} unpacked")
    yield Finding(path, Refusal.ARCHIVE, f"a {kind} archive; add the files in it that are a model")


def _member(path: str, member: Member, depth: int) -> Iterator[Finding]:
    where = f"{path}!{member.name}"
    if (fault := path_fault(member.name.rstrip("/"))) is not None and ("absolute" in fault or "climbs" in fault):
        yield Finding(where, Refusal.PATH, f"the path {fault}")
    if member.kind == "symlink":
        yield Finding(where, Refusal.SYMLINK, "a link leads out of the archive or into it")
    if member.kind == "special":
        yield Finding(where, Refusal.SPECIAL_FILE, "neither a file nor a folder")
    if member.kind == "file" and _PICKLE_NAMES.search(member.name) and pickled(memoryview(member.head)) is None:
        yield Finding(where, Refusal.PICKLE, "its name says that it is a pickle")
    if member.head and depth < NESTING_MAX:
        inner = named(where, memoryview(member.head), depth + 1)
        yield from (each for each in inner if each.refusal not in {Refusal.UNKNOWN_FORMAT, Refusal.MALFORMED})
