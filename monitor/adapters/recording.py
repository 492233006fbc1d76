"""A recording as a log that can only be read: what was recorded is there, and nothing else ever will be.

`RecordedLog` satisfies the reading half of `monitor.ports.Log`; making topics, appending and leases are refused by name.
One block of a partition is in memory at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from monitor.adapters.recording_format import (
    BLOCK_RECORDS,
    MANIFEST,
    Manifest,
    Part,
    RecordingError,
    Topic,
    decode_manifest,
    read_blocks,
)
from monitor.errors import LogError, OffsetLost
from monitor.events import RecordBatch
from monitor.ports import Appender, Leases, TopicInfo, TopicSpec

Where = tuple[str, int]


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a finished recording. Raises RecordingError where there is none."""
    path = directory / MANIFEST
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        unfinished = (directory / "plan.json").exists()
        why = "the recording is not finished" if unfinished else "there is no recording"
        hint = "`driftline record --resume` finishes it." if unfinished else "Give the directory of `driftline record`."
        raise RecordingError(str(directory), why, hint) from None
    except OSError as error:
        raise RecordingError(str(path), f"it cannot be read: {error}", "Look at its rights.") from error
    return decode_manifest(raw, str(path))


class RecordedLog:
    """The recording in a directory."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.manifest = read_manifest(self.directory)
        self._topics = {topic.name: topic for topic in self.manifest.topics}

    def cluster_id(self) -> str:
        """Of the cluster that was recorded."""
        return self.manifest.cluster_id

    def topic(self, name: str) -> TopicInfo | None:
        """None when it was not recorded."""
        found = self._topics.get(name)
        return None if found is None else TopicInfo(name, found.topic_id, len(found.parts), found.config)

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Refused."""
        self._refuse(spec.name)

    def begin_offsets(self, topic: str) -> list[int]:
        """Where the recorded ranges start."""
        return [part.start for part in self._of(topic).parts]

    def end_offsets(self, topic: str) -> list[int]:
        """Where the recorded ranges end."""
        return [part.end for part in self._of(topic).parts]

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """First recorded offset dated at or after a time, per partition; the end where there is none."""
        return [self._offset_at(topic, part, at_ms) for part in self._of(topic).parts]

    def _offset_at(self, topic: str, part: Part, at_ms: int) -> int:
        for segment in part.segments:
            if segment.last_ms >= at_ms:
                for batch in self.blocks(topic, part.partition, segment.first):
                    late = np.flatnonzero(batch.timestamps_ms >= at_ms)
                    if len(late):
                        return int(batch.offsets[late[0]])
        return part.end

    def reader(self, *, keys: bool = True, headers: bool = True) -> RecordedReader:
        """A reader of its own."""
        return RecordedReader(self, keys=keys, headers=headers)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Refused."""
        self._refuse(topic)

    def appender(self) -> Appender:
        """Refused."""
        self._refuse()

    def leases(self, topic: str, group: str) -> Leases:
        """Refused."""
        self._refuse(topic)

    def close(self) -> None:
        """Readers close their own files."""

    def part(self, where: Where) -> Part:
        """What was recorded of a partition. Raises LogError for one that was not."""
        topic = self._of(where[0])
        if not 0 <= where[1] < len(topic.parts):
            raise LogError(f"topic {where[0]!r} has no partition {where[1]}", topic=where[0], partition=where[1])
        return topic.parts[where[1]]

    def blocks(self, topic: str, partition: int, position: int) -> Generator[RecordBatch, None, None]:
        """The recorded blocks of a partition from the segment on that `position` lies in."""
        segments = self.part((topic, partition)).segments
        first = max(0, bisect_right([s.first for s in segments], position) - 1)
        for segment in segments[first:]:
            path = self.directory / segment.file
            records = 0
            try:
                with path.open("rb") as file:
                    for batch in read_blocks(file, str(path), topic, partition):
                        records += len(batch)
                        yield batch
            except OSError as error:
                raise RecordingError(str(path), f"it cannot be read: {error}", "Copy the recording again.") from error
            if records != segment.records:
                raise RecordingError(
                    str(path), f"it holds {records} records, the manifest says {segment.records}", "Copy it again."
                )

    def _of(self, topic: str) -> Topic:
        found = self._topics.get(topic)
        if found is None:
            raise LogError(
                f"topic {topic!r} is not in the recording {str(self.directory)!r}; it holds {', '.join(self._topics)}",
                topic=topic,
            )
        return found

    def _refuse(self, topic: str | None = None) -> NoReturn:
        what = f" (topic {topic!r})" if topic else ""
        raise LogError(f"{str(self.directory)!r} is a recording: nothing can be written to it{what}", topic=topic)


class RecordedReader:
    """See `monitor.ports.Reader`. Never waits: what is not there will not come."""

    def __init__(self, log: RecordedLog, *, keys: bool, headers: bool) -> None:
        self._log, self._keys, self._headers = log, keys, headers
        self._positions: dict[Where, int] = {}
        self._blocks: dict[Where, Generator[RecordBatch, None, None]] = {}
        self._held: dict[Where, RecordBatch] = {}
        self._paused: frozenset[Where] = frozenset()
        self._turn = 0

    def assign(self, positions: Mapping[Where, int]) -> None:
        """Read exactly these partitions from these offsets on."""
        for where in list(self._blocks):
            if self._positions.get(where) != positions.get(where):
                del self._blocks[where]
                self._held.pop(where, None)
        for where in positions:
            self._log.part(where)
        self._positions = dict(positions)
        self._paused &= positions.keys()

    def pause(self, partitions: Sequence[Where]) -> None:
        """Replace the set of partitions that poll leaves alone."""
        self._paused = frozenset(partitions) & self._positions.keys()

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """At most one batch per partition."""
        ready = [where for where in self._positions if where not in self._paused and self._is_ready(where)]
        if not ready:
            return []
        self._turn += 1
        start = self._turn % len(ready)
        found: list[RecordBatch] = []
        for left, where in zip(range(len(ready), 0, -1), ready[start:] + ready[:start], strict=True):
            # A block of one partition at a time, rather than a little of each: what is done once a batch is spread over more.
            if room := min(max_records, max(-(-max_records // left), BLOCK_RECORDS)):
                found.append(self._batch(where, room))
                max_records -= len(found[-1])
        return found

    def _is_ready(self, where: Where) -> bool:
        part, position = self._log.part(where), self._positions[where]
        if not part.start <= position <= part.end:
            raise OffsetLost(*where, position, part.start, part.end)
        return position < part.end

    def _batch(self, where: Where, room: int) -> RecordBatch:
        position, part = self._positions[where], self._log.part(where)
        blocks = self._blocks.get(where)
        if blocks is None:
            blocks = self._blocks[where] = self._log.blocks(*where, position)
        held = self._held.pop(where, None)
        while held is None or not len(held) or held.offsets[-1] < position:
            held = next(blocks, None)
            if held is None:  # the log held nothing more
                self._positions[where] = part.end
                return self._wanted(RecordBatch(*where, *_NOTHING, (), part.end, (), ()))
        start = int(np.searchsorted(held.offsets, position))
        stop = min(start + room, len(held))
        if stop < len(held):
            self._held[where] = held
        next_offset = int(held.offsets[stop - 1]) + 1
        self._positions[where] = next_offset
        return self._wanted(held.rows(start, stop, next_offset))

    def _wanted(self, batch: RecordBatch) -> RecordBatch:
        return replace(batch, keys=batch.keys if self._keys else None, headers=batch.headers if self._headers else None)

    def close(self) -> None:
        """Close the files; the reader is not used again."""
        for blocks in self._blocks.values():
            blocks.close()
        self._blocks.clear()
        self._held.clear()


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))
