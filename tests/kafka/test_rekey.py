"""`driftline rekey` on a real broker: killed again and again, each label is beside its prediction once."""

from __future__ import annotations

import gzip
import json
import signal
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from confluent_kafka import Producer

from monitor.adapters.partitioner import murmur2_partition
from monitor.ingest.routing import FROM
from tests.checker.sources import flat
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment, eventually, published, succeed, without_config
from tests.kafka.fixtures import FreshTopics

ROWS = 30_000
PARTITIONS = 3
SETTINGS = ("rules=[]", "windows=[day]")


def rows(name: str, count: int) -> list[dict[str, Any]]:
    with gzip.open(FLIGHTS / f"{name}.jsonl.gz") as lines:
        return [json.loads(line) for line in islice(lines, count)]


def send(kafka: Kafka, topic: str, found: list[dict[str, Any]], *, by_id: bool) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 20})
    for n, row in enumerate(found):
        carrier = row["id"].split("-")[1][:2]
        where = murmur2_partition(row["id"].encode(), PARTITIONS) if by_id else sum(carrier.encode()) % 2
        producer.produce(topic, json.dumps(row), carrier, where, timestamp=row["at"], headers={"n": str(n)})
        producer.poll(0)
    producer.flush(30)


def test_labels_in_other_partitions_meet_their_predictions_once_whoever_is_killed(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    keep = {"retention.ms": "-1"}
    predictions = fresh_topics.create("p", PARTITIONS, keep)
    plain = fresh_topics.create("l", PARTITIONS, keep)
    outcomes, copy = fresh_topics.create("outcomes", 2, keep), fresh_topics("outcomes.by-id")
    labels = rows("labels", ROWS)
    send(kafka, predictions, rows("predictions", 8_000), by_id=True)
    send(kafka, plain, labels, by_id=True)
    send(kafka, outcomes, labels[: ROWS // 2], by_id=False)
    with Deployment(kafka.bootstrap_servers, predictions, plain, tmp_path / "plain") as deployment:
        succeed(deployment.worker(fresh_topics("a"), *SETTINGS))
        expected = without_config(published(deployment.source, fresh_topics("a")))
    with Deployment(kafka.bootstrap_servers, predictions, copy, tmp_path / "rekeyed") as deployment:
        rekeyed = (*SETTINGS, f"streams.labels.rekey.from={outcomes}")
        arguments = ("rekey", *deployment.config(fresh_topics("b"), *rekeyed), "--port", "0")

        def copied() -> int:
            try:
                return len(flat(deployment.source.read(copy)))
            except Exception:  # noqa: BLE001  the copy is not made yet
                return 0

        for least in (1, 8_000):
            process = deployment.start(*arguments)
            eventually(lambda least=least: copied() >= least, 60, f"{least} records are copied", process)  # type: ignore[misc]
            process.kill()
        send(kafka, outcomes, labels[ROWS // 2 :], by_id=False)
        process = deployment.start(*arguments)
        eventually(lambda: copied() >= ROWS, 90, "all is copied", process)
        address = process.said.partition("metrics and probes on ")[2].split()[0]
        told = urlopen(f"{address}/metrics").read().decode()
        assert 'driftline_rekey_active{driftline_namespace="' in told
        assert urlopen(f"{address}/readyz").status == 200
        process.send(signal.SIGTERM)
        assert process.wait(20) == 0
        succeed(deployment.start(*arguments, "--until-end"))
        logs = deployment.source.read(copy)
        seen = Counter(raw.headers[FROM].decode() for raw in flat(logs))
        assert set(seen.values()) == {1}
        assert len(seen) == ROWS
        for partition, log in enumerate(logs):
            for raw in log[:2_000]:
                text = json.loads(raw.value or b"")["id"].encode()
                assert (raw.key, murmur2_partition(text, PARTITIONS)) == (text, partition)
        succeed(deployment.worker(fresh_topics("b"), *rekeyed))
        assert without_config(published(deployment.source, fresh_topics("b"))) == expected
        assert deployment.start("check", "--live", *deployment.config(fresh_topics("b"), *rekeyed)).wait(60) == 0
