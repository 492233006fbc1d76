"""`driftline registry publish`, and the moves that publish what they did."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.cli.models_topic import LogTopic
from monitor.cli.retrain_announce import Announcing
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from registry.publication import EPOCH, SEQUENCE, StateRecord, decode_state
from tests.cli.conftest import CONFIG
from tests.cli.driving import Outcome, driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import eventually
from tests.kafka.fixtures import FreshTopics
from tests.registry.stories import by, three

TOPIC = "small.models"
WHY = ("--reason", "because", "--actor", "ada")


class Desk:
    """A registry of three versions, a deployment on an embedded log, and commands on both."""

    def __init__(self, directory: Path) -> None:
        self.store, self.config, self.log = directory / "store", directory / "d.yaml", directory / "log"
        self.config.write_text(CONFIG)
        three(DirectoryStore(self.store))
        self.topic = LogTopic(self.log, TOPIC)
        self.topic.publish([])  # makes it

    @property
    def where(self) -> tuple[object, ...]:
        return ("-c", self.config, "--embedded", self.log)

    def __call__(self, *args: object) -> Outcome:
        return driftline("registry", *args, "--store", self.store)

    def held(self) -> list[tuple[str, int, int | None]]:
        """Key, sequence and version of every record, in order."""
        states = [decode_state(record.value) for record in self.topic.read()]
        return [(state.key, state.sequence, state.version) for state in states]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_each_move_is_published_when_it_is_said_where(desk: Desk) -> None:
    moves: list[tuple[object, ...]] = [
        ("promote", "fraud@1"),
        ("promote", "fraud@2"),
        ("freeze", "fraud"),
        ("rollback", "fraud"),
        ("retire", "fraud@2"),
        ("unfreeze", "fraud"),
        ("protect", "fraud"),
    ]
    for number, move in enumerate(moves, 1):
        done = desk(*move, *WHY, *desk.where)
        assert (done.code, f"fraud/champion is published to {TOPIC}" in done.err) == (0, True), done.err
        assert done.out.startswith(f"{number}: {move[0]}")
    assert desk.held() == [("fraud/champion", n, v) for n, v in enumerate((1, 2, 2, 1, 1, 1, 1), 1)]
    assert decode_state(desk.topic.read()[-1].value).retired == (2,)


def test_a_move_that_is_done_already_is_published_all_the_same(desk: Desk) -> None:
    assert desk("promote", "fraud@1", *WHY).code == 0
    assert desk.held() == []
    again = desk("promote", "fraud@1", *WHY, *desk.where)
    assert (again.code, "it is so already" in again.err) == (0, True)
    assert desk.held() == [("fraud/champion", 1, 1)]


def test_a_move_that_is_refused_publishes_nothing(desk: Desk) -> None:
    refused = desk("promote", "fraud@1", "--approvals", "1", *WHY, *desk.where)
    assert (refused.code, desk.held()) == (3, [])


def test_a_move_stands_when_it_could_not_be_published_and_publish_makes_up_for_it(desk: Desk) -> None:
    gone = ("--bootstrap", "127.0.0.1:1")
    done = desk("promote", "fraud@1", *WHY, *gone)
    assert (done.code, done.out) == (69, "1: promote 1 as champion\n")
    assert "the move is done, and not published: " in done.err
    assert desk("publish", *gone).code == 69
    made_up = desk("publish", *desk.where, "-o", "json")
    assert (made_up.code, made_up.json) == (0, {
        "topic": TOPIC,
        "states": [{
            "key": "fraud/champion", "version": 1, "sequence": 1, "standing": "missing", "published": True, "epoch": 0,
        }],
    })  # fmt: skip
    assert desk("publish", *desk.where, "-o", "json").json["states"][0]["standing"] == "current"


def test_what_is_ahead_of_the_store_is_exit_1_until_somebody_overrules_it(desk: Desk) -> None:
    desk("promote", "fraud@1", *WHY, *desk.where)
    desk.topic.publish([StateRecord(b"fraud/champion", b"{}", ((EPOCH, b"0"), (SEQUENCE, b"7")))])
    ahead = desk("publish", *desk.where)
    assert (ahead.code, "is ahead of the store (sequence 1): it is forged" in ahead.err) == (1, True)
    assert desk("publish", *desk.where, "--overrule").code == 0
    assert desk("publish", *desk.where).code == 0


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("publish",), 2, "say where: --bootstrap HOST:PORT"),
        (("publish", "--embedded", "log"), 2, "--embedded needs the configuration"),
        (("publish", "frod", "-c", "CONFIG", "--embedded", "LOG"), 1, "frod"),
        (("publish", "-c", "CONFIG"), 78, "the configuration names no broker"),
        (("promote", "fraud@1", "--reason", "x", "--embedded", "log"), 2, "--embedded needs the configuration"),
    ],
)
def test_mistakes_are_said_before_anything_moves(desk: Desk, args: tuple[str, ...], code: int, sentence: str) -> None:
    places = {"CONFIG": desk.config, "LOG": desk.log}
    done = desk(*(places.get(word, word) for word in args))
    assert (done.code, sentence in done.err) == (code, True), done.err
    assert Aliases(Catalog(DirectoryStore(desk.store))).history("fraud") == []


def test_watch_writes_again_what_gets_lost(desk: Desk) -> None:
    watching = subprocess.Popen(
        [
            *(sys.executable, "-m", "monitor.cli.app", "registry", "publish", "--watch", "--every", "0.1"),
            *map(str, (*desk.where, "--store", desk.store)),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        aliases = Aliases(Catalog(DirectoryStore(desk.store)))
        aliases.promote("fraud", "champion", 1, by())
        eventually(lambda: desk.held()[-1:] == [("fraud/champion", 1, 1)], 30, "the move is published")
        desk.topic.publish([StateRecord(b"fraud/champion", b"")])
        eventually(lambda: len(desk.topic.read()) == 3 and bool(desk.topic.read()[-1].value), 30, "it is written again")
        assert watching.poll() is None
    finally:
        watching.terminate()
        watching.wait()


# ------------------------------------------------------------------------------------------ after rounds of retraining


def test_after_a_round_of_retraining_what_moved_is_published_and_trouble_is_said_once(
    desk: Desk, tmp_path: Path
) -> None:
    catalog = Catalog(DirectoryStore(desk.store))
    aliases = Aliases(catalog)
    announce = Announcing(catalog, aliases, desk.config, desk.log)
    assert announce() == []
    aliases.promote("fraud", "champion", 1, by())
    assert announce() == [f"fraud/champion is published to {TOPIC}"]
    assert announce() == []
    desk.topic.publish([StateRecord(b"fraud/champion", b"{}", ((EPOCH, b"0"), (SEQUENCE, b"7")))])
    assert announce() == [f"{TOPIC} is ahead of the store for fraud/champion: `driftline registry publish` tells more"]
    assert announce() == []
    lost = Announcing(catalog, aliases, tmp_path / "none.yaml")
    (sentence,) = lost()
    assert sentence.startswith("where the aliases stand is not published: ")
    assert lost() == []


# -------------------------------------------------------------------------------------------------------- on Kafka


@pytest.fixture
def brokers(kafka: Kafka, fresh_topics: FreshTopics) -> tuple[object, ...]:
    return ("--bootstrap", kafka.bootstrap_servers, "--namespace", fresh_topics.namespace)


def test_on_kafka_a_move_is_published_by_options_or_by_the_configuration(
    desk: Desk, brokers: tuple[object, ...], kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    assert desk("promote", "fraud@1", *WHY, *brokers).code == 0
    config = tmp_path / "kafka.yaml"
    text = CONFIG.replace("namespace: small", f"namespace: {fresh_topics.namespace}")
    config.write_text(f"{text}kafka: {{bootstrap_servers: '{kafka.bootstrap_servers}'}}\n")
    assert desk("promote", "fraud@2", *WHY, "-c", config).code == 0
    (state,) = desk("publish", *brokers, "-o", "json").json["states"]
    assert (state["version"], state["standing"]) == (2, "current")
