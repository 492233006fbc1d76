"""Checkpoints on their topic: found at an opening, written by an owner, checked against the log that they are of.

    partition p     ledger/p, by the owner of partition p
    the last one    evals, by the evaluator

A checkpoint is its parts and then its manifest, all under keys of the owner's epoch: a process that was fenced off and
does not know it overwrites nothing of its successor's. Each owner keeps two, in turn, so that a crash in the middle of
one leaves the other, and deletes what is older.

One that is damaged or of a newer format is left aside, with the reason in the log of the process. One whose place in the
log holds another record than it says, or none, is not: the log lost records, and to go on would be to count them again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from monitor.daemon.tail import Follower
from monitor.errors import LedgerError, LogError, NewerVersion, OffsetLost
from monitor.ledger.checkpoints import (
    EVALS,
    CheckpointError,
    Fold,
    Manifest,
    NewerCheckpoint,
    Place,
    describe,
    format_of,
    join_parts,
    ledger_of,
    open_manifest,
    parts_of,
    seal,
    unpack_body,
)
from monitor.ledger.fold import FoldState
from monitor.ledger.records import digest_of
from monitor.ports import Appender, Log, OutRecord

_log = logging.getLogger("driftline.checkpoints")

KEPT = 2
"""Checkpoints of one thing: the newest may turn out damaged, or be cut off by a crash."""
_CHUNK = 100
_WAIT_MS = 200
_FLUSH_MS = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint whose manifest and parts are whole. `first_offset`: where its oldest record is on the topic."""

    manifest: Manifest
    packed: bytes
    keys: frozenset[bytes]
    first_offset: int
    where: str

    def body(self) -> bytes:
        """Raises CheckpointError when it is not what was saved."""
        return unpack_body(self.manifest, self.packed, self.where)


def place_of(follower: Follower) -> Place:
    """Where a follower stands."""
    return Place(follower.counted_at, follower.state.chain, follower.next_offset)


def follower_at(topic: str, partition: int, fold: Fold, place: Place) -> Follower:
    """A follower that goes on from a place."""
    return Follower(topic, partition, place.next_offset, fold.state(), place.at)


class Checkpoints:
    """Those of one ledger partition, or of `evals`."""

    def __init__(self, log: Log, topic: str, of: str, partition: int) -> None:
        self._log, self._topic, self._of, self._partition = log, topic, of, partition
        self._keys: set[bytes] = set()
        self._newest: list[Found] = []
        self.newer: NewerCheckpoint | None = None
        """One that a later version wrote, where there is one: the log may be trimmed below it."""

    def look(self) -> list[Found]:
        """Those that are whole, the newest first; of the others the reason is logged."""
        if self._log.topic(self._topic) is None:
            return []
        held = self._held()
        self._keys = set(held)
        found = []
        for key, (offset, raw) in held.items():
            if _slot(key) is None:
                continue
            try:
                found.append(self._whole(key, offset, raw, held))
            except CheckpointError as error:
                self.newer = error if isinstance(error, NewerCheckpoint) else self.newer
                _log.warning("%s", error)
        self._newest = sorted(found, key=lambda one: one.manifest.place.at, reverse=True)
        return self._newest

    def _held(self) -> dict[bytes, tuple[int, bytes]]:
        """The newest record of every key, with its offset."""
        while True:
            with suppress(OffsetLost):  # its owner freed the space below the newest ones since we asked where it begins
                return self._read()

    def _read(self) -> dict[bytes, tuple[int, bytes]]:
        held: dict[bytes, tuple[int, bytes]] = {}
        where = (self._topic, self._partition)
        position, end = self._log.begin_offsets(self._topic)[self._partition], -1
        reader = self._log.reader(headers=False)
        try:
            reader.assign({where: position})
            # To where the topic ends once this is read, not as it began: what was superseded meanwhile may be gone, and what
            # supersedes it stands behind.
            while position < end or position < (end := self._log.end_offsets(self._topic)[self._partition]):
                for batch in reader.poll(_CHUNK, _WAIT_MS):
                    assert batch.keys is not None
                    for offset, key, value in zip(batch.offsets.tolist(), batch.keys, batch.values, strict=True):
                        if key is not None and value is None:
                            held.pop(key, None)
                        elif key is not None and value is not None and key.startswith(f"{self._of}/".encode()):
                            held[key] = (offset, value)
                    position = batch.next_offset
        finally:
            reader.close()
        return held

    def _whole(self, key: bytes, offset: int, raw: bytes, held: dict[bytes, tuple[int, bytes]]) -> Found:
        where = f"checkpoint {key.decode()} at {self._topic}[{self._partition}]@{offset}"
        manifest = open_manifest(raw, where)
        slot = _slot(key)
        if manifest.of != self._of or slot is None or _key(manifest, slot) != key:
            raise CheckpointError(where, f"it is of {manifest.key.decode()}")
        names = [_part(key, number) for number in range(len(manifest.parts))]
        parts = {number: held[name][1] for number, name in enumerate(names) if name in held}
        packed = join_parts(manifest, parts, where)
        first = min([offset, *(held[name][0] for name in names)])
        return Found(manifest, packed, frozenset([key, *names]), first, where)

    def write(self, manifest: Manifest, body: bytes) -> bool:
        """Write a checkpoint and delete what is older than the one before it. False, and logged, where the log refuses:
        nothing depends on it, so nothing else stops. An appender of its own: its failure is nobody else's."""
        try:
            appender = self._log.appender()
            try:
                self._write(appender, manifest, body)
            finally:
                appender.close()
        except LogError as error:
            _log.warning("no checkpoint of %s was written: %s", self._of, error)
            return False
        return True

    def _write(self, appender: Appender, manifest: Manifest, body: bytes) -> None:
        epoch = manifest.fold.epoch
        own = [one for one in self._newest if one.manifest.fold.epoch == epoch]
        slot = 1 if own and _key(own[0].manifest, 0) in own[0].keys else 0
        key = _key(manifest, slot)
        parts = parts_of(body)
        names = [_part(key, number) for number in range(len(parts))]
        for part, name in zip(parts, names, strict=True):
            appender.append(self._topic, self._partition, OutRecord(part, name))
        appender.append(self._topic, self._partition, OutRecord(seal(describe(manifest, body, parts)), key))
        self._tidy(appender, epoch)

    def _tidy(self, appender: Appender, epoch: int) -> None:
        """Withdraw what is older than the newest two on the topic, and free the space below them.

        By what is on the topic now: who slept for long would count its own as the newest and delete those that others
        made meanwhile, below which the log may be trimmed already. For the same reason nobody withdraws keys of a later
        epoch: their owner may write them again before that arrives.
        """
        kept = self.look()[:KEPT]
        names = frozenset[bytes]().union(*(one.keys for one in kept))
        for key in sorted(self._keys - names):
            if self._epoch_of(key) <= epoch:
                appender.send(self._topic, OutRecord(None, key), self._partition)
        appender.flush(_FLUSH_MS)
        self._newest = [replace(one, packed=b"") for one in kept]
        if kept:
            with suppress(LogError):  # a topic that was made by hand is compacted only: then compaction does it, later
                self._log.delete_records(self._topic, self._partition, min(one.first_offset for one in kept))

    def _epoch_of(self, key: bytes) -> int:
        number = key.removeprefix(f"{self._of}/".encode()).partition(b"/")[0]
        return int(number) if number.isdigit() else 0


def _key(manifest: Manifest, slot: int) -> bytes:
    return manifest.key + b"/%d" % slot


def _part(key: bytes, number: int) -> bytes:
    return key + b"/part/%d" % number


def _slot(key: bytes) -> int | None:
    """The slot of a manifest's key; None for a part's."""
    last = key.rpartition(b"/")[2]
    return int(last) if last in (b"0", b"1") and b"/part/" not in key else None


# -- against the log ---------------------------------------------------------------------------------------------


def of_ledger(log: Log, checkpoints: str, partition: int) -> Checkpoints:
    """Those of a ledger partition; `checkpoints` is the topic."""
    return Checkpoints(log, checkpoints, ledger_of(partition), partition)


def of_evals(log: Log, checkpoints: str, partitions: int) -> Checkpoints:
    """Those of `evals`."""
    return Checkpoints(log, checkpoints, EVALS, partitions)


def stands(log: Log, topic: str, partition: int, place: Place, where: str) -> bool:
    """Whether the log still holds the record that a checkpoint follows; False when it was trimmed away.

    Raises LedgerError when the log ends before it, or has another record there: it lost records that were acknowledged.
    """
    begin, end = log.begin_offsets(topic)[partition], log.end_offsets(topic)[partition]
    lost = None
    if place.next_offset > end:
        lost = f"{topic}[{partition}] ends at offset {end}, {where} was made when it went to {place.next_offset}"
    elif 0 <= begin <= place.at and _digest_at(log, topic, partition, place.at) not in (None, place.digest):
        lost = f"{topic}[{partition}] has another record at offset {place.at} than when {where} was made"
    if lost is not None:
        raise LedgerError(
            f"{lost}: records that were acknowledged are lost, or the topic was made again",
            "What they said was counted and published. Choose another `namespace`, and look at the broker's replication "
            "(acks, min.insync.replicas, unclean elections) before you trust it with that one.",
        )
    begin = log.begin_offsets(topic)[partition]  # it may have been trimmed while we looked
    return place.next_offset >= begin if place.at < 0 else place.at >= begin


def _digest_at(log: Log, topic: str, partition: int, offset: int) -> bytes | None:
    """Digest of a record; None when it was trimmed meanwhile."""
    try:
        return digest_of(_record_at(log, topic, partition, offset)[1])
    except OffsetLost:
        return None


def timestamp_at(log: Log, topic: str, partition: int, offset: int) -> int:
    """When the log took the record at an offset."""
    return _record_at(log, topic, partition, offset)[0]


def _record_at(log: Log, topic: str, partition: int, offset: int) -> tuple[int, bytes]:
    """Time and bytes of a record that the log holds."""
    reader = log.reader(keys=False, headers=False)
    try:
        reader.assign({(topic, partition): offset})
        while True:
            for batch in reader.poll(1, _WAIT_MS):
                if len(batch):
                    return int(batch.timestamps_ms[0]), batch.values[0] or b""
    finally:
        reader.close()


def usable(log: Log, topic: str, partition: int, checkpoints: Checkpoints) -> Iterator[Found]:
    """Whole checkpoints that the log still bears out, the newest first. Raises LedgerError when it lost records."""
    for found in checkpoints.look():
        if stands(log, topic, partition, found.manifest.place, found.where):
            yield found
        else:
            _log.warning("%s cannot be used: %s[%d] was trimmed above it", found.where, topic, partition)


def follow(log: Log, topic: str, partition: int, checkpoints: Checkpoints) -> tuple[Follower, Manifest | None]:
    """A follower at the newest checkpoint, or else at the first record.

    Raises LedgerError when the log lost records: its tail below a checkpoint, or its beginning without one. What is trimmed
    after that raises OffsetLost of who goes on reading.
    """
    while True:
        begin = log.begin_offsets(topic)[partition]
        for found in usable(log, topic, partition, checkpoints):
            return follower_at(topic, partition, found.manifest.fold, found.manifest.place), found.manifest
        if log.begin_offsets(topic)[partition] == begin:
            break
        # Its owner wrote checkpoints and trimmed below them after we had looked for them: look again.
    refuse_without_beginning(topic, partition, begin, checkpoints.newer)
    return Follower(topic, partition, begin, FoldState()), None


def refuse_without_beginning(topic: str, partition: int, begin: int, newer: NewerCheckpoint | None = None) -> None:
    """Raise LedgerError where the first records are gone and no checkpoint tells what they said; NewerVersion where one that
    a later version wrote does.

    `begin` is where the topic began both before and after the checkpoints were looked for. Asked once more, the log may
    have been trimmed below a checkpoint that nobody has looked for yet: who read nothing finds that out by OffsetLost.
    """
    if begin > 0 and newer is not None:
        raise NewerVersion(f"{topic}[{partition}] begins at offset {begin}, and {newer}", newer.release)
    if begin > 0:
        raise LedgerError(
            f"{topic}[{partition}] begins at offset {begin} and no checkpoint on the topic of checkpoints can be used: "
            "what the records before it said is lost",
            "Choose another `namespace`: it starts from what the sources still hold. Set retention.ms and retention.bytes of "
            "its ledger and evals to -1, so that nobody but Driftline trims them.",
        )


def manifest_of(of: str, follower: Follower, committed_ms: tuple[int | None, int | None] = (None, None)) -> Manifest:
    """What is saved of a follower; `describe` adds what is said of a body."""
    return Manifest(
        format=format_of(follower.state),
        of=of,
        fold=Fold.of(follower.state),
        place=place_of(follower),
        ledger=(),
        committed_ms=committed_ms,
        size=0,
        body=b"",
        parts=(),
    )


def with_ledger(manifest: Manifest, followers: list[Follower]) -> Manifest:
    """The manifest of `evals`, which says how far each ledger partition was read."""
    return msgspec.structs.replace(manifest, ledger=tuple(place_of(follower) for follower in followers))
