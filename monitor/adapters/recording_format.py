"""The files of a recording, format 1: what is in them, byte for byte.

    DIR/recording.json                              the manifest, written last
    DIR/topics/TOPIC/PARTITION/FIRST-OFFSET.seg     segments

A segment holds the records of one partition whose offsets lie in one stretch [k * 65536, (k + 1) * 65536): where it is
cut does not depend on how often recording was interrupted. It begins with `MAGIC` and one byte of format version; then
come blocks until the file ends. A block is a header of 28 bytes, little-endian,

    u64 first offset   u64 last offset + 1   u32 records   u32 bytes of the body   u32 CRC-32 of the header before it and the body

and a body: zlib over a MessagePack array [offsets, times, keys, values, headers]. `offsets` and `times` (milliseconds) are
bytes, int64 each; `keys` and `values` arrays of bytes or nil; `headers` an array of nil or arrays of [name, bytes or
nil], in their order, names that come twice included.

The digest of a segment is BLAKE2b (256 bits) over its rows, each as MessagePack [offset, time, key, value, headers]; of a
partition over the digests of its segments; of a recording over its topics, partitions and ranges. Compression is in none
of them. Block by block a recording is read and written in bounded memory.

Records that were taken out for an erasure request (`monitor.adapters.recording_redact`) are gaps of offsets, as compaction leaves
them; the files that held them have successors `FIRST.N.seg`, N counting the redactions, which the manifest tells of
(`redactions`, written only where there are some). Every digest is of what is there.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec
import numpy as np

from monitor.errors import LogError
from monitor.events import RecordBatch

FORMAT = 1
"""Version of manifest and segments. A higher one is refused."""
MAGIC = b"DRIFTREC"
SEGMENT_OFFSETS = 65_536
BLOCK_RECORDS = 1_000
BLOCK_BYTES = 1 << 20
"""A block is closed when its keys and values come to this; one larger record is a block of its own."""
MANIFEST = "recording.json"
_LEVEL = 3  # of zlib: JSON to a fifth at 60 MB/s a core
_HEAD = struct.Struct("<QQII")
_CRC = struct.Struct("<I")

_encode = msgspec.msgpack.Encoder().encode


class RecordingError(LogError):
    """A recording, or a file of it, cannot be used. `path` names it."""

    def __init__(self, path: str, why: str, hint: str) -> None:
        super().__init__(f"{path}: {why}. {hint}")
        self.path, self.why, self.hint = path, why, hint


class Segment(msgspec.Struct, frozen=True):
    """A file: the records of [first, next) that the log held, their times, and what proves them."""

    file: str
    first: int
    next: int
    records: int
    first_ms: int
    last_ms: int
    bytes: int
    sha256: str
    rows: str  # digest of the rows


class Part(msgspec.Struct, frozen=True):
    """A partition: the range that was recorded."""

    partition: int
    start: int
    end: int
    records: int
    digest: str
    segments: tuple[Segment, ...]


class Topic(msgspec.Struct, frozen=True):
    """A topic as it was: its id, its settings (`message.timestamp.type` says whose times the records have)."""

    name: str
    role: str  # predictions, labels, ledger, evals, configs, windows, alerts, alerts_state
    topic_id: str
    config: dict[str, str]
    parts: tuple[Part, ...]


class Redaction(msgspec.Struct, frozen=True):
    """Records that were taken out. `digests` are hashes of the ids, keyed with `key` (hexadecimal), so that who knows an id can
    ask whether it was among them, and nobody can look them up; `was`: the digest of the recording before."""

    at_ms: int
    actor: str
    reason: str
    records: int
    key: str
    digests: tuple[str, ...]
    was: str


class Manifest(msgspec.Struct, frozen=True):
    """The whole recording. `namespace` is set when decisions were recorded."""

    format: int
    cluster_id: str
    namespace: str | None
    topics: tuple[Topic, ...]
    digest: str
    redactions: tuple[Redaction, ...] | msgspec.UnsetType = msgspec.UNSET


class _Body(msgspec.Struct, frozen=True, array_like=True):
    offsets: bytes
    times: bytes
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[list[tuple[str, bytes | None]] | None]


_decoder = msgspec.msgpack.Decoder(_Body)


class RowDigest:
    """Over rows in their order; how they came in batches or blocks cannot be seen in it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def add(self, batch: RecordBatch) -> None:
        """The rows of a batch that has keys and headers."""
        assert batch.keys is not None
        assert batch.headers is not None
        rows = zip(
            batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values, batch.headers, strict=True
        )
        for offset, at_ms, key, value, headers in rows:
            self._hash.update(_encode((offset, at_ms, key, value, list(headers or ()))))

    @property
    def text(self) -> str:
        """As it is written in manifests."""
        return f"blake2b:{self._hash.hexdigest()}"


def digest_of_part(segments: Sequence[Segment]) -> str:
    """Of a partition, from its segments."""
    return _digest([[s.first, s.records, s.rows] for s in segments])


def digest_of(cluster_id: str, topics: Sequence[Topic]) -> str:
    """Of a recording, from its topics."""
    parts = [[t.name, t.topic_id, p.partition, p.start, p.end, p.digest] for t in topics for p in t.parts]
    return _digest([cluster_id, *parts])


def _digest(what: object) -> str:
    return f"blake2b:{hashlib.blake2b(_encode(what), digest_size=32).hexdigest()}"


# -- blocks --------------------------------------------------------------------------------------------------------


def write_head(file: IO[bytes]) -> None:
    """What a segment begins with."""
    file.write(MAGIC + bytes([FORMAT]))


def write_block(file: IO[bytes], batch: RecordBatch) -> None:
    """One block. The batch has keys and headers and at least one record."""
    assert batch.keys is not None
    assert batch.headers is not None
    headers = [None if not each else [(name, value) for name, value in each] for each in batch.headers]
    body = zlib.compress(
        _encode(
            _Body(
                batch.offsets.astype("<i8").tobytes(),
                batch.timestamps_ms.astype("<i8").tobytes(),
                list(batch.keys),
                list(batch.values),
                headers,
            )
        ),
        _LEVEL,
    )
    head = _HEAD.pack(int(batch.offsets[0]), batch.next_offset, len(batch), len(body))
    file.write(head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body)


def read_blocks(file: IO[bytes], path: str, topic: str, partition: int) -> Iterator[RecordBatch]:
    """The blocks of a segment. Raises RecordingError, by name and place, for whatever is not as it was written."""
    begun = file.read(len(MAGIC) + 1)
    if begun[: len(MAGIC)] != MAGIC:
        raise _damaged(path, "it does not begin as a segment does")
    if begun[len(MAGIC) :] != bytes([FORMAT]):
        version = begun[len(MAGIC)] if len(begun) > len(MAGIC) else 0
        refuse_newer(path, version)
        raise _damaged(path, f"its format is {version}, which never was")
    place = len(begun)
    while head := file.read(_HEAD.size + _CRC.size):
        if len(head) < _HEAD.size + _CRC.size:
            raise _damaged(path, f"the header of the block at byte {place} is cut off")
        _, next_offset, records, size = _HEAD.unpack_from(head)
        body = file.read(size)
        if (
            len(body) < size
            or zlib.crc32(body, zlib.crc32(head[: _HEAD.size])) != _CRC.unpack_from(head, _HEAD.size)[0]
        ):
            raise _damaged(path, f"the checksum of the block at byte {place} is wrong")
        yield _batch(body, topic, partition, next_offset, records, f"{path}, block at byte {place}")
        place += len(head) + size


def _batch(body: bytes, topic: str, partition: int, next_offset: int, records: int, where: str) -> RecordBatch:
    try:
        held = _decoder.decode(zlib.decompress(body))
        offsets, times = (np.frombuffer(raw, "<i8").astype(np.int64) for raw in (held.offsets, held.times))
    except (zlib.error, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _damaged(where, str(error)) from error
    if {len(offsets), len(times), len(held.keys), len(held.values), len(held.headers)} != {records}:
        raise _damaged(where, f"its columns do not have {records} rows")
    return RecordBatch(topic, partition, offsets, times, held.values, next_offset, held.keys, held.headers)


def _damaged(path: str, why: str) -> RecordingError:
    return RecordingError(path, f"the file is damaged: {why}", "Copy it again, or record the range again.")


# -- the manifest --------------------------------------------------------------------------------------------------


def decode_manifest(raw: bytes, path: str) -> Manifest:
    """The manifest in `raw`. Raises RecordingError for a newer format and for what is no manifest."""
    try:
        told = msgspec.json.decode(raw)
        refuse_newer(path, told["format"])
        manifest = msgspec.convert(told, Manifest)
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(path, f"it is no manifest of a recording: {error}", "Copy it again.") from error
    for segment in (s for topic in manifest.topics for part in topic.parts for s in part.segments):
        if segment.file.startswith("/") or ".." in segment.file.split("/"):
            raise RecordingError(path, f"it names the file {segment.file!r}, which is not its own", "Do not use it.")
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """Bytes of a manifest: JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def refuse_newer(path: str, version: int) -> None:
    """Raise RecordingError for a format that this code does not know yet."""
    if version > FORMAT:
        raise RecordingError(
            path,
            f"its format is {version}, this version of Driftline reads up to {FORMAT}",
            "Use the version that wrote it.",
        )
