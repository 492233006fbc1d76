"""The `models` topic of a deployment, for the commands: Kafka as the configuration has it, or the embedded log.

On Kafka the registry's own door is used; `LogTopic` is its twin over the monitor's port, for the log in a file.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.cli.common import open_embedded
from monitor.cli.scan import open_embedded_existing, read_all
from monitor.errors import ConfigError, LogError
from monitor.ports import Log, OutRecord, Reader, TopicSpec
from registry.errors import TopicError
from registry.publication import StateRecord

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.events import Headers
    from registry.state_topic import StateTopic

_TIMEOUT_MS: Final = 10_000
_CHUNK: Final = 500
_LOOK_MS: Final = 100
"""Between two looks for a topic that is not there yet."""


class LogTopic:
    """`registry.state_topic.StateTopic` over a log of the monitor, which it opens when it is needed."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    def read(self) -> list[StateRecord]:
        """See StateTopic."""
        try:
            log = open_embedded_existing(self._directory)
            try:
                if log.topic(self._name) is None:
                    return []
                found = read_all(log, self._name, "reading states")
                return [_record(one.key, one.value, one.headers) for one in found]
            finally:
                log.close()
        except LogError as error:
            raise _error(self._name, error) from error

    def publish(self, records: Sequence[StateRecord]) -> None:
        """See StateTopic."""
        try:
            log = open_embedded(self._directory)
            try:
                log.ensure(TopicSpec(self._name, 1, compacted=True))
                appender = log.appender()
                for record in records:
                    appender.send(self._name, OutRecord(record.value or None, record.key, record.headers))
                appender.flush(_TIMEOUT_MS)
                appender.close()
            finally:
                log.close()
        except LogError as error:
            raise _error(self._name, error) from error

    def tail(self) -> LogTail:
        """See StateTopic."""
        return LogTail(self._directory, self._name)


class LogTail:
    """`registry.state_topic.StateTail`. Opened by whoever polls first: the embedded log wants one thread."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._log: Log | None = None
        self._reader: Reader | None = None

    def poll(self, timeout_ms: int) -> list[StateRecord]:
        """See StateTail."""
        try:
            self._log = self._log or open_embedded_existing(self._directory)
            if self._reader is None:
                if self._log.topic(self._name) is None:  # whoever publishes first makes it
                    time.sleep(min(timeout_ms, _LOOK_MS) / 1000)
                    return []
                self._reader = self._log.reader()
                begins = enumerate(self._log.begin_offsets(self._name))
                self._reader.assign({(self._name, number): offset for number, offset in begins})
            batches = self._reader.poll(_CHUNK, timeout_ms)
        except LogError as error:
            raise _error(self._name, error) from error
        found = []
        for batch in batches:
            assert batch.keys is not None
            assert batch.headers is not None
            rows = zip(batch.keys, batch.values, batch.headers, strict=True)
            found += [_record(key, value, headers or ()) for key, value, headers in rows]
        return found

    def close(self) -> None:
        """See StateTail."""
        for each in (self._reader, self._log):
            if each is not None:
                each.close()
        self._reader = self._log = None


def topic_of(config: Config, embedded: Path | None) -> StateTopic:
    """Where the states of a deployment are published. Raises ConfigError when there is no broker and no directory."""
    name = config.topics().models
    if embedded is not None:
        return LogTopic(embedded, name)
    if config.kafka is None:
        raise ConfigError(
            ["kafka: the configuration names no broker. Add kafka.bootstrap_servers, or give --embedded DIR."]
        )
    from registry.kafka_topic import KafkaTopic

    return KafkaTopic(config.kafka.bootstrap_servers, name, config.kafka.properties)


def _record(key: bytes | None, value: bytes | None, headers: Headers) -> StateRecord:
    return StateRecord(key or b"", value or b"", tuple((name, text or b"") for name, text in headers))


def _error(name: str, error: LogError) -> TopicError:
    return TopicError(f"topic {name!r}", f"cannot be used: {error}", "Versions and aliases are not concerned.")
