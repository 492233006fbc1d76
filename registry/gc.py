"""What can be reached, and the removal of the rest.

A blob is kept while any entry or document in the store, or any JSON blob that is kept, writes its digest out. That is
more than the registry knows of: datasets and runs of other packages keep their blobs without being understood here. Logs
and documents are never removed, so neither is a version, or anything an alias has ever pointed at: what goes is what
interrupted writers left, and what was kept to be looked at once, such as the rows of a probation. A blob that is younger
than the grace period stays, because its writer may be about to refer to it.

Nothing is removed while any entry, document or kept JSON blob cannot be read: what it refers to is not known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from registry.digest import digests_in
from registry.errors import Missing
from registry.store import Store, StoredBlob

GRACE_MS: Final = 7 * 24 * 3_600_000
"""How young a blob is kept unless told otherwise; longer than any copy takes."""
_OVERLAP_BYTES: Final = 80  # a digest is 71


@dataclass(frozen=True, slots=True)
class Plan:
    """What a removal would do. `young` are blobs that nobody refers to yet."""

    kept: int
    kept_bytes: int
    young: tuple[StoredBlob, ...]
    removable: tuple[StoredBlob, ...]
    leftovers: int
    leftover_bytes: int

    @property
    def removable_bytes(self) -> int:
        """What the blobs to be removed hold."""
        return sum(blob.size_bytes for blob in self.removable)


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did. `spared` were renewed meanwhile."""

    blobs: int
    blob_bytes: int
    spared: int
    leftover_bytes: int


def reachable(roots: Iterable[str], refers: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """Everything that can be reached from the roots, themselves included."""
    found: set[str] = set()
    ahead = list(roots)
    while ahead:
        digest = ahead.pop()
        if digest not in found:
            found.add(digest)
            ahead.extend(refers(digest))
    return frozenset(found)


def divide(
    blobs: Mapping[str, StoredBlob], kept: frozenset[str], before_ms: int
) -> tuple[list[StoredBlob], list[StoredBlob]]:
    """(young, removable): the blobs that are not kept, by whether they were put or renewed before a time."""
    others = [blob for digest, blob in sorted(blobs.items()) if digest not in kept]
    return [b for b in others if b.renewed_ms >= before_ms], [b for b in others if b.renewed_ms < before_ms]


def roots(store: Store) -> set[str]:
    """Every digest that an entry or a document writes out. Raises Missing, Damaged."""
    found: set[str] = set()
    for log in store.logs():
        for number in range(1, store.last(log) + 1):
            body = store.entry(log, number)
            if body is None:
                raise Missing(f"entry {number} of {log!r}", "what it refers to is not known")
            found |= digests_in(body)
    for name in store.documents():
        found |= digests_in(store.document(name) or b"")
    return found


def references(
    read: Callable[[str], Iterator[bytes]], blobs: Mapping[str, StoredBlob]
) -> Callable[[str], Iterable[str]]:
    """What a blob writes out, when it is JSON; anything else refers to nothing. `read` gives the chunks of a blob."""

    def refers(digest: str) -> Iterable[str]:
        if digest not in blobs:
            return ()
        found: set[str] = set()
        tail = b""
        for chunk in read(digest):
            if not tail and (head := chunk.lstrip()[:1]) not in {b"{", b"["}:
                if head:
                    return ()
                continue  # nothing but spaces so far
            found |= digests_in(tail + chunk)
            tail = (tail + chunk)[-_OVERLAP_BYTES:]
        return found

    return refers


def plan(store: Store, before_ms: int) -> Plan:
    """What can be removed of what was last put before `before_ms`. Changes nothing."""
    blobs = {blob.digest: blob for blob in store.blobs()}  # listed first: what comes later is not even considered
    kept = reachable(roots(store), references(store.blob, blobs))
    young, removable = divide(blobs, kept, before_ms)
    sizes = [blob.size_bytes for digest, blob in blobs.items() if digest in kept]
    left = [each for each in store.leftovers() if each.written_ms < before_ms]
    left_bytes = sum(each.size_bytes for each in left)
    return Plan(len(sizes), sum(sizes), tuple(young), tuple(removable), len(left), left_bytes)


def collect(store: Store, planned: Plan, before_ms: int) -> Removed:
    """Remove what was planned; a blob that was renewed since stays."""
    leftover_bytes = store.remove_leftovers(before_ms)
    gone = [blob for blob in planned.removable if store.remove_blob(blob.digest, before_ms)]
    spared = len(planned.removable) - len(gone)
    return Removed(len(gone), sum(blob.size_bytes for blob in gone), spared, leftover_bytes)
