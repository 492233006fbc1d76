"""What a cluster of several brokers answers while a topic is new: some know it, some do not yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from monitor.adapters import kafka_leases, kafka_reader
from monitor.adapters.kafka_admin import KafkaAdmin
from monitor.adapters.kafka_settings import log_error
from monitor.cli.exits import BAD_CONFIG, FAILED, UNREACHABLE, code_of
from monitor.errors import LogError, LogUnreachable, OffsetLost
from monitor.ports import TopicSpec


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


class Creating(Answers):
    """A cluster of which a broker goes between its being counted and a topic's being made, so many times."""

    def __init__(self, *answers: KafkaError | None, timeout_secs: float = 5.0) -> None:
        super().__init__(0, timeout_secs)
        self._answers, self.replicas = iter(answers), list[int]()
        self._last: KafkaError | None = None
        self._counts = iter([3, *[2] * 1_000])

    def topic(self, name: str) -> Any:
        return SimpleNamespace(name=name) if self.replicas and self._last is None else None

    def brokers(self) -> int:
        return next(self._counts)

    def _ask(self, doing: str, question: Callable[..., Any], topic: str | None = None) -> Any:
        if doing.startswith("describing"):
            return SimpleNamespace(partitions=[SimpleNamespace(leader=1)])
        self._client = SimpleNamespace(create_topics=self._create)
        question()
        self._last = next(self._answers, self._last)
        if self._last is not None:
            raise log_error(doing, self._last)
        return None

    def _create(self, new: list[Any], **_: Any) -> dict[str, None]:
        self.replicas.append(new[0].replication_factor)
        return {"t": None}


FEWER = KafkaError(KafkaError.INVALID_REPLICATION_FACTOR)


def test_brokers_are_counted_again_when_one_has_gone_before_a_topic_is_made() -> None:
    cluster = Creating(FEWER, None)
    assert cluster.ensure(TopicSpec("t", 1)).name == "t"
    assert cluster.replicas == [3, 2]


def test_a_cluster_that_cannot_make_a_topic_while_brokers_are_away_gives_no_answer() -> None:
    with pytest.raises(LogUnreachable, match="creating topic 't' failed: fewer brokers live than the cluster counts"):
        Creating(FEWER, timeout_secs=0.1).ensure(TopicSpec("t", 1))


PASSES = [
    "NOT_CONTROLLER", "NETWORK_EXCEPTION", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR",
    "BROKER_NOT_AVAILABLE", "LISTENER_NOT_FOUND", "NOT_ENOUGH_REPLICAS", "_WAIT_CACHE", "_TRANSPORT", "LEADER_NOT_AVAILABLE",
]  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
def test_what_passes_while_brokers_come_and_go_ends_a_start_with_69(name: str) -> None:
    error = log_error("describing the cluster", KafkaError(getattr(KafkaError, name)))
    assert code_of(error) == UNREACHABLE
    assert f"({name})" in str(error)


@pytest.mark.parametrize(
    ("name", "code"), [("TOPIC_AUTHORIZATION_FAILED", BAD_CONFIG), ("INVALID_CONFIG", FAILED), ("_INVALID_ARG", FAILED)]
)
def test_what_does_not_pass_ends_it_with_1_and_what_is_not_allowed_with_78(name: str, code: int) -> None:
    assert code_of(log_error("describing the cluster", KafkaError(getattr(KafkaError, name)))) == code


def test_no_error_of_the_client_leaves_a_question_about_offsets_as_it_came() -> None:
    class Refusing(Offsets):
        def _list_offsets(self, wanted: dict[TopicPartition, Any], **limits: Any) -> dict[TopicPartition, Any]:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

        def _unreachable(self, doing: str, topic: str | None) -> LogUnreachable:
            return LogUnreachable(doing, topic=topic)

    with pytest.raises(LogUnreachable, match="asking for the offsets of topic 't'"):
        Refusing().end_offsets("t")


class Consumer:
    """A client whose brokers are away: what it is asked fails, but for bounds where it has them, and what needs no broker."""

    def __init__(self, name: str, bounds: tuple[int, int] | None = None) -> None:
        self._error, self._bounds = KafkaError(getattr(KafkaError, name)), bounds

    def _fail(self, *_: object, **__: object) -> Any:
        raise KafkaException(self._error)

    incremental_assign = consume = poll = subscribe = _fail

    def incremental_unassign(self, *_: object) -> None:
        if self._bounds is None:
            self._fail()

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return self._fail() if self._bounds is None else self._bounds


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Consumer], None]:
    """Clients are these."""

    def use(consumer: Consumer) -> None:
        for module in (kafka_reader, kafka_leases):
            monkeypatch.setattr(module, "connect", lambda *_, **__: consumer)

    return use


@pytest.mark.parametrize("name", ["_TRANSPORT", "_ALL_BROKERS_DOWN", "NOT_COORDINATOR", "NETWORK_EXCEPTION"])
def test_no_error_of_a_client_leaves_readers_and_leases_as_it_came(name: str, away: Callable[[Consumer], None]) -> None:
    away(Consumer(name))
    reader = kafka_reader.KafkaReader({}, {}, keys=False, headers=False)
    with pytest.raises(LogUnreachable, match="beginning to read topic 't'"):
        reader.assign({("t", 0): 7})
    with pytest.raises(LogUnreachable, match="reading from Kafka was interrupted"):
        reader.poll(10, 0)
    with pytest.raises(LogUnreachable, match="joining the group of topic"):
        kafka_leases.KafkaLeases({}, {}, "tasks")


def test_an_offset_that_was_refused_and_is_there_is_not_lost(away: Callable[[Consumer], None]) -> None:
    away(Consumer("_TRANSPORT", bounds=(3, 9)))
    reader = kafka_reader.KafkaReader({}, {}, keys=False, headers=False)
    for wanted, kind in ((7, LogUnreachable), (9, LogUnreachable), (2, OffsetLost), (10, OffsetLost)):
        reader._positions = {("t", 0): wanted}
        assert type(reader._lost(("t", 0))) is kind
