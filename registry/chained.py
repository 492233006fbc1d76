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
    bodies: list[bytes] = []
    last = store.last(log)
    while True:
        number = len(bodies) + 1
        # Its receipt is asked for first: one that is there promises an entry, also when it came this very moment.
        promised = number > last and store.document(receipt_name(log, number)) is not None
        body = store.entry(log, number)
        if body is not None:
            bodies.append(body)
        elif number <= last:
            raise Missing(f"entry {number} of {log!r}", "the log goes on after it")
        elif promised:
            raise Missing(f"entry {number} of {log!r}", f"there is a receipt for it, {receipt_name(log, number)!r}")
        else:
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
    if not store.create_document(name, digest) and (found := store.document(name)) not in (
        digest,
        None,
    ):  # None: not seen yet
        raise Damaged(f"entry {number} of {log!r}", f"its receipt is for {found.decode()}, it is {digest.decode()}")
