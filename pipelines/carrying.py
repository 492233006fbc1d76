"""A step's files to a place without our directories, and what it wrote back, by way of the store.

What a step reads is a blob that lists blobs, and is named by its digest. What it wrote is a document of its own name, created
once: the first result counts, whoever comes later. The document writes digests without their prefix, so a result keeps no
blob from `driftline registry gc` for ever: what is of use was registered long before, and then is kept by that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pipelines.codec import PREFIX, decode, encode
from pipelines.errors import FormatError, StepFailed
from pipelines.handoffs import RESULTS
from pipelines.ports import Store

FORMAT: Final = 1
ROWS: Final = "in/rows.jsonl"
"""What a step is given to train on or to score, as `pipelines.filesteps` lays it out."""
_MODEL: Final = "out/model/"
BYTES_MAX: Final = 8 * 2**30
_CHUNK_BYTES: Final = 1 << 20


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    hex: str  # of the digest, without `sha256:`
    size_bytes: int


class _Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    files: tuple[_File, ...]


def send(store: Store, directory: Path) -> str:
    """Keep what is in `in/` of a job; the digest of its list."""
    return store.put_blob([_list(store, directory, "in")]).digest


def fetch(store: Store, digest: str, directory: Path) -> None:
    """Lay out a job from its list: the other end of `send`."""
    _lay_out(store, b"".join(store.blob(digest)), directory, "in")
    for folder in ("in/model", "out/model", "tmp"):
        (directory / folder).mkdir(parents=True, exist_ok=True)


def give(store: Store, name: str, directory: Path) -> bool:
    """Keep what is in `out/` as the result of a name; False when it has one. Raises StepFailed for what is no regular file."""
    return store.create_document(_document(name), _list(store, directory, "out"))


def keep(store: Store, directory: Path) -> str:
    """Keep what is in `out/` without saying whose result it is; the digest of its list. Raises StepFailed, as `give`."""
    return store.put_blob([_list(store, directory, "out")]).digest


def settle(store: Store, name: str, digest: str) -> bool:
    """Make what was kept the result of a name; False when it has one. Raises FormatError for what is no such list."""
    body = b"".join(store.blob(digest))
    for each in _read(body).files:
        _parts(each.path, "out")
    return store.create_document(_document(name), body)


def has_result(store: Store, name: str) -> bool | None:
    """Whether a name has a result; None for one whose files were removed since."""
    if (body := store.document(_document(name))) is None:
        return False
    return True if all(store.blob_size(PREFIX + each.hex) is not None for each in _read(body).files) else None


def carried(body: bytes) -> dict[str, str]:
    """What a list names that may hold rows of people, by path: digests of the rows of a step, and of what it wrote but for
    models. Empty for what is no list."""
    if b'"files"' not in body:
        return {}
    try:
        files = _read(body).files
    except FormatError:
        return {}
    return {
        each.path: PREFIX + each.hex
        for each in files
        if each.path == ROWS or (each.path.startswith("out/") and not each.path.startswith(_MODEL))
    }


def take(store: Store, name: str, directory: Path) -> None:
    """Write the result of a name to `out/` of a job: the other end of `give`. Raises StepFailed where a store does not show yet
    what it has told of."""
    if (body := store.document(_document(name))) is None:
        raise StepFailed(
            f"the result {name!r}", "is not seen yet, although it is in the store", "Try again.", again=True
        )
    _lay_out(store, body, directory, "out")


def _document(name: str) -> str:
    return f"{RESULTS}{name}"


def _list(store: Store, directory: Path, folder: str) -> bytes:
    found = []
    for path, size in _files(directory / folder):
        with path.open("rb") as file:
            put = store.put_blob(iter(lambda file=file: file.read(_CHUNK_BYTES), b""))  # type: ignore[misc]
        found.append(_File(path.relative_to(directory).as_posix(), put.digest.removeprefix(PREFIX), size))
    return encode(_Brought(FORMAT, tuple(found)))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    total = 0
    if folder.is_symlink():  # whoever follows it leaves the job, and has credentials that the step has not
        raise StepFailed(str(folder), "is no directory of the step's own", "Write the files themselves.")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StepFailed(str(path), "is no regular file", "Write the files themselves.")
        if path.is_file():
            size = path.stat().st_size
            total += size
            if total > BYTES_MAX:
                raise StepFailed(str(folder), f"holds more than {BYTES_MAX:,} bytes", "Write less.")
            yield path, size


def _lay_out(store: Store, body: bytes, directory: Path, folder: str) -> None:
    for each in _read(body).files:
        target = directory.joinpath(*_parts(each.path, folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for chunk in store.blob(PREFIX + each.hex):
                file.write(chunk)


def _parts(path: str, folder: str) -> list[str]:
    parts = path.split("/")
    if parts[0] != folder or len(parts) < 2 or {"", ".", ".."} & set(parts):
        raise FormatError(f"path {path!r}", f"leads out of {folder!r}", "Somebody else wrote this list.")
    return parts


def _read(body: bytes) -> _Brought:
    found: _Brought = decode(_Brought, body, "a list of files", FORMAT)
    return found
