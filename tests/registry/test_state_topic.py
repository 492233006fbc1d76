"""The `models` topic is kept at what the store says, by comparison: whatever was lost, covered or forged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from monitor.cli.models_topic import LogTopic
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.errors import BadName, TopicError, TopicUnreachable
from registry.kafka_topic import KafkaTopic
from registry.publication import EPOCH, SEQUENCE, StateRecord, current_state, decode_state, state_record
from registry.state_topic import Published, Standing, StateTopic, compared, publish
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics
from tests.registry.memory import MemoryStore
from tests.registry.stories import by, three

KEY = b"fraud/champion"


class MemoryTopic:
    """The simplest thing that satisfies the port."""

    name = "a topic in memory"

    def __init__(self) -> None:
        self.records: list[StateRecord] = []

    def read(self) -> list[StateRecord]:
        return list(self.records)

    def publish(self, records: Sequence[StateRecord]) -> None:
        self.records += records

    def tail(self) -> MemoryTail:
        return MemoryTail(self)


class MemoryTail:
    def __init__(self, topic: MemoryTopic) -> None:
        self._topic, self._at = topic, 0

    def poll(self, timeout_ms: int) -> list[StateRecord]:
        found = self._topic.records[self._at :]
        self._at += len(found)
        if not found:
            time.sleep(min(timeout_ms / 1000, 0.005))
        return found

    def close(self) -> None: ...


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def topic(request: pytest.FixtureRequest, tmp_path: Path) -> StateTopic:
    """One of each kind, empty, and not there yet."""
    if request.param == "memory":
        return MemoryTopic()
    if request.param == "embedded":
        (tmp_path / "log").mkdir()
        from monitor.adapters.embedded import EmbeddedLog

        EmbeddedLog(tmp_path / "log").close()
        return LogTopic(tmp_path / "log", "driftline.models")
    kafka: Kafka = request.getfixturevalue("kafka")
    topics: FreshTopics = request.getfixturevalue("fresh_topics")
    return KafkaTopic(kafka.bootstrap_servers, topics("models"))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def aliases(store: MemoryStore) -> Aliases:
    return three(store)


def _publish(aliases: Aliases, store: MemoryStore, topic: StateTopic) -> list[tuple[Standing, bool]]:
    return [(e.standing, e.record is not None) for e in publish(aliases, Catalog(store), topic)]


def _record(aliases: Aliases, store: MemoryStore, epoch: int = 0) -> StateRecord:
    state = current_state(aliases, Catalog(store), "fraud", "champion")
    assert state is not None
    return state_record(state, epoch)


# ------------------------------------------------------------------------------------------------- of every topic


def test_a_topic_gives_what_was_published_in_order_and_then_what_comes(topic: StateTopic) -> None:
    assert topic.read() == []
    early = topic.tail()
    assert early.poll(50) == [], "nothing to read is no failure"
    records = [StateRecord(b"a/b", b"%d" % n, ((EPOCH, b"0"), (SEQUENCE, b"%d" % n))) for n in range(3)]
    topic.publish(records[:2])
    assert topic.read() == records[:2]
    tail = topic.tail()
    assert _polled(tail.poll, 2) == records[:2]
    topic.publish([*records[2:], StateRecord(b"a/b", b"")])
    assert _polled(tail.poll, 2) == [records[2], StateRecord(b"a/b", b"")]
    assert _polled(early.poll, 4)[0] == records[0], "a topic that was made meanwhile is read from its beginning"
    for each in (tail, tail, early):
        each.close()
    assert topic.read()[-1] == StateRecord(b"a/b", b"")


def _polled(poll: Callable[[int], list[StateRecord]], count: int) -> list[StateRecord]:
    found: list[StateRecord] = []
    end = time.monotonic() + 30
    while len(found) < count and time.monotonic() < end:
        found += poll(500)
    return found


def test_each_move_is_published_once_and_a_lost_publication_is_made_up_for(
    topic: StateTopic, store: MemoryStore, aliases: Aliases
) -> None:
    aliases.promote("fraud", "champion", 1, by())
    assert _publish(aliases, store, topic) == [(Standing.MISSING, True)]
    assert _publish(aliases, store, topic) == [(Standing.CURRENT, False)]
    aliases.freeze("fraud", "champion", by())  # nobody published this one
    aliases.promote("fraud", "champion", 2, by())
    aliases.promote("fraud", "challenger", 3, by())
    assert _publish(aliases, store, topic) == [(Standing.MISSING, True), (Standing.BEHIND, True)]
    held = {record.key: decode_state(record.value) for record in topic.read()}
    assert {key.decode(): state.version for key, state in held.items()} == {"fraud/challenger": 3, "fraud/champion": 2}
    assert held[KEY].frozen


# ---------------------------------------------------------------------------------------- the comparison, in memory


def test_an_old_record_that_came_last_is_covered_again_because_compaction_would_keep_it(
    store: MemoryStore, aliases: Aliases
) -> None:
    topic = MemoryTopic()
    aliases.promote("fraud", "champion", 1, by())
    old = _record(aliases, store)
    aliases.promote("fraud", "champion", 2, by())
    publish(aliases, Catalog(store), topic)
    topic.publish([old])  # a process that slept
    assert _publish(aliases, store, topic) == [(Standing.COVERED, True)]
    assert topic.records[-1] == topic.records[0]
    topic.records = topic.records[-1:]  # compaction
    assert _publish(aliases, store, topic) == [(Standing.CURRENT, False)]
    topic.publish([StateRecord(KEY, b"")])
    assert _publish(aliases, store, topic) == [(Standing.MISSING, True)]


def test_what_is_ahead_of_the_store_is_named_and_only_overruled_when_asked(
    store: MemoryStore, aliases: Aliases
) -> None:
    topic = MemoryTopic()
    aliases.promote("fraud", "champion", 1, by())
    forged = StateRecord(KEY, b"{}", ((EPOCH, b"3"), (SEQUENCE, b"99")))
    topic.publish([_record(aliases, store), forged])
    assert _publish(aliases, store, topic) == [(Standing.AHEAD, False)]
    (done,) = publish(aliases, Catalog(store), topic, overrule=True)
    assert (done.agrees, done.record) == (True, _record(aliases, store, epoch=4))
    assert _publish(aliases, store, topic) == [(Standing.CURRENT, False)]
    aliases.promote("fraud", "champion", 2, by())
    assert _publish(aliases, store, topic) == [(Standing.BEHIND, True)]
    assert topic.records[-1].rank == (4, 2), "the epoch stays: an older one would not be read"


def test_other_bytes_for_the_same_move_are_written_over(store: MemoryStore, aliases: Aliases) -> None:
    topic = MemoryTopic()
    aliases.promote("fraud", "champion", 1, by())
    ours = _record(aliases, store)
    topic.publish([ours, StateRecord(KEY, b"{}", ours.headers)])
    assert _publish(aliases, store, topic) == [(Standing.DIFFERS, True)]
    assert _publish(aliases, store, topic) == [(Standing.CURRENT, False)]


@pytest.mark.parametrize("headers", [(), ((EPOCH, b"x"), (SEQUENCE, b"-1")), ((EPOCH, b"9" * 30),)])
def test_headers_that_are_no_numbers_rank_below_all_others(
    store: MemoryStore, aliases: Aliases, headers: tuple[tuple[str, bytes], ...]
) -> None:
    aliases.promote("fraud", "champion", 1, by())
    ours, odd = _record(aliases, store), StateRecord(KEY, b"{}", headers)
    assert odd.rank < ours.rank
    state = decode_state(ours.value)
    assert compared(state, [odd]) == (Standing.BEHIND, 0)
    assert compared(state, [ours, odd]) == (Standing.COVERED, 0)
    assert compared(state, [odd, ours]) == (Standing.CURRENT, 0)


def test_whoever_publishes_when_and_however_late_the_newest_state_wins(store: MemoryStore, aliases: Aliases) -> None:
    """Publishers that sleep between reading and writing, over any order of moves, records lost and compaction."""
    luck = random.Random(11)
    topic, asleep = MemoryTopic(), list[StateRecord]()
    for _ in range(300):
        deed = luck.randrange(5)
        if deed == 0:
            at = aliases.state("fraud").alias("champion").version
            aliases.promote("fraud", "champion", luck.choice([v for v in (1, 2, 3) if v != at]), by())
        elif deed == 1 and aliases.state("fraud").aliases:
            asleep.append(_record(aliases, store))
        elif deed == 2 and asleep:
            topic.publish([asleep.pop(luck.randrange(len(asleep)))])
        elif deed == 3 and topic.records:
            topic.records = topic.records[-1:]
        else:
            publish(aliases, Catalog(store), topic)
            for done in publish(aliases, Catalog(store), topic):
                assert done.standing is Standing.CURRENT
                newest = max(topic.records, key=lambda record: record.rank)
                assert newest == topic.records[-1] == _record(aliases, store)


# ------------------------------------------------------------------------------------------------------------ Kafka


@pytest.mark.kafka
def test_on_kafka_the_topic_is_made_compacted(
    kafka: Kafka, fresh_topics: FreshTopics, store: MemoryStore, aliases: Aliases
) -> None:
    aliases.promote("fraud", "champion", 1, by())
    publish(aliases, Catalog(store), KafkaTopic(kafka.bootstrap_servers, fresh_topics("models")))
    from monitor.adapters.kafka_log import KafkaLog

    info = KafkaLog(kafka.bootstrap_servers).topic(fresh_topics("models"))
    assert info is not None
    assert (info.partitions, info.config["cleanup.policy"]) == (1, "compact")


@pytest.mark.kafka
def test_a_topic_with_several_partitions_is_read_whole(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    topic = KafkaTopic(kafka.bootstrap_servers, fresh_topics.create("models", partitions=3))
    records = [StateRecord(b"m%d/a" % n, b"{}", ((EPOCH, b"0"), (SEQUENCE, b"1"))) for n in range(20)]
    topic.publish(records)
    assert sorted(topic.read(), key=records.index) == records


def test_a_broker_that_is_not_there_is_said_in_one_sentence() -> None:
    topic = KafkaTopic("127.0.0.1:1", "driftline.models", timeout_s=1)
    for ask in (topic.read, lambda: topic.publish([StateRecord(KEY, b"{}")])):
        with pytest.raises(TopicUnreachable, match="Versions and aliases are not concerned"):
            ask()
    tail = topic.tail()
    assert tail.poll(200) == []
    tail.close()


def test_properties_that_are_ours_or_wrong_are_refused(tmp_path: Path) -> None:
    for key in ("acks", "group.id", "bootstrap.servers_file"):
        with pytest.raises(BadName, match=f"Kafka property '{key}'"):
            KafkaTopic("127.0.0.1:1", "t", {key: "1"})
    with pytest.raises(BadName, match="cannot be read"):
        KafkaTopic("127.0.0.1:1", "t", {"sasl.password_file": str(tmp_path / "none")})
    (tmp_path / "secret").write_text("hush\n")
    for wrong in ({"no.such.property": "1"}, {"security.protocol_file": str(tmp_path / "secret")}):
        with pytest.raises(TopicError, match="refuses its settings"):
            KafkaTopic("127.0.0.1:1", "t", wrong).read()


def test_an_embedded_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    topic = LogTopic(tmp_path / "none", "driftline.models")
    with pytest.raises(TopicError, match="there is no embedded log"):
        topic.read()
    with pytest.raises(TopicError, match="there is no embedded log"):
        topic.tail().poll(10)


def test_published_says_whether_the_topic_agrees(store: MemoryStore, aliases: Aliases) -> None:
    aliases.promote("fraud", "champion", 1, by())
    state = decode_state(_record(aliases, store).value)
    assert not Published(state, Standing.AHEAD, None).agrees
    assert Published(state, Standing.CURRENT, None).agrees
