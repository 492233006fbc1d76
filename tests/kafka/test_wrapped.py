"""Arrays, change events, CloudEvents and Avro on a real broker: they are counted as plain records are, killed or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.adapters.registry import avro, framed, running
from tests.checker import recount
from tests.checker.audit import audit
from tests.checker.shapes import Record, Shape, opened, wrapped
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


def rows(name: str, count: int = ROWS) -> list[dict[str, Any]]:
    """Flights, and among the labels some that are taken back half an hour later."""
    with gzip.open(FLIGHTS / f"{name}.jsonl.gz") as lines:
        found = [json.loads(line) for line in islice(lines, count)]
    gone = [{**row, "label": None, "at": row["at"] + 1_800_000} for row in found[::50] if "label" in row]
    return sorted([*found, *gone], key=lambda row: int(row["at"]))


def split(found: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    logs: list[list[dict[str, Any]]] = [[] for _ in range(PARTITIONS)]
    for row in found:
        logs[sum(row["id"].encode()) % PARTITIONS].append(row)
    return logs


def send(kafka: Kafka, topic: str, logs: list[list[dict[str, Any]]], shape: Shape) -> int:
    """How many records were sent."""
    return deliver(kafka, topic, [wrapped(log, shape, (1, 40, 7)) for log in logs])


def deliver(kafka: Kafka, topic: str, logs: Sequence[Sequence[Record]]) -> int:
    producer, sent = Producer({"bootstrap.servers": kafka.bootstrap_servers}), 0
    for partition, log in enumerate(logs):
        for value, headers in log:
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


LABEL = {
    "type": "record",
    "name": "Label",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "label", "type": ["null", "int"]},
    ],
}


def test_events_and_avro_count_as_plain_ones_on_a_real_broker(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    predictions, labels = split(rows("predictions", 2_000)), split(rows("labels", 2_000))
    made = [fresh_topics.create(name, PARTITIONS, {"retention.ms": "-1"}) for name in ("p", "l", "events", "avro")]
    send(kafka, made[0], predictions, "plain")
    send(kafka, made[1], labels, "plain")
    send(kafka, made[2], predictions, "cloudevents")
    with Deployment(kafka.bootstrap_servers, made[0], made[1], tmp_path / "plain") as deployment:
        succeed(deployment.worker(fresh_topics("a"), "rules=[]", "windows=[day]"))
        expected = without_config(published(deployment.source, fresh_topics("a")))
    assert len(expected) > 10
    with running() as registry:
        number = registry.register(LABEL)
        deliver(kafka, made[3], [[(framed(number, avro(LABEL, row)), []) for row in log] for log in labels])
        settings = (
            "streams.predictions.envelope=cloudevents",
            "streams.predictions.fields.at={from: 'envelope:$.time', unit: iso}",
            "streams.labels.format=avro",
            f"schema_registry.url={registry.url}",
            "rules=[]",
            "windows=[day]",
        )
        with Deployment(kafka.bootstrap_servers, made[2], made[3], tmp_path / "wrapped") as deployment:
            name = fresh_topics("b")
            succeed(*(deployment.worker(name, *settings) for _ in range(2)))
            assert without_config(published(deployment.source, name)) == expected
            assert deployment.start("ledger", "audit", *deployment.config(name, *settings)).wait(60) == 0
