"""A whole deployment in memory: two source topics, workers, and what they published, read raw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import orjson

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog
from tests.oracle.join import Label, Params, Prediction, Window

CONFIG = """
namespace: {namespace}
streams:
  predictions:
    topic: predictions
    fields:
      {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction,
        withdrawn: $.withdrawn}}
    features: {{hue: categorical}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: {lateness}s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, segments: {{hue: [red, blue]}}}}]
windows: [50s]
rules:
  - {{name: bad, metric: accuracy, op: "<", threshold: 0.7, window: 50s, min_rows: 1, min_coverage: 0.1}}
  - {{name: slow, metric: recall, op: "<", threshold: 0.8, window: 50s, min_rows: 1, min_coverage: 0.1, for: 20s,
      segments: each}}
  - {{name: few, metric: volume, op: "<", threshold: 3, window: 50s}}
state: {{max_batch_rows: {rows}, commit_interval: 1ms}}
"""
LATENESS_S = 60
SETTLE_MS = 10_000  # a 64th of the horizon, on the tick grid


def _content(record: Prediction) -> str:
    """Orders contents as the engine does: by score, class, then segments as they are counted."""
    hue = dict(record.get("segments") or {}).get("hue")
    return f"{record.get('score')} {record.get('prediction')} {hue if hue in ('red', 'blue') else 'other'}"


PARAMS = Params(
    horizon_ms=100_000,
    lateness_ms=LATENESS_S * 1_000,
    window=Window(50_000),
    skew_ms=10_000,
    disorder_ms=20_000,
    max_jump_ms=30 * 86_400_000,
    tick_ms=10_000,
    settle_ms=SETTLE_MS,
    segments={"hue": ["red", "blue"]},
    content=_content,
)


def config(namespace: str, rows: int = 1_000, lateness_s: int = LATENESS_S) -> Config:
    """The deployment's configuration."""
    return loads(CONFIG.format(namespace=namespace, rows=rows, lateness=lateness_s))


def topics(predictions: Sequence[Sequence[Prediction]], labels: Sequence[Sequence[Label]]) -> MemoryLog:
    """A log that holds both topics, one list per partition."""
    log = MemoryLog(ManualClock(1_700_001_000_000))
    for name, logs in (("predictions", predictions), ("labels", labels)):
        log.ensure(TopicSpec(name, len(logs)))
        appender = log.appender()
        for partition, records in enumerate(logs):
            for record in records:
                appender.append(name, partition, OutRecord(orjson.dumps(_json(dict(record)))))
    return log


def _json(record: dict[str, Any]) -> dict[str, Any]:
    segments = record.pop("segments", None)
    if segments is not None:
        record["features"] = dict(segments)
    return record


def worker(log: MemoryLog, configuration: Config) -> Worker:
    """A worker that runs to the end."""
    return Worker(log, configuration, plan_of(configuration), log.clock, dead_letters, WorkerOptions(until_end=True))


def finals(log: MemoryLog, namespace: str) -> dict[bytes, bytes]:
    """Final values of the windows topic, by key, as bytes."""
    newest: dict[bytes, bytes | None] = {}
    for stored in log.records(f"{namespace}.windows"):
        assert stored.record.key is not None
        newest[stored.record.key] = stored.record.value
    values = {key: value for key, value in newest.items() if value is not None}
    assert all(orjson.loads(value)["final"] for value in values.values())
    return values


def alerts(log: MemoryLog, namespace: str) -> list[bytes]:
    """Alerts deduplicated by id, without what names the namespace, sorted."""
    from monitor.alerts.cloudevents import comparable

    by_id: dict[str, bytes] = {}
    for stored in log.records(f"{namespace}.alerts"):
        assert stored.record.value is not None
        by_id.setdefault(orjson.loads(stored.record.value)["id"], stored.record.value)
    return sorted(comparable(value) for value in by_id.values())


def revisions(log: MemoryLog, namespace: str) -> set[bytes]:
    """Every revision of every window that was published."""
    return {stored.record.value for stored in log.records(f"{namespace}.windows") if stored.record.value is not None}


def counts(log: MemoryLog, namespace: str) -> dict[tuple[str, str, str, int], dict[str, int]]:
    """Final performance counts in the oracle's shape."""
    found = {}
    for value in finals(log, namespace).values():
        window = orjson.loads(value)
        if window["kind"] == "performance":
            key = (window["model"], window["version"], window["segment"], window["start_ms"])
            found[key] = {name: window["counts"][name] for name in ("seen", "labelled", "tp", "fp", "fn", "tn")}
    return found


def slices(rng: random.Random, limit: int) -> int:
    """How many rows a commit may have."""
    return rng.randint(1, limit)
