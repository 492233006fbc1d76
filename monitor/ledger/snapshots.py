"""The state of a partition's join, saved: the header of a snapshot. Its columns follow as plain bytes, in the order named.

A snapshot is bound to the commit after which it was made: namespace, cluster, partition, digest of the configuration's
meaning, and the place of the commit in the ledger with its digest. Who reads it asks the ledger for that record.

Nothing depends on one: it saves reading the sources, and what comes of it must have the digest that the last commit
recorded, as after any rebuild.
"""

from __future__ import annotations

import msgspec

from monitor.errors import MonitorError
from monitor.ingest.clocks import NEVER
from monitor.ledger.checkpoints import Place
from monitor.ledger.records import Clock, GroupName

FORMAT = 2
"""Version of the header and of the columns. Higher ones are left aside. Format 1 knew no restamped keys."""


class SnapshotError(MonitorError):
    """A snapshot cannot be used, or not be written. Nothing is lost: the sources are read instead."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"snapshot {where} cannot be used: {why}")
        self.where, self.why = where, why


class SavedMark(msgspec.Struct, frozen=True, array_like=True):
    """`floors.Mark`."""

    offset: int
    clock: Clock
    newest_ms: int
    until_ms: int = NEVER


class SavedSpan(msgspec.Struct, frozen=True, array_like=True):
    """`restamped.Span`; `group` is a place in the snapshot's groups."""

    id: tuple[int, int]
    group: int
    offset: int
    stands: tuple[tuple[int, int, bool], ...]
    latest_ms: int
    followed: bool


class SavedFact(msgspec.Struct, frozen=True, array_like=True):
    """`timeline.PredictionFact`; `group` is a place in the snapshot's groups."""

    at_ms: int
    known: int
    score: float
    predicted: int
    group: int
    bins: bytes


class SavedHistory(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a prediction besides its row. `cancelled`: its withdrawal came and it did not."""

    row: int
    cancelled: bool
    withdrawn_tick: int | None
    facts: tuple[SavedFact, ...]


class ColumnOf(msgspec.Struct, frozen=True, array_like=True):
    """Name, NumPy's word for the type (little-endian) and shape of a column."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """Everything but the columns."""

    format: int
    namespace: str
    cluster_id: str
    partition: int
    config: str
    place: Place  # of the commit in the ledger partition
    sequence: int  # of the commit
    next_offsets: tuple[int, int]
    clocks: tuple[Clock, Clock]
    marks: tuple[tuple[SavedMark, ...], tuple[SavedMark, ...]]
    groups: tuple[GroupName, ...]
    histories: tuple[SavedHistory, ...]
    columns: tuple[ColumnOf, ...]
    restamped: tuple[SavedSpan, ...] = ()


class _Versioned(msgspec.Struct):
    format: int


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_headers: msgspec.msgpack.Decoder[Snapshot] = msgspec.msgpack.Decoder(Snapshot)
_versions: msgspec.msgpack.Decoder[_Versioned] = msgspec.msgpack.Decoder(_Versioned)


def encode_header(snapshot: Snapshot) -> bytes:
    """The bytes of a header."""
    return _encoder.encode(snapshot)


def decode_header(raw: bytes, where: str) -> Snapshot:
    """A header. Raises SnapshotError when it is of a newer format, or none."""
    try:
        version = _versions.decode(raw).format
        if version > FORMAT:
            raise SnapshotError(where, f"it has format {version}, this version reads up to {FORMAT}")
        return _headers.decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotError(where, f"its header is damaged ({error})") from error
