"""Is a recording what its manifest says, file by file?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.adapters.recording import RecordedLog
from monitor.adapters.recording_format import (
    MANIFEST,
    Part,
    RecordingError,
    RowDigest,
    Segment,
    digest_of,
    digest_of_part,
    read_blocks,
)


def findings(log: RecordedLog, tell: Callable[[int, int], None] = lambda *_: None) -> Iterator[str]:
    """A sentence for everything that is not so; none means that every row is the one that was recorded. `tell` hears how
    many records are done, and of how many."""
    manifest, directory = log.manifest, log.directory
    total = sum(part.records for topic in manifest.topics for part in topic.parts)
    done = 0
    for topic in manifest.topics:
        for part in topic.parts:
            yield from _of_part(str(directory / MANIFEST), topic.name, part)
            for segment in part.segments:
                yield from _of_segment(directory, topic.name, part.partition, segment)
                done += segment.records
                tell(done, total)
    named = {s.file for topic in manifest.topics for part in topic.parts for s in part.segments}
    held = (path for path in sorted((directory / "topics").rglob("*")) if path.is_file())
    for path in held:
        if str(path.relative_to(directory)) not in named:
            yield f"{path}: the manifest does not name it; `driftline redact` removes what an interrupted redaction left"
    if digest_of(manifest.cluster_id, manifest.topics) != manifest.digest:
        yield f"{directory / MANIFEST}: the digest of the recording is not that of its topics"


def _of_part(manifest: str, topic: str, part: Part) -> Iterator[str]:
    where = f"{manifest}: topic {topic!r} partition {part.partition}"
    position = part.start
    for segment in part.segments:
        if segment.first != position:
            yield f"{where}: offsets {position} to {segment.first} are in no file"
        position = segment.next
    if position != part.end:
        yield f"{where}: offsets {position} to {part.end} are in no file"
    if part.records != sum(segment.records for segment in part.segments):
        yield f"{where}: its files have other numbers of records"
    if part.digest != digest_of_part(part.segments):
        yield f"{where}: its digest is not that of its files"


def _of_segment(directory: Path, topic: str, partition: int, segment: Segment) -> Iterator[str]:
    path = directory / segment.file
    rows, records, position, bounds = RowDigest(), 0, segment.first, (segment.first, segment.next)
    try:
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            file.seek(0)
            for batch in read_blocks(file, str(path), topic, partition):
                ordered = bool((batch.offsets[1:] > batch.offsets[:-1]).all())
                if not ordered or batch.offsets[0] < position or batch.offsets[-1] >= segment.next:
                    yield f"{path}: offsets are not in order within [{bounds[0]}, {bounds[1]})"
                    return
                position = int(batch.offsets[-1]) + 1
                rows.add(batch)
                records += len(batch)
    except OSError as error:
        yield f"{path}: it cannot be read: {error}"
        return
    except RecordingError as error:
        yield str(error)
        return
    if records != segment.records:
        yield f"{path}: it holds {records} records, the manifest says {segment.records}"
    elif rows.text != segment.rows:
        yield f"{path}: its rows are not those that were recorded"
    elif found != segment.sha256:
        yield f"{path}: its bytes are not those that were written, though its rows are"
