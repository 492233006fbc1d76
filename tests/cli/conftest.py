"""A small deployment that has run to its end, shared by the tests of the commands that look at one."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pytest

import monitor.demo
from tests.cli.driving import driftline

DAYS_END_MS = 1_357_171_200_000  # 2013-01-03: two days of flights
FLIGHTS = Path(monitor.demo.__file__).parent / "flights"

CONFIG = """
namespace: small
streams:
  predictions:
    topic: flights.predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}
    features: {hour: numeric, origin: categorical}
  labels:
    topic: flights.labels
    fields: {id: $.id, at: $.at, label: $.label}
time: {horizon: 36h, disorder: 15m, max_jump: 2d, tick: 1h}
models: [{name: arrival-delay, threshold: 0.25, segments: {origin: [EWR, JFK]}}]
windows: [day]
rules:
  - {name: too-good, metric: accuracy, op: "<", threshold: 0.99, window: day, min_rows: 100, severity: page}
http: {port: 0}
"""


@dataclass(frozen=True)
class Deployment:
    """Where it is, and what was sent."""

    config: Path
    log: Path
    predictions: Path
    labels: Path

    @property
    def where(self) -> tuple[object, ...]:
        """The options that every command takes."""
        return ("-c", self.config, "--embedded", self.log)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Two days of flights, two partitions, three bad records, read to the end."""
    folder = tmp_path_factory.mktemp("deployment")
    made = Deployment(folder / "d.yaml", folder / "log", folder / "predictions.jsonl", folder / "labels.jsonl")
    made.config.write_text(CONFIG)
    for path, end_ms in ((made.predictions, DAYS_END_MS), (made.labels, DAYS_END_MS + 129_600_000)):
        with gzip.open(FLIGHTS / f"{path.name}.gz", "rt") as lines:
            path.write_text("".join(line for line in lines if _at(line) < end_ms))
    bad = '{"id": "b\n{"id": "c", "model": "nobody", "version": "1", "at": 1357020000000, "score": 0.5, "prediction": 1}\n'
    bad += '{"id": "d", "model": "arrival-delay", "version": "1", "score": 0.5, "prediction": 1}\n'
    (folder / "bad.jsonl").write_text(bad)
    for topic, path in (
        ("predictions", made.predictions),
        ("labels", made.labels),
        ("predictions", folder / "bad.jsonl"),
    ):
        sent = driftline("produce", f"flights.{topic}", path, "--embedded", made.log, "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    ran = driftline("run", *made.where, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    return made


def _at(line: str) -> int:
    return int(line.partition('"at":')[2].partition(",")[0].partition("}")[0])
