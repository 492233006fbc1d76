"""Snapshots of joins in the topic NAMESPACE.snapshots, partition by partition: for deployments without a folder that every
process reaches.

    NAME/000000, NAME/000001, ...   the bytes, in parts of PART_BYTES: 8 bytes length of the header, the header, the columns
    NAME                            the manifest, which makes it whole: how many parts and bytes, and their digest

The manifest comes last, so one that was begun and not finished is none. Names are never used twice: a process that was
replaced meanwhile writes beside its successor, not over it. Older ones are withdrawn (the topic is compacted) and the
records below the oldest that is kept deleted, so that a start reads little more than two.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.errors import LogError
from monitor.ledger.snapshots import SnapshotError
from monitor.ports import Appender, Log, OutRecord, TopicSpec

_log = logging.getLogger("driftline.snapshots")

FORMAT = 1
PART_BYTES = 512 * 1024
"""Of one record: half of what a broker and a client take unless they are told otherwise (`max.message.bytes`)."""
KEPT = 2
"""Snapshots of a partition: the newest may turn out damaged."""
WRITE_MS = 20_000
"""Longest time for one. Its worker waits for it, and sessions of a Kafka consumer last 45 s unless told otherwise."""
_AT_ONCE = 16
"""Parts on their way at once: 8 MB beside what the columns take."""
_FLUSH_MS = 10_000
_READ = 64
_WAIT_MS = 200


class SnapshotManifest(msgspec.Struct, frozen=True):
    """The record that makes a snapshot whole."""

    format: int
    parts: int
    size: int
    digest: bytes  # BLAKE2b of the bytes, 256 bits


_manifests: msgspec.msgpack.Decoder[SnapshotManifest] = msgspec.msgpack.Decoder(SnapshotManifest)


def read_manifest(raw: bytes, where: str) -> SnapshotManifest:
    """Raises SnapshotError for one that is damaged, or of a newer format."""
    try:
        manifest = _manifests.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SnapshotError(where, f"its manifest is damaged ({error})") from error
    if manifest.format > FORMAT:
        raise SnapshotError(where, f"it has format {manifest.format}, this version reads up to {FORMAT}")
    return manifest


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one lies: from an offset at or before its first part, to its manifest."""

    partition: int
    name: str
    start: int
    end: int
    manifest: bytes


class TopicSnapshot:
    """One that is whole. Satisfies `monitor.ports.KeptSnapshot`."""

    def __init__(self, where: str, data: bytearray) -> None:
        self.where, self._bytes = where, memoryview(data)
        size = int.from_bytes(self._bytes[:8], "little")
        self.header = bytes(self._bytes[8 : 8 + size])
        self._at = 8 + size

    def column(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The next column."""
        count = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(self._bytes, np.dtype(dtype), count, self._at) if count else np.zeros(0, dtype)
        self._at += found.nbytes
        return found.reshape(shape)


class SnapshotTopic:
    """Satisfies `monitor.ports.SnapshotStore`."""

    def __init__(self, log: Log, namespace: str) -> None:
        self._log, self.topic, self._ledger = log, f"{namespace}.snapshots", f"{namespace}.ledger"
        self._places: dict[int, list[_Place]] = {}  # by partition, the oldest first
        self._unfinished: dict[int, set[bytes]] = {}  # keys that no manifest speaks of

    def paths(self, partition: int) -> list[str]:
        """Those of a partition, the newest first. What cannot be read is said, and is none."""
        try:
            self._look(partition)
        except LogError as error:
            _log.warning("snapshots of partition %d cannot be looked for: %s", partition, error)
        return [self._where(place) for place in reversed(self._places.get(partition, []))]

    def open(self, where: str) -> TopicSnapshot:
        """Raises SnapshotError when it is damaged."""
        place = next((p for own in self._places.values() for p in own if self._where(p) == where), None)
        if place is None:
            raise SnapshotError(where, "it is not there any more")
        manifest = read_manifest(place.manifest, where)
        try:
            data = self._bytes_of(place, manifest.parts)
        except LogError as error:
            raise SnapshotError(where, f"it cannot be read: {error}") from error
        if len(data) != manifest.size or _digest(data) != manifest.digest or len(data) < 8:
            raise SnapshotError(where, "its digest is not that of its contents: it is damaged, or cut off")
        return TopicSnapshot(where, data)

    def write(self, partition: int, name: str, header: bytes, columns: Iterable[NDArray[Any]]) -> int:
        """Write one under a name that sorts behind those before it, and withdraw all but the newest; gives its size.
        Raises SnapshotError; what was written of it is withdrawn with the next."""
        where = f"{self.topic}[{partition}]/{name}"
        try:
            self._ensure()
            if partition not in self._places:
                self._look(partition)
            appender = self._log.appender()
            try:
                size = self._write(appender, partition, name, _pieces(header, columns))
                self._withdraw(appender, partition)
            finally:
                with suppress(LogError):
                    appender.close()
        except (LogError, TimeoutError) as error:
            raise SnapshotError(where, f"it cannot be written: {error}") from error
        return size

    def all(self) -> list[str]:
        """Every one that is whole, and a word for each partition where parts of others lie. Raises LogError."""
        info = self._log.topic(self.topic)
        found: list[str] = []
        for partition in range(0 if info is None else info.partitions):
            self._look(partition)
            found += [self._where(place) for place in self._places[partition]]
            if self._unfinished[partition]:
                found.append(f"{self.topic}[{partition}]: {len(self._unfinished[partition])} parts of none")
        return found

    def clear(self) -> int:
        """Delete all records of the topic that are there now; gives how many snapshots there were. Raises LogError."""
        count, info = len(self.all()), self._log.topic(self.topic)
        for partition in range(0 if info is None else info.partitions):
            self._log.delete_records(self.topic, partition, self._log.end_offsets(self.topic)[partition])
        self._places.clear()
        return count

    def _where(self, place: _Place) -> str:
        return f"{self.topic}[{place.partition}]/{place.name}"

    def _ensure(self) -> None:
        ledger = self._log.topic(self._ledger)
        assert ledger is not None, "a snapshot follows a commit"
        self._log.ensure(TopicSpec(self.topic, ledger.partitions, compacted=True, trimmed=True))

    # -- reading -------------------------------------------------------------------------------------------------

    def _look(self, partition: int) -> None:
        """Which there are. Their bytes are passed by, not held: two snapshots may be more than the memory left."""
        self._places[partition], self._unfinished[partition] = [], set()
        if self._log.topic(self.topic) is None:
            return
        parts: dict[bytes, int] = {}
        found: list[_Place] = []
        span = self._log.begin_offsets(self.topic)[partition], self._log.end_offsets(self.topic)[partition]
        for offset, key, value in self._records(partition, *span):
            name, part = _split(key)
            if part:
                if value is None:
                    parts.pop(key, None)
                else:
                    parts[key] = offset
                continue
            found = [place for place in found if place.name != name]
            if value is not None:
                starts = [at for own, at in parts.items() if _split(own)[0] == name]
                found.append(_Place(partition, name, min(starts, default=offset), offset, value))
        names = {place.name for place in found}
        self._places[partition] = sorted(found, key=lambda place: place.name)
        self._unfinished[partition] = {key for key in parts if _split(key)[0] not in names}

    def _records(self, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        reader = self._log.reader(headers=False)
        try:
            reader.assign({(self.topic, partition): start})
            while start < end:
                for batch in reader.poll(_READ, _WAIT_MS):
                    assert batch.keys is not None
                    rows = zip(batch.offsets.tolist(), batch.keys, batch.values, strict=True)
                    yield from ((at, key, value) for at, key, value in rows if key is not None and at < end)
                    start = batch.next_offset
        finally:
            reader.close()

    def _bytes_of(self, place: _Place, parts: int) -> bytearray:
        data, wanted = bytearray(), 0
        for _, key, value in self._records(place.partition, place.start, place.end):
            if wanted < parts and key == _part(place.name, wanted) and value is not None:
                data += value
                wanted += 1
        return data

    # -- writing -------------------------------------------------------------------------------------------------

    def _write(self, appender: Appender, partition: int, name: str, pieces: Iterator[bytes]) -> int:
        start, size, parts = self._log.end_offsets(self.topic)[partition], 0, 0
        digest, until = hashlib.blake2b(digest_size=32), time.monotonic() + WRITE_MS / 1000
        for piece in pieces:
            self._unfinished[partition].add(key := _part(name, parts))
            appender.send(self.topic, OutRecord(piece, key), partition)
            digest.update(piece)
            size, parts = size + len(piece), parts + 1
            if parts % _AT_ONCE == 0:
                appender.flush(_FLUSH_MS)
            if time.monotonic() > until:
                raise TimeoutError(f"{size} bytes took longer than {WRITE_MS // 1000} s; keep them in a folder instead")
        appender.flush(_FLUSH_MS)
        manifest = msgspec.msgpack.encode(SnapshotManifest(FORMAT, parts, size, digest.digest()))
        end = appender.append(self.topic, partition, OutRecord(manifest, name.encode()))
        place = _Place(partition, name, start, end, manifest)
        self._places[partition] = sorted((*self._places[partition], place), key=lambda one: one.name)
        self._unfinished[partition].difference_update(_part(name, number) for number in range(parts))
        return size

    def _withdraw(self, appender: Appender, partition: int) -> None:
        """Take back all but the newest, and what was never finished; delete what lies below. Its failure costs room, no more:
        whoever may not delete is left with what compaction does."""
        old, kept = self._places[partition][:-KEPT], self._places[partition][-KEPT:]
        gone = set(self._unfinished[partition])
        for place in old:
            with suppress(SnapshotError):
                parts = read_manifest(place.manifest, self._where(place)).parts
                gone |= {_part(place.name, number) for number in range(parts)}
            gone.add(place.name.encode())
        try:
            for key in sorted(gone):
                appender.send(self.topic, OutRecord(None, key), partition)
            appender.flush(_FLUSH_MS)
            self._places[partition], self._unfinished[partition] = kept, set()
            self._log.delete_records(self.topic, partition, min(place.start for place in kept))
        except LogError as error:
            _log.warning("older snapshots of partition %d stay in %s: %s", partition, self.topic, error)


def _pieces(header: bytes, columns: Iterable[NDArray[Any]]) -> Iterator[bytes]:
    """The bytes in parts of PART_BYTES, the last one shorter."""
    rest = bytearray(len(header).to_bytes(8, "little") + header)
    for column in columns:
        data = np.ascontiguousarray(column).data.cast("B") if column.size else memoryview(b"")
        for start in range(0, len(data), PART_BYTES):
            rest += data[start : start + PART_BYTES]
            while len(rest) >= PART_BYTES:
                yield bytes(rest[:PART_BYTES])
                del rest[:PART_BYTES]
    while rest:
        yield bytes(rest[:PART_BYTES])
        del rest[:PART_BYTES]


def _part(name: str, number: int) -> bytes:
    return f"{name}/{number:06d}".encode()


def _split(key: bytes) -> tuple[str, str]:
    """The name of a snapshot, and the number of a part where it is one."""
    name, _, part = key.decode("utf-8", "replace").partition("/")
    return name, part


def _digest(data: bytearray) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()
