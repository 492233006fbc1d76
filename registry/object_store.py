"""The store in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob.

    PREFIX/driftline-store                     says what this is; sealed
    PREFIX/logs/models/fraud/moves/00000003.entry
    PREFIX/documents/datasets/2013-01.document
    PREFIX/blobs/ab/ab12....TOKEN              64 digits, and 32 that nobody else draws

Entries and documents are what they are in a directory (`registry.directory`), byte for byte. Creating is one PUT with
`If-None-Match: *`: it makes the object with all of its bytes, or there is one already. Each writer leaves a token in
the metadata, so that one whose answer was lost can look whether the object that is there is its own. Whether a store
keeps that promise is tried before the first write (`probe`): one that lets a second writer replace what the first has
created would lose versions and moves without a word, and is refused.

A blob is renewed by a copy under another token, made inside the store; a removal takes the objects that it saw to be
old, by their own names. So a removal and a renewal at one moment cannot meet in one object, and no lock is needed.

Not done: uploads that were begun and never finished are not seen here; let a lifecycle rule of the bucket abort them.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from registry.digest import PREFIX, canonical_bytes, checked_digest, hex_of
from registry.errors import Missing, NotDense, StoreError
from registry.layout import BLOB_OBJECT, BLOBS, DOCUMENT, DOCUMENTS, ENTRY, LOGS, MARKER, document_path, entry_path
from registry.objects import Meta, Objects
from registry.store import (
    CHUNK_BYTES,
    ENTRY_BYTES_MAX,
    FORMAT,
    Blob,
    Counted,
    StoredBlob,
    StoredLeftover,
    below,
    entry_key,
    seal,
    source_changed,
    unseal,
    verified,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Opened

_PROBES: Final = "probe"
_MEMORY_BYTES: Final = 8 << 20
"""A blob is spooled before it is sent, since its name is its digest; beyond this on the disk."""


class ObjectStore:
    """`registry.store.Store` over an object store. Opening reads the marker only; the first write tries the store and makes it.

    `address`: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX`. Credentials, region and endpoint
    come from the environment, as the tools of each cloud read them (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...).
    """

    def __init__(self, address: str, opened: Opened | None = None) -> None:
        """Raises StoreError, NotInstalled. `opened`: the client, where a caller has made it."""
        self._objects = Objects(address, opened)
        self._probed = False
        self._marked = self._read_marker()

    @property
    def exists(self) -> bool:
        """Whether there is a store yet, or only a name for one."""
        return self._marked

    @property
    def where(self) -> str:
        """The address."""
        return self._objects.where

    # ---------------------------------------------------------------------------------------------- logs, documents

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """See Store."""
        path = entry_path(log, number)
        if number > 1 and not self._objects.exists(entry_path(log, number - 1)):
            raise NotDense(log, number)
        return self._create(path, entry_key(log, number), body)

    def entry(self, log: str, number: int) -> bytes | None:
        """See Store."""
        return self._sealed(entry_path(log, number), entry_key(log, number))

    def last(self, log: str) -> int:
        """See Store."""
        folder = entry_path(log, 1).rpartition("/")[0]
        names = (path.removeprefix(f"{folder}/") for path, _ in self._objects.list(folder))
        return max((int(found[1]) for name in names if (found := ENTRY.fullmatch(name))), default=0)

    def logs(self, prefix: str = "") -> list[str]:
        """See Store."""
        paths = self._objects.list(f"{LOGS}/{prefix}".rstrip("/"))  # of a model's logs, not of all there are
        parts = (path.removeprefix(f"{LOGS}/").rpartition("/") for path, _ in paths)
        found = {log for log, _, name in parts if log and ENTRY.fullmatch(name)}
        return sorted(log for log in found if below(log, prefix))

    def create_document(self, name: str, body: bytes) -> bool:
        """See Store."""
        return self._create(document_path(name), name, body)

    def document(self, name: str) -> bytes | None:
        """See Store."""
        return self._sealed(document_path(name), name)

    def documents(self, prefix: str = "") -> list[str]:
        """See Store."""
        folder = f"{DOCUMENTS}/{prefix}".rstrip("/")
        paths = (path.removeprefix(f"{DOCUMENTS}/") for path, _ in self._objects.list(folder))
        names = {found[1] for path in paths if (found := DOCUMENT.fullmatch(path))}
        if prefix and self._objects.exists(document_path(prefix.rstrip("/"))):
            names.add(prefix.rstrip("/"))
        return sorted(name for name in names if below(name, prefix))

    # -------------------------------------------------------------------------------------------------------- blobs

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        """See Store."""
        if expected is not None and (size := self._renew(expected)) is not None:
            return Blob(expected, size)
        counted = Counted(chunks)
        with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as spool:
            for chunk in counted:
                spool.write(chunk)
            blob = counted.blob()
            if expected is not None and blob.digest != expected:
                raise source_changed(expected, blob.digest)
            if self._renew(blob.digest) is None:
                self._mark()
                spool.seek(0)
                self._objects.put(_drawn_path(blob.digest), spool, blob.size_bytes)
        return blob

    def blob(self, digest: str) -> Iterator[bytes]:
        """See Store."""
        for path, _ in self._objects_of(digest):
            if (chunks := self._objects.chunks(path, CHUNK_BYTES)) is not None:
                return verified(digest, chunks)
        raise Missing(f"blob {digest}", f"there is no object of it in {self.where}")

    def blob_size(self, digest: str) -> int | None:
        """See Store."""
        objects = self._objects_of(digest)
        return int(objects[0][1]["size"]) if objects else None

    def blobs(self) -> Iterator[StoredBlob]:
        """See Store."""
        newest: StoredBlob | None = None
        for path, meta in sorted(self._objects.list(BLOBS), key=lambda each: each[0]):
            if (digest := _digest_in(path)) is None:
                continue
            renewed_ms = _ms(meta)
            if newest is not None and newest.digest == digest:
                renewed_ms = max(renewed_ms, newest.renewed_ms)
            elif newest is not None:
                yield newest
            newest = StoredBlob(digest, int(meta["size"]), renewed_ms)
        if newest is not None:
            yield newest

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        """See Store. Objects that were made since are other objects: they stay, and the blob with them."""
        for path, meta in self._objects_of(digest):
            if _ms(meta) < before_ms:
                self._objects.delete(path)
        return not self._objects_of(digest)

    # ------------------------------------------------------------------------------------------------------- upkeep

    def strays(self) -> list[str]:
        """See Store."""
        return sorted(path for path, _ in self._objects.list("") if not _known(path))

    def leftovers(self) -> list[StoredLeftover]:
        """See Store. Only probes that were interrupted: an object is there with all of its bytes, or not at all."""
        return [StoredLeftover(path, int(meta["size"]), _ms(meta)) for path, meta in self._objects.list(_PROBES)]

    def remove_leftovers(self, before_ms: int) -> int:
        """See Store."""
        old = [left for left in self.leftovers() if left.written_ms < before_ms]
        for left in old:
            self._objects.delete(left.path)
        return sum(left.size_bytes for left in old)

    def probe(self) -> None:
        """Create one object twice: the second must be refused. Raises StoreError for a store that lets it replace the first; what
        was written for it is removed."""
        path = f"{_PROBES}/{secrets.token_hex(16)}"
        try:
            won = [self._objects.create(path, content, content.decode()) for content in (b"first", b"second")]
            kept = self._objects.read(path, ENTRY_BYTES_MAX)
        finally:
            self._objects.delete(path)
        if won != [True, False] or kept != b"first":
            raise StoreError(
                f"store {self.where!r}",
                "lets a second writer replace what the first has created (it ignores `If-None-Match: *`)",
                "Two writers would lose each other's versions and moves there. "
                "Use a store that has conditional writes, or a directory.",
            )
        self._probed = True

    # ------------------------------------------------------------------------------------------------------- within

    def _create(self, path: str, key: str, body: bytes) -> bool:
        if len(body) > ENTRY_BYTES_MAX:
            raise StoreError(path, f"has {len(body):,} bytes, more than {ENTRY_BYTES_MAX:,}", "Put it in a blob.")
        if self._objects.exists(path):
            return False
        self._mark()
        return self._objects.create(path, seal(key, body), secrets.token_hex(16))

    def _renew(self, digest: str) -> int | None:
        """The size of a blob that is there, made as young as if it had been written now; None when it is not there."""
        for path, meta in self._objects_of(digest):
            if self._objects.copy(path, _drawn_path(digest)):  # False: it was removed just now
                return int(meta["size"])
        return None

    def _objects_of(self, digest: str) -> list[tuple[str, Meta]]:
        """The objects of one blob, the newest first."""
        digits = hex_of(checked_digest(digest))
        folder = f"{BLOBS}/{digits[:2]}"
        # No prefix of whole parts, which is what clients list by: the list of the folder begins at them, in order of names.
        behind = self._objects.list(folder, f"{folder}/{digits}")
        found = takewhile(lambda each: each[0].startswith(f"{folder}/{digits}."), behind)
        return sorted(found, key=lambda each: (-_ms(each[1]), each[0]))

    def _mark(self) -> None:
        if not self._probed:
            self.probe()
        if not self._marked:
            body = canonical_bytes({"format": FORMAT, "kind": "driftline-store"})
            self._objects.create(MARKER, seal(MARKER, body), secrets.token_hex(16))
            self._marked = True

    def _read_marker(self) -> bool:
        raw = self._sealed(MARKER, MARKER)
        if raw is None:
            others = (path for path, _ in self._objects.list("") if not path.startswith(f"{_PROBES}/"))
            if (other := next(others, None)) is not None:
                # Looked at again: a first writer beside us writes the marker before anything else.
                if (raw := self._sealed(MARKER, MARKER)) is not None:
                    return True
                raise StoreError(
                    f"store {self.where!r}",
                    f"is no registry: it holds {other!r} and no object {MARKER!r}",
                    "Name an empty or new prefix, or the one that was used before.",
                )
        return raw is not None

    def _sealed(self, path: str, key: str) -> bytes | None:
        raw = self._objects.read(path, ENTRY_BYTES_MAX + 200)
        return None if raw is None else unseal(key, raw, path)


def _drawn_path(digest: str) -> str:
    digits = hex_of(checked_digest(digest))
    return f"{BLOBS}/{digits[:2]}/{digits}.{secrets.token_hex(16)}"


def _digest_in(path: str) -> str | None:
    """The digest that the path of an object of a blob says."""
    folder, _, name = path.removeprefix(f"{BLOBS}/").rpartition("/")
    found = BLOB_OBJECT.fullmatch(name)
    return PREFIX + found[1] if found is not None and folder == found[1][:2] else None


def _ms(meta: Meta) -> int:
    return int(meta["last_modified"].timestamp() * 1_000)


def _known(path: str) -> bool:
    kind, _, rest = path.partition("/")
    folder, _, name = rest.rpartition("/")
    return (
        path == MARKER
        or kind == _PROBES
        or (kind == LOGS and folder != "" and ENTRY.fullmatch(name) is not None)
        or (kind == DOCUMENTS and DOCUMENT.fullmatch(name) is not None)
        or (kind == BLOBS and _digest_in(path) is not None)
    )
