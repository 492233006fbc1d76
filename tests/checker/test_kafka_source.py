"""Reading raw from a real broker: everything up to the end, past what a transaction leaves, and no further."""

from __future__ import annotations

from confluent_kafka import Producer

from tests.checker.sources import Kafka as Source
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics


def test_every_partition_is_read_to_its_end_with_keys_headers_and_times(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    topic = fresh_topics.create("t", 3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for i in range(2500):
        producer.produce(topic, b"%d" % i, b"k%d" % i, i % 2, timestamp=1000 + i, headers=[("revision", b"3")])
    producer.flush(30)
    logs = Source(kafka.bootstrap_servers).read(topic)
    assert [len(log) for log in logs] == [1250, 1250, 0]
    assert [raw.value for raw in logs[1][:2]] == [b"1", b"3"]
    assert [raw.offset for raw in logs[0]] == list(range(1250))
    last = logs[1][-1]
    assert (last.key, last.timestamp_ms, last.headers) == (b"k2499", 3499, {"revision": b"3"})


def test_the_control_record_at_the_end_of_a_transaction_does_not_hold_the_reader_up(
    kafka: Kafka, fresh_topics: FreshTopics
) -> None:
    topic = fresh_topics.create("t")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"in a transaction")
    producer.commit_transaction(30)
    (log,) = Source(kafka.bootstrap_servers, patience_s=10).read(topic)
    assert [raw.value for raw in log] == [b"in a transaction"]
