"""How the contenders of the benchmark open the topics: all the same way, with the settings that suit a busy reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def open_all(bootstrap: str, topics: Sequence[str]) -> tuple[Any, int, dict[str, int]]:
    """A consumer at the beginning of every partition of `topics`, the number of records, and the same per topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "driftline-bench-never-commits",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 16_384,
        }
    )
    start, records = [], dict.fromkeys(topics, 0)
    for topic in topics:
        for partition in consumer.list_topics(topic, 10).topics[topic].partitions:
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
            start.append(TopicPartition(topic, partition, begin))
            records[topic] += end - begin
    consumer.assign(start)
    return consumer, sum(records.values()), records
