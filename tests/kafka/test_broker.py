"""The harness itself: a real broker keeps what it acknowledged, and ends when it should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from tests.kafka import broker
from tests.kafka.broker import Kafka, KafkaCluster, free_ports
from tests.kafka.fixtures import FreshTopics, OwnKafka
from tests.kafka.jars import BrokerUnavailable

ROOT = Path(__file__).parents[2]


def produce(kafka: Kafka, topic: str, values: list[bytes], timestamp_ms: int = 0) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all", "log_level": 0})
    for value in values:
        producer.produce(topic, value, partition=0, timestamp=timestamp_ms, on_delivery=delivered)
    assert producer.flush(30) == 0
    assert not failures


def read(kafka: Kafka, topic: str, count: int, within_secs: float = 30) -> list[bytes | None]:
    """At most `count` values of partition 0, from its beginning."""
    consumer = Consumer({
        "bootstrap.servers": kafka.bootstrap_servers, "group.id": "unused", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.wait.max.ms": 20, "log_level": 0,
    })  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes | None] = []
    deadline = time.monotonic() + within_secs
    while len(values) < count and time.monotonic() < deadline:
        values += [m.value() for m in consumer.consume(count - len(values), timeout=0.2) if m.error() is None]
    consumer.close()
    return values


def eventually(holds: Callable[[], bool], within_secs: float = 60) -> bool:
    deadline = time.monotonic() + within_secs
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # an orphan that ended waits for whoever adopted it


def test_what_is_produced_is_consumed(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    topic = fresh_topics.create("numbers")
    sent = [b"%d" % i for i in range(500)]
    produce(kafka, topic, sent)
    assert read(kafka, topic, 500) == sent


def test_a_topic_has_the_partitions_and_the_config_asked_for(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    topic = fresh_topics.create("state", partitions=6, config={"cleanup.policy": "compact"})
    admin = kafka.admin()
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 6
    resource = ConfigResource(ResourceType.TOPIC, topic)
    assert admin.describe_configs([resource])[resource].result(10)["cleanup.policy"].value == "compact"


def test_a_topic_that_exists_is_not_made_again(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    topic = fresh_topics.create("once")
    with pytest.raises(KafkaException, match="TOPIC_ALREADY_EXISTS"):
        kafka.create_topic(topic)


def test_topics_of_a_test_are_deleted_and_those_of_others_stay(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    others = FreshTopics(kafka)
    gone, stays = others.create("gone"), fresh_topics.create("stays")
    others.delete_all()
    assert eventually(lambda: gone not in kafka.admin().list_topics(timeout=10).topics)
    assert stays in kafka.admin().list_topics(timeout=10).topics


def test_a_mistyped_topic_is_an_error(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    admin = kafka.admin()
    assert admin.list_topics(fresh_topics("nobody-made-me"), timeout=10).topics[fresh_topics("nobody-made-me")].error


def test_kill_9_and_a_restart_keep_what_was_acknowledged(own_kafka: OwnKafka) -> None:
    kafka = own_kafka()
    kafka.create_topic("events")
    address, first_pid = kafka.bootstrap_servers, kafka.pid
    produce(kafka, "events", [b"before"] * 100)
    kafka.kill()
    assert not alive(first_pid)
    assert not kafka.answers()
    kafka.restart()
    assert (kafka.bootstrap_servers, kafka.pid != first_pid) == (address, True)
    produce(kafka, "events", [b"after"])
    assert read(kafka, "events", 101) == [b"before"] * 100 + [b"after"]


def test_records_of_2013_outlive_the_retention_check(own_kafka: OwnKafka) -> None:
    kafka = own_kafka({"log.initial.task.delay.ms": "100", "log.retention.check.interval.ms": "100"})
    kafka.create_topic("kept")
    kafka.create_topic("checked", config={"retention.ms": "1000"})
    for topic in ("checked", "kept"):
        produce(kafka, topic, [b"2013"], timestamp_ms=1_357_000_000_000)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "unused", "log_level": 0})
    assert eventually(lambda: consumer.get_watermark_offsets(TopicPartition("checked", 0), timeout=10) == (1, 1))
    consumer.close()
    assert read(kafka, "kept", 1) == [b"2013"]


def test_a_client_outlives_the_death_of_the_broker(own_kafka: OwnKafka) -> None:
    kafka = own_kafka()
    kafka.create_topic("events")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True, "log_level": 0})
    producer.produce("events", b"1", partition=0)
    assert producer.flush(30) == 0
    kafka.kill()
    producer.produce("events", b"2", partition=0)
    kafka.start()
    assert producer.flush(60) == 0
    assert read(kafka, "events", 3, within_secs=3) == [b"1", b"2"]


def test_a_frozen_broker_answers_again_when_it_is_thawed(own_kafka: OwnKafka) -> None:
    kafka = own_kafka()
    kafka.freeze()
    assert not kafka.answers()
    assert kafka.running
    kafka.thaw()
    assert eventually(kafka.answers)


def test_a_group_notices_a_dead_member_within_seconds(own_kafka: OwnKafka) -> None:
    kafka = own_kafka()
    kafka.create_topic("tasks", partitions=2)

    def member() -> Consumer:
        consumer = Consumer({
            "bootstrap.servers": kafka.bootstrap_servers, "group.id": "workers", "session.timeout.ms": 1000,
            "heartbeat.interval.ms": 200, "auto.offset.reset": "earliest", "log_level": 0,
        })  # fmt: skip
        consumer.subscribe(["tasks"])
        return consumer

    def owns_all() -> bool:
        survivor.poll(0.05)
        return len(survivor.assignment()) == 2

    script = (
        "import sys; from confluent_kafka import Consumer\n"
        "c = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': 'workers', 'session.timeout.ms': 1000,"
        " 'heartbeat.interval.ms': 200}); c.subscribe(['tasks'])\n"
        "while not c.assignment(): c.poll(0.05)\n"
        "print('joined', flush=True)\n"
        "while True: c.poll(0.05)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script, kafka.bootstrap_servers], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"joined\n"
        survivor = member()
        assert eventually(lambda: survivor.poll(0.05) is None and len(survivor.assignment()) == 1)
        other.kill()
        assert eventually(owns_all)
        survivor.close()
    finally:
        other.kill()
        other.communicate()


@pytest.mark.kafka
def test_the_broker_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = "import sys; from tests.kafka.broker import KafkaCluster; k = KafkaCluster(); k.start()\n"
    script += "print(k.pid, k.folder, flush=True); sys.stdin.read()"
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )  # fmt: skip
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    assert alive(int(pid))
    owner.kill()
    owner.communicate()
    assert eventually(lambda: not alive(int(pid)) and not Path(folder).exists())


@pytest.mark.kafka
def test_the_command_runs_a_broker_until_it_is_told_to_stop(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    command = [sys.executable, "-m", "tests.kafka.broker", "--topic", "predictions:6", "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True)
    try:
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        assert word == "bootstrap:"
        assert len(Kafka(address).admin().list_topics(timeout=10).topics["predictions"].partitions) == 6
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not Kafka(address).answers()
        assert (folder / "data").is_dir(), "a folder that was asked for is kept"
    finally:
        process.kill()
        process.communicate()


def test_a_broker_that_cannot_start_says_why(own_kafka: OwnKafka) -> None:
    taken = own_kafka()
    second = KafkaCluster(port=int(taken.bootstrap_servers.split(":")[1]))
    with pytest.raises(BrokerUnavailable, match="Address already in use"):
        second.start()
    folder = second.folder
    second.close()
    assert not folder.exists()
    assert taken.answers()


def test_a_port_that_was_lost_between_choosing_and_starting_is_chosen_again(
    own_kafka: OwnKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(own_kafka().bootstrap_servers.split(":")[1])
    choices = [[taken, *free_ports(1)], free_ports(2)]
    monkeypatch.setattr(broker, "free_ports", lambda _: choices.pop(0))
    with KafkaCluster() as second:
        assert second.answers()
        assert second.bootstrap_servers != f"127.0.0.1:{taken}"
    assert choices == []


def test_free_ports_are_distinct_free_and_below_the_range_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if setting.exists():
        assert max(ports) < int(setting.read_text().split()[0])


def test_a_guard_never_outlives_its_broker(own_kafka: OwnKafka) -> None:
    kafka = own_kafka()
    children = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    before = set(Path(children).read_text().split())
    kafka.stop()
    assert len(before) - len(set(Path(children).read_text().split())) == 2, "broker and guard are both gone"
