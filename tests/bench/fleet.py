"""A fleet in one pair of topics: 200 models, each with 5 versions and 20 segments, which is 21,000 series of each kind.

    python -m tests.bench.fleet                                   # the engine alone, in this process
    python -m tests.bench.fleet --kafka --folder build/fleet      # the daemon, on a Kafka that it starts

Alone: commits of half a second, the largest commit there can be, what a tick takes (processor time) once most series have rows in
each, what a scrape of it takes, and memory. On Kafka five minutes of records are there already, the rest comes at its pace; what
`driftline size` had predicted stands beside it. Nothing may break: the daemon lives, no append is refused for its size, windows
of every model are published, and the ledger passes its audit. Exit code 1 when something does.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from monitor.adapters.exposition import Exposer
from monitor.cli.observer import base_view
from monitor.config import loads
from monitor.daemon.trial import START_MS, Dealt, Traffic
from monitor.daemon.trial_windows import evaluator_of
from monitor.ledger.fold import Chain
from monitor.ledger.records import encode
from monitor.newest import Newest
from monitor.partition import Flags
from monitor.plan import plan_of
from tests.bench import daemon
from tests.bench.recovery import Process
from tests.bench.size import Producer, Run, thread_secs
from tests.bench.size_cases import FIELDS, LABELS, LETTERS, Case, Stream
from tests.checker.sources import Kafka, flat
from tests.kafka.broker import KafkaCluster

MODELS, VERSIONS = 200, 5
HISTORY_MS = 300_000


def case_of(rate: float, models: int, versions: int) -> Case:
    """The fleet, at so many predictions a second."""
    names = tuple(f"model-{number:03}" for number in range(models))
    listed = "\n".join(f"  - {{name: {name}, segments: {{w0: [{', '.join(LETTERS)}]}}}}" for name in names)
    text = f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{w0: categorical}}
  labels: {LABELS}
time: {{horizon: 10m, lateness: 5m, tick: 1m}}
models:
{listed}
windows: [1h]
rules:
  - {{name: worse, metric: recall, op: "<", threshold: 0.01, window: 1h, min_rows: 50, severity: ticket}}
"""
    traffic = Traffic(rate=rate, labelled=0.9, delay_ms=60_000, versions=versions, partitions=3)
    return Case("fleet", text, traffic, models=names, features=("w0",), words=len(LETTERS))


class Fleet(Run):
    """The run of it."""

    def live(self, live_s: float) -> dict[str, Any]:
        """Run, look, stop."""
        now_ms = round(time.time() * 1_000)
        producer = Producer(self.bootstrap, Stream(self.case, now_ms - HISTORY_MS, now_ms + 3_600_000))
        producer.catch_up()
        producer.go_on()
        process = Process(["-c", str(self.config)], self.port, self.folder / "fleet.log")
        try:
            self.wait_until_read(process)
            time.sleep(30)
            before = self._counted(process)
            time.sleep(live_s)
            found = self._between(before, self._counted(process))
            found |= self._scrape() | self.look(process)
            process.end(signal.SIGTERM)
        finally:
            producer.stop()
            if process.running:
                process.end(signal.SIGKILL)
        return found | self._published()

    def _counted(self, process: Process) -> dict[str, float]:
        status = process.status()
        assert status is not None
        return {
            "wall": time.monotonic(),
            "cpu": thread_secs(process.pid),
            "ticks": (status["evaluator"]["tick_ms"] or 0) / 60_000,
            "windows": status["counters"]["windows_published"],
            "lag_s": time.time() - (status["evaluator"]["tick_ms"] or 0) / 1_000,
        }

    @staticmethod
    def _between(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
        ticks = after["ticks"] - before["ticks"]
        return {
            "ticks": ticks,
            "seconds": after["wall"] - before["wall"],
            "cpu_a_tick": (after["cpu"] - before["cpu"]) / max(1, ticks),
            "windows_a_tick": (after["windows"] - before["windows"]) / max(1, ticks),
            "evaluator_behind_s": after["lag_s"],
        }

    def _scrape(self) -> dict[str, Any]:
        took, body = [], b""
        for _ in range(3):
            began = time.monotonic()
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=120) as answer:
                body = answer.read()
            took.append(time.monotonic() - began)
            time.sleep(1.5)  # a view is rendered once
        samples = dict(re.findall(rb"^(driftline_[a-z_]+)\{[^}]*\} (\S+)$", body, re.MULTILINE))
        dropped = re.findall(rb"^driftline_dropped_series_total\{.*?family=\"([^\"]+)\"\} (\S+)$", body, re.MULTILINE)
        return {
            "scrape_s": min(took),
            "scrape_bytes": len(body),
            "exported_series": float(samples[b"driftline_exported_series"]),
            "dropped_families": sum(float(number) > 0 for _, number in dropped),
        }

    def _published(self) -> dict[str, Any]:
        source = Kafka(self.bootstrap)
        commits = [len(r.value or b"") for r in flat(source.read(f"{self.namespace}.ledger"))]
        windows = [r.value or b"" for r in flat(source.read(f"{self.namespace}.windows"))]
        named = {json.loads(value)["model"] for value in windows[-200_000:] if value}
        audit = subprocess.run(
            [daemon.driftline(), "ledger", "audit", "-c", str(self.config)], capture_output=True, text=True, check=False
        )
        return {
            "largest_commit": max(commits),
            "largest_window": max(map(len, windows)),
            "models_with_windows": len(named),
            "audit": audit.returncode,
            "complaints": [
                line
                for line in (self.folder / "fleet.log").read_text().splitlines()
                if " ERROR " in line or "refused" in line
            ],
        }


def alone(case: Case, ticks: int) -> dict[str, Any]:
    """The engine of one partition and the evaluator, over rows that are dealt: what each takes of processor and memory."""
    config = loads(case.text)
    plan, traffic, rng = plan_of(config), case.traffic, np.random.default_rng(1)
    tick_ms, commit_ms = config.time.tick_ms, config.state.commit_interval_ms
    n = round(traffic.rate * ticks * tick_ms / 1_000)
    at = START_MS + np.sort(rng.integers(0, ticks * tick_ms, n))
    number, known = np.arange(n), at + 20_000
    dealt = Dealt(config, plan, traffic.versions, rng)
    partition, evaluator = dealt.partition(), evaluator_of(config, plan)
    newest, commits, took, told, payload = Newest(), list[int](), list[float](), list[int](), 0
    for end in range(START_MS + commit_ms, START_MS + ticks * tick_ms + 1, commit_ms):
        commit = dealt.step(partition, at, number, (known, number), end)
        commits.append(len(encode(commit)))
        began, windows = time.thread_time(), 0
        evaluator.feed(0, commit)
        for output in evaluator.close():
            newest.add(output.windows)
            windows += len(output.windows)
            payload += sum(map(len, output.payloads))
        took.append(time.thread_time() - began)
        told.append(windows)
    per_tick = tick_ms // commit_ms
    burst_rows = np.arange(config.state.max_batch_rows)
    dealt_again = Dealt(config, plan, traffic.versions, rng)
    other = dealt_again.partition()
    dealt_again.feed(
        other, START_MS + burst_rows, burst_rows, (burst_rows[:0], burst_rows[:0]), START_MS + len(burst_rows)
    )
    largest = len(encode(other.commit(Chain(1, "0" * 32, 0, bytes(16)), Flags())))
    view = replace(base_view(config, "bench", START_MS), windows=newest.views())
    exposer, scrapes = Exposer(), list[float]()
    exposition = exposer.render(view)
    for _ in range(3):
        began = time.thread_time()
        exposition = exposer.render(view)
        scrapes.append(time.thread_time() - began)
    stores = [store for engine in evaluator.engines.values() for store in engine.kept[0]]
    return {
        "commit_bytes": float(np.mean(commits[per_tick:])),
        "largest_commit_bytes": largest,
        "evaluator_secs_a_tick": sum(took[-2 * per_tick :]) / 2,
        "windows_a_tick": sum(told[-2 * per_tick :]) / 2,
        "payload_bytes_a_window": payload / sum(told),
        "windows_in_view": len(view.windows),
        "cell_bytes": sum(store.nbytes for store in stores),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "scrape_secs": min(scrapes),
        "scrape_bytes": len(exposition.text),
        "exported_series": exposition.exported_series,
        "dropped_series": exposition.dropped_series,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__.partition("\n")[0])
    parser.add_argument("--kafka", action="store_true", help="the daemon on a Kafka that is started for it")
    parser.add_argument("--folder", type=Path, help="with --kafka: must not exist; removed at the end")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--versions", type=int, default=VERSIONS)
    parser.add_argument("--live", type=float, default=180)
    parser.add_argument("--ticks", type=int, default=6)
    arguments = parser.parse_args()
    case = case_of(arguments.rate, arguments.models, arguments.versions)
    if not arguments.kafka:
        show(alone(case, arguments.ticks), {})
        return 0
    if arguments.folder is None:
        parser.error("--kafka needs --folder")
    with ExitStack() as closing:
        arguments.folder.mkdir(parents=True)
        closing.callback(shutil.rmtree, arguments.folder)
        cluster = closing.enter_context(KafkaCluster(heap_mb=1024))
        run = Fleet(case, cluster, arguments.folder / "run", "fleet", arguments.live)
        run.prepare()
        predicted = run.predict()
        found = run.live(arguments.live)
    show(found, predicted)
    whole = found["models_with_windows"] == arguments.models and found["audit"] == 0 and not found["complaints"]
    return 0 if whole else 1


def show(found: dict[str, Any], predicted: dict[str, Any]) -> None:
    """For people, then as JSON."""
    for name, value in found.items():
        beside = f"   predicted {predicted[name]:,}" if isinstance(predicted.get(name), int | float) else ""
        print(f"{name:<24}{value if isinstance(value, list) else format(value, ',.2f'):>18}{beside}")
    print(json.dumps({"predicted": predicted, "found": found}))


if __name__ == "__main__":
    sys.exit(main())
