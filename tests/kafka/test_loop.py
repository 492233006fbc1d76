"""The whole loop on a real broker, by the commands and the serving example of the documentation.

history -> first model -> served -> the world changes -> page -> retrained -> approved -> published -> served -> resolved
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer

from monitor.demo import FIRST_MS
from monitor.demo.incidents import DAY_MS, ConceptChange
from tests.cli.driving import Outcome, driftline
from tests.demo.playing import recorded
from tests.kafka.broker import Kafka
from tests.kafka.deployment import Deployment, eventually
from tests.kafka.fixtures import FreshTopics

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "docs" / "examples" / "serving.py"
MODEL = "arrival-delay"
CHANGE = ConceptChange("concept-change", FIRST_MS + 12 * DAY_MS, FIRST_MS + 31 * DAY_MS)
CONFIG = """
namespace: {namespace}
kafka: {{bootstrap_servers: "{bootstrap}"}}
streams:
  predictions:
    topic: {predictions}
    fields: {{id: $.id, model: $.model, version: $.version, at: {{from: $.at, unit: ms}}, score: $.score}}
    features:
      hour: {{from: $.hour, type: numeric}}
      distance: {{from: $.distance, type: numeric}}
      origin: {{from: $.origin, type: categorical}}
      carrier: {{from: $.carrier, type: categorical}}
  labels:
    topic: {labels}
    fields: {{id: $.id, at: {{from: $.at, unit: ms}}, label: $.label}}
time: {{horizon: 36h, lateness: 36h, disorder: 15m, skew: 0s, max_jump: 10d, tick: 1h}}
models: [{{name: arrival-delay, threshold: 0.25, segments: {{origin: [EWR, JFK, LGA]}}}}]
windows: [day]
rules:
  - {{name: accuracy-low, metric: accuracy, op: "<", threshold: 0.5, window: day, min_rows: 200, min_coverage: 0.85,
      severity: page}}
http: {{port: 0}}
"""
POLICY = """
models:
  arrival-delay:
    rows: driftline.yaml
    data: {{label: label, features: [hour, distance, origin, carrier], window: {window}, test_ratio: 0.25}}
    trigger: {{labels_min: 1000, cooldown: 0s}}
    gate: {{{goal}, segments: [origin], segment_margin: 0.05}}
    probation: {{least: 0s}}
"""

pytestmark = pytest.mark.kafka


class World:
    """Topics, a store, a configuration and two policies; flights departing day after day."""

    def __init__(self, directory: Path, bootstrap: str, topics: FreshTopics) -> None:
        self.directory, self.bootstrap, self.namespace = directory, bootstrap, topics.namespace
        names = {name: topics.create(name, 2) for name in ("requests", "predictions", "labels")}
        self.requests, self.predictions, self.labels = names.values()
        self.config, self.store = directory / "driftline.yaml", directory / "store"
        self.config.write_text(CONFIG.format(bootstrap=bootstrap, namespace=topics.namespace, **names))
        for name, window, goal in (
            ("first", "31d", "goal: not_worse, margin: 0.02"),
            ("retrain", "4d", "goal: better"),
        ):
            (directory / f"{name}.yaml").write_text(POLICY.format(window=window, goal=goal))
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})  # as the service's
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": topics("test"), "auto.offset.reset": "earliest",
        })  # fmt: skip
        self.consumer.subscribe([self.predictions])
        self.flights = [r for r in recorded("predictions") if r["at"] < FIRST_MS + 22 * DAY_MS]
        self.truth = {r["id"]: r for r in recorded("labels")}
        self.answered: dict[str, str] = {}  # flight -> the version that predicted it

    def days(self, first: int, end: int) -> list[dict[str, Any]]:
        begin_ms, end_ms = FIRST_MS + first * DAY_MS, FIRST_MS + end * DAY_MS
        return [flight for flight in self.flights if begin_ms <= flight["at"] < end_ms]

    def send(self, topic: str, records: Iterator[dict[str, Any]]) -> None:
        for record in records:
            self.producer.produce(topic, orjson.dumps(record), key=record["id"])
            self.producer.poll(0)
        self.producer.flush(60)

    def history(self, first: int, end: int) -> None:
        """Flights as a formula predicted them before there was a model here."""
        plain = ({**f, **f["features"], "version": "0"} for f in self.days(first, end))
        self.send(self.predictions, plain)
        self.land(first, end)

    def land(self, first: int, end: int) -> None:
        """The labels of the flights of some days."""
        known = [(f, self.truth[f["id"]]) for f in self.days(first, end) if f["id"] in self.truth]
        told = [CHANGE.truth(label, f["at"], f["features"]) for f, label in known]
        self.send(self.labels, iter(sorted(told, key=lambda label: int(label["at"]))))

    def depart(self, first: int, end: int) -> None:
        """Ask the service about the flights of some days, and wait for its predictions."""
        asked = self.days(first, end)
        self.send(self.requests, ({"id": f["id"], "at": f["at"], **f["features"]} for f in asked))
        eventually(lambda: self._all_answered(asked), 120, "the service predicts all flights")

    def _all_answered(self, asked: list[dict[str, Any]]) -> bool:
        for message in self.consumer.consume(2_000, 0.2):
            if not message.error():
                record = orjson.loads(message.value() or b"")
                self.answered[record["id"]] = record["version"]
        return all(flight["id"] in self.answered for flight in asked)

    def retrain(self, policy: str, *options: object) -> Outcome:
        where = ("-c", self.directory / f"{policy}.yaml", "--alerts", self.config, "--work", self.directory / "work")
        return driftline("retrain", "run", *where, "--store", self.store, "--once", *options)

    def approved(self, policy: str) -> Outcome:
        """Somebody approves what waits; the next round promotes and publishes it."""
        newest = driftline("retrain", "list", "--store", self.store, "-o", "json").lines[0]
        assert newest["state"] == "awaiting_approval", newest
        done = driftline(
            "retrain", "approve", newest["run"], "--reason", "convincing", "--actor", "eve", "--store", self.store
        )
        assert done.code == 0, done.err
        return self.retrain(policy)

    def alerts(self) -> list[dict[str, Any]]:
        listed = driftline("alerts", "list", "-c", self.config, "-o", "json")
        return [event["data"] for event in listed.lines] if listed.code == 0 else []

    def serve(self) -> subprocess.Popen[bytes]:
        where = map(str, (self.bootstrap, self.namespace, self.store, MODEL, self.requests, self.predictions))
        with (self.directory / "served").open("wb") as out:
            return subprocess.Popen(
                [sys.executable, str(SERVING), *where],
                cwd=self.directory,
                env={"PYTHONPATH": str(ROOT), "PATH": ""},
                stdout=out,
                stderr=out,
            )


def test_a_change_of_the_world_ends_with_a_better_model_in_the_predictions_and_the_alert_resolved(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    world = World(tmp_path, kafka.bootstrap_servers, fresh_topics)
    world.history(0, 9)
    with Deployment(world.bootstrap, world.predictions, world.labels, tmp_path / "processes") as processes:
        processes.start("run", "--no-http", "-c", str(world.config))
        eventually(lambda: driftline("windows", "-c", world.config).code == 0, 60, "the daemon publishes windows")
        eventually(lambda: driftline("alerts", "list", "-c", world.config).code == 0, 60, "it has made its last topics")
        asked = world.retrain("first", "--model", MODEL, "--reason", "the first model", "--actor", "ada")
        assert "awaiting_approval" in asked.out, asked.err
        assert f"{MODEL}/champion is published" in world.approved("first").err
        service = world.serve()
        try:
            world.depart(9, 12)
            world.land(9, 12)
            assert world.alerts() == []
            assert "nothing_fires" in world.retrain("retrain").err

            world.depart(12, 17)  # the world has changed
            world.land(12, 17)
            eventually(lambda: any(a["state"] == "firing" for a in world.alerts()), 60, "the change is paged")
            begun = world.retrain("retrain")
            assert "awaiting_approval" in begun.out, begun.err
            assert f"{MODEL}/champion is published" in world.approved("retrain").err
            eventually(lambda: "version 2 now" in (tmp_path / "served").read_text(), 60, "the service swaps")

            world.depart(17, 21)
            world.land(17, 21)
            eventually(lambda: all(a["state"] == "resolved" for a in world.alerts()), 60, "the alert resolves")
        finally:
            service.kill()
            service.wait()
            world.consumer.close()
    [alert] = world.alerts()
    assert (alert["version"], alert["reason"]) == ("1", "version_replaced")
    by = [{world.answered[f["id"]] for f in world.days(*days)} for days in ((9, 12), (12, 17), (17, 21))]
    assert by == [{"1"}, {"1"}, {"2"}]
    seen = driftline("registry", "seen", MODEL, "-c", world.config, "--store", world.store, "-o", "json")
    assert (seen.json["acknowledged"], seen.json["version"]) == (True, 2), seen.err
    windows = driftline("windows", "-c", world.config, "-o", "json").json["windows"]
    accuracy = {(w["version"], w["start_ms"]): w["metrics"]["accuracy"]["value"] for w in windows}
    assert accuracy["2", FIRST_MS + 18 * DAY_MS] > 0.7
    assert accuracy["1", FIRST_MS + 14 * DAY_MS] < 0.5
    listed = driftline("retrain", "list", "--store", world.store, "-o", "json").lines
    assert [run["version"] for run in listed] == [2, 1], json.dumps(listed)
