"""Joined rows that outlive their topics: an archive is a log of commits in a store, each of which names segments.

    archive/NAME #1              what the archive is of: cluster, topics, rules, columns, width of a pane
    archive/NAME #2, #3, ...     a commit: what one reading of one partition gave, and how far it went
    blobs                        the segments: the rows of one pane (stretch of event time) of one partition, as Parquet

A commit is "who created entry n first", so of two writers one is told that he was second, folds again, and finds the work
done: every pane is written exactly once. What changed since (a late label, a correction, rows that were taken out) is a
successor of the segment, in a later commit; the one before it stays in the store, unless an erasure took it.

Rows are those of a dataset version (`table`), and the offset of the prediction, so that a version made of the archive has
its rows in the order in which the topics would give them, and the same digest of rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from pipelines.dataset import parquet
from pipelines.dataset.digest import canonical_bytes
from pipelines.dataset.errors import BadDataset, DatasetError, UnknownDataset, UnreadableDataset
from pipelines.dataset.manifest import Clock, PartitionSource, Topic
from pipelines.dataset.ports import Store
from pipelines.dataset.row_digest import RowDigest
from pipelines.dataset.table import Field, Ints, Schema, Table, Type

FORMAT: Final = 1
LOGS: Final = "archive"
OFFSET: Final = "offset"
OFFSET_FIELD: Final = Field(OFFSET, Type.INT)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]{0,99}")


class LogStore(Store, Protocol):
    """A store with logs of numbered entries. `registry.store.Store` is one."""

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        """Create entry `number`, durably, unless there is one; True for the one writer who did."""

    def entry(self, log: str, number: int) -> bytes | None:
        """The body of an entry, None when there is none."""

    def last(self, log: str) -> int:
        """The largest number in the log, 0 for an empty one."""

    def logs(self, prefix: str = "") -> list[str]:
        """Names of the logs below `prefix`, sorted."""


class Why(StrEnum):
    """What a segment was written for."""

    CLOSED = "closed"  # the first of its pane: no prediction can come any more
    REVISED = "revised"  # labels came or were corrected, predictions were withdrawn
    FINAL = "final"  # the same rows, and nothing can change them any more but an erasure
    REDACTED = "redacted"  # rows were taken out for an erasure request


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="begun", tag_field="kind"):
    """What an archive is of. `rules`: the part of the configuration that decides what a row is."""

    format: int
    created_by: str
    created_ms: int
    pane_ms: int
    cluster: str
    predictions: Topic
    labels: Topic | None
    horizon_ms: int
    rules: dict[str, Any]
    ids: bool


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An offset, and the clock before it."""

    offset: int
    clock: Clock


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of the pane [from_ms, until_ms) of the commit's partition. `digest`: the blob, None where no row is left.
    `final`: nothing can change it any more but an erasure. `partial`: records of it had left the topics before."""

    from_ms: int
    until_ms: int
    why: Why
    rows: int
    unlabelled_rows: int
    rows_digest: str
    digest: str | None
    size_bytes: int
    final: bool
    partial: bool
    source: PartitionSource


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="commit", tag_field="kind"):
    """Segments of one partition. Panes from `open_ms` on can still change: the first records that touch one are at the offsets
    `needed` of both topics, and the next reading begins at `predictions` and `labels`, a little before. None in a commit of
    an erasure, which reads nothing, and may have no segment: who comes behind it knows of the erasure. `lost`: offsets from
    `needed` on that had left the topics by now."""

    format: int
    written_ms: int
    partition: int
    schema: Schema
    segments: tuple[Segment, ...]
    open_ms: int | None = None
    predictions: Position | None = None
    labels: Position | None = None
    needed: tuple[int, int] = (0, 0)
    lost: tuple[int, int] = (0, 0)


Key = tuple[int, int]
"""Partition, beginning of the pane."""


@dataclass(slots=True)
class State:
    """An archive as its log says: `current` segments by key with the number and columns of their commits, all blobs ever,
    and how far each partition was read."""

    begun: Begun
    last: int = 1
    current: dict[Key, tuple[int, Schema, Segment]] = field(default_factory=dict)
    blobs: dict[str, tuple[Key, Schema]] = field(default_factory=dict)
    reached: dict[int, Commit] = field(default_factory=dict)
    lost: dict[int, tuple[int, int]] = field(default_factory=dict)
    erasures: set[int] = field(default_factory=set)  # times of those that have gone through it

    def add(self, number: int, commit: Commit) -> None:
        """The next commit."""
        self.last = number
        for segment in commit.segments:
            key = commit.partition, segment.from_ms
            self.current[key] = number, commit.schema, segment
            if segment.digest is not None:
                self.blobs[segment.digest] = key, commit.schema
        if commit.open_ms is not None:
            self.reached[commit.partition] = commit
        else:
            self.erasures.add(commit.written_ms)
        before = self.lost.get(commit.partition, (0, 0))
        self.lost[commit.partition] = before[0] + commit.lost[0], before[1] + commit.lost[1]


class Archive:
    """One archive of a store."""

    def __init__(self, store: LogStore, name: str) -> None:
        """Raises BadDataset for what is no name."""
        if not _NAME.fullmatch(name) or name.endswith((".entry", ".document")):
            remedy = "Use letters, digits and '._=+-', at most 100, not beginning with a dot."
            raise BadDataset(f"the name {name!r} of an archive", "cannot be used", remedy)
        self.name, self.log, self._store = name, f"{LOGS}/{name}", store

    def begin(self, begun: Begun) -> State:
        """The archive, made if there is none. Raises BadDataset where it is of other topics, rules or panes."""
        self._store.create_entry(self.log, 1, canonical_bytes(msgspec.to_builtins(begun)))
        state = self.state()
        told, asked = (msgspec.structs.asdict(each) for each in (state.begun, begun))
        differing = sorted(n for n in told if n not in ("format", "created_by", "created_ms") and told[n] != asked[n])
        if differing:
            why = f"is of other {', '.join(differing)} than what is asked for"
            raise BadDataset(f"archive {self.name!r}", why, "Write another archive: --name NAME.")
        return state

    def state(self) -> State:
        """What the log says. Raises UnknownDataset where there is no archive."""
        raw = self._store.entry(self.log, 1)
        if raw is None:
            known = ", ".join(names(self._store)) or "none"
            raise UnknownDataset(f"archive {self.name!r}", "is not in this store", f"There are: {known}.")
        begun = decode(raw, f"entry 1 of {self.log}")
        if not isinstance(begun, Begun):
            raise UnreadableDataset(f"entry 1 of {self.log}", "does not begin an archive", "Restore it from a copy.")
        state = State(begun)
        for number in range(2, self._store.last(self.log) + 1):
            where = f"entry {number} of {self.log}"
            raw = self._store.entry(self.log, number)
            found = None if raw is None else decode(raw, where)
            if not isinstance(found, Commit):
                raise UnreadableDataset(where, "is no commit of an archive", "Restore it from a copy.")
            state.add(number, found)
        return state

    def put(self, table: Table) -> tuple[str | None, int]:
        """Keep rows; the digest and the size of their blob."""
        if not len(table):
            return None, 0
        blob = self._store.put_blob([parquet.to_parquet(table)])
        return blob.digest, blob.size_bytes

    def commit(self, state: State, commit: Commit) -> bool:
        """Add a commit behind what was folded; False when another writer was first."""
        if not self._store.create_entry(self.log, state.last + 1, canonical_bytes(msgspec.to_builtins(commit))):
            return False
        state.add(state.last + 1, commit)
        return True

    def table(self, schema: Schema, digest: str) -> Table:
        """The rows of a segment. Raises what the store raises for damage."""
        return parquet.from_parquet(b"".join(self._store.blob(digest)), schema, f"segment {digest} of {self.log}")

    def check(self, state: State, errors: tuple[type[Exception], ...]) -> Iterator[str]:
        """A sentence for every current segment that is not what its commit says."""
        caught: tuple[type[Exception], ...] = (DatasetError, *errors)
        for (partition, _), (_, schema, segment) in sorted(state.current.items()):
            if segment.digest is None:
                continue
            where = f"pane {segment.from_ms} of partition {partition}"
            try:
                table = self.table(schema, segment.digest)
            except caught as error:
                yield f"{where}: {error}"
                continue
            if (len(table), digest_of_rows(table)) != (segment.rows, segment.rows_digest):
                yield f"{where}: its rows are not those that were archived"


def names(store: LogStore) -> list[str]:
    """The archives of a store."""
    return [log.removeprefix(f"{LOGS}/") for log in store.logs(LOGS)]


def with_offsets(table: Table, offsets: np.ndarray) -> Table:
    """Rows of a dataset with the offsets of their predictions."""
    return Table({**table.columns, OFFSET: Ints(offsets, np.zeros(len(offsets), np.bool_))})


def digest_of_rows(table: Table) -> str:
    """The digest of the rows of one segment."""
    whole = RowDigest(table.schema)
    whole.add(table)
    return whole.digest()


def decode(raw: bytes, where: str) -> Begun | Commit:
    """Raises UnreadableDataset for a newer format, and for what is no entry of an archive."""
    remedy = "Run the version of Driftline that wrote it, or a newer one."
    try:
        document: Mapping[str, Any] = json.loads(raw)
        if document["format"] > FORMAT:
            why = f"has format {document['format']}, this version of Driftline reads up to {FORMAT}"
            raise UnreadableDataset(where, why, remedy)
        return msgspec.convert(document, Begun | Commit, strict=True)
    except (ValueError, TypeError, KeyError, RecursionError, msgspec.ValidationError) as error:
        raise UnreadableDataset(where, f"is no entry of an archive: {error}", remedy) from error
