"""The store in a directory.

    DIR/driftline-store                     says what this is; sealed
    DIR/logs/models/fraud/moves/00000003.entry
    DIR/documents/datasets/2013-01.document
    DIR/blobs/ab/ab12...                    64 digits
    DIR/staging/                            unfinished writes; never read as anything

Creating is: write the bytes under a random name in `staging`, sync them, `link` them to their name, which fails when
the name exists, and sync the folder. A name is therefore there with all of its bytes or not at all, whoever is killed
where; nothing is ever overwritten; and what a caller was told is there is there after a loss of power. No lock, so none
can be left behind. The file system must have hard links (NFS has, exFAT and some mounts of buckets have not: they
are refused at the first write).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from registry.digest import PREFIX, canonical_bytes, checked_digest, hex_of
from registry.errors import Damaged, Missing, NotDense, StoreError
from registry.files import DiskFiles, FileKind, Files
from registry.layout import DOCUMENT, ENTRY, MARKER, document_path, entry_path
from registry.store import (
    ENTRY_BYTES_MAX,
    FORMAT,
    Blob,
    Counted,
    StoredBlob,
    StoredLeftover,
    below,
    checked_key,
    entry_key,
    seal,
    source_changed,
    unseal,
    verified,
)

STAGING: Final = "staging"

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class DirectoryStore:
    """`registry.store.Store` over a directory. Opening reads the marker only; the first write makes the directory."""

    def __init__(self, directory: Path | str, files: Files | None = None) -> None:
        self.directory = Path(directory)
        self._files = files or DiskFiles(self.directory)
        self._durable: set[str] = set()
        self._marked = self._read_marker()

    @property
    def exists(self) -> bool:
        """Whether there is a store yet, or only a name for one."""
        return self._marked

    @property
    def where(self) -> str:
        """The directory."""
        return str(self.directory)

    # ---------------------------------------------------------------------------------------------- logs, documents

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """See Store."""
        path = entry_path(log, number)
        if number > 1 and self._files.status(entry_path(log, number - 1)) is None:
            raise NotDense(log, number)
        return self._create(path, entry_key(log, number), body, after_others=number > 1)

    def entry(self, log: str, number: int) -> bytes | None:
        """See Store."""
        return self._sealed(entry_path(log, number), entry_key(log, number))

    def last(self, log: str) -> int:
        """See Store."""
        with self._explained(log):
            names = self._files.names(f"logs/{checked_key(log)}")
        return max((int(found[1]) for name in names if (found := ENTRY.fullmatch(name))), default=0)

    def logs(self, prefix: str = "") -> list[str]:
        """See Store."""
        with self._explained("logs"):
            below_it = self._walk(f"logs/{prefix}".rstrip("/"))  # the logs of a model, not all there are
            found = {folder for folder, name in below_it if ENTRY.fullmatch(name)}
        return sorted(log for log in (f.removeprefix("logs/") for f in found) if below(log, prefix))

    def create_document(self, name: str, body: bytes) -> bool:
        """See Store."""
        return self._create(document_path(name), name, body)

    def document(self, name: str) -> bytes | None:
        """See Store."""
        return self._sealed(document_path(name), name)

    def documents(self, prefix: str = "") -> list[str]:
        """See Store."""
        with self._explained("documents"):
            below_it = self._walk(f"documents/{prefix}".rstrip("/"))
            names = {f"{folder}/{found[1]}" for folder, n in below_it if (found := DOCUMENT.fullmatch(n))}
            if prefix and self._files.status(document_path(prefix.rstrip("/"))) is not None:
                names.add(f"documents/{prefix}".rstrip("/"))
        return sorted(name for name in (n.removeprefix("documents/") for n in names) if below(name, prefix))

    # -------------------------------------------------------------------------------------------------------- blobs

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        """See Store."""
        with self._explained("a blob"):
            if expected is not None and (size := self._renew(expected)) is not None:
                return Blob(expected, size)
            staged, blob = self._stage_blob(chunks)
            if expected is not None and blob.digest != expected:
                self._files.remove(staged)
                raise source_changed(expected, blob.digest)
            size = self._renew(blob.digest)
            if size is None:
                self._publish(staged, _blob_path(blob.digest))
                return blob
            self._files.remove(staged)
            if size != blob.size_bytes:
                raise Damaged(_blob_path(blob.digest), f"it has {size:,} bytes instead of {blob.size_bytes:,}")
            return blob

    def blob(self, digest: str) -> Iterator[bytes]:
        """See Store."""
        path = _blob_path(digest)
        if (status := self._files.status(path)) is None or status.kind is not FileKind.FILE:
            raise Missing(f"blob {digest}", f"there is no file {path!r}")

        def passed_on() -> Iterator[bytes]:
            with self._explained(path):
                yield from self._files.read(path)

        return verified(digest, passed_on())

    def blob_size(self, digest: str) -> int | None:
        """See Store."""
        status = self._files.status(_blob_path(digest))
        return None if status is None else status.size_bytes

    def blobs(self) -> Iterator[StoredBlob]:
        """See Store."""
        for folder, name in self._walk("blobs"):
            status = self._files.status(f"{folder}/{name}")
            if _HEX.fullmatch(name) and folder == f"blobs/{name[:2]}" and status is not None:
                yield StoredBlob(PREFIX + name, status.size_bytes, status.modified_ms)

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        """See Store. It is moved aside first and looked at again: a writer that renewed it meanwhile keeps it."""
        path, aside = _blob_path(digest), f"{STAGING}/removed-{hex_of(digest)}-{_token()}"
        with self._explained(path):
            status = self._files.status(path)
            if status is None or status.modified_ms >= before_ms:
                return status is None
            self._durable_folder(STAGING)
            self._files.move(path, aside)
            status = self._files.status(aside)
            if status is not None and status.modified_ms >= before_ms:
                self._publish(aside, path)
                return False
            self._files.sync_folder(_parent(path))
            self._files.remove(aside)
            return True

    # ------------------------------------------------------------------------------------------------------- upkeep

    def strays(self) -> list[str]:
        """See Store."""
        return sorted(
            f"{folder}/{name}".lstrip("/") for folder, name in self._walk("") if not self._known(folder, name)
        )

    def leftovers(self) -> list[StoredLeftover]:
        """See Store."""
        found = [(f"{STAGING}/{name}", self._files.status(f"{STAGING}/{name}")) for name in self._files.names(STAGING)]
        return [StoredLeftover(path, s.size_bytes, s.modified_ms) for path, s in found if s is not None]

    def remove_leftovers(self, before_ms: int) -> int:
        """See Store. A blob whose removal was interrupted is put back: the next one decides again."""
        freed = 0
        with self._explained(STAGING):
            for left in self.leftovers():
                parts = left.path.removeprefix(f"{STAGING}/").split("-")
                if parts[0] == "removed" and _HEX.fullmatch(parts[1]):
                    self._publish(left.path, _blob_path(PREFIX + parts[1]))
                elif left.written_ms < before_ms:
                    self._files.remove(left.path)
                    freed += left.size_bytes
        return freed

    # ------------------------------------------------------------------------------------------------------ the rule

    def _create(self, path: str, key: str, body: bytes, *, after_others: bool = False) -> bool:
        if len(body) > ENTRY_BYTES_MAX:
            raise StoreError(path, f"has {len(body):,} bytes, more than {ENTRY_BYTES_MAX:,}", "Put it in a blob.")
        with self._explained(path):
            self._mark()
            if self._files.status(path) is not None:
                self._durable_folder(_parent(path))
                self._files.sync_folder(_parent(path))  # the other writer may not have got to it yet
                return False
            if after_others:
                self._durable_folder(_parent(path))
                self._files.sync_folder(_parent(path))  # never an entry on the disk without the one before it
            staged = self._stage([seal(key, body)])
            return self._publish(staged, path)

    def _publish(self, staged: str, path: str) -> bool:
        """Give a staged, synced file its name unless somebody has it. The one step that makes a thing exist."""
        self._durable_folder(_parent(path))
        try:
            self._files.link(staged, path)
            created = True
        except FileExistsError:
            created = self._files.same(staged, path)  # NFS may lose the answer and be asked again
        self._files.sync_folder(_parent(path))
        self._files.remove(staged)
        return created

    def _stage(self, chunks: Iterable[bytes]) -> str:
        staged = f"{STAGING}/{_token()}"
        self._durable_folder(STAGING)
        try:
            self._files.write(staged, chunks)
            self._files.sync(staged)
        except Exception:
            self._files.remove(staged)
            raise
        return staged

    def _stage_blob(self, chunks: Iterable[bytes]) -> tuple[str, Blob]:
        self._mark()
        counted = Counted(chunks)
        staged = self._stage(counted)
        return staged, counted.blob()

    def _renew(self, digest: str) -> int | None:
        """The size of a blob that is there, made as young as if it had been written now; None when it is not there."""
        path = _blob_path(digest)
        status = self._files.status(path)
        if status is None:
            return None
        try:
            self._files.touch(path)
        except FileNotFoundError:
            return None
        self._durable_folder(_parent(path))
        self._files.sync_folder(_parent(path))
        return status.size_bytes

    def _durable_folder(self, path: str) -> None:
        """Make a folder so that it outlives a loss of power, once per opening: others may have made it just now."""
        if path in self._durable:
            return
        if path:
            self._durable_folder(_parent(path))
        self._files.make_folder(path)
        if path:
            self._files.sync_folder(_parent(path))
        self._durable.add(path)

    # --------------------------------------------------------------------------------------------------- the marker

    def _read_marker(self) -> bool:
        # Looked at in this order: the marker is written before anything else, so a first writer beside us whose files
        # are here has written it too.
        with self._explained(MARKER):
            others = [name for name in self._files.names("") if name != STAGING]
        raw = self._sealed(MARKER, MARKER)
        if raw is None and others:
            raise StoreError(
                f"directory {str(self.directory)!r}",
                f"is no registry: it holds {others[0]!r} and no file {MARKER!r}",
                "Name an empty or new directory, or the one that was used before.",
            )
        return raw is not None

    def _mark(self) -> None:
        if self._marked:
            return
        body = canonical_bytes({"format": FORMAT, "kind": "driftline-store"})
        self._publish(self._stage([seal(MARKER, body)]), MARKER)
        self._marked = True

    def _sealed(self, path: str, key: str) -> bytes | None:
        with self._explained(path):
            status = self._files.status(path)
            if status is None:
                return None
            if status.kind is not FileKind.FILE or status.size_bytes > ENTRY_BYTES_MAX + 200:
                raise Damaged(path, f"it is a {status.kind} of {status.size_bytes:,} bytes")
            raw = b"".join(self._files.read(path))
        return unseal(key, raw, path)

    def _walk(self, folder: str) -> Iterator[tuple[str, str]]:
        """(folder, name) of everything that is not a folder, in order of path."""
        for name in self._files.names(folder):
            path = f"{folder}/{name}" if folder else name
            status = self._files.status(path)
            if status is not None and status.kind is FileKind.FOLDER:
                yield from self._walk(path)
            elif status is not None:
                yield folder, name

    def _known(self, folder: str, name: str) -> bool:
        path = f"{folder}/{name}" if folder else name
        status = self._files.status(path)
        if status is not None and status.kind is FileKind.OTHER:
            return False
        kind = folder.partition("/")[0]
        return (
            path == MARKER
            or kind == STAGING
            or (kind == "logs" and ENTRY.fullmatch(name) is not None and "/" in folder)
            or (kind == "documents" and DOCUMENT.fullmatch(name) is not None)
            or (kind == "blobs" and _HEX.fullmatch(name) is not None and folder == f"blobs/{name[:2]}")
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """What the system says as an error of the registry: which thing, where, why."""
        try:
            yield
        except OSError as error:
            where = f"{what} in {str(self.directory)!r}"
            remedy = "Look at the directory, its permissions and its free space."
            if error.errno in _NO_LINKS:
                remedy = "The file system must have hard links: choose a local directory or NFS."
            raise StoreError(where, f"cannot be read or written: {error.strerror or error}", remedy) from error


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _blob_path(digest: str) -> str:
    digits = hex_of(checked_digest(digest))
    return f"blobs/{digits[:2]}/{digits}"


def _token() -> str:
    """A name that no other writer draws."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
