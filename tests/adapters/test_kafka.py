"""What is particular to Kafka: brokers that go away, markers between records, errors that come as messages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
from confluent_kafka import Consumer, Message, Producer

from monitor.adapters.kafka_log import KafkaLog
from monitor.adapters.kafka_reader import KafkaReader
from monitor.errors import LogError, LogUnreachable, UnknownOutcome
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.contract.worlds import RECORDS_WAIT_MS, drain, settle
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics, OwnKafka
from tests.timing import quickest


def test_nobody_answering_is_told_within_the_stated_time() -> None:
    log = KafkaLog("127.0.0.1:1", timeout_ms=1_000)

    def told() -> float:
        start = time.monotonic()
        for question in (log.cluster_id, lambda: log.topic("t"), lambda: log.end_offsets("t")):
            with pytest.raises(LogUnreachable):
                question()
        return time.monotonic() - start

    assert quickest(told, 6) < 6
    assert log.client_errors[("admin", "_TRANSPORT")] > 0


def test_who_waited_in_vain_does_not_wait_as_long_again_while_every_broker_refuses(own_kafka: OwnKafka) -> None:
    cluster = own_kafka()
    log = KafkaLog(cluster.bootstrap_servers, timeout_ms=6_000)
    log.cluster_id()
    cluster.kill()
    waited, said = [], []
    for _ in range(2):
        start = time.monotonic()
        with pytest.raises(LogUnreachable, match=rf"{cluster.bootstrap_servers}.*Connection refused") as caught:
            log.cluster_id()
        said.append(str(caught.value))
        waited.append(time.monotonic() - start)
    assert waited[0] > 5, "brokers restart"
    assert waited[1] < 5
    assert "as they did before" in said[1]
    assert "--embedded" not in " ".join(said), "that is advice for a first start"
    cluster.restart()
    log.cluster_id()


def test_a_commit_larger_than_a_record_usually_is_goes_into_a_topic_that_we_make_for_them(kafka: Kafka) -> None:
    log, value = KafkaLog(kafka.bootstrap_servers), os.urandom(5 << 20)  # nothing of it can be compressed
    name = f"large-{uuid.uuid4().hex}"
    log.ensure(TopicSpec(name, 1, large=True))
    appender = log.appender()
    assert appender.append(name, 0, OutRecord(value)) == 0
    reader = log.reader()
    reader.assign({(name, 0): 0})
    found: list[bytes | None] = []
    while not found:
        found += [one for batch in reader.poll(10, 1_000) for one in batch.values]
    assert found == [value]
    reader.close()
    small = f"small-{uuid.uuid4().hex}"
    log.ensure(TopicSpec(small, 1))
    with pytest.raises(LogError, match=r"MSG_SIZE_TOO_LARGE.*Set max.message.bytes of the topic to 8388608"):
        appender.append(small, 0, OutRecord(value))


def test_an_append_to_a_broker_that_is_gone_has_an_unknown_outcome_and_ends_the_appender(own_kafka: OwnKafka) -> None:
    cluster = own_kafka()
    log = KafkaLog(cluster.bootstrap_servers, {"message.timeout.ms": "1500"})
    log.ensure(TopicSpec("t", 1))
    appender = log.appender()
    assert appender.append("t", 0, OutRecord(b"first")) == 0
    cluster.freeze()
    start = time.monotonic()
    with pytest.raises(
        UnknownOutcome, match=r"topic 't' partition 0: an append was not acknowledged: .*_MSG_TIMED_OUT"
    ):
        appender.append("t", 0, OutRecord(b"second"))
    assert time.monotonic() - start < 9  # 1.5 s, and something for a busy machine; unless told otherwise it is 10 s
    with pytest.raises(LogError, match="make a new one"):
        appender.send("t", OutRecord(b"third"), 0)
    appender.close()
    cluster.thaw()
    later = log.appender()
    assert later.append("t", 0, OutRecord(b"fourth")) in (
        1,
        2,
    )  # the second may have landed: that is what unknown means
    later.close()


def test_records_sent_but_not_acknowledged_in_time_are_an_unknown_outcome(own_kafka: OwnKafka) -> None:
    cluster = own_kafka()
    log = KafkaLog(cluster.bootstrap_servers)
    log.ensure(TopicSpec("t", 1))
    appender = log.appender()
    appender.append("t", 0, OutRecord(b"v"))
    cluster.freeze()
    appender.send("t", OutRecord(b"v"), 0)
    with pytest.raises(UnknownOutcome, match=r"1 records were not acknowledged within 300 ms"):
        appender.flush(300)
    cluster.thaw()


def test_a_reader_goes_on_by_itself_when_the_broker_comes_back(own_kafka: OwnKafka) -> None:
    cluster = own_kafka()
    log = KafkaLog(cluster.bootstrap_servers)
    log.ensure(TopicSpec("t", 2))
    appender = log.appender()
    for i in range(10):
        appender.append("t", i % 2, OutRecord(b"%d" % i))
    reader = log.reader()
    reader.assign({("t", 0): 0, ("t", 1): 0})
    drain(reader, 10)
    cluster.kill()
    for _ in range(5):
        assert [batch for batch in reader.poll(10, 100) if len(batch)] == []
    cluster.restart()
    for i in range(10):
        appender.append("t", i % 2, OutRecord(b"%d" % i))
    found = drain(reader, 10)
    assert {where: [offset for offset, _ in rows] for where, rows in found.items()} == {
        ("t", 0): [5, 6, 7, 8, 9],
        ("t", 1): [5, 6, 7, 8, 9],
    }
    assert any(kind == "reader" for kind, _ in log.client_errors)
    reader.close()
    appender.close()


def test_an_oversized_record_is_refused_for_certain(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    name = fresh_topics.create("small", 1, {"max.message.bytes": "2000"})
    log = KafkaLog(kafka.bootstrap_servers, {"compression.type": "none"})
    appender = log.appender()
    with pytest.raises(LogError, match=r"the record was refused: .*MSG_SIZE_TOO_LARGE") as refused:
        appender.append(name, 0, OutRecord(b"x" * 5000))
    assert not isinstance(refused.value, UnknownOutcome)
    assert log.end_offsets(name) == [0]


def test_reading_passes_transaction_markers_and_never_shows_what_was_aborted(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    name = fresh_topics.create("transactions")
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": fresh_topics("writer"), "log_level": 0}
    )
    producer.init_transactions()
    for value, commit in ((b"kept", True), (b"aborted", False), (b"kept too", True)):
        producer.begin_transaction()
        producer.produce(name, value, partition=0)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    log = KafkaLog(kafka.bootstrap_servers)
    end = log.end_offsets(name)[0]
    assert end == 6  # three records and three markers
    reader = log.reader()
    reader.assign({(name, 0): 0})
    values: list[bytes | None] = []
    offsets: list[int] = []
    position = 0
    while position < end:
        for batch in reader.poll(10, RECORDS_WAIT_MS):
            values += batch.values
            offsets += batch.offsets.tolist()
            position = batch.next_offset
    assert (values, offsets, position) == ([b"kept", b"kept too"], [0, 4], 6)
    reader.assign({(name, 0): 6})  # the position it has: nothing is read twice
    assert [batch for batch in reader.poll(10, 300) if len(batch)] == []
    reader.close()


def test_what_an_open_transaction_holds_back_is_not_readable_yet(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    name = fresh_topics.create("open")
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": fresh_topics("writer"), "log_level": 0}
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(name, b"v", partition=0)
    producer.flush()
    log = KafkaLog(kafka.bootstrap_servers)
    assert log.end_offsets(name) == [0]
    producer.commit_transaction()
    # The coordinator answers once the outcome is in its own log; the marker that ends the transaction here comes after.
    deadline = time.monotonic() + 20
    while log.end_offsets(name) != [2]:
        assert time.monotonic() < deadline, "the marker of the committed transaction never came"


def test_a_missing_topic_is_an_error_of_the_reader_not_an_endless_silence(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    reader = KafkaLog(kafka.bootstrap_servers, {"topic.metadata.propagation.max.ms": "500"}).reader()
    reader.assign({(fresh_topics("absent"), 0): 0})
    with pytest.raises(LogError, match="topic does not exist"):
        poll_often(reader)
    reader.close()


def test_every_error_among_messages_is_found_and_the_records_around_it_are_kept(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    # One partition is lost and the other is full: both come out of one client, and nothing of the full one is missed.
    name = fresh_topics.create("both", 2)
    log = KafkaLog(kafka.bootstrap_servers)
    appender = log.appender()
    for i in range(500):
        appender.send(name, OutRecord(b"%d" % i), 0)
    appender.flush(RECORDS_WAIT_MS)
    reader = log.reader()
    reader.assign({(name, 0): 0, (name, 1): 77})
    seen: list[int] = []
    with pytest.raises(LogError) as failed:
        poll_often(reader, seen)
    assert failed.value.partition == 1
    with pytest.raises(LogError):  # until it is assigned anew, so that a lost partition is never just silent
        reader.poll(50, 0)
    reader.assign({(name, 0): len(seen), (name, 1): 0})
    rest = drain(reader, 500 - len(seen)).get((name, 0), [])
    assert seen + [offset for offset, _ in rest] == list(range(500))
    assert log.client_errors["reader", "_AUTO_OFFSET_RESET"] == 1
    reader.close()
    appender.close()


def poll_often(reader: KafkaReader, seen: list[int] | None = None) -> None:
    for _ in range(200):
        for batch in reader.poll(50, 100):
            if seen is not None:
                seen += batch.offsets.tolist()


class OneChunk:
    """In place of the consumer: hands out one list of messages, or raises."""

    def __init__(self, consumer: Consumer, chunk: list[Message] | BaseException) -> None:
        self._consumer, self._chunk = consumer, chunk

    def consume(self, count: int, timeout: float) -> list[Message]:
        chunk, self._chunk = self._chunk, []
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)


def _pulled(reader: KafkaReader, count: int) -> list[Message]:
    pulled: list[Message] = []
    while len(pulled) < count:
        pulled += [each for each in reader._consumer.consume(count - len(pulled), 0.1) if each.error() is None]
    return pulled


def test_records_of_several_partitions_and_topics_in_any_mixture_are_sorted_out(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    names = [fresh_topics.create("one", 3), fresh_topics.create("two", 3)]
    log = KafkaLog(kafka.bootstrap_servers)
    appender = log.appender()
    for i in range(600):
        appender.send(names[i % 2], OutRecord(f"{names[i % 2]}/{i % 3}/{i // 6}".encode(), b"%d" % i), i % 3)
    appender.flush(RECORDS_WAIT_MS)
    reader = log.reader()
    positions = {(name, partition): 0 for name in names for partition in range(3)}
    reader.assign(positions)
    whole = _pulled(reader, 600)
    rng = np.random.default_rng(7)
    for _ in range(20):
        order: list[Message] = []
        queues = {where: [m for m in whole if (m.topic(), m.partition()) == where] for where in positions}
        while any(queues.values()):  # runs of random length of random partitions, each in its own order
            where = list(queues)[rng.integers(len(queues))]
            size = int(rng.integers(1, 40))
            order += queues[where][:size]
            del queues[where][:size]
        reader._positions = dict(positions)
        reader._consumer, real = OneChunk(reader._consumer, order), reader._consumer  # type: ignore[assignment]
        batches = reader.poll(600, 0)
        reader._consumer = real
        assert len(batches) == 6
        for batch in batches:
            assert batch.keys is not None
            assert batch.offsets.tolist() == list(range(100))
            assert batch.values == [f"{batch.topic}/{batch.partition}/{i}".encode() for i in range(100)]
            assert [int(key or b"") % 3 for key in batch.keys] == [batch.partition] * 100
            assert batch.next_offset == 100
    reader.close()
    appender.close()


def test_records_lost_by_an_interruption_are_read_again_after_an_assignment(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    name = fresh_topics.create("interrupted")
    log = KafkaLog(kafka.bootstrap_servers)
    appender = log.appender()
    for i in range(20):
        appender.append(name, 0, OutRecord(b"%d" % i))
    reader = log.reader()
    reader.assign({(name, 0): 0})
    _pulled(reader, 10)  # what an exception in a callback does: pulled from the client, never returned
    reader._consumer, real = OneChunk(reader._consumer, KeyboardInterrupt()), reader._consumer  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        reader.poll(10, 0)
    reader._consumer = real
    with pytest.raises(LogError, match="interrupted"):
        reader.poll(10, 0)
    reader.assign({(name, 0): 0})
    assert [offset for offset, _ in drain(reader, 20)[name, 0]] == list(range(20))
    reader.close()
    appender.close()


@pytest.mark.parametrize(
    "properties", [["session.timeout.ms=1000", "heartbeat.interval.ms=200"], ["group.protocol=consumer"]]
)
def test_a_killed_holder_is_succeeded_when_its_session_ends(
    kafka: Kafka, fresh_topics: FreshTopics, properties: list[str]
) -> None:
    log = KafkaLog(kafka.bootstrap_servers, dict(each.split("=") for each in properties))
    tasks, group = fresh_topics.create("tasks", 4), fresh_topics("group")
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.holder", "kafka", kafka.bootstrap_servers, tasks, group, *properties],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    while holder.stdout.readline().split(b", ", 1)[1].strip() != b"[0, 1, 2, 3]]":
        pass
    leases = log.leases(tasks, group)
    settle([leases], lambda held: len(held[0]) == 2)
    holder.kill()
    settle([leases], lambda held: len(held[0]) == 4)
    holder.wait()
    holder.stdout.close()
    leases.close()


def test_reported_offsets_are_what_lag_tools_see(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions

    log = KafkaLog(kafka.bootstrap_servers)
    tasks, source, group = fresh_topics.create("tasks"), fresh_topics.create("source"), fresh_topics("group")
    appender = log.appender()
    for _ in range(5):
        appender.append(source, 0, OutRecord(b"v"))
    leases = log.leases(tasks, group)
    settle([leases], lambda held: held[0] == {0})
    leases.report({(source, 0): 3})
    admin = kafka.admin()

    def committed(_: list[frozenset[int]]) -> bool:
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        found = asked[group].result(10).topic_partitions or []
        return [(each.topic, each.offset) for each in found] == [(source, 3)]

    settle([leases], committed)
    leases.close()
    appender.close()
