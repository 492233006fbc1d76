"""Taking the records of some ids out of a recording.

    1. write the segments that lose records anew   under names of their own, beside the old ones
    2. write the manifest                          one rename: from here on the recording is the redacted one
    3. remove the files that it does not name      the old segments, and what an interrupted redaction left

Whoever is killed between two steps leaves a recording that is whole, the old one or the new one; the same call again does
what is left and nothing twice. Step 3 is done whenever it is asked, also when nothing is found any more.

A record is one of an id when the configured field of its id says so, in the topics of predictions and of labels. Of a
record whose id cannot be read (it was a dead letter) its bytes decide. A record of another id that merely holds one of the
ids somewhere is counted (`mentions`) and taken out only where that is asked for: it is somebody else's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from msgspec import UNSET, structs

from monitor.adapters.needles import Needles
from monitor.adapters.recorder import sync, write_segment, write_whole
from monitor.adapters.recording import RecordedLog
from monitor.adapters.recording_format import (
    MANIFEST,
    Part,
    Redaction,
    Segment,
    digest_of,
    digest_of_part,
    encode_manifest,
    read_blocks,
)
from monitor.events import Int64s, RecordBatch
from monitor.ingest.id_texts import IdTexts
from monitor.ingest.ids import hash_text
from monitor.ingest.rows import Rows

if TYPE_CHECKING:
    from monitor.config.types import Config

KEY_BYTES: Final = 16
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Hits:
    """Places of a batch: records of the ids, records that cannot be read and hold one, records of others that hold one.
    `rewritten`: of records that hold rows of others too, by place, the value without those of the ids."""

    own: Int64s
    unread: Int64s
    mentions: Int64s
    rewritten: Mapping[int, bytes] = field(default_factory=dict)


class Matcher:
    """Which records of the source topics of a configuration are those of the ids."""

    def __init__(self, config: Config, needles: Needles) -> None:
        self.needles = needles
        predictions, labels = config.streams.predictions, config.streams.labels
        self._readers: dict[str, list[IdTexts]] = {}
        for stream in (predictions, labels):
            if stream is None:
                continue
            copied = [] if stream.rekey is None else [stream.rekey.source]
            for topic in (stream.topic, *copied):
                self._readers.setdefault(topic, []).append(IdTexts(stream))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics whose records have ids."""
        return tuple(self._readers)

    def hits(self, batch: RecordBatch) -> Hits:
        """Of a batch with keys and headers, of one of `topics`."""
        own, read = np.zeros(len(batch), np.bool_), np.zeros(len(batch), np.bool_)
        rewritten: dict[int, bytes] = {}
        for reader in self._readers[batch.topic]:
            rows = reader.open(batch)
            opened = isinstance(rows, Rows)
            elements: dict[int, set[int]] = {}
            for row, text in reader.read(rows):
                place = int(rows.records[row]) if isinstance(rows, Rows) else row
                read[place] = True
                if text in self.needles.texts:
                    own[place] = True
                    if isinstance(rows, Rows):
                        elements.setdefault(place, set()).add(int(rows.index[row]))
            if opened:
                rewritten |= self._rewritten(batch, reader, elements)
        held = self._holding(batch)
        own_places, unread, mentions = (
            np.flatnonzero(which) for which in (own, held & ~read & ~own, held & read & ~own)
        )
        return Hits(own_places, unread, mentions, rewritten)

    def _rewritten(self, batch: RecordBatch, reader: IdTexts, elements: Mapping[int, set[int]]) -> dict[int, bytes]:
        """The values of records that are left where only elements of the ids go. One that would hold an id even then goes as a
        whole, as one does of which nothing would be left."""
        found: dict[int, bytes] = {}
        for place, gone in elements.items():
            value, headers = batch.values[place], () if batch.headers is None else batch.headers[place] or ()
            if value is None or reader.opener is None:
                continue
            left = reader.opener.only(value, headers, partial(_stays, gone))
            if left is None:
                continue
            without = batch.rows(place, place + 1, batch.next_offset)
            rest = replace(without, values=[left])
            if len(reader.open(rest)) and not self.needles.within(record_bytes(rest, 0)):
                found[place] = left
        return found

    def _holding(self, batch: RecordBatch) -> np.ndarray:
        """Which records hold an id in their bytes."""
        found = np.zeros(len(batch), np.bool_)
        found[list(self.needles.each(all_bytes(batch)))] = True
        return found


def _stays(gone: AbstractSet[int], index: int) -> bool:
    return index not in gone


def all_bytes(batch: RecordBatch) -> list[bytes]:
    """The bytes of each record of a batch with keys and headers."""
    return [record_bytes(batch, place) for place in range(len(batch))]


def record_bytes(batch: RecordBatch, place: int) -> bytes:
    """Key, value and headers of a record, one behind the other."""
    assert batch.keys is not None
    assert batch.headers is not None
    headers = (part or b"" for name, held in batch.headers[place] or () for part in (name.encode(), held))
    return b"\n".join([batch.keys[place] or b"", batch.values[place] or b"", *headers])


@dataclass(slots=True)
class Counts:
    """What was found in a recording, by topic: records of the ids, of no readable id, and of others."""

    own: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)
    leftovers: int = 0
    """Files that the manifest does not name."""

    def add(self, topic: str, hits: Hits) -> None:
        """Of one batch."""
        for counts, places in ((self.own, hits.own), (self.unread, hits.unread), (self.mentions, hits.mentions)):
            counts[topic] = counts.get(topic, 0) + len(places)


@dataclass(frozen=True, slots=True)
class Who:
    """Whose redaction it is, when and why; `key`: 16 bytes that nobody else draws."""

    actor: str
    reason: str
    at_ms: int
    key: bytes


def count(log: RecordedLog, matcher: Matcher, tell: Tell = lambda *_: None) -> Counts:
    """What a redaction would take out. Changes nothing."""
    found = Counts(leftovers=len(leftovers(log)))
    for _, _, batch in _source_batches(log, matcher, tell):
        found.add(batch.topic, matcher.hits(batch))
    return found


def redact(
    log: RecordedLog, matcher: Matcher, who: Who, *, mentions: bool, tell: Tell = lambda *_: None
) -> tuple[Counts, int]:
    """Take the records out, or the rows of the ids out of records that hold others too; what was found, and how many records
    are gone or hold less. A recording without any keeps its bytes."""
    found, hit = Counts(leftovers=len(leftovers(log))), dict[str, dict[int, bytes | None]]()
    for segment, _, batch in _source_batches(log, matcher, tell):
        hits = matcher.hits(batch)
        found.add(batch.topic, hits)
        places = [*hits.own, *hits.unread, *(hits.mentions if mentions else ())]
        if places:
            own = {int(batch.offsets[place]): hits.rewritten.get(int(place)) for place in places}
            hit.setdefault(segment.file, {}).update(own)
    gone = sum(map(len, hit.values()))
    if gone:
        _publish(log, matcher.needles, who, hit, gone)
    for path in leftovers(RecordedLog(log.directory)):
        path.unlink(missing_ok=True)
        sync(path.parent)
    return found, gone


def leftovers(log: RecordedLog) -> list[Path]:
    """Files below `topics` that the manifest does not name: replaced segments, and unfinished ones."""
    named = {log.directory / s.file for topic in log.manifest.topics for part in topic.parts for s in part.segments}
    held = (log.directory / "topics").rglob("*")
    unfinished = log.directory.glob("*.unfinished")
    return sorted([*(path for path in held if path.is_file() and path not in named), *unfinished])


def _source_batches(log: RecordedLog, matcher: Matcher, tell: Tell) -> Iterator[tuple[Segment, Part, RecordBatch]]:
    topics = [topic for topic in log.manifest.topics if topic.name in matcher.topics]
    total = sum(part.records for topic in topics for part in topic.parts)
    done = 0
    for topic in topics:
        for part in topic.parts:
            for segment in part.segments:
                path = log.directory / segment.file
                with path.open("rb") as file:
                    for batch in read_blocks(file, str(path), topic.name, part.partition):
                        yield segment, part, batch
                        done += len(batch)
                        tell(done, total)


def _publish(log: RecordedLog, needles: Needles, who: Who, hit: dict[str, dict[int, bytes | None]], gone: int) -> None:
    manifest = log.manifest
    before = () if manifest.redactions is UNSET else manifest.redactions
    number = len(before) + 1
    topics = []
    for topic in manifest.topics:
        parts = []
        for part in topic.parts:
            segments = tuple(
                _rewritten(log, topic.name, part.partition, s, hit[s.file], number) if s.file in hit else s
                for s in part.segments
            )
            records = sum(segment.records for segment in segments)
            parts.append(structs.replace(part, records=records, digest=digest_of_part(segments), segments=segments))
        topics.append(structs.replace(topic, parts=tuple(parts)))
    digests = tuple(sorted(keyed_digest(hashed, who.key) for hashed in needles.hashes))
    made = Redaction(who.at_ms, who.actor, who.reason, gone, who.key.hex(), digests, manifest.digest)
    replaced = structs.replace(
        manifest, topics=tuple(topics), digest=digest_of(manifest.cluster_id, topics), redactions=(*before, made)
    )
    write_whole(log.directory / MANIFEST, encode_manifest(replaced))


def keyed_digest(hashed: tuple[int, int], key: bytes) -> str:
    """What is kept of an id that was taken out: a keyed hash of its hash."""
    raw = hashed[0].to_bytes(8, "little") + hashed[1].to_bytes(8, "little")
    return hashlib.blake2b(raw, key=key, digest_size=16).hexdigest()


def was_redacted(redactions: Sequence[Redaction] | msgspec.UnsetType, text: str) -> bool:
    """Whether an id is among those that were taken out."""
    held = () if redactions is UNSET else redactions
    return any(keyed_digest(hash_text(text), bytes.fromhex(each.key)) in each.digests for each in held)


def _rewritten(
    log: RecordedLog, topic: str, partition: int, segment: Segment, hit: Mapping[int, bytes | None], number: int
) -> Segment:
    """The segment without some of its offsets, or with other values there, under a name that counts the redactions."""
    stem = f"{segment.first:020d}.{number}.seg"
    file = f"{segment.file.rpartition('/')[0]}/{stem}"
    source = log.directory / segment.file
    with source.open("rb") as held:
        left = (_without(batch, hit) for batch in read_blocks(held, str(source), topic, partition))
        return write_segment(log.directory, file, segment.first, segment.next, left)


def _without(batch: RecordBatch, hit: Mapping[int, bytes | None]) -> RecordBatch:
    assert batch.keys is not None
    assert batch.headers is not None
    values = [hit.get(offset, value) for offset, value in zip(batch.offsets.tolist(), batch.values, strict=True)]
    kept = [place for place, offset in enumerate(batch.offsets.tolist()) if hit.get(offset, b"") is not None]
    return RecordBatch(
        batch.topic,
        batch.partition,
        batch.offsets[kept],
        batch.timestamps_ms[kept],
        [values[place] for place in kept],
        batch.next_offset,
        [batch.keys[place] for place in kept],
        [batch.headers[place] for place in kept],
    )
