"""The connection to Kafka: brokers and librdkafka properties, without those that Driftline must own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, StringConstraints

from monitor.config.base import Section, Text, problem

MASK = "********"
"""Stands for a secret wherever config is shown."""

_OFFSETS = "offsets come from the ledger, which is what makes counts exact"
_GROUP = "the consumer group only leases partitions, and its name follows from `namespace`"
_WRITES = "a commit is one idempotent, fully acknowledged append"
OWNED: dict[str, str] = {
    "bootstrap.servers": "it has a key of its own: kafka.bootstrap_servers",
    "metadata.broker.list": "it has a key of its own: kafka.bootstrap_servers",
    "group.id": _GROUP,
    "group.instance.id": _GROUP,
    "group.protocol": _GROUP,
    "group.remote.assignor": _GROUP,
    "partition.assignment.strategy": "predictions and labels of one partition must stay together",
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "auto.offset.reset": "a lost offset must be an error, never a silent jump",
    "enable.partition.eof": "the end of a partition is how a rebuild knows that it is done",
    "isolation.level": "aborted records must never be counted",
    "check.crcs": "damaged records must never be counted",
    "transactional.id": "a commit is one append and needs no transaction",
    "transaction.timeout.ms": "a commit is one append and needs no transaction",
    "enable.idempotence": _WRITES,
    "enable.gapless.guarantee": _WRITES,
    "acks": _WRITES,
    "request.required.acks": _WRITES,
    "retries": _WRITES,
    "message.send.max.retries": _WRITES,
    "max.in.flight": _WRITES,
    "max.in.flight.requests.per.connection": _WRITES,
    "partitioner": "it decides which records meet, so every producer of this product uses the same one",
    "plugin.library.paths": "it loads code into the process",
}
"""librdkafka properties that Driftline sets itself, and why."""

_SECRET = re.compile(r"(password|secret|key\.pem|private\.key|token|credentials)", re.IGNORECASE)
_NOT_SECRET = frozenset({"sasl.oauthbearer.token.endpoint.url"})


def is_secret(key: str) -> bool:
    """Whether a librdkafka property holds a secret, judged by its name. Such values are never shown."""
    return bool(_SECRET.search(key)) and key not in _NOT_SECRET and not key.endswith(".location")


def _read_servers(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if "@" in value:  # it may stand behind a password, which is not shown
        shown, hint = (
            value.rpartition("@")[2],
            "sasl.username and sasl.password_file in kafka.properties say who connects",
        )
        raise problem(f"{'...@' + shown!r} is not a broker; allowed: host:port, several separated by commas; {hint}")
    for server in value.split(","):
        if not re.fullmatch(r"\s*([A-Za-z0-9_+]+://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?\s*", server):
            hint = "; put a comma between two brokers" if re.search(r"\S\s+\S|;", server) else ""
            raise problem(f"{server.strip()!r} is not a broker; allowed: host:port, several separated by commas{hint}")
    return ",".join(server.strip() for server in value.split(","))


class Kafka(Section):
    """How to reach the cluster. `properties` are handed to librdkafka; secrets read from files are already in them."""

    bootstrap_servers: Annotated[str, BeforeValidator(_read_servers), StringConstraints(min_length=1)] = Field(
        description="Brokers as host:port, separated by commas.", examples=["kafka-1:9092,kafka-2:9092"]
    )
    properties: dict[str, Text] = Field(
        default_factory=dict,
        description="librdkafka properties, passed through. KEY_file reads the value of KEY from a file, relative to "
        "the config file; a newline at its end is dropped.",
        examples=[{"security.protocol": "SASL_SSL", "sasl.password_file": "/run/secrets/kafka-password"}],
    )
    _secret_files: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def secret_files(self) -> Mapping[str, str]:
        """Property -> the file that its value was read from."""
        return self._secret_files

    def with_secret_files(self, files: Mapping[str, str]) -> Kafka:
        """The same connection, knowing which of its properties came from files."""
        copy = self.model_copy()
        copy._secret_files = dict(sorted(files.items()))
        return copy

    def shown(self) -> dict[str, str]:
        """The properties as they may be seen: no secret, whether from a file or written in place."""
        hidden = {key for key in self.properties if key in self._secret_files or is_secret(key)}
        return {key: MASK if key in hidden else value for key, value in self.properties.items()}

    def __repr_args__(self) -> Any:
        yield "bootstrap_servers", self.bootstrap_servers
        yield "properties", self.shown()
