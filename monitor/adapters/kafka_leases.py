"""Leases on Kafka: a control consumer subscribed to a topic that stays empty; owning its partition p means owning task
p.

Data never passes here, so any assignor will do: by default classic cooperative-sticky, with the property
`group.protocol: consumer` the protocol of KIP-848. The callbacks only keep a set; tasks are opened and closed by who
polls. librdkafka sends heartbeats by itself, but gives the partitions up when nobody polled for `max.poll.interval.ms`
(60 s): a hung owner is succeeded too.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor.adapters.kafka_settings import Errors, Settings, connect, log_error


class KafkaLeases:
    """See `monitor.ports.Leases`."""

    def __init__(self, settings: Settings, errors: Errors, topic: str) -> None:
        self._errors = errors
        self._held: set[int] = set()
        self._open = True
        self.changes = {"assigned": 0, "revoked": 0, "lost": 0}
        """How often partitions came, were taken back, and were lost without being asked."""
        self._consumer = connect(Consumer, "leases", settings, errors, on_commit=self._committed)
        try:
            self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        except KafkaException as e:
            raise log_error("joining the group of topic", e.args[0], topic=topic) from e

    @property
    def joined(self) -> bool:
        """Whether the group counts this member. Under KIP-848 a member names itself: true from the beginning."""
        return self._open and bool(self._consumer.memberid())

    def poll(self, timeout_ms: int) -> frozenset[int]:
        """The partitions held now. Raises LogError when the group refuses this member for good."""
        try:
            message = self._consumer.poll(timeout_ms / 1000)
        except KafkaException as e:
            raise log_error("holding leases", e.args[0]) from e
        error = None if message is None else message.error()
        if error is not None:
            self._count(error)
            if error.fatal() or error.code() in (
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
            ):
                raise log_error("holding leases", error)
            if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise log_error("holding leases", error)
        return frozenset(self._held)

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit consumer offsets for lag tools. Best effort; failures are counted, nothing more."""
        if not offsets:
            return
        try:
            positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
            self._consumer.commit(offsets=positions, asynchronous=True)
        except KafkaException as e:
            self._count(e.args[0])

    def close(self) -> None:
        """Leave the group: the partitions are free at once."""
        self._held.clear()
        if self._open:
            self._open = False
            self._consumer.close()

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.changes["assigned"] += 1
        self._held.update(each.partition for each in partitions)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.changes["revoked"] += 1
        self._held.difference_update(each.partition for each in partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.changes["lost"] += 1
        self._held.difference_update(each.partition for each in partitions)

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for problem in [error, *(each.error for each in partitions)]:
            if problem is not None:
                self._count(problem)

    def _count(self, error: KafkaError) -> None:
        where = ("leases", error.name())
        self._errors[where] = self._errors.get(where, 0) + 1
