"""Asking Kafka about topics and making them. Every question has an answer or an error within `timeout_secs`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from enum import Enum
from typing import TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from monitor.adapters.kafka_settings import MOVING, UNREACHABLE, Errors, Settings, connect, log_error, plainly
from monitor.adapters.kafka_tls import certificate_trouble, protocol_trouble
from monitor.errors import ConfigError, LogError, LogUnreachable, NotAllowed
from monitor.ports import LARGE_BYTES, TopicInfo, TopicSpec, cleanup_policy

T = TypeVar("T")

_NAP_SECS = 0.05
_LOOK_SECS = 0.1
_PATIENCE_SECS = 2.0
"""How long a client goes on when all brokers refuse and none has answered yet, or none since a question that waited its
whole timeout. Otherwise the whole timeout is waited: brokers restart."""
_NO_LEADERS = {"_NOENT"}  # what librdkafka itself says of offsets when its metadata named no leader of any partition
_REPLICAS = 3  # of a topic that we make, where there are as many brokers


class KafkaAdmin:
    """The admin half of `KafkaLog`."""

    def __init__(self, settings: Settings, errors: Errors, timeout_secs: float) -> None:
        self._client = connect(AdminClient, "admin", settings, errors, on_error=self._note)
        self._timeout_secs = timeout_secs
        self._bootstrap = str(settings["bootstrap.servers"])
        self._answered = False
        self._all_down = False
        self._why = ""
        self._refused = ""
        self._ever = False
        self._user = str(settings.get("sasl.username", ""))
        self._ca_path = settings.get("ssl.ca.location")
        self._protocol = str(settings.get("security.protocol", "PLAINTEXT")).upper()

    def cluster_id(self) -> str:
        """The id that the cluster was formatted with."""
        return str(self._ask("describing the cluster", self._client.describe_cluster).cluster_id)

    def brokers(self) -> int:
        """How many brokers the cluster has now."""
        return len(self._ask("describing the cluster", self._client.describe_cluster).nodes)

    def topic(self, name: str) -> TopicInfo | None:
        """None when there is no such topic (or none that we may see)."""
        deadline = time.monotonic() + self._timeout_secs
        while (described := self._describe(name)) is not None:
            settings = self._config(name)
            if settings is not None:
                return TopicInfo(name, str(described.topic_id), len(described.partitions), settings)
            if time.monotonic() > deadline:
                raise LogUnreachable(f"topic {name!r} is known to some brokers and not to others", topic=name)
            time.sleep(_NAP_SECS)  # it is new, and the broker that was asked now has not heard of it yet
        return None

    def rights(self, name: str) -> frozenset[str] | None:
        """Names of the operations this client may do on a topic: nothing for one that is hidden, None for one that it may see
        and that is not there."""
        try:
            described = self._describe(name, include_authorized_operations=True)
        except NotAllowed:
            return frozenset()
        return None if described is None else _names(described.authorized_operations)

    def group_rights(self, name: str) -> frozenset[str] | None:
        """Names of the operations this client may do on a consumer group: nothing for one that is hidden, None where the
        brokers do not tell, as some do of a group without members."""
        deadline = time.monotonic() + self._timeout_secs
        while True:
            try:
                described = self._ask(
                    f"describing group {name!r}",
                    lambda **limits: self._client.describe_consumer_groups(
                        [name], include_authorized_operations=True, **limits
                    )[name],
                )
            except NotAllowed:
                return frozenset()
            except LogUnreachable:  # of a new cluster, whose topic of groups is made by this question
                if time.monotonic() > deadline:
                    raise
                time.sleep(_NAP_SECS)
            except LogError:
                return None
            else:
                allowed = described.authorized_operations
                return None if allowed is None else _names(allowed)

    def creatable(self, names: Collection[str]) -> frozenset[str]:
        """Those of some absent topics that this client has the right to create. The brokers validate, and create nothing."""
        return frozenset(name for name in names if self._may_create(name))

    def _may_create(self, name: str) -> bool:
        try:
            self._ask(
                f"asking whether topic {name!r} may be created",
                lambda **limits: self._client.create_topics([NewTopic(name, 1, 1)], validate_only=True, **limits)[name],
                topic=name,
            )
        except NotAllowed:
            return False
        except LogUnreachable:
            raise
        except LogError:
            return True  # it is refused for something else, such as its name or a policy
        return True

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Create the topic unless it exists, and wait until each of its partitions has a leader."""
        if (found := self.topic(spec.name)) is not None:
            return found
        deadline = time.monotonic() + self._timeout_secs
        while self._fewer_than_counted(spec):
            if time.monotonic() > deadline:
                said = f"creating topic {spec.name!r} failed: fewer brokers live than the cluster counts; try again"
                raise LogUnreachable(said, topic=spec.name)
            time.sleep(_NAP_SECS)
        return self._wait_for(spec.name)

    def _fewer_than_counted(self, spec: TopicSpec) -> bool:
        """Create the topic. True where a broker has gone since they were counted, so that it cannot have its replicas."""
        replicas = min(_REPLICAS, self.brokers())
        config = topic_config(spec, replicas)
        new = NewTopic(spec.name, spec.partitions, replicas, config=config)
        try:
            self._ask(
                f"creating topic {spec.name!r}",
                lambda **limits: self._client.create_topics([new], operation_timeout=self._timeout_secs, **limits)[
                    spec.name
                ],
            )
        except LogError as e:
            if "INVALID_REPLICATION_FACTOR" in str(e) and replicas > 1:
                return True
            if "TOPIC_ALREADY_EXISTS" not in str(e):
                hint = "create it by hand with these settings" if not isinstance(e, LogUnreachable) else "try again"
                settings = ", ".join(f"{name}={value}" for name, value in sorted(config.items()))
                raise type(e)(
                    f"{e}; {hint}: {spec.partitions} partitions, {replicas} replicas, {settings}", topic=spec.name
                ) from e
        return False

    def begin_offsets(self, topic: str) -> list[int]:
        """First offset held, per partition."""
        return self._offsets(topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def end_offsets(self, topic: str) -> list[int]:
        """One past the last offset that a read-committed reader can reach, per partition."""
        return self._offsets(topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """First offset dated at or after a time, per partition; the end where there is none."""
        ends = self.end_offsets(topic)
        found = self._offsets(topic, OffsetSpec.for_timestamp(at_ms), may_lack=True)
        return [end if offset < 0 else offset for offset, end in zip(found, ends, strict=True)]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete records below an offset; one that is beyond the end deletes all."""
        begin, end = self.begin_offsets(topic)[partition], self.end_offsets(topic)[partition]
        if min(before, end) <= begin:
            return
        where = TopicPartition(topic, partition, min(before, end))
        self._ask(
            f"deleting records of topic {topic!r} partition {partition} below offset {before}",
            lambda **limits: self._client.delete_records([where], **limits)[where],
            topic=topic,
        )

    def _wait_for(self, name: str) -> TopicInfo:
        deadline = time.monotonic() + self._timeout_secs
        while True:
            described = self._describe(name)
            if described is not None and all(each.leader is not None for each in described.partitions):
                info = self.topic(name)
                if info is not None:
                    return info
            if time.monotonic() > deadline:
                raise LogUnreachable(f"topic {name!r} got no leaders within {self._timeout_secs:.0f} s", topic=name)
            time.sleep(_NAP_SECS)

    def _describe(self, name: str, **options: bool) -> TopicDescription | None:
        try:
            described: TopicDescription = self._ask(
                f"describing topic {name!r}",
                lambda **limits: self._client.describe_topics(TopicCollection([name]), **options, **limits)[name],
                topic=name,
            )
        except LogError as e:
            if "UNKNOWN_TOPIC_OR_PART" in str(e):
                return None
            raise
        return described

    def _config(self, name: str) -> Mapping[str, str] | None:
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            entries = self._ask(
                f"reading the settings of topic {name!r}",
                lambda **limits: self._client.describe_configs([resource], **limits)[resource],
                topic=name,
            )
        except LogError as e:
            if "AUTHORIZATION_FAILED" in str(e):
                return {}  # DescribeConfigs is a right of its own; without it the settings are unknown, not wrong
            if "UNKNOWN_TOPIC_OR_PART" in str(e):
                return None
            raise
        return {key: entry.value for key, entry in entries.items() if entry.value is not None}

    def _offsets(self, topic: str, spec: OffsetSpec, *, may_lack: bool = False) -> list[int]:
        """By partition. `may_lack`: an offset below 0 says that there is none."""
        deadline = time.monotonic() + self._timeout_secs
        while True:
            described = self._describe(topic)
            if described is None:
                raise LogError(
                    f"there is no topic {topic!r} in this cluster; create it or correct the name", topic=topic
                )
            wanted = {TopicPartition(topic, each.id): spec for each in described.partitions}
            why = "a partition had no offset"
            try:
                futures = self._client.list_offsets(
                    wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._timeout_secs
                )
                found = {where.partition: future.result().offset for where, future in futures.items()}
                # A client whose broker died in between may give an offset that is none, and no error.
                if may_lack or min(found.values()) >= 0:
                    return [found[number] for number in range(len(found))]
            except KafkaException as e:
                error: KafkaError = e.args[0]
                if error.name() in UNREACHABLE:
                    raise self._unreachable(f"asking for the offsets of topic {topic!r}", topic) from e
                if error.name() not in MOVING | _NO_LEADERS:
                    raise log_error(f"asking for the offsets of topic {topic!r}", error, topic=topic) from e
                why = f"{error.str()} ({error.name()})"
            if time.monotonic() > deadline:
                raise LogUnreachable(
                    f"asking for the offsets of topic {topic!r}: no leader answered within {self._timeout_secs:.0f} s: {why}",
                    topic=topic,
                )
            time.sleep(_NAP_SECS)  # leaders are moving

    def _ask(self, doing: str, question: Callable[..., Future[T]], topic: str | None = None) -> T:
        self._all_down = False
        try:
            answer = self._wait(question(request_timeout=self._timeout_secs))
        except KafkaException as e:
            error: KafkaError = e.args[0]
            if error.name() in UNREACHABLE:
                raise self._unreachable(doing, topic) from e
            self._answered = self._ever = True
            raise log_error(doing, error, topic=topic) from e
        except TimeoutError as e:
            raise self._unreachable(doing, topic) from e
        self._answered = self._ever = True
        self._refused = ""
        return answer

    def _wait(self, future: Future[T]) -> T:
        """The answer. Raises TimeoutError when it takes too long, or when there is nobody to give it."""
        began = time.monotonic()
        while True:
            self._client.poll(0)  # hands over what librdkafka wants to say and to log
            try:
                return future.result(_LOOK_SECS)
            except TimeoutError:
                waited = time.monotonic() - began
                hopeless = (self._all_down or self._refused) and not self._answered and waited > _PATIENCE_SECS
                if hopeless or waited > self._timeout_secs + 5:
                    raise

    def _note(self, error: KafkaError) -> None:
        if error.name() == "_ALL_BROKERS_DOWN":
            self._all_down = True
        else:
            self._why = plainly(error)
            if error.name() == "_AUTHENTICATION":
                self._refused = self._why

    def _unreachable(self, doing: str, topic: str | None) -> LogUnreachable | ConfigError:
        """A login that is refused at a start is a mistake of the configuration; of a client that was let in before, a secret
        that is being changed: it waits, as for brokers that are gone."""
        if self._refused and not self._ever:
            said = f"the Kafka brokers of {self._bootstrap} refuse the login of {self._user!r} ({self._refused})"
            what = "sasl.username, sasl.password (or the file of sasl.password_file) and sasl.mechanism"
            return ConfigError([f"kafka.properties: {said}. Correct {what}, or make that user."])
        why = f" ({self._why})" if self._why else ""
        if "certificate verify failed" in self._why:
            trouble = certificate_trouble(self._bootstrap, self._ca_path) or "it could not be verified"
            said = f"the certificate that the Kafka brokers of {self._bootstrap} show is not accepted: {trouble}"
            hint = "Renew it, or correct ssl.ca.location or the address."
            return LogUnreachable(f"{doing}: {said}. {hint}", topic=topic)
        if not self._answered:
            return LogUnreachable(self._nobody(why), topic=topic)
        self._answered = False
        return LogUnreachable(
            f"{doing}: no answer from the Kafka brokers of {self._bootstrap} within {self._timeout_secs:.0f} s{why}",
            topic=topic,
        )

    def _nobody(self, why: str) -> str:
        """That no broker answers: what to look at depends on whether one ever did."""
        said = f"no Kafka broker answers at {self._bootstrap}{why}"
        if self._ever:
            return f"{said}, as they did before. Look at the brokers, and at the network between"
        other = protocol_trouble(self._bootstrap, self._protocol, self._why, hung_up=self._all_down)
        return other or (
            f"{said}. Is one running there, and is this its address (kafka.bootstrap_servers, or --bootstrap)? Without a broker, "
            "--embedded DIR runs on a file."
        )


def _names(operations: Iterable[Enum] | None) -> frozenset[str]:
    return frozenset(operation.name for operation in operations or ())


def topic_config(spec: TopicSpec, replicas: int) -> dict[str, str]:
    """The settings of a topic that we make: acknowledged records survive the loss of a broker, and nothing expires
    unasked."""
    config = {
        "cleanup.policy": cleanup_policy(spec),
        "retention.ms": str(-1 if spec.retention_ms is None else spec.retention_ms),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "unclean.leader.election.enable": "false",
    }
    if not spec.compacted or spec.trimmed:
        config["retention.bytes"] = "-1"
    if spec.large:
        config["max.message.bytes"] = str(LARGE_BYTES)
    return config
