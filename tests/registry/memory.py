"""The in-memory twin of the store: the simplest thing that satisfies the port, and a place to interleave writers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from registry.digest import checked_digest
from registry.errors import Damaged, Missing, NotDense, StoreError
from registry.store import (
    ENTRY_BYTES_MAX,
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

K = TypeVar("K")


class MemoryStore:
    """`registry.store.Store` in dictionaries. `now_ms` is its clock; nothing moves it but the test."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.entries: dict[tuple[str, int], bytes] = {}
        self.named: dict[str, bytes] = {}
        self.kept: dict[str, tuple[bytes, int]] = {}

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        checked_key(log)
        if number > 1 and (log, number - 1) not in self.entries:
            raise NotDense(log, number)
        return self._create(self.entries, (log, number), entry_key(log, number), body)

    def entry(self, log: str, number: int) -> bytes | None:
        raw = self.entries.get((checked_key(log), number))
        return None if raw is None else unseal(entry_key(log, number), raw, f"entry {number} of {log}")

    def last(self, log: str) -> int:
        return max((number for name, number in self.entries if name == checked_key(log)), default=0)

    def logs(self, prefix: str = "") -> list[str]:
        return sorted({log for log, _ in self.entries if below(log, prefix)})

    def create_document(self, name: str, body: bytes) -> bool:
        return self._create(self.named, checked_key(name), name, body)

    def document(self, name: str) -> bytes | None:
        raw = self.named.get(checked_key(name))
        return None if raw is None else unseal(name, raw, f"document {name}")

    def documents(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.named if below(name, prefix))

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        if expected is not None and expected in self.kept:
            self.kept[expected] = (self.kept[expected][0], self.now_ms)
            return Blob(expected, len(self.kept[expected][0]))
        counted = Counted(chunks)
        body = b"".join(counted)
        blob = counted.blob()
        if expected not in {None, blob.digest}:
            raise source_changed(str(expected), blob.digest)
        kept = self.kept.get(blob.digest, (body, 0))[0]
        if len(kept) != len(body):
            raise Damaged(f"blob {blob.digest}", "it has another size")
        self.kept[blob.digest] = (kept, self.now_ms)
        return blob

    def blob(self, digest: str) -> Iterator[bytes]:
        if checked_digest(digest) not in self.kept:
            raise Missing(f"blob {digest}", "it is not here")
        return verified(digest, [self.kept[digest][0]])

    def blob_size(self, digest: str) -> int | None:
        return len(self.kept[digest][0]) if checked_digest(digest) in self.kept else None

    def blobs(self) -> Iterator[StoredBlob]:
        return iter([StoredBlob(digest, len(body), at) for digest, (body, at) in sorted(self.kept.items())])

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        if checked_digest(digest) in self.kept and self.kept[digest][1] >= before_ms:
            return False
        self.kept.pop(digest, None)
        return True

    def strays(self) -> list[str]:
        return []

    def leftovers(self) -> list[StoredLeftover]:
        return []

    def remove_leftovers(self, before_ms: int) -> int:
        return 0

    def _create(self, kept: dict[K, bytes], name: K, key: str, body: bytes) -> bool:
        if len(body) > ENTRY_BYTES_MAX:
            raise StoreError(key, "is too large", "Put it in a blob.")
        return kept.setdefault(name, raw := seal(key, body)) is raw
