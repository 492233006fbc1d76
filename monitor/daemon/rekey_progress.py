"""How far a copy of a topic got: the record that is kept of it, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from monitor.config.streams import progress_topic
from monitor.errors import MonitorError
from monitor.events import RecordBatch
from monitor.ports import Log, TopicInfo

FORMAT: Final = 1
_CHUNK: Final = 1_000


class RekeyError(MonitorError):
    """A copy cannot be made, or not gone on with."""

    def __init__(self, copy: str, why: str, hint: str) -> None:
        super().__init__(f"copy {copy!r}: {why}. {hint}")
        self.copy, self.why, self.hint = copy, why, hint


class Progress(msgspec.Struct, frozen=True):
    """Everything of the source below `positions` is in the copy; what is there of the rest lies at `ends` or behind. Both by
    partition."""

    format: int
    source: tuple[str, str]  # name, id
    copy: tuple[str, str]
    positions: tuple[int, ...]
    ends: tuple[int, ...]


def progress_of(raw: bytes, source: TopicInfo, copy: TopicInfo) -> Progress:
    """The progress in a record. Raises RekeyError when it is about other topics, or of a newer version."""
    try:
        version = msgspec.json.decode(raw, type=dict[str, object]).get("format")
        if not isinstance(version, int) or version > FORMAT:
            raise RekeyError(
                copy.name, f"its progress has format {version}, this version reads {FORMAT}", "Run the newer version."
            )
        progress = msgspec.json.decode(raw, type=Progress)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        topic = progress_topic(copy.name)
        raise RekeyError(
            copy.name, f"its progress cannot be read: {error}", f"Something else wrote to topic {topic!r}."
        ) from error
    for then, now in ((progress.source, source), (progress.copy, copy)):
        if then != (now.name, now.topic_id):
            raise RekeyError(
                copy.name,
                f"it was begun with topic {then[0]!r} of id {then[1]}, {now.name!r} has id {now.topic_id} now",
                "Offsets of one mean nothing in the other: choose another name for the copy (streams.*.topic).",
            )
    return progress


def read(log: Log, topic: str, spans: Mapping[int, tuple[int, int]]) -> Iterator[RecordBatch]:
    """Everything in [begin, end) of some partitions."""
    open_ = {(topic, p): begin for p, (begin, end) in spans.items() if begin < end}
    reader = log.reader(keys=False, headers=True)
    try:
        reader.assign(open_)
        while open_:
            for batch in reader.poll(_CHUNK, 200):
                where, end = (topic, batch.partition), spans[batch.partition][1]
                part, _ = batch.split(end)
                yield part
                if batch.next_offset >= end and open_.pop(where, None) is not None:
                    reader.pause([held for held in ((topic, p) for p in spans) if held not in open_])
    finally:
        reader.close()
