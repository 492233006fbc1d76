"""Reading and extending a log of the registry over a store: whole, in order, with receipts.

Every entry has a receipt, a document in another place that holds its digest. An entry that was removed from the end of
its log would otherwise leave no trace: the log would just be shorter. A writer that ends between entry and receipt
leaves the last receipt out; the next writer makes up for it before it adds anything.
"""

from __future__ import annotations

from registry.digest import digest_of
from registry.errors import Damaged, Missing
from registry.store import Store


def read_log(store: Store, log: str) -> list[bytes]:
    """Bodies of all entries, in order. Raises Missing for a number that is left out, Damaged."""
    bodies = []
    for number in range(1, store.last(log) + 1):
        body = store.entry(log, number)
        if body is None:
            raise Missing(f"entry {number} of {log!r}", "the log goes on after it")
        bodies.append(body)
    receipt = receipt_name(log, len(bodies) + 1)
    if store.document(receipt) is not None:
        raise Missing(f"entry {len(bodies) + 1} of {log!r}", f"there is a receipt for it, {receipt!r}")
    return bodies


def append(store: Store, log: str, bodies: list[bytes], body: bytes) -> bool:
    """Add `body` after the entries that were read; False when somebody else added one first."""
    number = len(bodies) + 1
    if bodies:
        _receipt(store, log, number - 1, bodies[-1])
    if not store.create_entry(log, number, body):
        return False
    _receipt(store, log, number, body)
    return True


def receipt_name(log: str, number: int) -> str:
    """The document that says that an entry was there, and which."""
    return f"receipts/{log}/{number}"


def _receipt(store: Store, log: str, number: int, body: bytes) -> None:
    name, digest = receipt_name(log, number), digest_of(body).encode()
    if not store.create_document(name, digest) and (found := store.document(name)) != digest:
        raise Damaged(
            f"entry {number} of {log!r}",
            f"its receipt is for {(found or b'nothing').decode()}, it is {digest.decode()}",
        )
