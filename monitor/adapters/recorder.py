"""Copying topics into a recording: segment by segment, so that who is killed goes on at the segment it was in, and
leaves the same bytes.

    DIR/plan.json        what is to be copied, fixed when recording begins
    DIR/journal.jsonl    a line for every segment that is whole

Both are removed when the manifest is written. A segment is written beside its name, synced and renamed; the journal says
so only then.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from monitor.adapters.recording_format import (
    BLOCK_BYTES,
    BLOCK_RECORDS,
    FORMAT,
    MANIFEST,
    SEGMENT_OFFSETS,
    Manifest,
    Part,
    RecordingError,
    RowDigest,
    Segment,
    Topic,
    digest_of,
    digest_of_part,
    encode_manifest,
    refuse_newer,
    write_block,
    write_head,
)
from monitor.errors import LogError
from monitor.events import Headers, RecordBatch
from monitor.ports import Log, Reader

PLAN, JOURNAL = "plan.json", "journal.jsonl"
_WAIT_MS = 200
_PATIENCE_POLLS = 150
"""Thirty seconds without a record: a compacted topic may hold none of the last offsets."""


class PlannedTopic(msgspec.Struct, frozen=True):
    """A topic to be copied: `spans` are [start, end) by partition."""

    name: str
    role: str
    topic_id: str
    config: dict[str, str]
    spans: tuple[tuple[int, int], ...]


class Plan(msgspec.Struct, frozen=True):
    """All that is to be copied."""

    format: int
    cluster_id: str
    namespace: str | None
    topics: tuple[PlannedTopic, ...]

    @property
    def offsets(self) -> int:
        """How many there are to be read."""
        return sum(end - start for topic in self.topics for start, end in topic.spans)


class _Done(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    segment: Segment


class Recorder:
    """One recording on its way."""

    def __init__(
        self, log: Log, directory: Path, plan: Plan, tell: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        """`tell` hears how many offsets are done, and of how many."""
        self._log, self._directory, self._plan, self._tell = log, directory, plan, tell
        self._done: dict[tuple[str, int], dict[int, Segment]] = {}
        self._offsets = 0
        self.resumed = 0
        """Records that were there already."""

    @classmethod
    def begin(cls, log: Log, directory: Path, plan: Plan, tell: Callable[[int, int], None]) -> Recorder:
        """A new recording. Raises RecordingError where something is already."""
        if directory.exists() and any(directory.iterdir()):
            unfinished = (directory / PLAN).exists()
            hint = "--resume goes on with it" if unfinished else "Choose another directory"
            raise RecordingError(str(directory), "the directory is not empty", f"{hint}; nothing is ever overwritten.")
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / PLAN, msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        return cls(log, directory, plan, tell)

    @classmethod
    def resume(cls, log: Log, directory: Path, tell: Callable[[int, int], None]) -> Recorder:
        """Go on with what was begun, over the ranges that were fixed then. Raises RecordingError where nothing was, or a
        topic was made again since."""
        path = directory / PLAN
        try:
            told = msgspec.json.decode(path.read_bytes())
            refuse_newer(str(path), told["format"])
            plan = msgspec.convert(told, Plan)
        except FileNotFoundError:
            why = "the recording is finished" if (directory / MANIFEST).exists() else "no recording was begun here"
            raise RecordingError(str(directory), why, "Leave --resume out and choose a new directory.") from None
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise RecordingError(str(path), f"it is no plan: {error}", "Begin again in a new directory.") from error
        for topic in plan.topics:
            now = log.topic(topic.name)
            if now is None or now.topic_id != topic.topic_id:
                raise RecordingError(
                    str(path),
                    f"topic {topic.name!r} had id {topic.topic_id} when recording began, now it is "
                    f"{now.topic_id if now else 'gone'}",
                    "Begin again in a new directory.",
                )
        recorder = cls(log, directory, plan, tell)
        recorder._remember()
        return recorder

    def _remember(self) -> None:
        journal = self._directory / JOURNAL
        raw = journal.read_bytes() if journal.exists() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            write_whole(journal, whole)  # without the line that was being written
        for line in whole.splitlines():
            done = msgspec.json.decode(line, type=_Done)
            file = self._directory / done.segment.file
            if file.exists() and file.stat().st_size == done.segment.bytes:
                self._done.setdefault((done.topic, done.partition), {})[done.segment.first] = done.segment
                self.resumed += done.segment.records

    def run(self) -> Manifest:
        """Copy what is left and write the manifest. Raises OffsetLost for records that have left a topic meanwhile."""
        topics = []
        for topic in self._plan.topics:
            parts = [self._part(topic.name, number, *span) for number, span in enumerate(topic.spans)]
            topics.append(Topic(topic.name, topic.role, topic.topic_id, topic.config, tuple(parts)))
        plan = self._plan
        digest = digest_of(plan.cluster_id, topics)
        manifest = Manifest(FORMAT, plan.cluster_id, plan.namespace, tuple(topics), digest)
        write_whole(self._directory / MANIFEST, encode_manifest(manifest))
        for name in (JOURNAL, PLAN):
            (self._directory / name).unlink(missing_ok=True)
        return manifest

    def _part(self, topic: str, partition: int, start: int, end: int) -> Part:
        done = self._done.get((topic, partition), {})
        segments: list[Segment] = []
        stream: _Stream | None = None
        position = start
        try:
            while position < end:
                stop = min(end, (position // SEGMENT_OFFSETS + 1) * SEGMENT_OFFSETS)
                known = done.get(position)
                if known is None:
                    stream = stream or _Stream(self._log, topic, partition, position)
                    known = self._segment(stream, topic, partition, position, stop)
                elif stream is not None:
                    stream.close()
                    stream = None
                segments.append(known)
                self._offsets += stop - position
                position = stop
                self._tell(self._offsets, self._plan.offsets)
        finally:
            if stream is not None:
                stream.close()
        records = sum(segment.records for segment in segments)
        return Part(partition, start, end, records, digest_of_part(segments), tuple(segments))

    def _segment(self, stream: _Stream, topic: str, partition: int, first: int, stop: int) -> Segment:
        def told() -> Iterator[RecordBatch]:
            for batch in stream.up_to(stop):
                yield batch
                self._tell(self._offsets + batch.next_offset - first, self._plan.offsets)

        file = f"topics/{topic}/{partition}/{first:020d}.seg"
        segment = write_segment(self._directory, file, first, stop, told())
        with (self._directory / JOURNAL).open("ab") as journal:
            journal.write(msgspec.json.encode(_Done(topic, partition, segment)) + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
        return segment


def write_segment(directory: Path, file: str, first: int, stop: int, batches: Iterable[RecordBatch]) -> Segment:
    """Write the file of a segment of offsets [first, stop) whole or not at all: beside its place first, then renamed."""
    path = directory / file
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    rows, records, times = RowDigest(), 0, list[int]()
    with unfinished.open("wb") as out:
        write_head(out)
        blocks = Blocks(out)
        for batch in batches:
            if len(batch):
                blocks.add(batch)
                rows.add(batch)
                records += len(batch)
                times = [min([*times, int(batch.timestamps_ms.min())]), max([*times, int(batch.timestamps_ms.max())])]
        blocks.flush()
        out.flush()
        os.fsync(out.fileno())
    with unfinished.open("rb") as written:
        sha256 = f"sha256:{hashlib.file_digest(written, 'sha256').hexdigest()}"
    size = unfinished.stat().st_size
    unfinished.rename(path)
    sync(path.parent)
    earliest, latest = times or (-1, -1)
    return Segment(file, first, stop, records, earliest, latest, size, sha256, rows.text)


class _Stream:
    """One partition from an offset on; what a poll gave beyond the wanted offset waits."""

    def __init__(self, log: Log, topic: str, partition: int, start: int) -> None:
        self._log, self._topic, self._partition = log, topic, partition
        self._position = start
        self._left: RecordBatch | None = None
        self._reader: Reader = log.reader()
        self._reader.assign({(topic, partition): start})

    def up_to(self, stop: int) -> Iterator[RecordBatch]:
        """Batches with records, up to an offset."""
        silent = 0
        while self._position < stop:
            batch, self._left = self._left, None
            if batch is None:
                batch = next(iter(self._reader.poll(BLOCK_RECORDS, _WAIT_MS)), None)
            if batch is None:
                silent += 1
                if silent > _PATIENCE_POLLS:
                    self._give_up(stop)
                    return
                continue
            part, self._left = batch.split(stop)
            self._position, silent = part.next_offset, 0
            if len(part):
                yield part

    def _give_up(self, stop: int) -> None:
        """Nothing came for long. Where compaction took the last records this is the end."""
        info = self._log.topic(self._topic)  # raises when nobody answers any more
        if info is None or "compact" not in info.config.get("cleanup.policy", ""):
            raise LogError(
                f"topic {self._topic!r} partition {self._partition}: no record from offset {self._position} on in "
                f"{_PATIENCE_POLLS * _WAIT_MS // 1_000} s, the range goes to {stop}. Try --resume.",
                topic=self._topic,
                partition=self._partition,
            )
        self._position = stop

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class Blocks:
    """The blocks of a segment: where one ends depends on its records alone, not on how the log gave them."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._rows: list[tuple[int, int, bytes | None, bytes | None, Headers | None]] = []
        self._size = 0
        self._where = ("", 0)

    def add(self, batch: RecordBatch) -> None:
        """Take the records of a batch; whole blocks are written."""
        assert batch.keys is not None
        assert batch.headers is not None
        self._where = (batch.topic, batch.partition)
        places = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), strict=True)
        for (offset, at_ms), key, value, headers in zip(places, batch.keys, batch.values, batch.headers, strict=True):
            size = len(key or b"") + len(value or b"")
            if self._rows and (self._size + size > BLOCK_BYTES or len(self._rows) >= BLOCK_RECORDS):
                self.flush()
            self._rows.append((offset, at_ms, key, value, headers))
            self._size += size

    def flush(self) -> None:
        """Write what is left."""
        if not self._rows:
            return
        offsets, times, keys, values, headers = zip(*self._rows, strict=True)
        topic, partition = self._where
        block = RecordBatch(
            topic,
            partition,
            np.array(offsets, np.int64),
            np.array(times, np.int64),
            values,
            next_offset=offsets[-1] + 1,
            keys=keys,
            headers=headers,
        )
        write_block(self._out, block)
        self._rows, self._size = [], 0


def planned(log: Log, roles: Mapping[str, str], spans: Mapping[str, Sequence[tuple[int, int]]]) -> list[PlannedTopic]:
    """Topics with what the log says of them. Raises LogError for one that does not exist."""
    found = []
    for name, role in roles.items():
        info = log.topic(name)
        if info is None:
            raise LogError(f"there is no topic {name!r}", topic=name)
        found.append(PlannedTopic(name, role, info.topic_id, dict(info.config), tuple(spans[name])))
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its name, synced and renamed: it is there whole or as it was."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
