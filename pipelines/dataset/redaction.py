"""What a store remembers of erasure requests: documents beside the datasets, and the rows that may not come back.

    redactions/key               16 bytes in hexadecimal, drawn with the first redaction; never replaced
    redactions/<64 digits>       one redaction, under the digest of its own body

An id is kept as a keyed hash of its hash: whoever knows an id can ask whether it was among them; a table of hashes that was
made elsewhere is of no use. (Who has the store and a list of all possible ids can try them. No hash of ids helps against that.)
A version whose rows were taken out has a successor, which everything that names the version is given from then on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.digest import PREFIX, canonical_bytes, digest_of
from pipelines.dataset.errors import UnreadableDataset
from pipelines.dataset.ports import Store

FORMAT: Final = 1
REDACTIONS: Final = "redactions"
KEY: Final = f"{REDACTIONS}/key"
KEY_BYTES: Final = 16
REDACTED: Final = "redacted"
"""Why a prediction or a label is no row, among the other reasons."""


class Replaced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that lost rows, and what it is now; None where no row was left."""

    version: str
    successor: str | None
    rows: int


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One erasure. `digests`: keyed hashes of the ids. `removed`: the 64 digits of the blobs that held rows of them; without the
    prefix of a digest, since they are no references."""

    format: int
    created_by: str
    created_ms: int
    reason: str
    digests: tuple[str, ...]
    versions: tuple[Replaced, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Erased:
    """The ids that may not be rows any more. Without a redaction it costs nothing."""

    key: bytes = b""
    digests: frozenset[str] = frozenset()

    def among(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some ids, shape (n, 2), are erased."""
        if not self.digests:
            return np.zeros(len(hashes), np.bool_)
        raw = np.ascontiguousarray(hashes.astype("<u8")).tobytes()
        ends = range(16, len(raw) + 1, 16)
        return np.array([_keyed(raw[end - 16 : end], self.key) in self.digests for end in ends], np.bool_)


NOBODY: Final = Erased()


def keyed(hashes: NDArray[np.uint64], key: bytes) -> tuple[str, ...]:
    """What is kept of ids, shape (n, 2): sorted."""
    raw = np.ascontiguousarray(hashes.astype("<u8")).tobytes()
    return tuple(sorted(_keyed(raw[at : at + 16], key) for at in range(0, len(raw), 16)))


def _keyed(raw: bytes, key: bytes) -> str:
    return hashlib.blake2b(raw, key=key, digest_size=16).hexdigest()


def redactions(store: Store) -> list[Redaction]:
    """Every redaction of a store, in order of their times. Raises UnreadableDataset."""
    held = ((name, store.document(name)) for name in store.documents(REDACTIONS) if name != KEY)
    found = (decode(raw, f"document {name!r}") for name, raw in held if raw is not None)
    return sorted(found, key=lambda each: (each.created_ms, each.digests))


def erased(store: Store) -> Erased:
    """The ids that may not be rows of this store."""
    held = redactions(store)
    if not held:
        return Erased()
    return Erased(key_of(store), frozenset(digest for each in held for digest in each.digests))


class Erasures:
    """The ids that may not be rows of a store, asked for again and again: documents are read when there are new ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: list[str] = []
        self._erased = NOBODY

    def now(self) -> Erased:
        """Those of now."""
        names = self._store.documents(REDACTIONS)
        if names != self._names:
            self._names, self._erased = names, erased(self._store)
        return self._erased


def key_of(store: Store, drawn: bytes | None = None) -> bytes:
    """The key of a store; `drawn` is taken where there is none yet. Raises UnreadableDataset."""
    if drawn is not None:
        store.create_document(KEY, drawn.hex().encode())
    raw = store.document(KEY)
    try:
        return bytes.fromhex((raw or b"").decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise UnreadableDataset(f"document {KEY!r}", f"is no key: {error}", "Restore it from a copy.") from error


def successors(held: Iterable[Redaction]) -> dict[str, Replaced]:
    """By version that was replaced: what it is now, after all redactions."""
    found = {each.version: each for redaction in held for each in redaction.versions}
    return {version: _last(found, each) for version, each in found.items()}


def _last(found: Mapping[str, Replaced], each: Replaced) -> Replaced:
    rows = each.rows
    while each.successor is not None and each.successor in found:
        each = found[each.successor]
        rows += each.rows
    return Replaced(each.version, each.successor, rows)


def add(store: Store, redaction: Redaction) -> str:
    """Keep a redaction: from here on its versions are their successors. Gives the name of its document."""
    body = canonical_bytes(msgspec.to_builtins(redaction))
    name = f"{REDACTIONS}/{digest_of(body).removeprefix(PREFIX)}"
    store.create_document(name, body)
    return name


def decode(raw: bytes, where: str) -> Redaction:
    """Raises UnreadableDataset for a newer format, and for what is no redaction."""
    remedy = "Run the version of Driftline that wrote it, or a newer one."
    try:
        document: Any = json.loads(raw)
        if document["format"] > FORMAT:
            why = f"has format {document['format']}, this version of Driftline reads up to {FORMAT}"
            raise UnreadableDataset(where, why, remedy)
        return msgspec.convert(document, Redaction, strict=True)
    except (ValueError, TypeError, KeyError, RecursionError, msgspec.ValidationError) as error:
        raise UnreadableDataset(where, f"is no redaction that can be read: {error}", remedy) from error
