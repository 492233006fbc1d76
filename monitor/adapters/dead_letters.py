"""Dead letters: what could not be used, in `<topic>.dlq` of the same cluster.

A letter has the original key, value and headers untouched, and beside them headers that say where it came from and
why it is here. In a flood one *pointer* stands for a contiguous range of the source topic instead. Writing is
at-least-once: letters of one (topic, partition, offset) are one letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from monitor.errors import LogError
from monitor.events import Headers, RecordBatch, Rejected
from monitor.ports import Appender, Log, OutRecord

PREFIX: Final = "driftline.error."
REDRIVEN: Final = "driftline.redriven-from"
FLOOD: Final = "flood"
"""The reason of a pointer."""
FORMAT: Final = b"1"
LETTER_BYTES_MAX: Final = 500_000
"""A record that fits its own topic need not fit this one, with our headers beside it: brokers and clients take a million
bytes by default. A larger record stays where it is, and its letter says where."""
ELEMENTS_TOLD: Final = 100
"""Elements of one record that its letter names; of more only the number is told."""
_CHUNK: Final = 1_000
_WAIT_MS: Final = 200


def topic_of(source: str) -> str:
    """The dead-letter topic of a source topic."""
    return f"{source}.dlq"


def letter(batch: RecordBatch, place: int, rejected: Sequence[Rejected], *, payload: bool, namespace: str) -> OutRecord:
    """The letter that a namespace writes about one record: it was rejected, or elements of its array were. Without `payload`,
    and for records that are too large for a letter, coordinates and reasons only: no value, key or header."""
    first = rejected[0]
    ours = _headers(namespace, batch.topic, batch.partition, first.offset, str(first.reason), first.detail)
    ours.append((f"{PREFIX}timestamp", b"%d" % int(batch.timestamps_ms[place])))
    if first.index is not None:
        told = [(each.index, str(each.reason), each.detail) for each in rejected[:ELEMENTS_TOLD]]
        ours.append((f"{PREFIX}elements", orjson.dumps(told)))
        ours.append((f"{PREFIX}elements-rejected", b"%d" % len(rejected)))
    if not payload:
        return OutRecord(None, None, ours)
    value = batch.values[place]
    key = batch.keys[place] if batch.keys is not None else None
    given: Headers = (batch.headers[place] or ()) if batch.headers is not None else ()
    size = len(value or b"") + len(key or b"") + sum(len(name) + len(held or b"") for name, held in given)
    if size > LETTER_BYTES_MAX:
        ours.append((f"{PREFIX}left-out-bytes", b"%d" % size))
        return OutRecord(None, None, ours)
    return OutRecord(value, key, [*given, *ours])


def pointer(
    topic: str, partition: int, first: int, next_offset: int, reasons: dict[str, int], *, namespace: str
) -> OutRecord:
    """One record for a flooded range [first, next_offset) of a source partition."""
    body = {
        "topic": topic,
        "partition": partition,
        "first_offset": first,
        "next_offset": next_offset,
        "count": sum(reasons.values()),
        "reasons": reasons,
    }
    detail = f"{body['count']} bad records in {next_offset - first} offsets"
    headers = _headers(namespace, topic, partition, first, FLOOD, detail)
    return OutRecord(orjson.dumps(body), None, [*headers, (f"{PREFIX}kind", b"pointer")])


def _headers(
    namespace: str, topic: str, partition: int, offset: int, reason: str, detail: str
) -> list[tuple[str, bytes | None]]:
    return [
        (f"{PREFIX}version", FORMAT),
        (f"{PREFIX}namespace", namespace.encode()),
        (f"{PREFIX}topic", topic.encode()),
        (f"{PREFIX}partition", b"%d" % partition),
        (f"{PREFIX}offset", b"%d" % offset),
        (f"{PREFIX}reason", reason.encode()),
        (f"{PREFIX}detail", detail.encode()),
    ]


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a record's array that was rejected, and its place there."""

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as read. `source` is (topic, partition, offset) of the record it speaks of; of a pointer the first one."""

    offset: int  # in its partition of the dead-letter topic
    partition: int
    source: tuple[str, int, int]
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    headers: Headers  # the original ones
    namespace: str | None = None  # whose letter it is; None in letters of earlier versions
    elements: tuple[Element, ...] = ()  # what of a record was rejected; none: it was as a whole
    rejected: int = 1  # elements that were, the first `ELEMENTS_TOLD` of them are told

    @property
    def is_pointer(self) -> bool:
        """Whether it stands for a range."""
        return self.reason == FLOOD

    @property
    def reasons(self) -> Sequence[str]:
        """Of each rejection that is told."""
        return [each.reason for each in self.elements] or [self.reason]


def read(log: Log, source: str, namespace: str | None = None) -> Iterator[Letter]:
    """Every letter of a source topic, each once, partition by partition; of one namespace those that it wrote, and those
    that do not say who did. Namespaces that read the same topic write a letter each. Raises LogError when there is no
    such topic."""
    topic = topic_of(source)
    info = log.topic(topic)
    if info is None:
        raise LogError(f"there is no topic {topic!r}: nothing of {source!r} was ever put aside", topic=topic)
    ends = log.end_offsets(topic)
    reader = log.reader()
    seen: set[tuple[object, ...]] = set()
    try:
        for partition, (begin, end) in enumerate(zip(log.begin_offsets(topic), ends, strict=True)):
            position = begin
            reader.assign({(topic, partition): begin})
            while position < end:
                for batch in reader.poll(_CHUNK, _WAIT_MS):
                    for found in _letters(batch):
                        if namespace is not None and found.namespace not in (namespace, None):
                            continue
                        identity = (*found.source, found.is_pointer, found.namespace)
                        if found.offset < end and identity not in seen:
                            seen.add(identity)
                            yield found
                    position = batch.next_offset
    finally:
        reader.close()


def _letters(batch: RecordBatch) -> Iterator[Letter]:
    assert batch.keys is not None
    assert batch.headers is not None
    rows = zip(batch.offsets.tolist(), batch.values, batch.keys, batch.headers, strict=True)
    for offset, value, key, given in rows:
        ours = {name: data or b"" for name, data in given or () if name.startswith(PREFIX)}
        try:
            source = (
                ours[f"{PREFIX}topic"].decode(),
                int(ours[f"{PREFIX}partition"]),
                int(ours[f"{PREFIX}offset"]),
            )
        except (KeyError, ValueError):
            continue  # something else wrote to this topic; it is not ours to judge
        rest = [(name, data) for name, data in given or () if not name.startswith(PREFIX)]
        reason, detail = (ours.get(f"{PREFIX}{name}", b"").decode(errors="replace") for name in ("reason", "detail"))
        whose = ours.get(f"{PREFIX}namespace")
        of = None if whose is None else whose.decode(errors="replace")
        elements = _elements(ours.get(f"{PREFIX}elements"))
        count = ours.get(f"{PREFIX}elements-rejected", b"1")
        rejected = int(count) if count.isdigit() else 1
        yield Letter(offset, batch.partition, source, reason, detail, key, value, rest, of, elements, rejected)


def _elements(told: bytes | None) -> tuple[Element, ...]:
    """None where somebody else wrote something else."""
    try:
        found = msgspec.convert(orjson.loads(told or b"[]"), list[tuple[int, str, str]])
        return tuple(Element(*each) for each in found)
    except (orjson.JSONDecodeError, msgspec.ValidationError):
        return ()


def replay(log: Log, appender: Appender, letters: Sequence[Letter]) -> int:
    """Send originals back to their topic and partition, marked with `driftline.redriven-from`; returns how many.

    Pointers are followed by reading the source topic again, as far as it still holds the range; every record of the
    range is sent, good ones too: the join counts those as duplicates. Letters without payload cannot be replayed and
    raise LogError before anything is sent. A record that several namespaces put aside is sent once.
    """
    for each in letters:
        if not each.is_pointer and each.value is None and each.reason != "empty":
            raise LogError(
                f"the letter about {each.source} holds no payload (dead_letters.payload was false); read the record "
                "from its source topic instead",
                topic=each.source[0],
            )
    sent = 0
    for each in letters:
        topic, partition, offset = each.source
        if each.is_pointer:
            sent += _replay_range(log, appender, orjson.loads(each.value or b"{}"))
            continue
        mark = (REDRIVEN, f"{topic}/{partition}/{offset}".encode())
        appender.send(topic, OutRecord(each.value, each.key, [*each.headers, mark]), partition)
        sent += 1
    appender.flush(30_000)
    return sent


def _replay_range(log: Log, appender: Appender, body: dict[str, object]) -> int:
    topic, partition = str(body["topic"]), int(str(body["partition"]))
    position, end, sent = int(str(body["first_offset"])), int(str(body["next_offset"])), 0
    reader = log.reader()
    try:
        reader.assign({(topic, partition): position})
        while position < end:
            for batch in reader.poll(_CHUNK, _WAIT_MS):
                assert batch.keys is not None
                assert batch.headers is not None
                rows = zip(batch.offsets.tolist(), batch.values, batch.keys, batch.headers, strict=True)
                for offset, value, key, given in rows:
                    if offset < end:
                        mark = (REDRIVEN, f"{topic}/{partition}/{offset}".encode())
                        appender.send(topic, OutRecord(value, key, [*(given or ()), mark]), partition)
                        sent += 1
                position = batch.next_offset
    finally:
        reader.close()
    return sent
