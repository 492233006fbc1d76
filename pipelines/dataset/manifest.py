"""What a dataset version is: an immutable manifest, named by the digest of its own canonical JSON.

It holds no name, no time of making and no maker: the same rows from the same ranges are the same version, whoever makes them
when. Those are in the naming (`Naming`), which is written after it.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from pipelines.dataset.digest import canonical_bytes, digest_of
from pipelines.dataset.errors import UnreadableDataset
from pipelines.dataset.table import Schema

FORMAT: Final = 1
"""Version of the documents in this file. Newer code reads older ones; older code refuses newer ones."""
REDACTED_FORMAT: Final = 2
"""Of a manifest that lost rows: what was made before has the digest that it had."""
BYTES_MAX: Final = 4 * 2**20
"""Documents are read whole. At about 230 bytes a segment that is 18,000 segments."""


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The running maximum of event time before the first offset of a range, and the (time, first word of the id in
    hexadecimal) that lie too far ahead of it. None: it had not started."""

    maximum_ms: int | None
    ahead: tuple[tuple[int, str], ...] = ()


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Offsets [start, end) of a partition, and its clock before them: reading these again gives the same outcomes."""

    start: int
    end: int
    clock: Clock


class PartitionSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read of one partition. `label_clock_ms` matters to `labels.absent` only, and is there only with it."""

    partition: int
    predictions: Range
    labels: Range | None = None
    label_clock_ms: int | None = None


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic; its id changes when it is deleted and made again."""

    name: str
    topic_id: str


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows come from. `partitions` in order; those without a row are not in it."""

    cluster: str
    predictions: Topic
    labels: Topic | None
    partitions: tuple[PartitionSource, ...]


class Offsets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Offsets [start, end) of a partition of the predictions."""

    partition: int
    start: int
    end: int


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which predictions are rows: event time in [from_ms, until_ms), offset in `offsets`, model in `models`; None: any.

    A prediction that came several times lies where its winning record lies, so it is in one of two adjacent ranges and
    not in both. No label whose time is after `label_cutoff_ms` counts. `ended`: the topics get nothing more, so
    what `labels.absent` says holds for every label that has not come. `ids`: ids are kept as they are, beside their hashes.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    offsets: tuple[Offsets, ...] | None = None
    models: tuple[str, ...] | None = None
    label_cutoff_ms: int | None = None
    ended: bool = False
    ids: bool = False


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Parquet file of rows: those of one block of offsets of one partition. Times are of the predictions in it."""

    partition: int
    block: int
    rows: int
    digest: str
    size_bytes: int
    first_ms: int
    last_ms: int


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records in the ranges, by stream; each is a row or used for one, or excluded for one reason."""

    predictions: dict[str, int]
    labels: dict[str, int]


class Redacted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version that this one replaces since rows were taken out of it for an erasure request, and how many in all."""

    of: str
    rows: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dataset version. `rules` is the part of the configuration that decides what a row is."""

    format: int
    source: Source
    selection: Selection
    horizon_ms: int
    rules: dict[str, Any]
    schema: Schema
    segments: tuple[Segment, ...]
    rows_digest: str
    rows: int
    unlabelled_rows: int
    records: dict[str, int]
    excluded: Counts
    wrong_type: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Rows whose value of a feature is null because it was no number, or no category. Written only where there are some:
    versions made before it was counted keep their digests."""
    redacted: Redacted | msgspec.UnsetType = msgspec.UNSET
    """Written only by a redaction."""

    @property
    def size_bytes(self) -> int:
        """Bytes of its segments."""
        return sum(segment.size_bytes for segment in self.segments)


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name for a version, given once."""

    format: int
    dataset: str
    created_by: str
    created_ms: int


def encode(document: Manifest | Naming) -> bytes:
    """Canonical JSON: equal documents have equal bytes."""
    return canonical_bytes(msgspec.to_builtins(document, str_keys=True))


def digest_of_manifest(manifest: Manifest) -> str:
    """What the version is called when machines speak of it."""
    return digest_of(encode(manifest))


def decode_manifest(raw: bytes, where: str) -> Manifest:
    """Raises UnreadableDataset."""
    found: Manifest = _decode(Manifest, raw, where, REDACTED_FORMAT)
    return found


def decode_naming(raw: bytes, where: str) -> Naming:
    """Raises UnreadableDataset."""
    found: Naming = _decode(Naming, raw, where, FORMAT)
    return found


def _decode(kind: Any, raw: bytes, where: str, newest: int) -> Any:
    foreign = "It was not written by Driftline, or it was changed since."
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableDataset(where, f"is not JSON: {error}", foreign) from error
    version = document.get("format") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UnreadableDataset(where, "cannot be read: it says no format version", foreign)
    if version > newest:
        why = f"has format {version}, this version of Driftline reads up to {newest}"
        raise UnreadableDataset(where, why, "Run the version of Driftline that wrote it, or a newer one.")
    try:
        return msgspec.convert(document, kind, strict=True)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half of a surrogate pair is JSON, and no text
        raise UnreadableDataset(where, f"cannot be read: {error}", foreign) from error
