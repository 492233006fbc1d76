"""How long a start takes on an old ledger, with checkpoints and without.

    python -m tests.bench.old_ledger --days 90 --partitions 10 --every 5 --folder DIR

Makes an embedded log in DIR with the ledger of so many days, a commit of every partition each `--every` minutes, and
lets the real evaluator follow it, commit by commit, saving checkpoints as it does live. The commits are the engine's own:
three days of predictions with labels up to a day late are counted by it, and the third is repeated, shifted, for every
further day. Then each start is timed in a fresh process: folding every ledger partition, and opening the evaluator. What
a start takes besides, rebuilding the join from the sources, depends on the horizon and not on the age of the ledger.

Prints one JSON line per start; `cpu_seconds` is what it takes on a machine that does nothing else. Put DIR on a file
system in memory to spare the disk a million synchronous writes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import orjson

from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded import EmbeddedLog
from monitor.config import Config, loads
from monitor.daemon.checkpoints import follow, manifest_of, of_ledger
from monitor.daemon.counted import alone
from monitor.daemon.generations import Known
from monitor.daemon.judge import Judge
from monitor.daemon.shared import make_shared
from monitor.daemon.tail import Follower, Stored, follow_from_start
from monitor.daemon.task import CHECKPOINT_RECORDS
from monitor.daemon.topics import internal_topics
from monitor.events import RecordBatch
from monitor.ingest.clocks import ClockState
from monitor.ledger.checkpoints import ledger_of
from monitor.ledger.fold import Chain
from monitor.ledger.records import (
    FORMAT,
    Clock,
    Commit,
    Delta,
    Fence,
    Floor,
    Genesis,
    Record,
    SourceTopic,
    encode,
    pack,
)
from monitor.partition import Flags, Partition
from monitor.plan import Plan, plan_of
from monitor.ports import OutRecord

TEXT = """
namespace: old
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}
    features: {channel: categorical}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 3d, lateness: 1h, disorder: 1m, tick: 1m}
models: [{name: fraud, segments: {channel: [web, app, shop]}}]
windows: [1h, 1d]
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.1, window: 1h, min_rows: 20, min_coverage: 0.5}
  - {name: low-accuracy, metric: accuracy, op: "<", threshold: 0.6, window: 1d, min_rows: 20, segments: each}
"""
MINUTE_MS, DAY_MS = 60_000, 86_400_000
START_MS = 1_700_006_400_000 // DAY_MS * DAY_MS
PREDICTIONS, LABELS = 10, 6
"""Of a partition, a minute."""
MADE_DAYS = 3
"""Counted by the engine; in the third, labels of the day before come as on every later one."""
OWNER = "bench"


def batch(topic: str, start: int, records: list[dict[str, object]], at_ms: int) -> RecordBatch:
    """Records at the offsets that follow."""
    n = len(records)
    values = [orjson.dumps(record) for record in records]
    offsets = np.arange(start, start + n, dtype=np.int64)
    return RecordBatch(topic, 0, offsets, np.full(n, at_ms + MINUTE_MS, np.int64), values, start + n)


def made(plan: Plan, config: Config, every: int) -> list[Commit]:
    """The commits of a partition's first days, as the engine makes them."""
    chance = random.Random(11)
    shared = make_shared(config, plan)
    engine = Partition(shared, 0, (0, ClockState()), (0, ClockState()))
    due: dict[int, list[dict[str, object]]] = {}
    commits, offsets = [], [0, 0]
    a_day, step_ms = DAY_MS // (every * MINUTE_MS), every * MINUTE_MS
    for step in range(MADE_DAYS * a_day):
        at = START_MS + step * step_ms
        rows: list[dict[str, object]] = []
        for i in range(PREDICTIONS * every):
            score = chance.random()
            row = {"id": f"{step}-{i}", "model": "fraud", "version": "1", "at": at + i * 1_000, "score": score}
            rows.append({**row, "prediction": int(score > 0.5), "channel": chance.choice(["web", "app", "shop", "tv"])})
            if i < LABELS * every:
                late = step + int(chance.random() ** 4 * a_day)
                label = {
                    "id": row["id"],
                    "at": START_MS + late * step_ms + i * 1_000,
                    "label": int(chance.random() < score),
                }
                due.setdefault(late, []).append(label)
        engine.feed_predictions(batch("predictions", offsets[0], rows, at))
        labels = due.pop(step, [])
        if labels:
            engine.feed_labels(batch("labels", offsets[1], labels, at))
        offsets = [offsets[0] + len(rows), offsets[1] + len(labels)]
        commits.append(engine.commit(Chain(1, OWNER, step, b""), Flags()))
    return commits


def shifted(commit: Commit, days: int, plan: Plan, per_day: tuple[int, int]) -> Commit:
    """The same commit so many days later; `per_day`: records of a day."""
    by_ms = days * DAY_MS
    ranges = [
        (a + days * n, b + days * n) for (a, b), n in zip((commit.predictions, commit.labels), per_day, strict=True)
    ]
    clocks = [Clock(clock.maximum_ms + by_ms) for clock in (commit.prediction_clock, commit.label_clock)]
    floors = [
        Floor(floor.offset + days * n, Clock(floor.clock.maximum_ms + by_ms))
        for floor, n in zip((commit.prediction_floor, commit.label_floor), per_day, strict=True)
    ]
    return msgspec.structs.replace(
        commit,
        predictions=ranges[0],
        labels=ranges[1],
        prediction_clock=clocks[0],
        label_clock=clocks[1],
        prediction_floor=floors[0],
        label_floor=floors[1],
        inputs=_later(commit.inputs, by_ms, plan),
        performance=_later(commit.performance, by_ms, plan),
    )


def _later(delta: Delta | None, by_ms: int, plan: Plan) -> Delta | None:
    if delta is None:
        return None
    pane = pack(delta.column("pane") + by_ms // plan.pane_ms)
    return msgspec.structs.replace(delta, pane=pane, tick=pack(delta.column("tick") + by_ms // plan.join.tick_ms))


def steps(days: int, plan: Plan, config: Config, every: int) -> Iterator[Commit]:
    """The commits of all days; owner, sequence and chain are put in per partition."""
    commits = made(plan, config, every)
    yield from commits
    day = commits[-len(commits) // MADE_DAYS :]
    per_day = (day[-1].predictions[1] - day[0].predictions[0], day[-1].labels[1] - day[0].labels[0])
    for number in range(MADE_DAYS, days):
        for commit in day:
            yield shifted(commit, number - MADE_DAYS + 1, plan, per_day)


class Ledger:
    """One partition of the ledger, as its owner writes it."""

    def __init__(self, log: EmbeddedLog, config: Config, plan: Plan, partition: int, partitions: int) -> None:
        self._topic = config.topics().ledger
        self.follower = Follower(self._topic, partition, 0, follow_from_start(log, self._topic, partition).state)
        self._checkpoints = of_ledger(log, config.topics().checkpoints, partition)
        sources = (SourceTopic("predictions", "p", partitions), SourceTopic("labels", "l", partitions))
        self._first: list[Record] = [
            Genesis(FORMAT, log.cluster_id(), partition, *sources, 0, 0, plan.config_digest),
            Fence(FORMAT, 1, OWNER),
        ]

    def append(self, commit: Commit) -> Iterator[OutRecord]:
        """The records of a step; the owner saves a checkpoint when it is time to."""
        first, self._first = self._first, []
        for record in first:
            yield self._put(record)
        state = self.follower.state
        yield self._put(msgspec.structs.replace(commit, sequence=state.sequence + 1, previous=state.chain))

    def _put(self, record: Record) -> OutRecord:
        raw = encode(record)
        verdict = self.follower.apply(Stored(self.follower.next_offset, raw, record, 0))
        assert verdict == "accepted", verdict
        return OutRecord(raw)

    def save(self) -> None:
        """A checkpoint of what was appended."""
        self._checkpoints.write(manifest_of(ledger_of(self.follower.partition), self.follower, (0, 0)), b"")


def generate(folder: Path, days: int, partitions: int, every: int) -> None:
    """The log, with everything that the evaluator decided on the way."""
    config = loads(TEXT)
    plan, log = plan_of(config), EmbeddedLog(folder)
    for spec in internal_topics(config.topics(), partitions):
        log.ensure(spec)
    appender = log.appender()
    ledgers = [Ledger(log, config, plan, partition, partitions) for partition in range(partitions)]
    judge = Judge(log, SystemClock(), appender, Known(config, 0), alone(config, plan), partitions)
    judge.open()
    began = time.monotonic()
    for step, commit in enumerate(steps(days, plan, config, every)):
        for partition, ledger in enumerate(ledgers):
            for record in ledger.append(commit):
                appender.send(config.topics().ledger, record, partition)
        appender.flush(10_000)
        judge.step()
        if step % CHECKPOINT_RECORDS == CHECKPOINT_RECORDS - 1:
            for ledger in ledgers:
                ledger.save()
        if step % (10 * DAY_MS // (every * MINUTE_MS)) == 0:
            print(
                f"day {step * every * MINUTE_MS // DAY_MS}, {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    judge.close()
    appender.close()


def start(folder: Path, partitions: int) -> dict[str, object]:
    """Fold every ledger partition and open the evaluator, as a process does that takes everything over."""
    config = loads(TEXT)
    plan, log, topics = plan_of(config), EmbeddedLog(folder), config.topics()
    began, cpu_began, folded = time.monotonic(), time.process_time(), 0
    for partition in range(partitions):
        follower, _ = follow(log, topics.ledger, partition, of_ledger(log, topics.checkpoints, partition))
        first = follower.next_offset
        follower.catch_up(log, log.end_offsets(topics.ledger)[partition])
        folded += follower.next_offset - first
    tasks_s = time.monotonic() - began
    outputs = [0]

    def count(_: object) -> None:
        outputs[0] += 1

    appender = log.appender()
    judge = Judge(log, SystemClock(), appender, Known(config, 0), alone(config, plan), partitions, observe=count)
    judge.open()
    whole_s = time.monotonic() - began
    digest = judge.evaluator.digest.hex()
    judge.close()
    appender.close()
    return {
        "ledger_records": sum(log.end_offsets(topics.ledger)),
        "evaluations": log.end_offsets(topics.evals)[0],
        "checkpoint": log.topic(topics.checkpoints) is not None,
        "folded_by_tasks": folded,
        "ticks_decided": outputs[0],
        "fold_seconds": round(tasks_s, 2),
        "evaluator_seconds": round(whole_s - tasks_s, 2),
        "start_seconds": round(whole_s, 2),
        "cpu_seconds": round(time.process_time() - cpu_began, 2),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "digest": digest,
    }


def main() -> None:
    """Generate, then time the starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--partitions", type=int, default=10)
    parser.add_argument("--every", type=int, default=1, help="Minutes between two commits of a partition.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--start", action="store_true", help="Only time one start on what is there.")
    parser.add_argument("--without", action="store_true", help="Delete the checkpoints first.")
    options = parser.parse_args()
    if options.start:
        if options.without:
            EmbeddedLog(options.folder).delete_topic(loads(TEXT).topics().checkpoints)
        print(json.dumps(start(options.folder, options.partitions)), flush=True)
        return
    generate(options.folder, options.days, options.partitions, options.every)
    same = ["--partitions", str(options.partitions), "--folder", str(options.folder), "--start"]
    for extra in ([], [], ["--without"]):
        command = [sys.executable, "-m", "tests.bench.old_ledger", *same, *extra]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
