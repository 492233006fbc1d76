"""The records of the ledger and of `evals`, and their codec.

One record is one append. They are MessagePack maps with short keys, a `kind` tag and a format version; arrays of
integers are little-endian bytes in the narrowest width that holds them. Newer code reads older versions; older code
refuses newer ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from monitor.editions import RELEASES, Edition, Named
from monitor.errors import LedgerError, NewerVersion
from monitor.events import Int64s
from monitor.ingest.clocks import ClockState
from monitor.ledger.roster import Adopted, Roster

FORMAT = 1
"""Version of every durable record in this file, but for those that say otherwise."""
GAP_FORMAT = 2
"""Of a gap with an empty range, which versions that read up to 1 would take for no gap at all."""
SWITCH_FORMAT = 3
"""Of an evaluation that names a generation, which versions that read up to 2 do not know."""
PANE_FORMAT = 4
"""Of an evaluation from which on other windows are begun, which versions that read up to 3 do not know."""
PARTIAL_FORMAT = 5
"""Of a gap that says which windows are partial, which versions that read up to 4 would count as whole."""
ROSTER_FORMAT = 6
"""Of a commit that counts by a roster of models, and of an evaluation that changes it: versions that read up to 5 would count
other models."""
ROWS_FORMAT = 7
"""Of a commit that counts rows beside records, which versions that read up to 6 would take for a loss of records."""
EDITION_FORMAT = 8
"""Of whatever names an edition after the first: versions that read up to 7 would count and decide otherwise."""
SENSE_FORMAT = 9
"""Of what has ROSTER_FORMAT where a model has had more than one sense: versions that read up to 8 would take those for other
models."""
NEWEST = 9
"""What this code reads up to."""

_WIDTHS = (np.int8, np.int16, np.int32, np.int64)


class SourceTopic(msgspec.Struct, frozen=True):
    """A source topic as it was when the ledger began."""

    name: str
    topic_id: str
    partitions: int


class Genesis(msgspec.Struct, frozen=True, tag="genesis", tag_field="kind"):
    """The first record of a ledger partition: what it is about. The first one counts."""

    format: int
    cluster_id: str
    partition: int
    predictions: SourceTopic
    labels: SourceTopic | None
    prediction_start: int
    label_start: int
    config: str  # digest
    edition: Named = msgspec.UNSET
    """That a namespace begins with; every partition with the same. Written (EDITION_FORMAT) from the second on."""


class Fence(msgspec.Struct, frozen=True, tag="fence", tag_field="kind"):
    """A new owner. Counts iff `epoch` is greater than the current one. `owner` is drawn at random per opening."""

    format: int
    epoch: int
    owner: str


class Clock(msgspec.Struct, frozen=True):
    """A partition clock: the running maximum, and the records too far ahead of it as (time, id) pairs."""

    maximum_ms: int
    ahead: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def of(state: ClockState) -> Clock:
        """From the engine's value."""
        return Clock(state.maximum_ms, state.ahead)

    def state(self) -> ClockState:
        """To the engine's value."""
        return ClockState(self.maximum_ms, tuple(tuple(pair) for pair in self.ahead))  # type: ignore[misc]


class Floor(msgspec.Struct, frozen=True):
    """Where a rebuild of one stream starts: the first offset still needed and the clock before it."""

    offset: int
    clock: Clock


class GroupName(msgspec.Struct, frozen=True, array_like=True):
    """A group as text: model, version, (dimension, value) pairs."""

    model: str
    version: str
    segments: tuple[tuple[str, str], ...]


class Delta(msgspec.Struct, frozen=True):
    """What a commit adds to the windows, one kind of vector: `summary.Sums` with codes into the commit's groups."""

    group: bytes
    pane: bytes
    tick: bytes
    length: bytes
    cell: bytes
    amount: bytes

    def column(self, name: str) -> Int64s:
        """One column as int64."""
        return unpack(getattr(self, name))


class Remembered(msgspec.Struct, frozen=True):
    """Predictions that came before the floor and are dropped, by which a rebuild remembers their keys: `restamped.Known` in
    columns. Ids are two unsigned words, packed as if they were signed; `group` is a place in `groups`, which are its own:
    a checkpoint keeps a commit without the groups of its sums."""

    groups: tuple[GroupName, ...]
    group: bytes
    first: bytes
    second: bytes
    at: bytes
    unseen: bytes

    def column(self, name: str) -> Int64s:
        """One column as int64."""
        return unpack(getattr(self, name))


class Flood(msgspec.Struct, frozen=True, array_like=True):
    """A flood of bad records in one stream of a partition, as it stood at the commit."""

    stream: int  # 0 predictions, 1 labels
    records: int  # of the stretch that is being counted
    bad: int
    since_ms: int  # the log's own time of the records that began it: a bad record has no event time


class Unreadable(msgspec.Struct, frozen=True, array_like=True):
    """None of the newest records of one stream of a partition could be used, as it stood at the commit."""

    stream: int  # 0 predictions, 1 labels
    since_ms: int  # the log's own time of the first of them
    reason: str  # of the newest one


class Commit(msgspec.Struct, frozen=True, tag="commit", tag_field="kind"):
    """One micro-batch. Counts iff epoch and owner match, `sequence` is the next and both ranges start where the last
    ended. Ranges are half-open offsets of the source partition."""

    format: int
    epoch: int
    owner: str
    sequence: int
    previous: bytes  # digest of the last accepted record
    predictions: tuple[int, int]
    labels: tuple[int, int]
    prediction_clock: Clock
    label_clock: Clock
    prediction_floor: Floor
    label_floor: Floor
    config: str
    prediction_outcomes: dict[str, int]  # totals since genesis
    label_outcomes: dict[str, int]
    records: tuple[int, int]  # records read since genesis: predictions, labels
    held: tuple[int, int]  # rows of join state: predictions, labels
    state: int  # digest of the join state
    groups: tuple[GroupName, ...]
    inputs: Delta | None
    performance: Delta | None
    idle: bool = False
    stalled: bool = False  # the label feed, a recorded decision of the owner
    flooding: bool = False  # dead letters are cut to pointers, likewise
    ended: bool = False
    full: bool | msgspec.UnsetType = msgspec.UNSET
    """The join is at its limit and predictions wait. Written only where it is so: older records keep their bytes."""
    quiet: bool | msgspec.UnsetType = msgspec.UNSET
    """Labels come and predictions do not, as the owner decided. Written only where it is so, likewise."""
    floods: tuple[Flood, ...] | msgspec.UnsetType = msgspec.UNSET
    """What `flooding` is about. Written only where it is so; absent beside `flooding` in records of earlier versions."""
    silent: bool | msgspec.UnsetType = msgspec.UNSET
    """No prediction came for longer than `quality` allows, as the owner decided. Written only where it is so, likewise."""
    remembered: Remembered | msgspec.UnsetType = msgspec.UNSET
    """What a rebuild of the predictions must know beside the floor. Written only where there is any, likewise."""
    unlisted_ms: int | msgspec.UnsetType = msgspec.UNSET
    """The newest event time of a prediction that was rejected for its model, NEVER where none was. Written once anything was
    rejected; absent beside rejections where an earlier version counted them."""
    unlisted_clock: Clock | msgspec.UnsetType = msgspec.UNSET
    """The clock over what counts and what was rejected for its model alone. Written once anything was; absent where an earlier
    version counted it."""
    rosters: tuple[Adopted, ...] | msgspec.UnsetType = msgspec.UNSET
    """Which roster counts from which offset on, as far back as a rebuild reads. Written (ROSTER_FORMAT) once models changed."""
    unlisted_ahead: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    """Of predictions that were rejected for their model: the newest event time within reach of `unlisted_clock` (NEVER for
    none), then the times beyond it, ascending, the nearest of them. Written only where there are any beyond; absent in records
    of earlier versions."""
    rows: tuple[int, int] | msgspec.UnsetType = msgspec.UNSET
    """Rows read since genesis: predictions, labels. Written (ROWS_FORMAT) where a record of either stream may hold several, or
    none; elsewhere each record is a row."""

    unreadable: tuple[Unreadable, ...] | msgspec.UnsetType = msgspec.UNSET
    """Streams of which nothing can be used any more. Written only where there is one, likewise."""

    edition: Named = msgspec.UNSET
    """By which its sums are counted. Written (EDITION_FORMAT) from the second on."""

    gone_by: tuple[int, int] | msgspec.UnsetType = msgspec.UNSET
    """Of predictions and labels: the first tick that had not gone by, as the owner decided by its wall clock
    (`monitor.frontier`); 0 for none. Written from the third edition on, where there is one that the clock of the stream does
    not say."""

    @property
    def rows_read(self) -> tuple[int, int]:
        """What is accounted for."""
        return self.records if isinstance(self.rows, msgspec.UnsetType) else self.rows


class Gap(msgspec.Struct, frozen=True, tag="gap", tag_field="kind"):
    """An operator's decision: records that left the log before they were read count as lost.

    With an empty range (GAP_FORMAT) none is lost unread; but records that were counted have left the log, and the rows
    that they made can not be held again. What was held then is given up, in every gap: see `Partition.give_up`."""

    format: int
    stream: str  # "predictions" or "labels"
    lost: tuple[int, int]
    who: str
    why: str
    previous: bytes
    until_ms: int | msgspec.UnsetType = msgspec.UNSET
    """No record that was lost unread has a later event time; 0 where none was. Absent in records of earlier versions,
    whose windows are not marked: they were decided so."""


class Unowned(msgspec.Struct, frozen=True, array_like=True):
    """A decision of the evaluator: these partitions have no owner, at this time of its wall clock."""

    partitions: tuple[int, ...]
    wall_ms: int


class Generation(msgspec.Struct, frozen=True, array_like=True):
    """A decision of the evaluator: from here on the rules of its own configuration hold, as the n-th of the namespace."""

    number: int
    since_ms: int  # wall clock of the worker that decided it, when it first read this configuration
    reason: str  # how it came to read it: "start", "signal", "file"


class EvalCommit(msgspec.Struct, frozen=True, tag="eval", tag_field="kind"):
    """What the evaluator consumed and decided: the same rule as Commit, on the one partition of `evals`."""

    format: int
    epoch: int
    owner: str
    sequence: int
    previous: bytes
    ledger: tuple[int, ...]  # next ledger offset per partition
    input_tick: int  # ticks below are closed
    performance_tick: int
    published: int  # records decided on since genesis
    digest: bytes  # chained digest of every canonical payload since genesis
    config: str
    rules: str  # digest of the whole configuration, whose document is in `configs`
    settled: bool = False  # the end of input was reached and everything is settled
    unowned: Unowned | msgspec.UnsetType = msgspec.UNSET
    """Which partitions have no owner from here on. Written only where it changes: older records keep their bytes."""


class EvalSwitch(EvalCommit, frozen=True, tag="switch", tag_field="kind", kw_only=True):
    """An evaluation from which on another generation of the configuration holds: that of `rules` (SWITCH_FORMAT). A kind of
    its own, because one more key would change the bytes of every evaluation."""

    generation: Generation
    roster: Roster | msgspec.UnsetType = msgspec.UNSET
    """The models from here on. Written only where they are others than before (ROSTER_FORMAT)."""


class EvalPane(EvalSwitch, frozen=True, tag="pane", tag_field="kind", kw_only=True):
    """An `EvalSwitch` to a configuration with other windows (PANE_FORMAT): they hold for spans of event time that start at
    `windows_from_ms` or later, the start of a pane of which nothing had been read."""

    windows_from_ms: int


class EvalModels(EvalCommit, frozen=True, tag="models", tag_field="kind", kw_only=True):
    """An evaluation from which on windows of models begin that had waited for owners to count them (ROSTER_FORMAT)."""

    roster: Roster


class EvalEdition(EvalCommit, frozen=True, tag="edition", tag_field="kind", kw_only=True):
    """An evaluation that was decided by an edition after the first (EDITION_FORMAT). It says beside that what the kinds above
    say, each where it changes something."""

    edition: Edition
    edition_from_ms: int | msgspec.UnsetType = msgspec.UNSET
    """Where that is another edition than before: windows that start at this event time or later are of it, the start of a pane
    of which nothing had been read. Those before stay of theirs."""
    generation: Generation | msgspec.UnsetType = msgspec.UNSET
    windows_from_ms: int | msgspec.UnsetType = msgspec.UNSET
    roster: Roster | msgspec.UnsetType = msgspec.UNSET


Record = Genesis | Fence | Commit | Gap | EvalCommit | EvalSwitch | EvalPane | EvalModels | EvalEdition


def format_of_commit(edition: Named, *, opens: bool, rosters: int) -> int:
    """The least that a commit needs: `opens` where it counts rows beside records; `rosters`: what those that it names need."""
    of_edition = FORMAT if edition is msgspec.UNSET else EDITION_FORMAT
    return max(rosters, of_edition, ROWS_FORMAT if opens else FORMAT)


def format_of_roster(roster: Roster, number: int | None = None) -> int:
    """That of a record that counts by a roster, as it was under a number, or changes to it."""
    return SENSE_FORMAT if roster.several_at(roster.number if number is None else number) else ROSTER_FORMAT


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Bytes of a record."""
    return _encoder.encode(record)


def decode(raw: bytes, where: str) -> Record:
    """The record in `raw`; `where` names it in errors.

    Raises LedgerError for bytes that are no record, NewerVersion for a newer format than this code reads.
    """
    try:
        fields = msgspec.msgpack.decode(raw)
        version = msgspec.convert(fields["format"], int)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"{where} is not a ledger record: {error}", "Something else wrote to this topic.") from error
    if version > NEWEST:
        raise NewerVersion(
            f"{where} has format {version}, this version of Driftline reads up to {NEWEST}", release_of(fields)
        )
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{where} is not a ledger record: {error}", "Something else wrote to this topic.") from error


def release_of(fields: Mapping[str, Any]) -> str | None:
    """The release that a record of any later format needs, by the edition that it names; None where this code knows that one:
    it is something else then that is later."""
    match fields.get("edition"):
        case [int(number), str(release), *_] if number not in RELEASES:
            return release
    return None


def digest_of(raw: bytes) -> bytes:
    """Digest of a record's bytes: BLAKE2b, 128 bits."""
    return hashlib.blake2b(raw, digest_size=16).digest()


def pack(values: Int64s | Sequence[int]) -> bytes:
    """Integers as one byte of width (1, 2, 4 or 8) and little-endian values."""
    array = np.asarray(values, np.int64)
    if not array.size:
        return b"\x01"
    low, high = int(array.min()), int(array.max())
    kind = next(k for k in _WIDTHS if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return bytes([np.dtype(kind).itemsize]) + array.astype(np.dtype(kind).newbyteorder("<")).tobytes()


def unpack(raw: bytes) -> Int64s:
    """The inverse of `pack`."""
    if not raw or raw[0] not in (1, 2, 4, 8) or (len(raw) - 1) % raw[0]:
        raise LedgerError(
            f"a packed column starts with {raw[:1]!r} and is {len(raw)} bytes long", "The record is damaged."
        )
    return np.frombuffer(raw, f"<i{raw[0]}", offset=1).astype(np.int64)
