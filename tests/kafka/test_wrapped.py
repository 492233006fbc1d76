"""Arrays and change events on a real broker: two workers count them as plain records are counted, killed or not."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.checker import recount
from tests.checker.audit import audit
from tests.checker.shapes import Shape, opened, wrapped
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment, eventually, published, succeed, without_config
from tests.kafka.fixtures import FreshTopics
from tests.oracle.join import Params, Window

ROWS = 6_000
PARTITIONS = 2
SETTINGS = (
    "streams.predictions.each=$.rows",
    "streams.predictions.fields.model=outer:$.model",
    "streams.labels.envelope=debezium",
    "streams.labels.fields.at.from=envelope:$.source.ts_ms",
    "rules=[]",
    "windows=[day]",
)


def rows(name: str) -> list[dict[str, Any]]:
    """Flights, and among the labels some that are taken back half an hour later."""
    with gzip.open(FLIGHTS / f"{name}.jsonl.gz") as lines:
        found = [json.loads(line) for line in islice(lines, ROWS)]
    gone = [{**row, "label": None, "at": row["at"] + 1_800_000} for row in found[::50] if "label" in row]
    return sorted([*found, *gone], key=lambda row: int(row["at"]))


def split(found: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    logs: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
    for row in found:
        logs[sum(row["id"].encode()) % PARTITIONS].append(row)
    return logs


def send(kafka: Kafka, topic: str, logs: list[list[dict[str, Any]]], shape: Shape) -> int:
    """How many records were sent."""
    producer, sent = Producer({"bootstrap.servers": kafka.bootstrap_servers}), 0
    for partition, log in enumerate(logs):
        for value, headers in wrapped(log, shape, (1, 40, 7)):
            producer.produce(topic, value, partition=partition, headers=[*headers])
            producer.poll(0)
            sent += 1
    producer.flush(30)
    return sent


def test_wrapped_rows_count_as_plain_ones_on_a_real_broker(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    predictions, labels = split(rows("predictions")), split(rows("labels"))
    plain = [fresh_topics.create(name, PARTITIONS, {"retention.ms": "-1"}) for name in ("p", "l")]
    wrap = [fresh_topics.create(name, PARTITIONS, {"retention.ms": "-1"}) for name in ("batches", "changes")]
    send(kafka, plain[0], predictions, "plain")
    send(kafka, plain[1], labels, "plain")
    records = send(kafka, wrap[0], predictions, "each")
    send(kafka, wrap[1], labels, "debezium")
    with Deployment(kafka.bootstrap_servers, plain[0], plain[1], tmp_path / "plain") as deployment:
        succeed(deployment.worker(fresh_topics("a"), "rules=[]", "windows=[day]"))
        expected = without_config(published(deployment.source, fresh_topics("a")))
    with Deployment(kafka.bootstrap_servers, wrap[0], wrap[1], tmp_path / "wrapped") as deployment:
        name = fresh_topics("b")
        killed = deployment.worker(name, *SETTINGS, "state.commit_interval=40ms", "state.max_batch_rows=20")
        eventually(lambda: deployment.read_offsets(name)[0] > records // 4, 60, "a quarter is read", killed)
        killed.kill()
        succeed(*(deployment.worker(name, *SETTINGS) for _ in range(2)))
        source = deployment.source
        assert without_config(published(source, name)) == expected
        assert len(expected) > 10
        walks, complaints = audit(source, name)
        assert complaints == []
        assert deployment.start("ledger", "audit", *deployment.config(name, *SETTINGS)).wait(60) == 0
        of = recount.Fields(threshold=0.25)
        read = [recount.predictions_of(opened(log, "each"), of) for log in source.read(wrap[0])]
        told = [recount.labels_of(opened(log, "debezium"), of) for log in source.read(wrap[1])]
        assert [sum(w.commits[-1]["rows"][i] for w in walks) for i in (0, 1)] == [
            sum(map(len, read)),
            sum(map(len, told)),
        ]
        params = Params(36 * 3_600_000, 36 * 3_600_000, Window(calendar="day"), 10_000, 900_000, 172_800_000)
        counted = recount.recount(read, told, params)
        assert sum(window.counts["labelled"] for window in counted.values()) == sum(
            json.loads(value)["counts"]["labelled"]
            for value in published(source, name).values()
            if json.loads(value)["kind"] == "performance" and json.loads(value)["segment"] == "all"
        )
