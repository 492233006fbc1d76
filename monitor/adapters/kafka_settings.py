"""What each Kafka client is told: Driftline's choices, the operator's properties laid over them, and what cannot be
changed.

The operator writes librdkafka properties once (`kafka.properties`); each kind of client gets those that concern it.
Properties on which correctness rests are refused. A property `NAME_file` (`sasl.password_file`) gives a file whose
content, without the last line end, is the value of `NAME`; it is read whenever a client is made, so a rotated secret
is picked up by the next one. Values are never logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from monitor.errors import ConfigError, LogError, LogUnreachable, NotAllowed
from monitor.ports import LARGE_BYTES

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

Settings = dict[str, Any]
Errors = dict[tuple[str, str], int]
"""Client errors so far by (kind of client, librdkafka's name of the error)."""

RESERVED: Mapping[str, str] = {
    "bootstrap.servers": "it is kafka.bootstrap_servers",
    "metadata.broker.list": "it is kafka.bootstrap_servers",
    "group.id": "the group is named after the namespace",
    "enable.auto.commit": "progress is in the ledger, offsets are reported by hand",
    "enable.auto.offset.store": "progress is in the ledger, offsets are reported by hand",
    "auto.offset.reset": "an offset that left the log is an error, never a silent jump",
    "enable.partition.eof": "it tells how far a partition was read past transaction markers",
    "acks": "an append counts when every replica in sync has it",
    "request.required.acks": "an append counts when every replica in sync has it",
    "enable.idempotence": "a retry of the client must not append twice",
    "transactional.id": "a commit is one append, not a transaction",
    "partitioner": "keys must go where Java producers put them",
}
_LEASE = {
    "group.instance.id", "group.protocol", "group.protocol.type", "group.remote.assignor", "heartbeat.interval.ms",
    "max.poll.interval.ms", "partition.assignment.strategy", "session.timeout.ms",
}  # fmt: skip
_READER = {
    "check.crcs", "client.rack", "fetch.error.backoff.ms", "fetch.max.bytes", "fetch.message.max.bytes",
    "fetch.min.bytes", "fetch.queue.backoff.ms", "fetch.wait.max.ms", "isolation.level", "max.partition.fetch.bytes",
    "queued.max.messages.kbytes", "queued.min.messages",
}  # fmt: skip
_APPENDER = {
    "batch.num.messages", "batch.size", "compression.codec", "compression.level", "compression.type",
    "delivery.timeout.ms", "linger.ms", "message.send.max.retries", "message.timeout.ms",
    "queue.buffering.backpressure.threshold", "queue.buffering.max.kbytes", "queue.buffering.max.messages",
    "queue.buffering.max.ms", "request.timeout.ms", "retries", "sticky.partitioning.linger.ms",
}  # fmt: skip
_GROUP_848_REFUSES = ("heartbeat.interval.ms", "partition.assignment.strategy", "session.timeout.ms")

_COMMON: Settings = {
    "client.id": "driftline",
    "reconnect.backoff.max.ms": 2_000,  # the default of 10 s outlives most broker restarts
    "socket.keepalive.enable": True,
    "topic.metadata.propagation.max.ms": 5_000,  # a topic that is missing for longer is an error, not a wait
}
_READER_DEFAULTS: Settings = {
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Costs nothing while data flows. Without it a position never passes a transaction marker at the end of a partition.
    "enable.partition.eof": True,
    "check.crcs": True,
    "fetch.wait.max.ms": 100,
    # The default of 1,000 ms halves the throughput of any reader that is slower than the network.
    "fetch.queue.backoff.ms": 10,
    # What waits, and what one answer holds of a partition, is small: it is read while it is in the cache, into memory that
    # was just freed. A broker far away may want more of both.
    "queued.max.messages.kbytes": 4_096,
    "fetch.message.max.bytes": 262_144,
}
_APPENDER_DEFAULTS: Settings = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "linger.ms": 0,
    "message.timeout.ms": 10_000,
    "compression.type": "lz4",
    "queue.buffering.max.kbytes": 65_536,
    "message.max.bytes": LARGE_BYTES,  # of a record as it is before it is compressed; topics have their own limit
}
_LEASE_DEFAULTS: Settings = {
    "auto.offset.reset": "latest",  # the lease topic is empty for ever
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 30_000,
    "max.poll.interval.ms": 60_000,
    "queued.max.messages.kbytes": 64,
}


def check(properties: Mapping[str, str]) -> None:
    """Raise ConfigError with one sentence for each property that Driftline reserves."""
    problems = [
        f"kafka.properties.{name} cannot be set: {RESERVED[name]}" for name in sorted(properties) if name in RESERVED
    ]
    if problems:
        raise ConfigError(problems)


def admin_settings(bootstrap: str, properties: Mapping[str, str]) -> Settings:
    """For the admin client."""
    return _merge(bootstrap, {}, properties, _LEASE | _READER | _APPENDER)


def reader_settings(bootstrap: str, properties: Mapping[str, str], group: str) -> Settings:
    """For a consumer in assign mode. librdkafka wants a group name even there; nothing is ever committed under it."""
    return _merge(bootstrap, _READER_DEFAULTS | {"group.id": group}, properties, _LEASE | _APPENDER)


def appender_settings(bootstrap: str, properties: Mapping[str, str]) -> Settings:
    """For a producer."""
    return _merge(bootstrap, _APPENDER_DEFAULTS, properties, _LEASE | _READER)


def lease_settings(bootstrap: str, properties: Mapping[str, str], group: str) -> Settings:
    """For the control consumer; with `group.protocol: consumer` (KIP-848) the broker sets the session and the
    assignor."""
    settings = _merge(bootstrap, _LEASE_DEFAULTS | {"group.id": group}, properties, _APPENDER | _READER)
    if settings.get("group.protocol") == "consumer":
        for name in _GROUP_848_REFUSES:
            settings.pop(name, None)
    return settings


def _merge(bootstrap: str, defaults: Settings, properties: Mapping[str, str], foreign: set[str]) -> Settings:
    given = {name: value for name, value in properties.items() if name not in foreign}
    settings: Settings = _COMMON | defaults
    for name, value in given.items():
        if name.endswith("_file"):
            settings[name.removesuffix("_file")] = _read(name, value)
        else:
            settings[name] = value
    return settings | {"bootstrap.servers": bootstrap}


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError([f"kafka.properties.{name}: the file {path!r} cannot be read ({type(e).__name__})"]) from e


Client = TypeVar("Client")


class _Chatter:
    """Takes what librdkafka logs. The client calls `log` and nothing else."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("driftline.kafka")

    def log(self, level: int, message: str, *arguments: object) -> None:
        """One line of librdkafka's; its own idea of a level is left out."""
        self._logger.debug(message, *arguments)


def connect(
    make: Callable[..., Client],
    kind: str,
    settings: Settings,
    errors: Errors,
    *,
    on_error: Callable[[KafkaError], None] | None = None,
    **callbacks: Callable[..., None],
) -> Client:
    """Make a client that counts its errors under `kind` and tells them to `on_error`.

    What librdkafka logs is for who debugs it: it goes to `driftline.kafka`, whatever librdkafka thinks of it, at level
    DEBUG. A client without a broker complains several times a second; what a person must know is in our own errors.
    Callbacks run inside consume() and poll(); one that raises would lose the batch at hand, so they only take notes.
    """
    from confluent_kafka import KafkaException

    def note(error: KafkaError) -> None:
        where = (kind, error.name())
        errors[where] = errors.get(where, 0) + 1
        if on_error is not None:
            on_error(error)

    extra: Settings = {"error_cb": note, "logger": _Chatter(), **callbacks}
    try:
        return make(settings | extra)
    except (KafkaException, ValueError, TypeError) as e:
        raise ConfigError([f"kafka.properties: librdkafka refuses the settings of the {kind}: {e}"]) from e


UNREACHABLE = {
    "_TRANSPORT",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_ALL_BROKERS_DOWN",
    "_RESOLVE",
    "_WAIT_COORD",
    "REQUEST_TIMED_OUT",
}
"""Names of the errors that mean: nobody answered."""

MOVING = {
    "NOT_LEADER_FOR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "UNKNOWN_LEADER_EPOCH",
    "FENCED_LEADER_EPOCH",
    "OFFSET_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "KAFKA_STORAGE_ERROR",
    "BROKER_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "ELIGIBLE_LEADERS_NOT_AVAILABLE",
    "LISTENER_NOT_FOUND",
    "NETWORK_EXCEPTION",
    "NOT_CONTROLLER",
    "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "PREFERRED_LEADER_NOT_AVAILABLE",
    "THROTTLING_QUOTA_EXCEEDED",
    "_DESTROY_BROKER",
    "_UNKNOWN_BROKER",
    "_WAIT_CACHE",
}
"""Names of the errors that are answered while leaders, controllers and coordinators move, or brokers come and go: they pass."""


_WHERE = re.compile(r"^(\[thrd:[^]]*\]: )?(\S+: )?(Connect to \S+ failed: )?")
_WHEN = re.compile(r" \(after \d+ms in state \w+.*\)$")


def plainly(error: KafkaError) -> str:
    """What a client says about a connection, without its thread, its state, and addresses."""
    return _WHEN.sub("", _WHERE.sub("", error.str()))


NOT_ALLOWED = {
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}
"""Names of the errors that mean: an access control list lacks a right of this user."""


def log_error(doing: str, error: KafkaError, *, topic: str | None = None, partition: int | None = None) -> LogError:
    """The error of ours for one of librdkafka's: LogUnreachable when nobody answered, or only somebody who does not lead,
    NotAllowed where a right is missing, else LogError."""
    said = f"{doing} failed: {error.str()} ({error.name()})"
    if error.name() in NOT_ALLOWED:
        hint = "Grant it to the user that Driftline logs in as: `driftline config acls` lists what it needs."
        return NotAllowed(f"{said}. {hint}", topic=topic, partition=partition)
    kind = LogUnreachable if error.name() in UNREACHABLE | MOVING else LogError
    return kind(said, topic=topic, partition=partition)
