"""A server that follows the topic `models`: what is proven takes over without a gap, what is not changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.errors import RegistryError, TopicError
from registry.following import Following
from registry.kafka_topic import KafkaTopic
from registry.publication import EPOCH, SEQUENCE, StateRecord, decode_state
from registry.reader import Outcome, Taken
from registry.state_topic import StateTail, publish
from tests.kafka.deployment import eventually
from tests.registry.memory import MemoryStore
from tests.registry.stories import by, three
from tests.registry.test_reader import add_probed, reader, record
from tests.registry.test_state_topic import MemoryTopic

NEVER_S = 3_600.0
"""So rarely is the store looked into where a test is about the topic."""


class World:
    """A store, a topic, and somebody who follows both."""

    def __init__(self, directory: Path) -> None:
        self.store, self.topic = MemoryStore(), MemoryTopic()
        self.catalog = Catalog(self.store)
        self.aliases = Aliases(self.catalog)
        self.reader = reader(self.store, directory)
        self.told: list[Taken] = []

    def follow(self, poll_store_s: float = NEVER_S, topic: MemoryTopic | None = None) -> Following:
        return Following(self.reader, topic or self.topic, self.told.append, poll_store_s=poll_store_s)

    def publish(self) -> None:
        publish(self.aliases, self.catalog, self.topic)

    def serves(self, version: int) -> Callable[[], bool]:
        return lambda: self.reader.serving is not None and self.reader.serving.version == version

    @property
    def outcomes(self) -> list[Outcome]:
        return [taken.outcome for taken in self.told]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = threading.active_count()
    yield World(tmp_path)
    assert threading.active_count() == before, "whoever followed has ended"


def test_promotions_and_rollbacks_are_followed_as_they_are_published(world: World) -> None:
    for weight in (1, 2):
        add_probed(world.store, weight)
    world.aliases.promote("fraud", "champion", 1, by())
    world.publish()
    with world.follow() as following:
        assert following.first(30).version == 1
        world.aliases.promote("fraud", "champion", 2, by())
        world.publish()
        eventually(world.serves(2), 30, "version 2 serves")
        world.aliases.freeze("fraud", "champion", by())
        world.aliases.rollback("fraud", "champion", by())
        world.publish()
        eventually(world.serves(1), 30, "version 1 serves again")
    assert world.outcomes == [Outcome.SWAPPED] * 3


def test_a_version_that_fails_its_proof_is_told_and_the_old_one_kept_until_another_is_promoted(world: World) -> None:
    add_probed(world.store, 1)
    add_probed(world.store, 2, says=2.5)
    corrupt = add_probed(world.store, 3)
    add_probed(world.store, 4)
    (file,) = world.catalog.manifest(corrupt).files
    world.store.kept[file.digest] = (world.store.kept[file.digest][0][:-1] + b" ", 0)
    world.aliases.promote("fraud", "champion", 1, by())
    with world.follow() as following:
        following.first(30)
        for version, words in ((2, "does not behave as registered"), (3, "is damaged")):
            seen = len(world.told)
            world.aliases.promote("fraud", "champion", version, by())
            world.publish()
            eventually(lambda seen=seen: len(world.told) > seen, 30, "it is told")  # type: ignore[misc]
            assert world.told[-1].outcome is Outcome.REFUSED
            assert words in world.told[-1].detail
            assert "version 1 is served on" in world.told[-1].detail
            assert world.serves(1)()
        world.aliases.promote("fraud", "champion", 4, by())
        world.publish()
        eventually(world.serves(4), 30, "version 4 serves")


def test_swaps_leave_no_gap_under_load(world: World) -> None:
    for weight in (1, 2, 3):
        add_probed(world.store, weight)
    world.aliases.promote("fraud", "champion", 1, by())
    stop = threading.Event()
    wrong: list[str] = []
    scored = [0]

    def load() -> None:
        while not stop.is_set():
            serving = world.reader.serving
            if serving is None:
                wrong.append("nobody serves")
                continue
            said = float(serving.scorer.score({"x": np.zeros(1)})["score"][0])
            if said != serving.version:
                wrong.append(f"version {serving.version} said {said}")
            scored[0] += 1

    with world.follow() as following:
        following.first(30)
        asking = [threading.Thread(target=load) for _ in range(2)]
        for each in asking:
            each.start()
        try:
            for swap in range(30):
                before = scored[0]
                version = (2, 3, 1)[swap % 3]
                world.aliases.promote("fraud", "champion", version, by())
                world.publish()
                eventually(world.serves(version), 30, f"version {version} serves")
                eventually(lambda before=before: scored[0] > before, 30, "requests are answered")  # type: ignore[misc]
        finally:
            stop.set()
            for each in asking:
                each.join()
    assert wrong == []
    assert world.outcomes == [Outcome.SWAPPED] * 31


def test_a_record_that_is_lost_is_made_up_for_by_the_store(world: World) -> None:
    three(world.store).promote("fraud", "champion", 1, by())
    with world.follow(poll_store_s=0.05) as following:
        following.first(30)
        world.aliases.promote("fraud", "champion", 2, by())  # published by nobody
        eventually(world.serves(2), 30, "version 2 serves")


def test_without_a_topic_the_store_is_enough(world: World) -> None:
    three(world.store)
    with Following(world.reader, None, world.told.append, poll_store_s=0.05) as following:
        eventually(lambda: world.outcomes == [Outcome.NOTHING], 30, "it is told that nothing is promoted")
        world.aliases.promote("fraud", "champion", 1, by())
        assert following.first(30).version == 1


def test_a_forged_record_does_not_hide_those_that_come_after_it_or_with_it(world: World) -> None:
    three(world.store).promote("fraud", "champion", 1, by())
    forged = codec.encode(msgspec.structs.replace(decode_state(record(world.store)), version=3, sequence=90))
    false = StateRecord(b"fraud/champion", forged, ((EPOCH, b"9"), (SEQUENCE, b"90")))
    with world.follow() as following:
        following.first(30)
        world.topic.publish([false])
        eventually(lambda: Outcome.REFUSED in world.outcomes, 30, "the forged one is refused")
        world.aliases.promote("fraud", "champion", 2, by())
        true = StateRecord(b"fraud/champion", record(world.store), ((EPOCH, b"0"), (SEQUENCE, b"2")))
        world.topic.publish([true, false])
        eventually(world.serves(2), 30, "version 2 serves")


def test_an_old_record_makes_the_store_be_looked_into(world: World) -> None:
    """Compaction kept the record of a process that slept: what it says is not served, and what the store says is."""
    three(world.store).promote("fraud", "champion", 1, by())
    old = StateRecord(b"fraud/champion", record(world.store), ((EPOCH, b"0"), (SEQUENCE, b"1")))
    with world.follow() as following:
        following.first(30)
        world.aliases.promote("fraud", "champion", 2, by())
        world.topic.publish([old])
        eventually(world.serves(2), 30, "version 2 serves")


def test_records_of_others_are_not_looked_at(world: World) -> None:
    three(world.store).promote("fraud", "champion", 1, by())
    with world.follow() as following:
        following.first(30)
        world.topic.publish([StateRecord(b"fraud/challenger", b"{}"), StateRecord(b"fraud/champion", b"")])
        world.aliases.promote("fraud", "champion", 2, by())
        world.publish()
        eventually(world.serves(2), 30, "version 2 serves")
    assert world.outcomes == [Outcome.SWAPPED] * 2


def test_a_topic_that_breaks_is_told_once_and_what_serves_is_kept(world: World) -> None:
    class Broken(MemoryTopic):
        def tail(self) -> StateTail:  # type: ignore[override]
            return self

        def poll(self, timeout_ms: int) -> list[StateRecord]:
            raise TopicError("the topic", "is broken", "Mend it.")

        def close(self) -> None: ...

    three(world.store).promote("fraud", "champion", 1, by())
    with world.follow(poll_store_s=0.05, topic=Broken()) as following:
        following.first(30)
        world.aliases.promote("fraud", "champion", 2, by())
        eventually(world.serves(2), 30, "the store is looked into all the same")
        eventually(lambda: world.outcomes.count(Outcome.SWAPPED) == 2, 30, "it is told")
    assert [str(t.error) for t in world.told if t.outcome is Outcome.REFUSED] == ["the topic is broken. Mend it."]


def test_a_broker_that_is_not_there_does_not_keep_a_server_from_serving(world: World) -> None:
    three(world.store).promote("fraud", "champion", 1, by())
    with Following(world.reader, KafkaTopic("127.0.0.1:1", "driftline.models"), world.told.append) as following:
        assert following.first(30).version == 1


def test_where_nothing_can_be_served_the_first_version_is_not_waited_for_without_end(world: World) -> None:
    three(world.store)
    with world.follow() as following, pytest.raises(RegistryError, match="fraud/champion has no version that can be"):
        following.first(0.05)
