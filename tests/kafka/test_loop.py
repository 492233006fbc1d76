"""The whole loop on a real broker, with the shipped commands: the world changes, an alert fires, a model is retrained, approved
and promoted, the topic `models` says so, the serving example takes it up, and the alert resolves."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from tests.cli.driving import Outcome, driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import Process, eventually
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_serving import ROOT, SERVING

MODEL = "flights"
BORN_MS = 1_760_000_000_000
MINUTE_MS = 60_000
CONFIG = """
namespace: {namespace}
kafka: {{bootstrap_servers: "{bootstrap}"}}
streams:
  predictions:
    topic: {predictions}
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at_ms, score: $.score}}
    features: {{hour: {{type: numeric, from: $.hour}}, origin: {{type: categorical, from: $.origin}}}}
  labels:
    topic: {labels}
    fields: {{id: $.id, at: $.at_ms, label: $.late}}
time: {{horizon: 6h, disorder: 1m, tick: 10m, idle_after: 1h, stalled_after: 6h}}
models: [{{name: flights, threshold: 0.5}}]
windows: [1h]
rules:
  - {{name: accuracy-low, metric: accuracy, op: "<", threshold: 0.5, window: 1h, min_rows: 30, severity: page}}
http: {{port: 0}}
"""
POLICY = """
models:
  flights:
    rows: driftline.yaml
    data: {label: label, features: [hour, origin], window: 12h}
    trigger: {cooldown: 0s, labels_min: 300}
    gate: {rows_min: 100}
    probation: {least: 0s}
"""

pytestmark = pytest.mark.kafka


class World:
    """A flight a minute. Late hours are late, until the world turns; `turned` from then on."""

    def __init__(self, directory: Path, bootstrap: str, topics: FreshTopics) -> None:
        self.directory, self.bootstrap, self.topics = directory, bootstrap, topics
        self.requests, self.predictions, self.labels = (
            topics.create(name, 2) for name in ("requests", "predictions", "labels")
        )
        (directory / "driftline.yaml").write_text(CONFIG.format(
            namespace=topics.namespace, bootstrap=bootstrap, predictions=self.predictions, labels=self.labels
        ))  # fmt: skip
        (directory / "retrain.yaml").write_text(POLICY)
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "log_level": 0})
        self.luck, self.flights, self.turned = random.Random(5), 0, False
        self.printed = directory / "served"

    def departs(self, count: int, topic: str, **more: Any) -> None:
        """Flights depart, and an hour later their labels are known."""
        for _ in range(count):
            number, hour = self.flights, self.luck.randrange(24)
            self.flights += 1
            chance = 1 / (1 + math.exp(-0.5 * (hour - 11.5)))
            late = int(self.luck.random() < (1 - chance if self.turned else chance))
            at_ms = BORN_MS + number * MINUTE_MS
            flight = {"id": f"f{number}", "at_ms": at_ms, "hour": hour, "origin": self.luck.choice(["EWR", "JFK"])}
            told = {"score": round(chance, 6), **more} if more else {}
            self._send(topic, flight | told)
            self._send(self.labels, {"id": f"f{number}", "at_ms": at_ms + 60 * MINUTE_MS, "late": late})
        self.producer.flush(30)

    def _send(self, topic: str, record: dict[str, Any]) -> None:
        self.producer.produce(topic, orjson.dumps(record), key=record["id"])
        self.producer.poll(0)

    def serve(self) -> subprocess.Popen[bytes]:
        where = (
            self.bootstrap,
            self.topics.namespace,
            self.directory / "store",
            MODEL,
            self.requests,
            self.predictions,
        )
        with self.printed.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, SERVING, *map(str, where)], cwd=self.directory, env={"PYTHONPATH": str(ROOT), "PATH": ""},
                stdout=out, stderr=out,
            )  # fmt: skip

    def retrain(self, what: str, *options: object) -> Outcome:
        where = ("-c", "retrain.yaml", "--alerts", "driftline.yaml") if what == "run" else ()
        done = driftline("retrain", what, *where, "--store", "store", *options, "-o", "json")
        assert done.code == 0, done.out + done.err
        return done

    def promoted(self, *asked: object) -> Outcome:
        """A run from its beginning to the promotion, with the approval of eve."""
        begun = self.retrain("run", "--once", *asked)
        assert [line["after"] for line in begun.lines if "after" in line][-1] == "awaiting_approval", begun.out
        [run] = self.retrain("list", "--active").lines
        driftline("retrain", "approve", run["run"], "--reason", "better", "--actor", "eve", "--store", "store")
        done = self.retrain("run", "--once")
        assert "probation" in [line["after"] for line in done.lines if "after" in line], done.out
        return done

    def firing(self) -> list[tuple[str, str]]:
        done = driftline("alerts", "list", "-c", "driftline.yaml", "--firing", "-o", "json")
        return [(e["data"]["rule"], e["data"]["version"]) for e in done.lines] if done.code == 0 else []


@pytest.fixture
def world(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, kafka.bootstrap_servers, fresh_topics)


def test_from_an_alert_to_a_better_model_that_serves_and_the_alert_resolves(world: World, tmp_path: Path) -> None:
    daemon = Process("daemon", ["run", "-c", str(tmp_path / "driftline.yaml"), "--no-http"], tmp_path)
    serving: subprocess.Popen[bytes] | None = None
    try:
        listing = ("alerts", "list", "-c", "driftline.yaml")
        eventually(lambda: driftline(*listing).code == 0, 60, f"the daemon has made its topics: {daemon.said}")
        world.departs(900, world.predictions, model=MODEL, version="0")  # by the formula that was there before
        said = world.promoted("--model", MODEL, "--reason", "the first model", "--actor", "ada")
        assert f"{MODEL}/champion is published to {world.topics('models')}" in said.err
        serving = world.serve()
        eventually(lambda: "is version 1 now" in world.printed.read_text(), 60, "version 1 serves")
        world.departs(300, world.requests)
        world.turned = True
        world.departs(600, world.requests)
        eventually(lambda: ("accuracy-low", "1") in world.firing(), 90, f"the alert fires: {daemon.said[-2000:]}")

        said = world.promoted()
        assert f"{MODEL}/champion is published to {world.topics('models')}" in said.err
        eventually(lambda: "is version 2 now" in world.printed.read_text(), 60, "version 2 serves")
        world.departs(400, world.requests)
        seen = ("registry", "seen", MODEL, "-c", "driftline.yaml", "--store", "store", "-o", "json")
        eventually(lambda: driftline(*seen).code == 0, 60, f"version 2 is seen: {driftline(*seen).out}")
        assert driftline(*seen).json["version"] == 2
        eventually(lambda: world.firing() == [], 90, "the alert resolves")
        world.retrain("run", "--once")
        newest = json.loads(world.retrain("list").out.splitlines()[0])
        shown = world.retrain("show", newest["run"]).json
        assert (shown["version"], shown["seen_ms"] is not None) == (2, True)
        assert daemon.running, daemon.said
        assert serving.poll() is None, world.printed.read_text()
    finally:
        daemon.kill()
        if serving is not None:
            serving.kill()
            serving.wait()
