"""The `models` topic on Kafka: the door of the registry to a broker.

One partition, compacted. Read in assign mode from its beginning, so no group, no offset and no right to commit is needed.
Written by an idempotent producer that waits for every replica in sync. The library is imported when a client is made.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.errors import BadName, RegistryError, TopicError, TopicUnreachable
from registry.publication import StateRecord

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

TIMEOUT_S: Final = 10.0
_PATIENCE_S: Final = 2.0
"""How long all addresses may refuse before that is the answer. Where nothing comes back at all, the whole time is waited."""
_REPLICAS: Final = 3
_CHUNK: Final = 500
_POLL_S: Final = 0.1
_OWNED: Final = frozenset({
    "acks", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit", "enable.idempotence", "enable.partition.eof",
    "group.id", "metadata.broker.list", "partitioner", "transactional.id",
})  # fmt: skip
_UNREACHABLE: Final = frozenset({
    "_ALL_BROKERS_DOWN", "_MSG_TIMED_OUT", "_RESOLVE", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_TRANSPORT", "REQUEST_TIMED_OUT",
})  # fmt: skip
_ABSENT: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})


class KafkaTopic:
    """`registry.state_topic.StateTopic` on the brokers at `bootstrap`; `properties` are librdkafka's, NAME_file reads NAME
    from a file. Nothing is connected to before it is needed."""

    def __init__(
        self, bootstrap: str, name: str, properties: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._settings = _settings(bootstrap, properties or {})
        self._name, self._timeout_s = name, timeout_s

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    def read(self) -> list[StateRecord]:
        """See StateTopic."""
        tail = KafkaTail(self._settings, self._name, self._timeout_s)
        try:
            return tail.everything()
        finally:
            tail.close()

    def publish(self, records: Sequence[StateRecord]) -> None:
        """See StateTopic. Raises TopicUnreachable when a record was not acknowledged in time; it may have landed all the
        same."""
        self._ensure()
        failed: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        producer, _ = _made(_library().Producer, self._settings, {
            "acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 0,
            "message.timeout.ms": int(self._timeout_s * 1000),
        })  # fmt: skip
        for record in records:
            producer.produce(
                self._name, record.value or None, record.key, headers=list(record.headers), on_delivery=note
            )
        left = producer.flush(self._timeout_s + 5)
        if failed:
            raise _error(f"publishing to {self._name!r}", failed[0])
        if left:
            producer.purge()
            raise _silent(f"publishing to {self._name!r}", self._timeout_s)

    def tail(self) -> KafkaTail:
        """See StateTopic."""
        return KafkaTail(self._settings, self._name, self._timeout_s)

    def _ensure(self) -> None:
        """Make the topic unless it is there. What is there is left as it is."""
        kafka = _library()
        from confluent_kafka.admin import AdminClient, NewTopic

        client, down = _made(AdminClient, self._settings, {})
        doing = f"making topic {self._name!r}"
        try:
            known = _asked(client, down, self._name, self._timeout_s)
            if known.topics[self._name].error is None:
                return
            replicas = min(_REPLICAS, len(known.brokers))
            config = {
                "cleanup.policy": "compact", "min.insync.replicas": str(max(1, replicas - 1)),
                "unclean.leader.election.enable": "false",
            }  # fmt: skip
            new = NewTopic(self._name, 1, replicas, config=config)
            client.create_topics([new], operation_timeout=self._timeout_s)[self._name].result(self._timeout_s)
        except kafka.KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise _error(doing, error.args[0]) from error
        except TimeoutError as error:
            raise _silent(doing, self._timeout_s) from error


class KafkaTail:
    """`registry.state_topic.StateTail`. A broker that is away is nothing to read; the client comes back by itself."""

    def __init__(self, settings: Mapping[str, Any], name: str, timeout_s: float) -> None:
        kafka = _library()
        self._kafka, self._name, self._timeout_s = kafka, name, timeout_s
        made = _made(kafka.Consumer, settings, {
            "group.id": "driftline-registry", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "enable.partition.eof": False,
        })  # fmt: skip
        self._consumer: Consumer = made[0]
        self._down = made[1]
        self._assigned: frozenset[int] = frozenset()
        self._open = True

    def poll(self, timeout_ms: int) -> list[StateRecord]:
        """See StateTail. While there is no such topic it is looked for at each call."""
        if not self._assigned:
            with contextlib.suppress(TopicError):
                self._assign(self._partitions(min(timeout_ms / 1000, self._timeout_s)))
            if not self._assigned:
                time.sleep(min(timeout_ms / 1000, _POLL_S))
                return []
        first = self._consumer.poll(timeout_ms / 1000)
        if first is None:
            return []
        return [_record(m) for m in (first, *self._consumer.consume(_CHUNK, 0)) if m.error() is None]

    def everything(self) -> list[StateRecord]:
        """All that the topic holds now. Raises TopicError."""
        doing = f"reading topic {self._name!r}"
        partitions = self._partitions(self._timeout_s)
        open_ = dict(self._ends(partitions))
        self._assign(frozenset(open_))
        found: list[StateRecord] = []
        deadline = time.monotonic() + self._timeout_s
        while open_:
            for message in self._consumer.consume(_CHUNK, _POLL_S):
                if (error := message.error()) is not None and not error.retriable():
                    raise _error(doing, error)
                if error is None and message.partition() in open_:
                    found.append(_record(message))
                    deadline = time.monotonic() + self._timeout_s
            for where in self._consumer.position([self._at(number) for number in open_]):
                if where.offset >= open_[where.partition]:  # compaction may have taken the records before the end
                    del open_[where.partition]
            if time.monotonic() > deadline:
                raise _silent(doing, self._timeout_s)
        return found

    def close(self) -> None:
        """See StateTail."""
        if self._open:
            self._open = False
            self._consumer.close()

    def _partitions(self, timeout_s: float) -> frozenset[int]:
        doing = f"looking for topic {self._name!r}"
        try:
            known = _asked(self._consumer, self._down, self._name, timeout_s).topics[self._name]
        except self._kafka.KafkaException as error:
            raise _error(doing, error.args[0]) from error
        if known.error is not None and known.error.name() not in _ABSENT:
            raise _error(doing, known.error)
        return frozenset(known.partitions)

    def _ends(self, partitions: frozenset[int]) -> list[tuple[int, int]]:
        """End of each partition that holds something."""
        found = []
        for number in sorted(partitions):
            try:
                begin, end = self._consumer.get_watermark_offsets(self._at(number), timeout=self._timeout_s)
            except self._kafka.KafkaException as error:
                raise _error(f"reading topic {self._name!r}", error.args[0]) from error
            if begin < end:
                found.append((number, end))
        return found

    def _assign(self, partitions: frozenset[int]) -> None:
        beginning = self._kafka.OFFSET_BEGINNING
        self._consumer.assign([self._kafka.TopicPartition(self._name, number, beginning) for number in partitions])
        self._assigned = partitions

    def _at(self, partition: int) -> Any:
        return self._kafka.TopicPartition(self._name, partition)


class _Chatter:
    """Takes what librdkafka logs: several lines a second while no broker is there."""

    def log(self, level: int, message: str, *arguments: object) -> None:
        """For whoever debugs it."""
        logging.getLogger("driftline.kafka").debug(message, *arguments)


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError:
        why = "needs confluent-kafka, which is not installed"
        raise RegistryError("the models topic on Kafka", why, "Run: pip install confluent-kafka.") from None
    return confluent_kafka


class _Down:
    """Takes the errors of connections: they are tried again. Whether all brokers were down is remembered."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, error: KafkaError) -> None:
        """One error."""
        self.seen = self.seen or error.name() == "_ALL_BROKERS_DOWN"


def _made(kind: Callable[..., Any], settings: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[Any, _Down]:
    """A client. Raises TopicError when librdkafka refuses what it is told."""
    down = _Down()
    try:
        return kind({**settings, **ours, "logger": _Chatter(), "error_cb": down}), down
    except (_library().KafkaException, ValueError, TypeError) as error:
        raise TopicError("the Kafka client", f"refuses its settings: {error}", "Correct the properties.") from error


def _asked(client: Any, down: _Down, name: str, timeout_s: float) -> Any:
    """What the brokers know of a topic. Raises KafkaException."""
    first = min(_PATIENCE_S, timeout_s)
    try:
        return client.list_topics(name, timeout=first)
    except _library().KafkaException:
        client.poll(0)  # hands over what went wrong
        if down.seen or timeout_s <= first:
            raise
        return client.list_topics(name, timeout=timeout_s - first)


def _settings(bootstrap: str, properties: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {"client.id": "driftline-registry"}
    for key, value in properties.items():
        name = key.removesuffix("_file")
        if name in _OWNED:
            raise BadName("Kafka property", key, "Driftline sets it itself; leave it out.")
        if name == key:
            settings[name] = value
            continue
        try:
            settings[name] = Path(value).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadName("Kafka property", key, f"Its file cannot be read: {error}.") from None
    return settings | {"bootstrap.servers": bootstrap}


def _record(message: Message) -> StateRecord:
    headers = list(message.headers() or ())  # of a consumer they are pairs
    said = tuple((str(name), value if isinstance(value, bytes) else b"") for name, value in headers)
    return StateRecord(message.key() or b"", message.value() or b"", said)


def _error(doing: str, error: KafkaError) -> TopicError:
    kind: Callable[..., TopicError] = TopicUnreachable if error.name() in _UNREACHABLE else TopicError
    remedy = "Are the addresses, the rights and the properties right? Versions and aliases are not concerned."
    return kind(doing, f"failed: {error.str()} ({error.name()})", remedy)


def _silent(doing: str, waited_s: float) -> TopicUnreachable:
    remedy = "Is a broker running there? Versions and aliases are not concerned."
    return TopicUnreachable(doing, f"got no answer within {waited_s:.0f} s", remedy)
