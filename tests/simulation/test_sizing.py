"""What `driftline size` predicts is what a worker then needs: the real worker, over records in JSON, at the stated pace.

The clock is moved by hand, one commit interval at a time, until as many rows leave as come.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.adapters.exposition import Exposer
from monitor.cli.observer import Observer, base_view
from monitor.cli.size import sized
from monitor.config import Config, loads
from monitor.daemon.recovery import rows_to_read_again
from monitor.daemon.trial import Traffic, need
from monitor.daemon.trial_windows import held
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog

START_MS = 1_700_006_400_000
WITHIN = 0.25

FIELDS = "id: $.id, model: $.model, version: $.version, at: {from: $.at, unit: ms}"
CONFIGS: dict[str, tuple[str, Traffic]] = {
    "features and segments, late labels": (
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{hue: categorical, size: numeric, place: categorical}}
  labels: {{topic: labels, fields: {{id: $.id, at: {{from: $.at, unit: ms}}, label: $.label}}}}
time: {{horizon: 20m, lateness: 5m, tick: 1m}}
models: [{{name: m, segments: {{hue: [a, b], place: [c, d, e]}}}}]
windows: [1h, {{size: 10m, slide: 5m}}]
state: {{commit_interval: 2s}}
""",
        Traffic(rate=60, labelled=0.8, delay_ms=240_000, versions=2, partitions=2),
    ),
    "two regression models without features, labels at once": (
        f"""
streams:
  predictions: {{topic: predictions, fields: {{{FIELDS}, prediction: $.score}}}}
  labels: {{topic: labels, fields: {{id: $.id, at: {{from: $.at, unit: ms}}, label: $.label}}}}
time: {{horizon: 5m, lateness: 10m, tick: 10s}}
models: [{{name: m, task: regression}}, {{name: n, task: regression}}]
windows: [5m]
state: {{commit_interval: 1s}}
""",
        Traffic(rate=100, labelled=1.0, delay_ms=5_000, versions=1, partitions=1),
    ),
    "a trickle of many segments, few labels": (
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{hue: categorical}}
  labels: {{topic: labels, fields: {{id: $.id, at: {{from: $.at, unit: ms}}, label: $.label}}}}
time: {{horizon: 2h, tick: 5m}}
models: [{{name: m, segments: {{hue: [a, b, c, d, e, f, g, h, i, j]}}}}]
windows: [1h]
state: {{commit_interval: 5s}}
""",
        Traffic(rate=3, labelled=0.3, delay_ms=900_000, versions=1, partitions=4),
    ),
}


class Measured:
    """A worker with one partition of the traffic, run over `spans` of horizon + lateness."""

    def __init__(self, config: Config, traffic: Traffic, spans: float = 1.3) -> None:
        self.config, self.traffic = config, traffic
        self.log = MemoryLog(ManualClock(START_MS))
        for topic in ("predictions", "labels"):
            self.log.ensure(TopicSpec(topic, 1))
        plan = plan_of(config)
        self.observer = Observer(plan, base_view(config, "1", START_MS), self.log.clock)
        options = WorkerOptions()
        self.worker = Worker(
            self.log, config, plan, self.log.clock, dead_letters, options, self.observer.on_tick, self.observer.tell
        )
        self.worker.start()
        span_ms = config.time.horizon_ms + config.time.lateness_ms
        self._play(round(spans * span_ms))

    def _play(self, span_ms: int) -> None:
        rng, appender = np.random.default_rng(5), self.log.appender()
        n = rng.poisson(self.traffic.rate / self.traffic.partitions * span_ms / 1_000)
        at = START_MS + np.sort(rng.integers(0, span_ms, n))
        known = at + rng.exponential(self.traffic.delay_ms, n).astype(np.int64)
        models = [model.name for model in self.config.models]
        due = [(int(t), 0, i) for i, t in enumerate(at)]
        due += [(int(known[i]), 1, int(i)) for i in np.flatnonzero(rng.random(n) < self.traffic.labelled)]
        binary = self.config.models[0].task == "binary"
        for ms, stream, i in sorted(due):
            if self.log.clock.now_ms() < ms:
                appender.flush(1_000)
            while self.log.clock.now_ms() < ms:
                self.worker.turn()
            if ms >= START_MS + span_ms:
                break
            value = int(rng.integers(2)) if binary else float(rng.normal())
            if stream:
                record = {"id": f"r{i}", "at": ms, "label": value}
            else:
                drawn = {name: self._value(name, rng) for name in ("hue", "place")}
                score = float(rng.random()) if binary else value
                version = str(rng.integers(self.traffic.versions))
                record = {"id": f"r{i}", "model": models[i % len(models)], "version": version, "at": ms}
                record |= {"score": score, "features": {"size": float(rng.normal()), **drawn}}
            appender.send(("predictions", "labels")[stream], OutRecord(orjson.dumps(record), b"k", (), ms), 0)
        self.worker.turn()
        self.observer.refresh(self.worker)

    def _value(self, name: str, rng: np.random.Generator) -> str:
        """One of the listed values, evenly; one in ten is another."""
        listed = self.config.models[0].segments.get(name, ("x",))
        return "elsewhere" if rng.random() < 0.1 else str(rng.choice(listed))

    def numbers(self) -> dict[str, float]:
        """What `Need` predicts."""
        stored = self.log.records(self.config.topics().ledger)
        values = [len(record.record.value or b"") for record in stored]
        days = (self.log.clock.now_ms() - START_MS) / 86_400_000
        task = self.worker.tasks[0]
        commit = task.writer.follower.state.commit
        return {
            "held_rows": task.engine.join.held[0],
            "join_bytes": task.engine.join.nbytes,
            "recovery_rows": rows_to_read_again(commit),
            "ledger_bytes_per_day": sum(values[len(values) // 2 :]) / days * 2,
        }

    def published_per_day(self) -> float:
        """Bytes that the topic of windows grew by, in the second half."""
        half_ms = (self.log.clock.now_ms() - START_MS) / 2
        stored = self.log.records(self.config.topics().windows)
        late = [each.record for each in stored if each.timestamp_ms >= START_MS + half_ms]
        return sum(len(each.key or b"") + len(each.value or b"") for each in late) * 86_400_000 / half_ms

    def windows(self) -> float:
        """Windows that can still change."""
        assert self.worker.judge is not None
        engines = self.worker.judge.evaluator.engines.values()
        return float(sum(len(store) for engine in engines for store in engine.kept[0]))

    def series(self) -> int:
        """What a scrape of the process would find."""
        return sum(not line.startswith(b"#") for line in Exposer().render(self.observer.view).text.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_predicted_is_within_a_quarter_of_what_is_measured(name: str) -> None:
    text, traffic = CONFIGS[name]
    config = loads(text)
    predicted = need(config, plan_of(config), traffic)
    run = Measured(config, traffic)
    measured = run.numbers()
    predicted_series = sized(config, traffic, traffic.partitions, 1_000.0)["series"]
    alone = replace(traffic, rate=traffic.rate / traffic.partitions)  # one partition is what the worker has
    published = held(config, plan_of(config), alone).published * 86_400_000 / config.time.tick_ms
    print(f"{name}: windows topic: {published:,.0f} predicted, {run.published_per_day():,.0f} measured")
    assert published == pytest.approx(run.published_per_day(), rel=WITHIN)
    assert predicted_series == pytest.approx(run.series(), rel=WITHIN)
    assert held(config, plan_of(config), traffic).windows == pytest.approx(run.windows(), rel=WITHIN)
    for what, found in measured.items():
        print(f"{name}: {what}: {getattr(predicted, what):,.0f} predicted, {found:,.0f} measured")
    wrong = {w: (getattr(predicted, w), f) for w, f in measured.items() if abs(getattr(predicted, w) / f - 1) > WITHIN}
    assert wrong == {}
