"""A store in a directory, where no registry is installed. The layout and the seals are the registry's: the same directory can be
opened by either, and `driftline registry fsck` reads what is written here.

    DIR/driftline-store                     says what this is; sealed
    DIR/logs/runs/ab12/00000003.entry
    DIR/documents/receipts/...              DIR/blobs/ab/ab12...            DIR/staging/

Creating is: write under a drawn name in `staging`, sync, `link` to the name (fails when there is one), sync the folder.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.codec import PREFIX, canonical_bytes, digest_of
from pipelines.errors import StoreError

CHUNK_BYTES: Final = 1 << 20
MARKER: Final = "driftline-store"
_KEY: Final = re.compile(r"[A-Za-z0-9_@=+-][A-Za-z0-9._@=+-]{0,120}(/[A-Za-z0-9_@=+-][A-Za-z0-9._@=+-]{0,120})*")
_SEAL: Final = re.compile(rb"driftline-sealed (\d{1,9}) (sha256:[0-9a-f]{64})\n")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class KeptBlob:
    """A blob as it was put."""

    digest: str
    size_bytes: int


class DirectoryStore:
    """`pipelines.ports.Store` over a directory, which the first write makes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        others = [p.name for p in directory.iterdir() if p.name != "staging"] if directory.is_dir() else []
        self._marked = self._read(directory / MARKER, MARKER) is not None
        if others and not self._marked:
            why = f"is no store of Driftline: it holds {others[0]!r} and no file {MARKER!r}"
            raise StoreError(f"directory {str(directory)!r}", why, "Name an empty or new directory.")

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """See Store."""
        if number > 1 and not self._entry(log, number - 1).exists():
            raise StoreError(f"entry {number} of {log!r}", "would leave a number out", "This is a bug: report it.")
        return self._create(self._entry(log, number), f"{log}#{number}", body)

    def entry(self, log: str, number: int) -> bytes | None:
        """See Store."""
        return self._read(self._entry(log, number), f"{log}#{number}")

    def last(self, log: str) -> int:
        """See Store."""
        folder = self._entry(log, 1).parent
        names = [path.stem for path in folder.glob("*.entry")] if folder.is_dir() else []
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def logs(self, prefix: str = "") -> list[str]:
        """See Store."""
        root, part = self.directory / "logs", self.directory / "logs" / prefix
        found = {path.parent.relative_to(root).as_posix() for path in part.rglob("*.entry")} if part.is_dir() else set()
        return sorted(log for log in found if not prefix or log == prefix or log.startswith(f"{prefix}/"))

    def create_document(self, name: str, body: bytes) -> bool:
        """See Store."""
        return self._create(self._document(name), name, body)

    def document(self, name: str) -> bytes | None:
        """See Store."""
        return self._read(self._document(name), name)

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> KeptBlob:
        """See Store."""
        body = b"".join(chunks)
        digest = digest_of(body)
        if expected not in (None, digest):
            raise StoreError(
                f"the source of blob {expected}", f"gives {digest} now", "It was changed while it was read."
            )
        path = self._blob(digest)
        if path.exists():
            os.utime(path)
        else:
            self._link(path, body)
        return KeptBlob(digest, len(body))

    def blob_size(self, digest: str) -> int | None:
        """See Store."""
        path = self._blob(digest)
        return path.stat().st_size if path.exists() else None

    def blob(self, digest: str) -> Iterator[bytes]:
        """See Store."""
        path = self._blob(digest)
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(f"blob {digest}", "is not here", "Restore it from a copy.") from None
        if digest_of(body) != digest:
            raise StoreError(f"blob {digest}", "is damaged: its bytes are others", "Restore it from a copy.")
        for start in range(0, len(body), CHUNK_BYTES):
            yield body[start : start + CHUNK_BYTES]

    # ------------------------------------------------------------------------------------------------------- within

    def _entry(self, log: str, number: int) -> Path:
        return self.directory / "logs" / _checked(log) / f"{number:08d}.entry"

    def _document(self, name: str) -> Path:
        return self.directory / "documents" / f"{_checked(name)}.document"

    def _blob(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise StoreError(f"digest {digest[:80]!r}", "is none", "Write sha256: and 64 hexadecimal digits.")
        digits = digest.removeprefix(PREFIX)
        return self.directory / "blobs" / digits[:2] / digits

    def _read(self, path: Path, key: str) -> bytes | None:
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        head = _SEAL.match(raw)
        body = raw[head.end() :] if head else b""
        if head is None or raw != _sealed(key, body, int(head[1])):
            raise StoreError(str(path), "is damaged: it is not what was sealed", "Restore it from a copy.")
        if int(head[1]) > 1:
            raise StoreError(str(path), f"has format {int(head[1])}", "Run the version that wrote it, or a newer one.")
        return body

    def _create(self, path: Path, key: str, body: bytes) -> bool:
        if not self._marked:
            body_of_marker = canonical_bytes({"format": 1, "kind": MARKER})
            self._link(self.directory / MARKER, _sealed(MARKER, body_of_marker, 1))
            self._marked = True
        return not path.exists() and self._link(path, _sealed(key, body, 1))

    def _link(self, path: Path, raw: bytes) -> bool:
        """Give the bytes this name, all of them or none; False when somebody else has it."""
        staging = self.directory / "staging"
        for folder in (staging, path.parent):
            self._make(folder)
        staged = staging / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with staged.open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(staged)
            except FileExistsError:
                return False
            finally:
                _sync_folder(path.parent)
            return True
        except OSError as error:
            raise StoreError(str(path), f"cannot be written: {error}", "Look at permissions and free space.") from error
        finally:
            staged.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.directory:
            self._make(folder.parent)
        folder.mkdir(parents=folder == self.directory, exist_ok=True)
        _sync_folder(folder.parent)


def _sealed(key: str, body: bytes, version: int) -> bytes:
    digest = digest_of(b"%d\n%s\n%s" % (version, key.encode(), body))
    return b"driftline-sealed %d %s\n" % (version, digest.encode()) + body


def _checked(key: str) -> str:
    if len(key) > 400 or not _KEY.fullmatch(key):
        raise StoreError(
            f"key {key[:80]!r}", "cannot be used", "Use parts of letters, digits and '._@=+-', joined by '/'."
        )
    return key


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
