"""What a cluster of several brokers answers while a topic is new: some know it, some do not yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

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


class Offsets(Answers):
    """A cluster of two partitions whose leaders move: what it says of their offsets, one look after the other."""

    def __init__(self, *looks: list[int] | KafkaError, timeout_secs: float = 5.0) -> None:
        super().__init__(0, timeout_secs)
        self._looks = iter(looks)
        self._client = SimpleNamespace(describe_topics=None, describe_configs=None, list_offsets=self._list_offsets)
        self._last: list[int] | KafkaError = []

    def _ask(self, doing: str, question: Callable[..., Any], topic: str | None = None) -> Any:
        return SimpleNamespace(topic_id="id", partitions=[SimpleNamespace(id=0), SimpleNamespace(id=1)])

    def _list_offsets(self, wanted: dict[TopicPartition, Any], **limits: Any) -> dict[TopicPartition, Any]:
        self._last = look = next(self._looks, self._last)
        futures = {where: Future[Any]() for where in wanted}
        for where, future in futures.items():
            if isinstance(look, KafkaError):
                future.set_exception(KafkaException(look))
            else:
                future.set_result(SimpleNamespace(offset=look[where.partition]))
        return futures


MOVING = KafkaError(KafkaError.OFFSET_NOT_AVAILABLE)
NO_LEADERS = KafkaError(KafkaError._NOENT)


def test_offsets_are_asked_for_again_while_leaders_move() -> None:
    assert Offsets(MOVING, NO_LEADERS, [3, -1001], [3, 5]).end_offsets("t") == [3, 5]


@pytest.mark.parametrize("look", [MOVING, NO_LEADERS, [3, -1001]])
def test_a_partition_that_stays_without_a_leader_gives_no_answer_and_no_false_offset(
    look: list[int] | KafkaError,
) -> None:
    with pytest.raises(LogUnreachable, match="asking for the offsets of topic 't': no leader answered within 0 s"):
        Offsets(look, timeout_secs=0.1).begin_offsets("t")


def test_no_offset_at_a_time_is_the_end() -> None:
    assert Offsets([7, 9], [-1, 4]).offsets_at("t", 5) == [7, 4]
