"""The log over Kafka: `KafkaLog` makes readers, appenders and leases for one cluster. Settings: `kafka_settings`.

Why assign-mode readers, one producer for each owner and a lease topic, and not one consumer group that carries the
data: a rebalance then never touches data, and the ledger's fence decides who may append.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from monitor.adapters.kafka_admin import KafkaAdmin
from monitor.adapters.kafka_appender import KafkaAppender
from monitor.adapters.kafka_fenced import KafkaFencedAppender
from monitor.adapters.kafka_leases import KafkaLeases
from monitor.adapters.kafka_reader import KafkaReader
from monitor.adapters.kafka_settings import (
    Errors,
    admin_settings,
    appender_settings,
    check,
    lease_settings,
    reader_settings,
)
from monitor.ports import TopicInfo, TopicSpec


class KafkaLog:
    """A Kafka cluster at `bootstrap` ("host:port,host:port"), `properties` being librdkafka's. See `monitor.ports.Log`.

    Questions about topics are answered, or end in LogUnreachable, within about `timeout_ms`. Raises ConfigError for a
    property that is unknown or reserved. `client_errors` counts what the clients complained about, by (client, error).
    """

    def __init__(
        self,
        bootstrap: str,
        properties: Mapping[str, str] | None = None,
        *,
        group: str = "driftline",
        timeout_ms: int = 10_000,
    ) -> None:
        check(properties or {})
        self.client_errors: Errors = {}
        self._bootstrap, self._properties, self._group = bootstrap, dict(properties or {}), group
        self._timeout_secs = timeout_ms / 1000
        self._admin = KafkaAdmin(admin_settings(bootstrap, self._properties), self.client_errors, timeout_ms / 1000)

    def cluster_id(self) -> str:
        """The id that the cluster was formatted with."""
        return self._admin.cluster_id()

    def topic(self, name: str) -> TopicInfo | None:
        """None when there is no such topic. `config` holds every setting, defaults too; it is empty without the right
        to read it."""
        return self._admin.topic(name)

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Create the topic unless it exists: up to 3 replicas, no unclean election, an existing one as it is."""
        return self._admin.ensure(spec)

    def begin_offsets(self, topic: str) -> list[int]:
        """First offset held, per partition."""
        return self._admin.begin_offsets(topic)

    def end_offsets(self, topic: str) -> list[int]:
        """One past the last offset that a read-committed reader can reach, per partition, freshly asked."""
        return self._admin.end_offsets(topic)

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """First offset that is dated at or after a time, per partition; the end where there is none."""
        return self._admin.offsets_at(topic, at_ms)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete a partition's records below an offset. Takes the right to delete on the topic."""
        self._admin.delete_records(topic, partition, before)

    def rights(self, topic: str) -> frozenset[str] | None:
        """Names of Kafka's operations that this client may do on a topic: nothing for one that is hidden, None for one that is
        not there. A cluster without access control allows all."""
        return self._admin.rights(topic)

    def group_rights(self, group: str) -> frozenset[str] | None:
        """As `rights`, on a consumer group; None where the brokers do not tell."""
        return self._admin.group_rights(group)

    def creatable(self, topics: Collection[str]) -> frozenset[str]:
        """Those of some absent topics that this client may create. Nothing is created."""
        return self._admin.creatable(topics)

    def reader(self, *, keys: bool = True, headers: bool = True) -> KafkaReader:
        """A consumer in assign mode; use it from one thread at a time."""
        settings = reader_settings(self._bootstrap, self._properties, self._group)
        return KafkaReader(settings, self.client_errors, keys=keys, headers=headers)

    def appender(self) -> KafkaAppender:
        """A producer of its own."""
        return KafkaAppender(appender_settings(self._bootstrap, self._properties), self.client_errors)

    def fenced_appender(self, name: str) -> KafkaFencedAppender:
        """A transactional producer of that name. Takes the right to write and to describe the transactional id."""
        settings = appender_settings(self._bootstrap, self._properties)
        return KafkaFencedAppender(settings, self.client_errors, name, self._timeout_secs)

    def leases(self, topic: str, group: str) -> KafkaLeases:
        """Join the consumer group `group` on the lease topic."""
        return KafkaLeases(lease_settings(self._bootstrap, self._properties, group), self.client_errors, topic)

    def close(self) -> None:
        """Readers, appenders and leases made here stay open; the admin client needs no goodbye."""
