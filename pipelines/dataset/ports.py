"""What data versions ask of a store. `registry.store.Store` satisfies it; so does a dict in a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable


class PutBlob(Protocol):
    """Bytes by digest, as they were kept."""

    @property
    def digest(self) -> str:
        """`sha256:…` of the bytes."""

    @property
    def size_bytes(self) -> int:
        """How many there are."""


@runtime_checkable
class Store(Protocol):
    """Documents by name, created once, and blobs by digest, verified while they are read."""

    def create_document(self, name: str, body: bytes) -> bool:
        """Create a document, durably, unless there is one; True for the one writer who did."""

    def document(self, name: str) -> bytes | None:
        """The body of a document, None when there is none."""

    def documents(self, prefix: str = "") -> list[str]:
        """Names of the documents below `prefix`, sorted."""

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> PutBlob:
        """Keep bytes, durably; a blob that is there already is renewed, not written again."""

    def blob(self, digest: str) -> Iterator[bytes]:
        """The bytes in chunks. Raises before or after the last one when they are not what the digest says."""

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there."""
