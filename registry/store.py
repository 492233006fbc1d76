"""The store as the registry sees it: three kinds of things, each created once and never changed.

- **Logs** of numbered entries, 1, 2, 3 and so on without a gap. Whoever creates entry n first has it; everybody else
  is told so. Version numbers, moves of aliases, journals of runs and leases are all "who created entry n first".
- **Documents** by name: small, created once.
- **Blobs** by digest: any size, verified while they are read.

A directory satisfies this port (`registry.directory`), and so can an object store: creating is a PUT with
`If-None-Match: *`, lists are LIST by prefix, and renewing a blob is writing it again. Nothing here needs a
rename, a lock, a modification in place or a listing that is fresher than the last create of the same writer.

Entries and documents are sealed (`seal`): their first line holds the digest of their own key and body. One flipped
byte, or an entry that was copied to another place, is `Damaged` when it is read, and never taken for something else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from registry.digest import PREFIX, digest_of
from registry.errors import BadName, Damaged, FormatError, StoreError

FORMAT: Final = 1
"""Version of the layout and of the seal."""
ENTRY_BYTES_MAX: Final = 4 * 2**20
"""Entries and documents are read whole. What is larger is a blob."""
CHUNK_BYTES: Final = 1 << 20

_SEAL: Final = re.compile(rb"driftline-sealed (\d{1,9}) (sha256:[0-9a-f]{64})\n")
_PART: Final = re.compile(r"[A-Za-z0-9_@=+-][A-Za-z0-9._@=+-]{0,120}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes by digest, as `put_blob` names them."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as it is listed. `renewed_ms` is when it was last put, by the store's own clock."""

    digest: str
    size_bytes: int
    renewed_ms: int


@dataclass(frozen=True, slots=True)
class StoredLeftover:
    """The unfinished write of a process that ended, or of one that is still at it."""

    path: str
    size_bytes: int
    written_ms: int


class Store(Protocol):
    """What the registry asks of a store. Every name is a key as `checked_key` has it, every digest a full one."""

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """Create entry `number` of a log, durably, unless there is one; True for the one writer who did.

        Raises NotDense when entry `number - 1` does not exist.
        """

    def entry(self, log: str, number: int) -> bytes | None:
        """The body of an entry, None when there is none. Raises Damaged."""

    def last(self, log: str) -> int:
        """The largest number in the log, 0 for an empty one."""

    def logs(self, prefix: str = "") -> list[str]:
        """Names of the logs below `prefix` (whole parts: `models/a` does not find `models/ab`), sorted."""

    def create_document(self, name: str, body: bytes) -> bool:
        """Create a document, durably, unless there is one; True for the one writer who did."""

    def document(self, name: str) -> bytes | None:
        """The body of a document, None when there is none. Raises Damaged."""

    def documents(self, prefix: str = "") -> list[str]:
        """Names of the documents below `prefix`, sorted."""

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        """Keep bytes, durably; a blob that is there already is renewed, not written again.

        With `expected` the chunks are not even read when that blob is there, and what they give must be it: raises
        StoreError when the source has changed since it was hashed.
        """

    def blob(self, digest: str) -> Iterator[bytes]:
        """The bytes in chunks, in order. Raises Missing at the first, Damaged at the last at the latest: use nothing of it
        before the end."""

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there. Does not read it."""

    def blobs(self) -> Iterator[StoredBlob]:
        """Every blob, in order of digest."""

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        """Remove a blob unless it was put or renewed at or after `before_ms`; True when it is gone."""

    def strays(self) -> list[str]:
        """What lies in the store and is none of its things, by path, sorted."""

    def leftovers(self) -> list[StoredLeftover]:
        """What interrupted writers left behind: never part of anything, sorted by path."""

    def remove_leftovers(self, before_ms: int) -> int:
        """Remove leftovers older than `before_ms`; returns their bytes."""


class Counted:
    """Chunks that are hashed and counted while somebody else writes them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._hasher, self._size_bytes = chunks, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        """Once."""
        for chunk in self._chunks:
            self._hasher.update(chunk)
            self._size_bytes += len(chunk)
            yield chunk

    def blob(self) -> Blob:
        """What has passed so far."""
        return Blob(PREFIX + self._hasher.hexdigest(), self._size_bytes)


def verified(digest: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as they are; raises Damaged after the last one when they are not what the digest says."""
    counted = Counted(chunks)
    yield from counted
    if (found := counted.blob().digest) != digest:
        raise Damaged(f"blob {digest}", f"its bytes are {found}")


def source_changed(expected: str, found: str) -> StoreError:
    """The error of `put_blob` when the chunks are not what was expected."""
    remedy = "It was changed while it was read; try again when nobody writes it."
    return StoreError(f"the source of blob {expected}", f"gives {found} now", remedy)


def checked_key(key: str) -> str:
    """A name of a log or document: parts of letters, digits and ._@=+- joined by `/`. Raises BadName."""
    if len(key) > 400 or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise BadName("key", key, "Use parts of letters, digits and '._@=+-', joined by '/', not beginning with a dot.")
    return key


def below(key: str, prefix: str) -> bool:
    """Whether a key is under a prefix, by whole parts."""
    return not prefix or key == prefix or key.startswith(prefix.rstrip("/") + "/")


def seal(key: str, body: bytes) -> bytes:
    """What is written for a body: a line with the digest of key and body, then the body as it is."""
    return b"driftline-sealed %d %s\n" % (FORMAT, _sealed_digest(key, body).encode()) + body


def unseal(key: str, raw: bytes, where: str) -> bytes:
    """The body that was sealed under this key; `where` names it in errors. Raises Damaged, FormatError."""
    head = _SEAL.match(raw)
    if head is None:
        raise Damaged(where, "its first line is no seal")
    version, digest = int(head[1]), head[2].decode()
    body = raw[head.end() :]
    if digest != _sealed_digest(key, body, version):  # the version too: a flipped byte must not read as "too new"
        raise Damaged(where, f"it is sealed as {digest}, which its contents are not")
    if version > FORMAT:
        raise FormatError(
            where,
            f"has format {version}, this version of Driftline reads up to {FORMAT}",
            "Run the version that wrote it, or a newer one.",
        )
    return body


def _sealed_digest(key: str, body: bytes, version: int = FORMAT) -> str:
    return digest_of(b"%d\n%s\n%s" % (version, key.encode(), body))


def entry_key(log: str, number: int) -> str:
    """What an entry is sealed under."""
    return f"{log}#{number}"


def read_blob(store: Store, digest: str, bytes_max: int) -> bytes:
    """A whole blob in memory, verified. Raises Missing, Damaged, and Damaged as well when it is larger than it may be."""
    size = store.blob_size(digest)
    if size is not None and size > bytes_max:
        raise Damaged(f"blob {digest}", f"it has {size:,} bytes where at most {bytes_max:,} are read")
    return b"".join(store.blob(digest))
