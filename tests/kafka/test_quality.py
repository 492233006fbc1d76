"""Broken data on a real broker: every worker and cut says the same, counts are a recount's, and what fires blocks a run."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitor.cli.common import load_config
from monitor.cli.retrain_alerts import TopicAlerts
from monitor.cli.retrain_checks import DeclaredChecks
from monitor.demo import INCIDENTS, LIVE_MS, Script, by_the_formula
from monitor.demo.incidents import DAY_MS
from pipelines.firing import Kind
from pipelines.policy import Data, Policy
from pipelines.trigger import Why, plan
from tests.checker import windows
from tests.checker.sources import flat
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment, published, succeed
from tests.kafka.fixtures import FreshTopics

FROM_MS, CUT_MS = LIVE_MS - 4 * DAY_MS, LIVE_MS + 7 * DAY_MS + DAY_MS // 2
"""To the eighth of February at noon: the data is still broken."""
QUALITY = (
    "{window: day, features: {distance: {min: 50, max: 2600, out_of_range: {at_most: 0.02}}, "
    "carrier: {missing: {at_most: 0.01}}}, volume: {at_least: 300}, freshness: {at_most: 12h}}"
)
SETTINGS = (
    f"models=[{{name: arrival-delay, threshold: 0.25, quality: {QUALITY}}}]",
    "rules=[{name: accuracy-low, metric: accuracy, op: '<', threshold: 0.45, window: day, min_rows: 200, min_coverage: 0.5}]",
    "windows=[day]",
)
ONE_AT_A_TIME = ("state.max_batch_rows=499", "state.commit_interval=40ms")


def lines(name: str) -> Iterator[bytes]:
    with gzip.open(FLIGHTS / f"{name}.jsonl.gz") as stream:
        for line in stream:
            if orjson.loads(line)["at"] >= FROM_MS:
                yield line.rstrip(b"\n")


@pytest.fixture(scope="module")
def topics(kafka: Kafka) -> Iterator[FreshTopics]:
    fresh = FreshTopics(kafka)
    yield fresh
    fresh.delete_all()


@pytest.fixture(scope="module")
def broken(kafka: Kafka, topics: FreshTopics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Up to the middle of the incident, read by two workers as `two`."""
    folder = tmp_path_factory.mktemp("quality")
    sent: dict[str, list[bytes]] = {"predictions": [], "labels": []}
    script = Script(lines("predictions"), lines("labels"), INCIDENTS["quality"], CUT_MS)
    for due in script:
        value = script.value(due, by_the_formula)
        if value is not None and due.at_ms < CUT_MS:
            sent[due.stream].append(value)
    with Deployment(kafka.bootstrap_servers, topics("predictions"), topics("labels"), folder) as deployment:
        for stream, topic in (("predictions", deployment.predictions), ("labels", deployment.labels)):
            path = folder / f"{stream}.jsonl"
            path.write_bytes(b"".join(line + b"\n" for line in sent[stream]))
            sending = deployment.start("produce", topic, str(path), "-q", "--bootstrap", deployment.bootstrap)
            assert sending.wait(60) == 0, sending.said
        succeed(*(deployment.worker(topics("two"), *SETTINGS) for _ in range(2)))
        yield deployment


def told(deployment: Deployment, namespace: str) -> list[dict[str, Any]]:
    found, complaints = windows.alerts_of(flat(deployment.source.read(f"{namespace}.alerts")))
    assert complaints == []
    return [orjson.loads(value)["data"] for value in found.values()]


def test_each_broken_feature_is_one_page_with_its_violations(broken: Deployment, topics: FreshTopics) -> None:
    pages = [data for data in told(broken, topics("two")) if data.get("about") == "data_quality"]
    assert sorted((data["rule"], data["state"], data["severity"]) for data in pages) == [
        ("quality:missing:carrier", "firing", "page"),
        ("quality:out_of_range:distance", "firing", "page"),
    ]
    evidence = {data["evidence"]["feature"]: data["evidence"]["violations"] for data in pages}
    assert evidence["carrier"]["missing"] == next(d["evidence"]["rows"] for d in pages if d["rule"].endswith("carrier"))
    assert evidence["distance"]["above_max"] > 100


def test_counts_are_those_of_a_recount_of_the_topic(broken: Deployment, topics: FreshTopics) -> None:
    recount: dict[int, Counter[str]] = {}
    for line in (broken.folder / "predictions.jsonl").read_bytes().splitlines():
        record = orjson.loads(line)
        features, counts = record["features"], recount.setdefault(record["at"] // DAY_MS * DAY_MS, Counter())
        counts["seen"] += 1
        counts["missing:carrier"] += "carrier" not in features
        counts["above_max:distance"] += features["distance"] > 2600
        counts["below_min:distance"] += features["distance"] < 50
    found = {}
    for value in published(broken.source, topics("two")).values():
        window = orjson.loads(value)
        if window["kind"] == "input" and window["segment"] == "all":
            found[window["start_ms"]] = {name: n for name, n in window["counts"].items() if n}
    assert found == {start: {name: n for name, n in counts.items() if n} for start, counts in recount.items()}


def test_one_worker_and_other_cuts_say_the_same(broken: Deployment, topics: FreshTopics) -> None:
    succeed(broken.worker(topics("one"), *SETTINGS, *ONE_AT_A_TIME))
    source = broken.source
    compared, differing = windows.compare_namespaces(source, topics("one"), source, topics("two"))
    assert compared == 24  # twelve days, two kinds
    assert differing == []


def test_what_fires_on_the_topic_blocks_a_run_by_its_id(
    broken: Deployment, topics: FreshTopics, tmp_path: Path
) -> None:
    arguments = broken.config(topics("two"), *SETTINGS)
    files = tuple(Path(a) for a in arguments if a.endswith(".yaml"))
    overrides = tuple(a for a in arguments if "=" in a)
    config = tmp_path / "driftline.yaml"
    config.write_text(load_config(files, overrides).document())
    firing = TopicAlerts(config).firing()
    assert {alert.kind for alert in firing} == {Kind.DATA_QUALITY, Kind.PERFORMANCE}
    policy = Policy("arrival-delay", Data("late", ("hour",)))
    decided = plan(policy, firing, (), 10_000, CUT_MS)
    assert decided.why is Why.DATA_QUALITY
    assert all(f"(alert {cause.episode})" in decided.detail for cause in decided.causes)
    without = [alert for alert in firing if alert.kind is not Kind.DATA_QUALITY]
    assert plan(policy, without, (), 10_000, CUT_MS).why is Why.PERFORMANCE
    assert set(DeclaredChecks(config)("arrival-delay")) == {"carrier", "distance"}
