"""Reading and extending a log over a store: whole, in order, with receipts, as the registry does.

Every entry but the last has a receipt, a document elsewhere with its digest, so that an entry that was removed from the end
leaves a trace that `driftline registry fsck` finds. The next writer makes up for a receipt that a crash left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.codec import digest_of
from pipelines.errors import StoreError
from pipelines.ports import Store


def read_log(store: Store, log: str, after: int = 0) -> list[bytes]:
    """Bodies of all entries after number `after`, in order. Raises StoreError for a number that is left out."""
    bodies: list[bytes] = []
    last = store.last(log)
    while True:
        number = after + len(bodies) + 1
        body = store.entry(log, number)
        if body is not None:
            bodies.append(body)
        elif number <= last:
            raise StoreError(f"entry {number} of {log!r}", "is missing", "Restore it from a copy.")
        else:
            return bodies


def append(store: Store, log: str, bodies: Sequence[bytes], body: bytes) -> bool:
    """Add `body` after the entries that were read; False when somebody else added one first."""
    return append_to(store, log, len(bodies), bodies[-1] if bodies else None, body)


def append_to(store: Store, log: str, number: int, last: bytes | None, body: bytes) -> bool:
    """The same for who has read the last entry alone: `last` is the body of entry `number`, None where that is 0."""
    if last is not None:
        _receipt(store, log, number, last)
    if not store.create_entry(log, number + 1, body):
        return False
    _receipt(store, log, number + 1, body)
    return True


def _receipt(store: Store, log: str, number: int, body: bytes) -> None:
    name, digest = f"receipts/{log}/{number}", digest_of(body).encode()
    if not store.create_document(name, digest) and store.document(name) not in (digest, None):  # None: not seen yet
        raise StoreError(f"entry {number} of {log!r}", "is not the one that its receipt is for", "Run fsck.")
