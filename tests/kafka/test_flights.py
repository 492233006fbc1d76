"""All flights of January to March through a real broker: the numbers are right, whoever reads them and however."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.checker import windows
from tests.checker.sources import Source, Sqlite, flat
from tests.kafka.broker import Kafka
from tests.kafka.deployment import (
    FLIGHTS,
    Deployment,
    differences,
    eventually,
    published,
    succeed,
    without_config,
)
from tests.kafka.fixtures import FreshTopics

PREDICTIONS, LABELS = 80_789, 77_911
ONE_AT_A_TIME = ("state.max_batch_rows=997", "state.commit_interval=40ms")


@pytest.fixture(scope="module")
def topics(kafka: Kafka) -> Iterator[FreshTopics]:
    """Names for the whole module: the flights are sent once."""
    fresh = FreshTopics(kafka)
    yield fresh
    fresh.delete_all()


@pytest.fixture(scope="module")
def flights(kafka: Kafka, topics: FreshTopics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Both topics, six partitions each, filled; and the namespace `two`, read by two workers."""
    folder = tmp_path_factory.mktemp("flights")
    with Deployment(kafka.bootstrap_servers, topics("predictions"), topics("labels"), folder) as deployment:
        deployment.produce_all()
        succeed(*(deployment.worker(topics("two")) for _ in range(2)))
        yield deployment


def alerts_of(source: Source, namespace: str) -> dict[str, bytes]:
    alerts, complaints = windows.alerts_of(flat(source.read(f"{namespace}.alerts")))
    assert complaints == []
    return alerts


def wrong(source: Source, namespace: str) -> list[str]:
    """What differs from truth.json, which speaks of whole models."""
    whole = {
        key: value for key, value in published(source, namespace).items() if orjson.loads(value)["segment"] == "all"
    }
    return windows.against(whole, windows.truth(FLIGHTS / "truth.json"), {"day", "month"})


def test_every_day_and_month_is_as_a_recount_says(flights: Deployment, topics: FreshTopics) -> None:
    assert wrong(flights.source, topics("two")) == []


def test_both_workers_had_their_share(flights: Deployment, topics: FreshTopics) -> None:
    walks = flights.walks(topics("two"))
    assert len(walks) == 6
    assert all(w.ended for w in walks)
    assert flights.read_offsets(topics("two")) == (PREDICTIONS, LABELS)


def test_the_ledger_proves_that_nothing_was_lost_or_counted_twice(flights: Deployment, topics: FreshTopics) -> None:
    assert flights.audits(topics("two")) == []


def test_rules_were_broken_and_mended(flights: Deployment, topics: FreshTopics) -> None:
    kinds = {name.split()[0].split(".")[-2] for name in alerts_of(flights.source, topics("two"))}
    assert {"firing", "resolved", "amended"} <= kinds


def test_one_worker_and_other_cuts_publish_the_same_bytes(flights: Deployment, topics: FreshTopics) -> None:
    succeed(flights.worker(topics("one"), *ONE_AT_A_TIME))
    commits = [sum(len(w.commits) for w in flights.walks(topics(ns))) for ns in ("one", "two")]
    assert commits[0] > 2 * commits[1], "the cuts were meant to be others"
    assert differences((flights.source, topics("one")), (flights.source, topics("two"))) == []


def test_labels_long_before_their_predictions_and_other_partitions_give_the_same(
    flights: Deployment, kafka: Kafka, topics: FreshTopics, tmp_path: Path
) -> None:
    """A live worker reads every label before there is one prediction. The keys lie in four partitions here."""
    names = topics("early.predictions"), topics("early.labels")
    with Deployment(kafka.bootstrap_servers, *names, tmp_path) as early:
        topics.create("early.predictions", partitions=4)
        assert early.produce(early.labels, "labels.jsonl.gz", "--partitions", "4").wait(60) == 0
        worker = early.worker(topics("early"), until_end=False)
        eventually(lambda: early.read_offsets(topics("early")) == (0, LABELS), 30, "all labels are read")
        assert early.produce(early.predictions, "predictions.jsonl.gz").wait(60) == 0
        eventually(lambda: early.read_offsets(topics("early"))[0] == PREDICTIONS, 30, "all predictions are read")
        worker.send(signal.SIGTERM)
        assert worker.wait(20) == 0
        succeed(early.worker(topics("early")))
        assert early.audits(topics("early")) == []
        ours, theirs = published(early.source, topics("early")), published(flights.source, topics("two"))
        assert windows.differences(without_config(ours), without_config(theirs), "window") == []


def test_the_embedded_log_gives_the_same_bytes(flights: Deployment, topics: FreshTopics, tmp_path: Path) -> None:
    flights.produce_all(embedded=tmp_path)
    succeed(flights.worker(topics("embedded"), embedded=tmp_path))
    embedded = Sqlite(str(tmp_path))
    assert wrong(embedded, topics("embedded")) == []
    assert differences((embedded, topics("embedded")), (flights.source, topics("two"))) == []
