"""Dataset versions in a store: made once, found by name or digest, read with every byte verified.

    datasets/versions/<64 digits>     the manifest, under its own digest
    datasets/names/2013-01            a name given to it, with who and when
    redactions/...                    versions that lost rows to an erasure request (`pipelines.dataset.redaction`)
    blobs                             the segments

    1. put the segments     by digest; what overlapping versions share is there already
    2. put the manifest     create-if-absent; if it is there, everything it names is there
    3. give the name        create-if-absent; the same name for the same version again is no error

A process that ends before step 2 has made nothing; what it put is found by `driftline registry gc` later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pipelines.dataset import parquet
from pipelines.dataset.digest import PREFIX, digest_of
from pipelines.dataset.errors import BadDataset, DatasetError, NameTaken, UnknownDataset, UnreadableDataset
from pipelines.dataset.manifest import (
    BYTES_MAX,
    FORMAT,
    Manifest,
    Naming,
    Segment,
    decode_manifest,
    decode_naming,
    encode,
)
from pipelines.dataset.ports import Store
from pipelines.dataset.redaction import Erased, erased, redactions, successors
from pipelines.dataset.row_digest import RowDigest
from pipelines.dataset.table import Table

VERSIONS: Final = "datasets/versions"
NAMES: Final = "datasets/names"
SHORTEST_PREFIX: Final = 6
LISTED_MOST: Final = 24

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]{0,99}")
_HEX: Final = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it lies in the store. `names` in order of their giving."""

    digest: str
    manifest: Manifest
    names: tuple[tuple[str, Naming], ...] = ()
    """Those of the versions that it replaces among them."""

    def __str__(self) -> str:
        return self.names[0][0] if self.names else self.digest


@dataclass(slots=True)
class Integrity:
    """What reading a version back found: no `faults` means that every byte and every row is as it was written."""

    rows: int = 0
    rows_digest: str = ""
    faults: list[str] = field(default_factory=list)


class Shelf:
    """The dataset versions of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- making --------------------------------------------------------------------------------------------------

    def put_segment(self, table: Table, partition: int, block: int) -> Segment:
        """Keep the rows of one block. Raises ExtraMissing."""
        at = table.ints("at_ms").values
        blob = self._store.put_blob([parquet.to_parquet(table)])
        return Segment(partition, block, len(table), blob.digest, blob.size_bytes, int(at.min()), int(at.max()))

    def add(self, manifest: Manifest, name: str | None = None) -> tuple[str, bool]:
        """Keep a manifest whose segments were put; (its digest, whether it is new). Raises NameTaken, without keeping it,
        when the `name` it is to be given is another version's."""
        body = encode(manifest)
        if len(body) > BYTES_MAX:
            why = f"has {len(manifest.segments):,} segments, which make a manifest of {len(body):,} bytes"
            raise BadDataset("the dataset", why, "Make several, of shorter ranges.")
        digest = digest_of(body)
        if name is not None and (held := self.naming(name)) is not None and held.dataset != digest:
            raise _taken(name, held.dataset, digest)
        return digest, self._store.create_document(f"{VERSIONS}/{digest.removeprefix(PREFIX)}", body)

    def name(self, name: str, digest: str, created_by: str, created_ms: int) -> bool:
        """Give a version a name; whether it is new. Raises NameTaken, BadDataset."""
        key = f"{NAMES}/{checked_name(name)}"
        if self._store.create_document(key, encode(Naming(FORMAT, digest, created_by, created_ms))):
            return True
        if (held := self.naming(name)) is not None and held.dataset != digest:
            raise _taken(name, held.dataset, digest)
        return False

    # -- finding -------------------------------------------------------------------------------------------------

    def naming(self, name: str) -> Naming | None:
        """What a name says, None when it was not given."""
        raw = self._store.document(f"{NAMES}/{checked_name(name)}")
        return None if raw is None else decode_naming(raw, f"name {name!r}")

    def erased(self) -> Erased:
        """The ids whose rows were taken out: no version may have them again."""
        return erased(self._store)

    def names(self) -> dict[str, list[tuple[str, Naming]]]:
        """The names of each version by its digest, oldest first; of one that lost rows, by its successor's."""
        found: dict[str, list[tuple[str, Naming]]] = {}
        replaced = successors(redactions(self._store))
        for key in self._store.documents(NAMES):
            name = key.removeprefix(f"{NAMES}/")
            if (naming := self.naming(name)) is not None:
                now = replaced.get(naming.dataset)
                found.setdefault(naming.dataset if now is None else now.successor or "", []).append((name, naming))
        return {digest: sorted(each, key=lambda n: (n[1].created_ms, n[0])) for digest, each in found.items()}

    def versions(self) -> list[Version]:
        """All of them, those with names first and in order of naming. One that lost rows is there as its successor."""
        names, replaced = self.names(), successors(redactions(self._store))
        held = (PREFIX + key.removeprefix(f"{VERSIONS}/") for key in self._store.documents(VERSIONS))
        digests = [digest for digest in held if digest not in replaced]
        made = [Version(digest, self._manifest(digest), tuple(names.get(digest, ()))) for digest in digests]
        return sorted(made, key=lambda v: (not v.names, v.names[0][1].created_ms if v.names else 0, v.digest))

    def version(self, spec: str) -> Version:
        """The version of a name, a digest, or the first digits of one; its successor where rows were taken out. Raises
        UnknownDataset."""
        digest = self._digest_of(spec)
        if (now := successors(redactions(self._store)).get(digest)) is not None:
            if now.successor is None:
                why = f"has no row left: all {now.rows:,} were taken out for erasure requests"
                raise UnknownDataset(f"dataset {spec!r}", why, "`driftline dataset list` shows what there is.")
            digest = now.successor
        return Version(digest, self._manifest(digest), tuple(self.names().get(digest, ())))

    def _digest_of(self, spec: str) -> str:
        if not spec.startswith(PREFIX) and _NAME.fullmatch(spec) and (naming := self.naming(spec)) is not None:
            return naming.dataset
        digits = spec.removeprefix(PREFIX)
        every = [key.removeprefix(f"{VERSIONS}/") for key in self._store.documents(VERSIONS)]
        if _HEX.fullmatch(digits) and len(digits) >= SHORTEST_PREFIX:
            found = [each for each in every if each.startswith(digits)]
            if len(found) == 1:
                return PREFIX + found[0]
            if found:
                raise UnknownDataset(f"dataset {spec!r}", f"may be any of {len(found)}", "Write more digits.")
        from difflib import get_close_matches

        known = [key.removeprefix(f"{NAMES}/") for key in self._store.documents(NAMES)]
        near = get_close_matches(spec, known, 1)
        more = f" and {len(known) - LISTED_MOST} more" if len(known) > LISTED_MOST else ""
        remedy = "`driftline dataset list` shows what there is."
        if known:
            remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known[:LISTED_MOST])}{more}."
        raise UnknownDataset(f"dataset {spec!r}", "is not in this store", remedy)

    def _manifest(self, digest: str) -> Manifest:
        where = f"dataset {digest}"
        raw = self._store.document(f"{VERSIONS}/{digest.removeprefix(PREFIX)}")
        if raw is None:
            raise UnknownDataset(where, "is not in this store", "Its name is, so it was lost: restore it from a copy.")
        if digest_of(raw) != digest:
            why = f"holds a manifest that is {digest_of(raw)}"
            raise UnreadableDataset(where, why, "Restore it from a copy.")
        return decode_manifest(raw, where)

    # -- reading -------------------------------------------------------------------------------------------------

    def tables(self, manifest: Manifest) -> Iterator[Table]:
        """The rows, segment by segment, in their order. Raises what the store raises for damage."""
        for segment in manifest.segments:
            yield self.table(manifest, segment)

    def table(self, manifest: Manifest, segment: Segment) -> Table:
        """The rows of one segment."""
        raw = b"".join(self._store.blob(segment.digest))
        return parquet.from_parquet(raw, manifest.schema, where(segment))

    def check(self, manifest: Manifest, errors: tuple[type[Exception], ...]) -> Iterator[Integrity]:
        """Read every segment and compare; yields what is known after each. `errors`: what the store raises for damage."""
        found, whole = Integrity(), RowDigest(manifest.schema)
        caught: tuple[type[Exception], ...] = (DatasetError, *errors)
        for segment in manifest.segments:
            try:
                table = self.table(manifest, segment)
            except caught as error:
                found.faults.append(f"{where(segment)}: {error}")
                continue
            found.faults += _differences(segment, table)
            whole.add(table)
            found.rows = whole.rows
            yield found
        found.rows_digest = whole.digest()
        if not found.faults and found.rows_digest != manifest.rows_digest:
            found.faults.append(f"the rows are {found.rows_digest}, and the manifest says {manifest.rows_digest}")
        if not found.faults and found.rows != manifest.rows:
            found.faults.append(f"there are {found.rows:,} rows, and the manifest says {manifest.rows:,}")
        yield found


def where(segment: Segment) -> str:
    """A segment in a sentence."""
    return f"segment {segment.block} of partition {segment.partition}"


def checked_name(name: str) -> str:
    """The name itself. Raises BadDataset."""
    if not _NAME.fullmatch(name) or name.endswith((".entry", ".document")):
        remedy = "Use letters, digits and '._=+-', at most 100, not beginning with a dot."
        raise BadDataset(f"the name {name!r}", "cannot be used", remedy)
    return name


def _taken(name: str, held: str, made: str) -> NameTaken:
    why = f"is the name of {held}, and what was made now is {made}"
    return NameTaken(f"dataset {name!r}", why, "Names do not move; give another one.")


def _differences(segment: Segment, table: Table) -> Iterator[str]:
    if len(table) != segment.rows:
        yield f"{where(segment)}: it has {len(table):,} rows instead of {segment.rows:,}"
        return
    at = table.ints("at_ms").values
    if (int(at.min()), int(at.max())) != (segment.first_ms, segment.last_ms):
        yield f"{where(segment)}: its event times are not those of the manifest"
