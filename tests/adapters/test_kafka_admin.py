"""What a cluster of several brokers answers while a topic is new: some know it, some do not yet."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.adapters.kafka_admin import KafkaAdmin
from monitor.errors import LogError, LogUnreachable


class Answers(KafkaAdmin):
    """An admin client whose brokers know the topic when asked for the n-th time for its settings."""

    def __init__(self, known_after: int, timeout_secs: float = 5.0) -> None:
        self._timeout_secs, self._left = timeout_secs, known_after
        self._client: Any = SimpleNamespace(describe_topics=None, describe_configs=None)

    def _ask(self, doing: str, question: Callable[..., Any], topic: str | None = None) -> Any:
        if doing.startswith("describing"):
            return SimpleNamespace(topic_id="id", partitions=[0, 1])
        self._left -= 1
        if self._left >= 0:
            raise LogError("failed: Broker: Unknown topic or partition (UNKNOWN_TOPIC_OR_PART)")
        return {"cleanup.policy": SimpleNamespace(value="delete")}


def test_a_topic_that_one_broker_has_not_heard_of_is_asked_for_again() -> None:
    found = Answers(3).topic("new")
    assert found is not None
    assert (found.topic_id, found.partitions, found.config) == ("id", 2, {"cleanup.policy": "delete"})


def test_one_that_stays_unknown_to_some_is_said() -> None:
    with pytest.raises(LogUnreachable, match="topic 'new' is known to some brokers and not to others"):
        Answers(1_000_000, timeout_secs=0.1).topic("new")
