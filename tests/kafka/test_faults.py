"""What a worker, its neighbours and the broker go through, and what it does to the numbers: nothing.

January's flights, read while they arrive. The workers that are hurt and those that are left alone read the same
topics under different namespaces; in the end both have published the same bytes.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import orjson
import pytest
from confluent_kafka.admin import NewPartitions

from tests.checker import windows
from tests.checker.sources import flat
from tests.kafka.broker import Kafka, free_ports
from tests.kafka.deployment import (
    FLIGHTS,
    SESSION_MS,
    Deployment,
    Process,
    differences,
    eventually,
    published,
    succeed,
)
from tests.kafka.fixtures import FreshTopics, OwnKafka

JANUARY = {"predictions": 27_004, "labels": 26_398}
STOP_SECS = 20
"""What `driftline run --help` states."""
SMALL_CUTS = ("state.max_batch_rows=300", "state.commit_interval=50ms")

Deploy = Callable[[], Deployment]


@pytest.fixture
def deploy(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> Deploy:
    """Source topics of this test's own, six partitions each."""
    return lambda: Deployment(
        kafka.bootstrap_servers,
        fresh_topics.create("predictions", 6),
        fresh_topics.create("labels", 6),
        tmp_path / "deployment",
    )


def produce(deployment: Deployment, secs: float | None = None, share: float = 1.0) -> list[Process]:
    """Start sending the first `share` of January, spread over `secs`."""
    started = []
    for topic, stream in ((deployment.predictions, "predictions"), (deployment.labels, "labels")):
        count = int(JANUARY[stream] * share)
        pace = ["--rate", str(int(count / secs))] if secs else []
        started.append(deployment.produce(topic, f"{stream}.jsonl.gz", "--limit", str(count), *pace))
    return started


def january(deployment: Deployment, namespace: str) -> list[str]:
    """What differs from truth.json, in January."""
    of_january = {
        key: expected
        for key, expected in windows.truth(FLIGHTS / "truth.json").items()
        if key[4] < 1_359_676_800_000  # 1 February
    }
    assert len(of_january) == 32
    found = published(deployment.source, namespace).items()
    whole = {key: value for key, value in found if orjson.loads(value)["segment"] == "all"}
    return windows.against(whole, of_january, {"day", "month"})


def opened(worker: Process) -> set[int]:
    """The partitions that a worker said it opened."""
    lines = [line for line in worker.said.splitlines() if ": open, epoch " in line and "partition " in line]
    return {int(line.split("partition ")[1].split(":")[0]) for line in lines}


def test_five_kills_and_a_frozen_process_change_no_byte(deploy: Deploy, fresh_topics: FreshTopics) -> None:
    chance = random.Random(20130101)
    hurt, calm = fresh_topics("hurt"), fresh_topics("calm")
    with deploy() as flights:
        arriving = produce(flights, secs=14)
        bystander = flights.worker(calm, until_end=False)
        workers = [flights.worker(hurt, *SMALL_CUTS, until_end=False) for _ in range(2)]
        eventually(lambda: sum(flights.read_offsets(hurt)) > 500, 30, "the first commits")
        for _ in range(5):
            time.sleep(chance.uniform(0.2, 1.8))
            victim = chance.randrange(2)
            workers[victim].kill()
            workers[victim] = flights.worker(hurt, *SMALL_CUTS, until_end=False)
        eventually(lambda: all(map(opened, workers)), 30, "both workers own something")
        frozen = workers[chance.randrange(2)]
        frozen.send(signal.SIGSTOP)
        time.sleep(2.5 * SESSION_MS / 1000)
        frozen.send(signal.SIGCONT)
        succeed(*arriving)
        for worker in (*workers, bystander):
            worker.send(signal.SIGTERM)
        succeed(*workers, bystander, secs=STOP_SECS)
        succeed(*(flights.worker(hurt, *SMALL_CUTS) for _ in range(2)), flights.worker(calm))

        assert differences((flights.source, hurt), (flights.source, calm)) == []
        assert january(flights, hurt) == []
        assert [*flights.audits(hurt), *flights.audits(calm)] == []
        walks = flights.walks(hurt)
        assert flights.read_offsets(hurt) == tuple(JANUARY.values())
        openings = sum(len(w.epochs) for w in walks)
        assert openings > 6 + 12, "the faults took no partition away from anybody"
        assert windows.alerts_of(flat(flights.source.read(f"{hurt}.alerts")))[0], "no alert was compared"


def test_a_worker_told_to_stop_hands_over_at_once(deploy: Deploy, fresh_topics: FreshTopics) -> None:
    """The session would last longer than the test waits: whoever takes over was told."""
    slow = ("kafka.properties.session.timeout.ms=300000", "kafka.properties.max.poll.interval.ms=300000", *SMALL_CUTS)
    namespace = fresh_topics("n")
    with deploy() as flights:
        arriving = produce(flights, secs=6, share=0.3)
        leaving = flights.worker(namespace, *slow, until_end=False)
        eventually(lambda: len(opened(leaving)) == 6, 30, "the first worker owns everything")
        staying = flights.worker(namespace, *slow, until_end=False)
        eventually(lambda: len(opened(staying)) == 3, 30, "the second worker has its share")
        leaving.send(signal.SIGTERM)
        assert leaving.wait(STOP_SECS) == 0
        eventually(lambda: len(opened(staying)) == 6, 15, "the other worker owns everything")
        eventually(lambda: "evaluator: open" in staying.said, 15, "the other worker evaluates")
        succeed(*arriving)
        staying.send(signal.SIGINT)
        assert staying.wait(STOP_SECS) == 0
        succeed(flights.worker(namespace))
        assert flights.audits(namespace) == []


def test_a_broker_that_is_killed_and_comes_back_costs_no_record(own_kafka: OwnKafka, tmp_path: Path) -> None:
    kafka = own_kafka()
    for topic in ("predictions", "labels"):
        kafka.create_topic(topic, 6)
    with Deployment(kafka.bootstrap_servers, "predictions", "labels", tmp_path) as flights:
        succeed(*produce(flights))
        workers = [flights.worker("n", *SMALL_CUTS) for _ in range(2)]
        eventually(lambda: sum(flights.read_offsets("n")) > 2_000, 30, "some commits")
        kafka.kill()
        time.sleep(1)
        assert all(worker.running for worker in workers), "a broker that is gone for a second is no reason to end"
        kafka.restart()
        succeed(*workers, secs=90)
        assert january(flights, "n") == []
        assert flights.audits("n") == []


@pytest.mark.parametrize(
    ("which", "running"), [("predictions", False), ("labels", True)], ids=["between two runs", "while it runs"]
)
def test_a_topic_made_again_ends_the_worker(
    kafka: Kafka, deploy: Deploy, fresh_topics: FreshTopics, which: str, running: bool
) -> None:
    with deploy() as flights:
        worker = with_some_records(flights, fresh_topics, running)
        kafka.delete_topics([fresh_topics(which)])
        eventually(lambda: recreated(kafka, fresh_topics(which)), 30, "the topic can be made again")
        if not running:
            worker = flights.worker(fresh_topics("n"))
        assert worker.wait(40) == 1
        last = worker.said.splitlines()[-1]
        assert f"topic {fresh_topics(which)!r}" in last
        assert "choose another `namespace`" in last.lower()


@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "between two runs"])
def test_another_number_of_partitions_ends_the_worker(
    kafka: Kafka, deploy: Deploy, fresh_topics: FreshTopics, running: bool
) -> None:
    with deploy() as flights:
        worker = with_some_records(flights, fresh_topics, running)
        for topic in (flights.predictions, flights.labels):
            admin = kafka.admin()  # held until the answer is in
            admin.create_partitions([NewPartitions(topic, 8)])[topic].result(30)
        if not running:
            worker = flights.worker(fresh_topics("n"))
        assert worker.wait(40) == 1
        last = worker.said.splitlines()[-1]
        assert f"topic {flights.predictions!r}" in last
        assert "had 6 partitions, it has 8" in last
        assert "choose another `namespace`" in last.lower()


def with_some_records(flights: Deployment, fresh_topics: FreshTopics, running: bool) -> Process:
    """A worker that has read something, stopped again unless it is to be running."""
    succeed(*produce(flights, share=0.02))
    worker = flights.worker(fresh_topics("n"), until_end=False)
    eventually(lambda: sum(flights.read_offsets(fresh_topics("n"))) > 1_000, 30, "some commits")
    if not running:
        worker.send(signal.SIGTERM)
        assert worker.wait(STOP_SECS) == 0
    return worker


def recreated(kafka: Kafka, topic: str) -> bool:
    """Make a topic that was just deleted; the broker forgets the old one a moment later than it says."""
    from confluent_kafka import KafkaException

    try:
        kafka.create_topic(topic, 6)
    except KafkaException:
        return False
    return True


def test_a_broker_that_nobody_reaches_is_said_and_ends_with_69(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Deployment(f"127.0.0.1:{port}", "predictions", "labels", tmp_path) as flights:
        worker = flights.worker("n")
        assert worker.wait(30) == 69
        assert worker.said.splitlines()[-1].startswith("driftline: ")


def test_a_worker_without_its_broker_is_alive_and_not_ready(own_kafka: OwnKafka, tmp_path: Path) -> None:
    kafka, (port,) = own_kafka(), free_ports(1)
    for name in ("p", "l"):
        kafka.create_topic(name, 2)

    def ask(path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError:
            return 0, ""

    with Deployment(kafka.bootstrap_servers, "p", "l", tmp_path / "d") as flights:
        worker = flights.start("run", *flights.config("n", f"http.port={port}"))
        eventually(lambda: ask("readyz")[0] == 200, 30, "the worker is ready", worker)
        kafka.kill()
        eventually(lambda: ask("readyz")[0] == 503, 40, "the worker says that it is not ready", worker)
        eventually(lambda: "[-] log: " in ask("readyz?verbose")[1], 30, "it names the log", worker)
        assert ask("livez")[0] == 200, "an outage is no reason to kill the process"
        kafka.restart()
        eventually(lambda: ask("readyz")[0] == 200, 60, "the worker is ready again", worker)
