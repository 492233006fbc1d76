"""Raw records from where they lie: JSON lines, a Kafka topic, or the embedded log's SQLite file."""

from __future__ import annotations

import gzip
import sqlite3
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Raw:
    """One record as the log holds it. `headers` keeps the last of several headers of one name."""

    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Source(Protocol):
    """Somewhere that topics can be read from whole."""

    def read(self, topic: str) -> list[list[Raw]]:
        """Every record of every partition, in offset order, up to the end at the time of the call."""


class Files:
    """JSON lines (`.gz` or plain); the topic is the path. One partition, no broker's time."""

    def read(self, topic: str) -> list[list[Raw]]:
        path = Path(topic)
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [[Raw(0, i, None, None, line) for i, line in enumerate(data.split(b"\n")) if line]]


class Kafka:
    """A broker, read by assignment: no group, no commit. Waits at most `patience_s` for the next record."""

    def __init__(self, bootstrap: str, patience_s: float = 30.0) -> None:
        self.bootstrap, self.patience_s = bootstrap, patience_s

    def read(self, topic: str) -> list[list[Raw]]:
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "driftline-checker-never-commits",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.queue.backoff.ms": 10,
            }
        )
        try:
            metadata = consumer.list_topics(topic, timeout=self.patience_s).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            partitions = [TopicPartition(topic, p) for p in range(len(metadata.partitions))]
            spans = [consumer.get_watermark_offsets(p, self.patience_s) for p in partitions]
            consumer.assign([TopicPartition(topic, p, begin) for p, (begin, _) in enumerate(spans)])
            return self._drain(consumer, topic, [end if begin < end else 0 for begin, end in spans])
        finally:
            consumer.close()

    def _drain(self, consumer: Any, topic: str, ends: Sequence[int]) -> list[list[Raw]]:
        """Everything below `ends`. By position, not by the last offset: control records and compaction leave gaps."""
        from confluent_kafka import KafkaException, TopicPartition

        logs: list[list[Raw]] = [[] for _ in ends]
        missing = {p for p, end in enumerate(ends) if end}
        deadline = time.monotonic() + self.patience_s
        while missing:
            for message in consumer.consume(1000, 0.2):
                if message.error() is not None:
                    raise KafkaException(message.error())
                if message.offset() < ends[message.partition()]:
                    logs[message.partition()].append(_raw(message))
                    deadline = time.monotonic() + self.patience_s
            positions = consumer.position([TopicPartition(topic, p) for p in missing])
            missing -= {at.partition for at in positions if at.offset >= ends[at.partition]}
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"topic {topic!r}: partitions {sorted(missing)} gave nothing for {self.patience_s} s"
                )
        return logs


def _raw(message: Any) -> Raw:
    kind, at_ms = message.timestamp()
    headers = {name: value or b"" for name, value in message.headers() or []}
    stamp = at_ms if kind else None
    return Raw(message.partition(), message.offset(), stamp, message.key(), message.value(), headers)


def open_source(bootstrap: str | None, embedded: str | None) -> Source:
    """The source that the command line names; files when it names neither."""
    if bootstrap:
        return Kafka(bootstrap)
    return Sqlite(embedded) if embedded else Files()


class Sqlite:
    """The embedded log's directory: one SQLite file, read without locking anybody out."""

    OFFSET_BITS = 40
    """A record's row id is its partition's row id times 2**40 plus its offset."""

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "log.db"

    def read(self, topic: str) -> list[list[Raw]]:
        """See Source. Raises KeyError when there is no such topic."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")  # one snapshot for all partitions
            partitions = db.execute(
                "SELECT number, id FROM partitions WHERE topic = ? ORDER BY number", (topic,)
            ).fetchall()
            if not partitions:
                raise KeyError(topic)
            return [self._partition(db, number, row_id) for number, row_id in partitions]

    def _partition(self, db: sqlite3.Connection, number: int, row_id: int) -> list[Raw]:
        first = row_id << self.OFFSET_BITS
        rows = db.execute(
            "SELECT id, at_ms, key, value, headers FROM records WHERE id >= ? AND id < ? ORDER BY id",
            (first, (row_id + 1) << self.OFFSET_BITS),
        )
        return [Raw(number, id_ - first, at, key, value, _headers(packed)) for id_, at, key, value, packed in rows]


def _headers(packed: bytes | None) -> dict[str, bytes]:
    """Per header two little-endian 32-bit lengths (value: -1 for null), the name, the value."""
    headers: dict[str, bytes] = {}
    at = 0
    while packed and at < len(packed):
        name, value = struct.unpack_from("<ii", packed, at)
        at += 8
        end = at + name + max(value, 0)
        headers[packed[at : at + name].decode()] = packed[at + name : end]
        at = end
    return headers


def flat(logs: Sequence[Sequence[Raw]]) -> list[Raw]:
    """All partitions, one after the other."""
    return [raw for log in logs for raw in log]
