"""What a partition of the ledger, or `evals`, adds up to, saved: the format of the records on the `checkpoints` topic.

A checkpoint is a manifest, written last, and the parts of its body, each small enough for a broker as it comes. The
manifest holds the fold state and the place it was saved at: the offset and digest of the last record that counted. Who
reads it compares them with the log, so a log that lost its tail is noticed. The body is what the evaluator was then
(`monitor.saved`); the tasks have none.

Equal states give equal bytes. Columns of a commit's deltas are left out: who goes on from here does not read them.

Nobody needs a checkpoint to be right. One that is damaged, or of a newer format, is left aside with the reason.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.errors import MonitorError
from monitor.ledger.fold import FoldState
from monitor.ledger.records import (
    SENSE_FORMAT,
    Commit,
    EvalCommit,
    EvalEdition,
    EvalModels,
    EvalPane,
    EvalSwitch,
    Genesis,
    release_of,
)

FORMAT = 1
"""Version of the manifest and of every body, but for those that say otherwise. Newer code reads older ones: under a
trimmed ledger they are needed."""
LEARNED_FORMAT = 2
"""Of one whose body has what was learned (a budget of false alarms, how labels come): versions that read up to 1 would go on
without it."""
SCHEDULE_FORMAT = HELD_FORMAT = 3
"""Of one whose body says since when its windows hold, which are partial, or how labels come as verdicts wait for them: versions
that read up to 2 would begin windows anywhere, take all for whole, and would not wait."""
ADVISED_FORMAT = 4
"""Of one whose body has what detectors of advisories were fed: versions that read up to 3 would begin them again."""
GROUPED_FORMAT = 5
"""Of one whose body has groups of alerts: versions that read up to 4 would begin them again."""
BEGUN_FORMAT = 6
"""Of one whose body says where in event time began what a budget bets on: versions that read up to 5 would tell other times."""
CROSSED_FORMAT = 7
"""Of one whose body has combinations of segments: versions that read up to 6 would count them from the middle of a window."""
LISTED_FORMAT = 8
"""Of one whose body has a roster of models: versions that read up to 7 would count other ones."""
EDITION_FORMAT = 9
"""Of one that names an edition after the first: versions that read up to 8 would count and decide otherwise."""
SENSES_FORMAT = 10
"""Of one with models that have had more than one sense: versions that read up to 9 would take those for other models."""
NEWEST = 10
"""What this code reads up to."""
PART_BYTES = 512 * 1024
"""Of a body, compressed, in one record: half of what a broker takes unless it is told otherwise."""
LEVEL = 3
"""Of compression: the body is zeros for the most part, and higher levels cost the evaluator's time."""
EVALS = "evals"


class CheckpointError(MonitorError):
    """A checkpoint cannot be used. `why` says so; the one before it, or the log itself, is read instead."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} cannot be used: {why}")
        self.where, self.why = where, why


class NewerCheckpoint(CheckpointError):
    """One that a later version wrote. `release`: the first that reads it, None where it does not say."""

    def __init__(self, where: str, why: str, release: str | None) -> None:
        super().__init__(where, why)
        self.release = release


class Fold(msgspec.Struct, frozen=True):
    """`FoldState` as it is saved."""

    genesis: Genesis | None
    epoch: int
    owner: str
    sequence: int
    next_prediction: int
    next_label: int
    chain: bytes
    commit: Commit | None
    evaluation: EvalCommit | EvalSwitch | EvalPane | EvalModels | EvalEdition | None
    lost_predictions: int
    lost_labels: int
    gap: bool

    @staticmethod
    def of(state: FoldState) -> Fold:
        """From the rule's value."""
        commit = state.commit
        if commit is not None:
            commit = msgspec.structs.replace(commit, groups=(), inputs=None, performance=None)
        return Fold(**{name: getattr(state, name) for name in _FIELDS if name != "commit"}, commit=commit)

    def state(self) -> FoldState:
        """To the rule's value."""
        return FoldState(**{name: getattr(self, name) for name in _FIELDS})


_FIELDS = Fold.__struct_fields__


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in a partition: the last record that counted (offset -1: none) with its digest, and where reading goes on."""

    at: int
    digest: bytes
    next_offset: int


class Manifest(msgspec.Struct, frozen=True):
    """The record that makes a checkpoint whole."""

    format: int
    of: str  # `ledger/3`, or `evals`
    fold: Fold
    place: Place
    ledger: tuple[Place, ...]  # of `evals`: how far each ledger partition was read
    committed_ms: tuple[int | None, int | None]  # of a partition: when its streams last committed records (wall clock)
    size: int  # bytes of the body
    body: bytes  # digest of the body
    parts: tuple[bytes, ...]  # digests of its parts as they are written
    check: bytes = b""  # digest of everything above

    @property
    def key(self) -> bytes:
        """Whose it is. An epoch writes under keys of its own: who was fenced off overwrites nothing of his successor's."""
        return f"{self.of}/{self.fold.epoch}".encode()


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_manifests: msgspec.msgpack.Decoder[Manifest] = msgspec.msgpack.Decoder(Manifest)


def format_of(state: FoldState) -> int:
    """The oldest format of a manifest that knows the records in a state."""
    if any(last is not None and last.format >= SENSE_FORMAT for last in (state.commit, state.evaluation)):
        return SENSES_FORMAT
    return EDITION_FORMAT if names_edition(state) else FORMAT


def names_edition(state: FoldState) -> bool:
    """Whether a record in it names an edition after the first."""
    named = [last.edition for last in (state.genesis, state.commit) if last is not None]
    return isinstance(state.evaluation, EvalEdition) or any(one is not msgspec.UNSET for one in named)


def ledger_of(partition: int) -> str:
    """The name under which a ledger partition is saved."""
    return f"ledger/{partition}"


def seal(manifest: Manifest) -> bytes:
    """The bytes of a manifest, with its own digest."""
    bare = msgspec.structs.replace(manifest, check=b"")
    return _encoder.encode(msgspec.structs.replace(bare, check=_digest(_encoder.encode(bare))))


def parts_of(body: bytes) -> list[bytes]:
    """A body as it is written: compressed and cut."""
    if not body:
        return []
    packed = zlib.compress(body, LEVEL)
    return [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]


def describe(manifest: Manifest, body: bytes, parts: Sequence[bytes]) -> Manifest:
    """The manifest with what it says of its body."""
    return msgspec.structs.replace(
        manifest, size=len(body), body=_digest(body), parts=tuple(_digest(part) for part in parts)
    )


def encode_body(state: msgspec.Struct) -> bytes:
    """The bytes of a body: the same for equal states."""
    return _encoder.encode(state)


def open_manifest(raw: bytes, where: str) -> Manifest:
    """The manifest in `raw`. Raises CheckpointError when it is damaged, NewerCheckpoint when a later version wrote it."""
    try:
        fields = msgspec.msgpack.decode(raw)
        version = msgspec.convert(fields["format"], int)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(where, f"it is damaged ({error})") from error
    if version > NEWEST:
        why = f"it has format {version}, this version of Driftline reads up to {NEWEST}"
        raise NewerCheckpoint(where, why, _release_of(fields))
    try:
        manifest = _manifests.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(where, f"it is damaged ({error})") from error
    if seal(manifest) != raw:
        raise CheckpointError(where, "it is damaged (its digest is another)")
    return manifest


def _release_of(fields: Mapping[str, Any]) -> str | None:
    """The release that a checkpoint of any later format needs, by the edition that its records name."""
    fold = fields.get("fold")
    records = fold.values() if isinstance(fold, dict) else ()
    return max((named for one in records if isinstance(one, dict) and (named := release_of(one))), default=None)


def join_parts(manifest: Manifest, found: Mapping[int, bytes], where: str) -> bytes:
    """The body out of its parts, by number. Raises CheckpointError when one is missing or damaged."""
    for number, digest in enumerate(manifest.parts):
        part = found.get(number)
        if part is None:
            raise CheckpointError(where, f"part {number + 1} of {len(manifest.parts)} is missing")
        if _digest(part) != digest:
            raise CheckpointError(where, f"part {number + 1} of {len(manifest.parts)} is damaged")
    if not manifest.parts:
        return b""
    return b"".join(found[number] for number in range(len(manifest.parts)))


def unpack_body(manifest: Manifest, packed: bytes, where: str) -> bytes:
    """A body as it was before it was written. Raises CheckpointError when it is not the one that was saved."""
    try:
        body = zlib.decompress(packed) if manifest.parts else b""
    except zlib.error as error:
        raise CheckpointError(where, f"its body is damaged ({error})") from error
    if len(body) != manifest.size or _digest(body) != manifest.body:
        raise CheckpointError(where, "its body is damaged (its digest is another)")
    return body


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()
