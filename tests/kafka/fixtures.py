"""Pytest fixtures for tests on a real Kafka; tests/conftest.py hands them to every test folder.

`kafka` (one broker a session, or the one at KAFKA_BOOTSTRAP_SERVERS), `fresh_topics` (names nobody else uses),
`own_kafka` (a broker that the test may kill). A test that asks for one of them is marked `kafka` by that alone.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NoReturn, Protocol

import pytest

from tests.kafka.broker import Kafka, KafkaCluster
from tests.kafka.jars import BrokerUnavailable

__all__ = ["FreshTopics", "OwnKafka", "fresh_topics", "kafka", "own_kafka"]


class OwnKafka(Protocol):
    """Starts a broker of the test's own; the properties override those of the harness."""

    def __call__(self, properties: Mapping[str, str] | None = None) -> KafkaCluster: ...


class FreshTopics:
    """Names that no other test uses, and the topics behind them.

    `fresh_topics("predictions")` is a name only; `create` makes the topic as well. `namespace` is for Driftline's own
    topics. Everything under it, dead letters and internal topics too, is deleted when the test ends.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.namespace = f"t{uuid.uuid4().hex[:12]}"

    def __call__(self, name: str) -> str:
        return f"{self.namespace}.{name}"

    def create(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make the topic and return its full name."""
        self._kafka.create_topic(self(name), partitions, config)
        return self(name)

    def delete_all(self) -> None:
        """Delete every topic of this namespace, whoever made it."""
        topics = self._kafka.admin().list_topics(timeout=30).topics
        self._kafka.delete_topics([name for name in topics if name.startswith(f"{self.namespace}.")])


def unavailable(why: str) -> NoReturn:
    """End the test: in CI as a failure (a test skipped there proves nothing), else as a skip with the reason."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A Kafka for the whole session. Tests share it, so they never stop it and use `fresh_topics`."""
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        found = Kafka(given)
        if not found.answers():
            pytest.fail(f"KAFKA_BOOTSTRAP_SERVERS={given}: no broker answers there", pytrace=False)
        yield found
        return
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(KafkaCluster())
        except BrokerUnavailable as e:
            unavailable(str(e))
        yield cluster


@pytest.fixture
def fresh_topics(kafka: Kafka) -> Iterator[FreshTopics]:
    """Topic names on the shared `kafka` that belong to this test alone."""
    topics = FreshTopics(kafka)
    yield topics
    topics.delete_all()


@pytest.fixture
def own_kafka() -> Iterator[OwnKafka]:
    """Makes brokers that belong to this test alone: it may kill, freeze and restart them."""
    with ExitStack() as stack:

        def make(properties: Mapping[str, str] | None = None) -> KafkaCluster:
            cluster = KafkaCluster(properties=properties)
            stack.callback(cluster.close)
            try:
                cluster.start()
            except BrokerUnavailable as e:
                unavailable(str(e))
            return cluster

        yield make
