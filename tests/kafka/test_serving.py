"""The serving example of the documentation, as it is printed there, on a real broker: requests are scored without a gap while
versions are promoted, refused and rolled back, and Driftline sees in the predictions which one served."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer

from pipelines.runner import Job
from pipelines.trainer import model_inputs, train
from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog, Draft, MemoryBundle
from registry.directory import DirectoryStore
from registry.onnx_models import OnnxScorer
from registry.probe import probe_of
from tests.cli.driving import driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import eventually
from tests.kafka.fixtures import FreshTopics
from tests.pipelines.test_subprocesses import flights

ROOT = Path(__file__).parents[2]
SERVING = ROOT / "docs" / "examples" / "serving.py"
WHY = ("--reason", "because", "--actor", "ada")
CONFIG = """
namespace: {namespace}
kafka: {{bootstrap_servers: "{bootstrap}"}}
streams:
  predictions:
    topic: {predictions}
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at_ms, score: $.score}}
    features: {{hour: {{from: $.hour, type: numeric}}, origin: {{from: $.origin, type: categorical}}}}
time: {{horizon: 1d, disorder: 1m, tick: 1h}}
models: [{{name: flights}}]
windows: [1d]
http: {{port: 0}}
"""

pytestmark = pytest.mark.kafka


class World:
    """A registry of three versions, the third with a damaged file; topics; the example as a process; a monitor."""

    def __init__(self, directory: Path, bootstrap: str, topics: FreshTopics) -> None:
        self.directory, self.bootstrap, self.topics = directory, bootstrap, topics
        self.store = DirectoryStore(directory / "store")
        self.requests, self.predictions = topics.create("requests", 2), topics.create("predictions", 2)
        self.config = directory / "driftline.yaml"
        self.config.write_text(CONFIG.format(
            namespace=topics.namespace, bootstrap=bootstrap, predictions=self.predictions
        ))  # fmt: skip
        self.producer = Producer({"bootstrap.servers": bootstrap})
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": topics("test"), "auto.offset.reset": "earliest",
        })  # fmt: skip
        self.consumer.subscribe([self.predictions])
        self.sent: dict[str, dict[str, Any]] = {}
        self.answered: list[dict[str, Any]] = []
        self.printed = directory / "printed"
        for seed in (1, 2, 3):
            self._add(seed)
        (damaged,) = [f for f in Catalog(self.store).manifest(self.version(3)).files if f.path == "model.onnx"]
        digits = damaged.digest.removeprefix("sha256:")
        path = directory / "store" / "blobs" / digits[:2] / digits
        path.chmod(0o644)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)

    def _add(self, seed: int) -> None:
        rows = flights(400, seed)
        folder = self.directory / f"made{seed}"
        train(Job("train", ("hour", "origin", "distance"), "delayed", {}, seed, rows, folder))
        inputs = model_inputs(rows[:20], json.loads((folder / "columns.json").read_bytes()))
        probe = codec.encode(probe_of(inputs, OnnxScorer(folder / "model.onnx").score(inputs)))
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        Catalog(self.store).add(Draft("flights", MemoryBundle(files), probe=probe), "ada", 1)

    def version(self, number: int) -> Any:
        return Aliases(Catalog(self.store)).resolve("flights", str(number))

    def move(self, *args: object) -> None:
        where = ("--bootstrap", self.bootstrap, "--namespace", self.topics.namespace)
        done = driftline("registry", *args, *WHY, "--store", self.directory / "store", *where)
        assert done.code == 0, done.err
        assert "flights/champion is published" in done.err

    def serve(self) -> subprocess.Popen[bytes]:
        where = (self.bootstrap, self.topics.namespace, self.directory / "store", "flights")
        command = [sys.executable, str(SERVING), *map(str, where), self.requests, self.predictions]
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        with self.printed.open("wb") as out:
            return subprocess.Popen(command, cwd=self.directory, env=environment, stdout=out, stderr=out)

    def ask(self, count: int) -> None:
        for row in flights(count, seed=len(self.sent) + 10):
            number = len(self.sent)
            request = {"id": f"r{number}", "at_ms": 1_700_000_000_000 + number * 60_000}
            request |= {name: row[name] for name in ("hour", "origin", "distance")}
            self.sent[f"r{number}"] = request
            self.producer.produce(self.requests, orjson.dumps(request), key=f"r{number}")
        self.producer.flush(30)

    def answers(self) -> list[dict[str, Any]]:
        self.answered += [orjson.loads(m.value() or b"") for m in self.consumer.consume(1000, 0.2) if not m.error()]
        return self.answered

    def asked_until(self, version: str) -> None:
        """Requests go on until one is answered by a version."""

        def answered() -> bool:
            self.ask(20)
            return any(each["version"] == version for each in self.answers()[-60:])

        eventually(answered, 60, f"version {version} is in the predictions: {self.printed.read_text()}")

    def scored_by(self, number: int) -> list[float]:
        rows = list(self.sent.values())
        folder = self.directory / f"made{number}"
        inputs = model_inputs(rows, json.loads((folder / "columns.json").read_bytes()))
        return [float(p) for p in OnnxScorer(folder / "model.onnx").score(inputs)["probabilities"][:, 1]]


def test_the_serving_example_swaps_without_a_gap_refuses_what_is_corrupt_and_follows_a_rollback(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    world = World(tmp_path, kafka.bootstrap_servers, fresh_topics)
    world.move("promote", "flights@1")
    process = world.serve()
    try:
        world.asked_until("1")
        world.move("promote", "flights@2")
        world.asked_until("2")
        world.move("promote", "flights@3")
        eventually(lambda: "(version 2 is served on)" in world.printed.read_text(), 60, "version 3 is refused")
        world.ask(100)
        eventually(lambda: len(world.answers()) == len(world.sent), 60, "all requests are answered")
        world.move("rollback", "flights", "--to", "1")
        world.asked_until("1")
        eventually(lambda: len(world.answers()) == len(world.sent), 60, "all requests are answered")
        assert process.poll() is None, world.printed.read_text()
    finally:
        process.kill()
        process.wait()
        world.consumer.close()

    assert Counter(each["id"] for each in world.answered) == Counter(world.sent.keys()), "each once"
    assert {each["version"] for each in world.answered} == {"1", "2"}
    expected = {number: dict(zip(world.sent, world.scored_by(number), strict=True)) for number in (1, 2)}
    wrong = [e["id"] for e in world.answered if abs(expected[int(e["version"])][e["id"]] - e["score"]) > 1e-6]
    assert wrong == [], "each by the version that it names"
    said = world.printed.read_text().splitlines()
    assert [line for line in said if " now" in line] == [
        f"flights/champion is version {number} now" for number in (1, 2, 1)
    ]
    (refusal,) = [line for line in said if "served on" in line]
    assert "blob sha256:" in refusal
    assert "is damaged" in refusal

    # The acknowledgement: Driftline sees the versions in the predictions.
    ran = driftline("run", "-c", world.config, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    seen = driftline("registry", "seen", "flights", "-c", world.config, "--store", tmp_path / "store", "-o", "json")
    assert (seen.code, seen.json["acknowledged"], seen.json["version"]) == (0, True, 1), seen.err
    rows = {line["version"]: line["rows"] for line in seen.json["seen"]}
    assert rows.keys() == {1, 2}
