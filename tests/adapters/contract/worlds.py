"""One log of each kind with what a test needs beside the port: fresh names, further handles, retention, deletion."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from typing import Protocol

from confluent_kafka import TopicPartition

from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.kafka_log import KafkaLog
from monitor.ports import Leases, Log, Reader, TopicSpec
from tests.adapters.memory import MemoryLog
from tests.kafka.broker import Kafka

_numbers = itertools.count()
RECORDS_WAIT_MS = 10_000  # for a record that must come; a missing one fails the test after this time


class World(Protocol):
    """A log under test. `log` is one handle, `another()` one as a second process would have it."""

    name: str

    @property
    def log(self) -> Log: ...

    def another(self) -> Log: ...
    def truncate(self, topic: str, partition: int, before: int) -> None: ...
    def delete(self, topic: str) -> None: ...


class MemoryWorld:
    name = "memory"

    def __init__(self) -> None:
        self.log = MemoryLog()

    def another(self) -> MemoryLog:
        return self.log

    def truncate(self, topic: str, partition: int, before: int) -> None:
        self.log.truncate(topic, partition, before)

    def delete(self, topic: str) -> None:
        self.log.delete(topic)


class EmbeddedWorld:
    name = "embedded"

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.log = EmbeddedLog(directory)
        self._more: list[EmbeddedLog] = []

    def another(self) -> EmbeddedLog:
        self._more.append(EmbeddedLog(self.directory))
        return self._more[-1]

    def truncate(self, topic: str, partition: int, before: int) -> None:
        self.log.delete_records(topic, partition, before)

    def delete(self, topic: str) -> None:
        self.log.delete_topic(topic)

    def close(self) -> None:
        for log in (self.log, *self._more):
            log.close()


class KafkaWorld:
    name = "kafka"
    properties: Mapping[str, str] = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.log = self.another()

    def another(self) -> KafkaLog:
        return KafkaLog(self._kafka.bootstrap_servers, self.properties)

    def truncate(self, topic: str, partition: int, before: int) -> None:
        where = TopicPartition(topic, partition, before)
        admin = self._kafka.admin()  # kept until the answer is here: a client that is collected never answers
        admin.delete_records([where])[where].result(30)

    def delete(self, topic: str) -> None:
        self._kafka.delete_topics([topic])

    def close(self) -> None:
        topics = self._kafka.admin().list_topics(timeout=30).topics
        self._kafka.delete_topics(
            [name for name in topics if name.startswith("contract-") and f"-{os.getpid()}-" in name]
        )


def fresh(what: str) -> str:
    """A topic name that no other test, and no earlier run on the same broker, has used."""
    return f"contract-{what}-{os.getpid()}-{next(_numbers)}"


def topic(world: World, what: str, partitions: int = 1, *, compacted: bool = False) -> str:
    """A new topic."""
    return world.log.ensure(TopicSpec(fresh(what), partitions, compacted=compacted)).name


def drain(reader: Reader, count: int, max_records: int = 1000) -> dict[tuple[str, int], list[tuple[int, bytes | None]]]:
    """Read until `count` records came: (offset, value) by topic and partition."""
    found: dict[tuple[str, int], list[tuple[int, bytes | None]]] = {}
    seen, empty = 0, 0
    while seen < count and empty < 100:
        batches = reader.poll(max_records, RECORDS_WAIT_MS // 100)
        empty = 0 if batches else empty + 1
        for batch in batches:
            seen += len(batch)
            rows = zip(batch.offsets.tolist(), batch.values, strict=True)
            found.setdefault((batch.topic, batch.partition), []).extend(rows)
    return found


def settle(
    holders: list[Leases], until: Callable[[list[frozenset[int]]], bool], rounds: int = 600
) -> list[frozenset[int]]:
    """Poll all holders in turn until `until` holds for what they hold, at most `rounds` times (about a minute)."""
    held: list[frozenset[int]] = []
    for _ in range(rounds):
        held = [holder.poll(100 // len(holders)) for holder in holders]
        if until(held):
            return held
    raise AssertionError(f"the leases did not settle: {[sorted(each) for each in held]}")
