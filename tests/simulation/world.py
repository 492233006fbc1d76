"""A whole deployment in memory: two source topics, workers, and what they published, read raw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar, overload

import orjson

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.events import RecordBatch
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog, MemoryReader
from tests.checker.sources import Raw
from tests.checker.windows import current
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


@cache
def config(namespace: str, rows: int = 1_000, lateness_s: int = LATENESS_S) -> Config:
    """The deployment's configuration."""
    return loads(CONFIG.format(namespace=namespace, rows=rows, lateness=lateness_s))


class World(MemoryLog):
    """A log that hands out at most `pace` records of a topic at once, so that runs are cut where a test wants it."""

    def __init__(self) -> None:
        super().__init__(ManualClock(1_700_001_000_000))
        self.paces: dict[str, int] = {}

    def reader(self, *, keys: bool = True, headers: bool = True) -> PacedReader:
        return PacedReader(self, keys=keys, headers=headers)


class PacedReader(MemoryReader):
    """At most as many records at once as the slowest of its topics allows."""

    _log: World

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        paces = [self._log.paces[topic] for topic, _ in self._positions if topic in self._log.paces]
        return super().poll(min([max_records, *paces]), timeout_ms)


W = TypeVar("W", bound=World)


@overload
def topics(predictions: Sequence[Sequence[Prediction]], labels: Sequence[Sequence[Label]]) -> World: ...
@overload
def topics(predictions: Sequence[Sequence[Prediction]], labels: Sequence[Sequence[Label]], log: W) -> W: ...
def topics(
    predictions: Sequence[Sequence[Prediction]], labels: Sequence[Sequence[Label]], log: World | None = None
) -> World:
    """A log that holds both topics, one list per partition."""
    log = log or World()
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
    """Final values of the windows topic, by key, as bytes. What is current is decided as every reader must."""
    values = current(
        Raw(0, at, None, stored.record.key, stored.record.value, {k: v or b"" for k, v in stored.record.headers})
        for at, stored in enumerate(log.records(f"{namespace}.windows"))
    )
    found = {key.encode(): value for key, value in values.items()}
    assert all(orjson.loads(value)["final"] for value in found.values())
    return found


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
