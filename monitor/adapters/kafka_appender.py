"""Appending to Kafka: an idempotent producer that waits for every replica in sync."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.adapters.kafka_settings import NOT_ALLOWED, Errors, Settings, connect, log_error
from monitor.errors import LogError, UnknownOutcome
from monitor.ports import LARGE_BYTES, OutRecord

_GRACE_SECS = 5.0  # past the message timeout, for librdkafka to report it
_REFUSED = {
    "MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "INVALID_TIMESTAMP", "POLICY_VIOLATION",
}  # fmt: skip
"""Reports that mean the record is certainly not in the log; any other failure leaves that open."""

Report = Callable[[KafkaError | None, Message], None]


class KafkaAppender:
    """See `monitor.ports.Appender`. A time of 0 ms cannot be sent: librdkafka takes it for "now"."""

    def __init__(self, settings: Settings, errors: Errors) -> None:
        self._producer = connect(Producer, "appender", settings, errors)
        self._timeout_secs = int(settings.get("delivery.timeout.ms") or settings["message.timeout.ms"]) / 1000
        self._failure: tuple[KafkaError, str | None, int | None] | None = None
        self._usable = True

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        """Append one record and wait for the acknowledgement; returns its offset.

        Raises UnknownOutcome when none came within the message timeout (10 s unless configured), LogError when the
        record was refused and is certainly not in the log.
        """
        reports: list[tuple[KafkaError | None, int | None]] = []
        self._produce(topic, record, partition, lambda error, message: reports.append((error, message.offset())))
        deadline = time.monotonic() + self._timeout_secs + _GRACE_SECS
        while not reports and (left := deadline - time.monotonic()) > 0:
            self._producer.poll(left)
        if not reports:
            raise self._unknown(f"no report within {self._timeout_secs + _GRACE_SECS:.0f} s", topic, partition)
        error, offset = reports[0]
        if error is not None:
            raise self._failed(error, topic, partition)
        if offset is None or offset < 0:  # an idempotent duplicate acknowledged without its offset
            raise self._unknown("acknowledged without an offset", topic, partition)
        return offset

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        """Queue a record; waits only while librdkafka's queue is full, at most the message timeout."""
        self._produce(topic, record, partition, self._note)

    def flush(self, timeout_ms: int) -> None:
        """Wait until everything sent is acknowledged. Raises UnknownOutcome if something was not."""
        self._check()
        left = self._producer.flush(timeout_ms / 1000)
        if self._failure is not None:
            raise self._failed(*self._failure)
        if left:
            raise self._unknown(f"{left} records were not acknowledged within {timeout_ms} ms", None, None)

    def close(self) -> None:
        """Wait for what was sent as `flush` does, at most the message timeout, then drop the client."""
        if self._usable:
            try:
                self.flush(int(self._timeout_secs * 1000))
            finally:
                self._drop()

    def _produce(self, topic: str, record: OutRecord, partition: int | None, report: Report) -> None:
        self._check()
        deadline = None
        while True:
            try:
                self._producer.produce(
                    topic,
                    record.value,
                    record.key,
                    -1 if partition is None else partition,
                    on_delivery=report,
                    timestamp=record.timestamp_ms or 0,
                    headers=list(record.headers),
                )
            except BufferError:
                deadline = deadline or time.monotonic() + self._timeout_secs + _GRACE_SECS
                if time.monotonic() > deadline:
                    raise self._unknown("the queue of the client stayed full", topic, partition) from None
                self._producer.poll(0.05)
                continue
            except KafkaException as e:
                raise self._failed(e.args[0], topic, partition) from e
            self._producer.poll(0)
            return

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = (error, message.topic(), message.partition())

    def _failed(self, error: KafkaError, topic: str | None, partition: int | None) -> LogError:
        if error.name() not in _REFUSED:
            return self._unknown(f"{error.str()} ({error.name()})", topic, partition)
        self._drop()
        where = _where(topic, partition)
        if error.name() in NOT_ALLOWED:
            return log_error(f"{where}: appending", error, topic=topic, partition=partition)
        why = f"{error.str()} ({error.name()})"
        remedy = ""
        if error.name() == "MSG_SIZE_TOO_LARGE":
            remedy = (
                f". Set max.message.bytes of the topic to {LARGE_BYTES}, and take message.max.bytes out of kafka.properties "
                "if it is lower there"
            )
        return LogError(f"{where}: the record was refused: {why}{remedy}", topic=topic, partition=partition)

    def _unknown(self, why: str, topic: str | None, partition: int | None) -> UnknownOutcome:
        self._drop()
        where = _where(topic, partition)
        return UnknownOutcome(
            f"{where}: an append was not acknowledged: {why}; read the log to know whether it landed",
            topic=topic,
            partition=partition,
        )

    def _check(self) -> None:
        if not self._usable:
            raise LogError("this appender is closed, or an outcome of it is unknown: make a new one")

    def _drop(self) -> None:
        """Take back what has not left yet; what is on the wire may still land."""
        self._usable = False
        self._producer.purge()


def _where(topic: str | None, partition: int | None) -> str:
    return "Kafka" if topic is None else f"topic {topic!r}" + ("" if partition is None else f" partition {partition}")
