"""Appending to Kafka so that who takes over knows what is there: one transaction from a `send` to the `flush` that ends it.

Making an appender under a name shuts out every earlier one of that name: what it sent and was not told of is in the log by then,
or never will be. The ledger needs none of that, since its reading rule ignores who was shut out; a copy of somebody's topic has
readers without such a rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaException

from monitor.adapters.kafka_appender import KafkaAppender
from monitor.adapters.kafka_settings import Errors, Settings
from monitor.errors import LogUnreachable
from monitor.ports import OutRecord

_TRANSACTION_MS = 30_000
"""How long the brokers wait for one that died: its readers wait as long, unless somebody takes over before."""
_AGAIN_SECS = 0.1


class KafkaFencedAppender(KafkaAppender):
    """See `monitor.ports.Appender` and `Fences`. `flush` commits what was sent since the one before; nobody sees it earlier."""

    def __init__(self, settings: Settings, errors: Errors, name: str, timeout_secs: float) -> None:
        """Raises LogUnreachable when no broker answers in time, LogError when the name may not be used."""
        own: Settings = {"transactional.id": name, "transaction.timeout.ms": _TRANSACTION_MS, "linger.ms": 20}
        super().__init__(settings | own, errors)
        self._begun = False
        try:
            self._tried(lambda: self._producer.init_transactions(timeout_secs), timeout_secs)
        except KafkaException as e:
            self._drop()
            error = e.args[0]
            if error.retriable():
                raise LogUnreachable(f"taking over {name!r}: {error.str()} ({error.name()})") from e
            raise self._failed(error, None, None) from e

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        """Queue a record, in a transaction that is begun for it where none is."""
        if not self._begun:
            self._check()
            try:
                self._producer.begin_transaction()
            except KafkaException as e:
                raise self._failed(e.args[0], topic, partition) from e
            self._begun = True
        super().send(topic, record, partition)

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        """Not here: an appender that commits many at once has no single ones."""
        raise NotImplementedError

    def flush(self, timeout_ms: int) -> None:
        """Commit everything sent. Raises UnknownOutcome when that may have failed: who takes the name over sees."""
        if not self._begun:
            return
        self._check()
        try:
            self._tried(lambda: self._producer.commit_transaction(timeout_ms / 1000), timeout_ms / 1000)
        except KafkaException as e:
            raise self._failed(e.args[0], None, None) from e
        self._begun = False
        if self._failure is not None:
            raise self._failed(*self._failure)

    def _tried(self, do: Callable[[], object], timeout_secs: float) -> None:
        deadline = time.monotonic() + timeout_secs
        while True:
            try:
                do()
            except KafkaException as e:
                if not e.args[0].retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECS)
                continue
            return
