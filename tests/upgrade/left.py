"""What a release leaves behind: whole namespaces in the middle of their work, with everything durable, kept for good.

    python -m tests.upgrade.left NAME [TREE]

writes `tests/golden/releases/NAME/`: of each kind of model a namespace whose only worker was killed, and how it would have
ended; and what the golden files of single formats held. TREE is a folder with the code and the golden files of that release, this
tree unless it is given. A folder that is there is never written again. Every later release reads it, proves it, and ends it as
the release itself would have (`test_releases.py`).

A namespace is a gzipped file of JSON lines: the first says what the log is, the others are its records,
`[topic, partition, offset, timestamp, key, value, headers]` in Base64.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from monitor.adapters import dead_letters
from monitor.config import Config, load
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicInfo, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog, _Partition, _Topic
from tests.adapters.memory import Stored as Held
from tests.simulation.fragile import FragileWorld
from tests.simulation.world import World, alerts, finals

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = ROOT / "tests" / "golden"
RELEASES: Final = GOLDEN / "releases"
FORMAT: Final = 1
FLIGHTS: Final = 500
NAMESPACE: Final = "left"
EVERYTHING: Final = """
namespace: left
windows: [1h, day]
estimates: true
drift: {distances: [psi, ks, js, wasserstein]}
rules:
  - {name: bad, metric: accuracy, op: "<", threshold: 0.8, window: 1h, min_rows: 5, min_coverage: 0.2, segments: each}
  - {name: later, metric: "unlabelled:recall", op: "<", threshold: 0.4, window: day, min_rows: 20}
  - {name: hour, metric: "psi:hour", op: ">", threshold: 0.2, window: 1h, min_rows: 10}
budget: {false_pages: 1, per: 5d, every: 1h, learn: 64h, season: none, quiet: 4h}
label_feed: {slow_after: 3h, hold_at_most: 1d}
explanations: true
grouping: {within: 6h}
advisories:
  - {name: holes, detector: PageHinkley, options: {min_instances: 3}, metric: volume, window: 1h, min_rows: 5, quiet: 3h}
labels: {owner: team-arrivals}
models:
  - name: arrival-delay
    task: binary
    threshold: 0.25
    reference: flights.reference.json
    segments: {origin: [EWR, JFK], carrier: [UA, B6]}
    quality: {window: 1h, features: {distance: {min: 50, max: 2600, missing: {at_most: 0.01}}}, volume: {at_least: 5}}
state: {max_batch_rows: 40, commit_interval: 1ms, checkpoint_records: 12, trim: true}
"""
OTHERS: Final = """
namespace: left
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.prediction}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, {model}}}]
windows: [50s, 150s]
rules: [{{name: bad, metric: {metric}, op: ">", threshold: 0.1, window: 50s, min_rows: 1}}]
state: {{max_batch_rows: 9, commit_interval: 1ms}}
"""
CLASSES: Final = ("task: multiclass, classes: [cat, dog, owl]", "accuracy")
NUMBERS: Final = ("task: regression, largest: 1000", "mae")


@dataclass(frozen=True, slots=True)
class Kind:
    """A deployment: files of its configuration by name, the first one to be read, and how many turns it takes."""

    files: dict[str, str]
    turns: int
    pace: int

    def config(self, folder: Path) -> Config:
        """Its configuration, read from files in a folder."""
        for name, text in self.files.items():
            (folder / name).write_text(text)
        layers = [folder / name for name in self.files if name.endswith(".yaml")]
        return load(layers)


@cache
def kinds() -> dict[str, Kind]:
    """By name."""
    demo = ROOT / "monitor" / "demo"
    flights = {name: (demo / name).read_text() for name in ("flights.yaml", "flights.reference.json")}
    found = {"flights": Kind({**flights, "everything.yaml": EVERYTHING}, turns=22, pace=8)}
    for name, (model, metric) in (("classes", CLASSES), ("numbers", NUMBERS)):
        found[name] = Kind({"driftline.yaml": OTHERS.format(model=model, metric=metric)}, turns=12, pace=5)
    return found


def _records(kind: str) -> tuple[list[Any], list[Any]]:
    """Predictions and labels as documents, in the order of their times."""
    if kind == "flights":
        streams = [ROOT / "monitor" / "demo" / "flights" / f"{name}.jsonl.gz" for name in ("predictions", "labels")]
        predictions = [orjson.loads(line) for line, _ in zip(_lines(streams[0]), range(FLIGHTS), strict=False)]
        ids = {one["id"] for one in predictions}
        return predictions, [one for line in _lines(streams[1]) if (one := orjson.loads(line))["id"] in ids]
    chance, start = random.Random(f"left by {kind}"), 1_700_000_000_000
    predictions, labels = [], []
    for i in range(120):
        truth: Any = chance.choice(["cat", "dog", "owl"]) if kind == "classes" else round(chance.uniform(100, 200), 3)
        other: Any = chance.choice(["cat", "dog", "owl"]) if kind == "classes" else round(truth + chance.gauss(0, 9), 3)
        at = start + i * 3_000
        predictions.append({"id": f"p{i}", "model": "m", "version": "1", "at": at, "prediction": other})
        labels.append({"id": f"p{i}", "at": at + chance.randint(500, 80_000), "label": truth})
    return predictions, sorted(labels, key=lambda one: one["at"])


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        yield from file


def a_world(kind: str, config: Config) -> FragileWorld:
    """The source topics."""
    predictions, labels = _records(kind)
    split = [
        [[one for one in all_ if sum(one["id"].encode()) % 2 == p] for p in range(2)] for all_ in (predictions, labels)
    ]
    log = FragileWorld()
    streams = config.streams
    assert streams.labels is not None
    names = {"predictions": streams.predictions.topic, "labels": streams.labels.topic}
    for name, logs in zip(names.values(), split, strict=True):
        log.ensure(TopicSpec(name, len(logs)))
        appender = log.appender()
        for partition, records in enumerate(logs):
            for one in records:
                appender.append(name, partition, OutRecord(orjson.dumps(one)))
    log.paces = dict.fromkeys(names.values(), kinds()[kind].pace)
    return log


def process_of(log: MemoryLog, config: Config) -> Worker:
    """A worker that runs to the end."""
    return Worker(log, config, plan_of(config), log.clock, dead_letters, WorkerOptions(until_end=True))


def leave(kind: str, folder: Path) -> tuple[bytes, dict[str, Any]]:
    """A namespace whose worker was killed, as a file, and how this release ends it."""
    config = kinds()[kind].config(folder)
    log = a_world(kind, config)
    process = process_of(log, config)
    process.start()
    for _ in range(kinds()[kind].turns):
        log.clock.advance(15)
        process.turn()
    log.crashed(process)
    left = dump(log, kind)
    process_of(log, config).run()
    return left, ended(log)


def ended(log: MemoryLog) -> dict[str, Any]:
    """Digests of the final windows by key, and of the alerts."""
    windows = {key.decode(): _digest(value)[:16] for key, value in sorted(finals(log, NAMESPACE).items())}
    return {"windows": windows, "alerts": [_digest(value)[:16] for value in alerts(log, NAMESPACE)]}


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


# -- files -----------------------------------------------------------------------------------------------------------


def dump(log: MemoryLog, kind: str) -> bytes:
    """Every record of a log."""
    head = {
        "format": FORMAT,
        "now_ms": log.clock.now_ms(),
        "files": kinds()[kind].files,
        "topics": [
            {"name": name, "id": topic.info.topic_id, "config": dict(topic.info.config),
             "begins": [part.begin for part in topic.partitions], "markers": [sorted(part.markers) for part in topic.partitions]}
            for name, topic in log._topics.items()
        ],
    }  # fmt: skip
    lines = [
        head,
        *(
            _line(name, n, one)
            for name, t in log._topics.items()
            for n, p in enumerate(t.partitions)
            for one in p.records
        ),
    ]
    return gzip.compress(b"".join(orjson.dumps(line) + b"\n" for line in lines), 9, mtime=0)


def _line(topic: str, partition: int, held: Held) -> list[Any]:
    record = held.record
    headers = [[name, _text(value)] for name, value in record.headers]
    return [topic, partition, held.offset, held.timestamp_ms, _text(record.key), _text(record.value), headers]


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


def _raw(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def restore(raw: bytes) -> tuple[World, Kind]:
    """The log that a file holds, some time after, and its deployment."""
    head, *lines = map(orjson.loads, gzip.decompress(raw).splitlines())
    assert head["format"] == FORMAT
    log = World()
    log.clock = ManualClock(head["now_ms"] + log.session_ms)
    for one in head["topics"]:
        partitions = [
            _Partition(begin, [], set(marks)) for begin, marks in zip(one["begins"], one["markers"], strict=True)
        ]
        log._topics[one["name"]] = _Topic(TopicInfo(one["name"], one["id"], len(partitions), one["config"]), partitions)
    log._made = len(head["topics"])
    for topic, partition, offset, timestamp_ms, key, value, headers in lines:
        told = [(name, _raw(text)) for name, text in headers]
        held = Held(offset, timestamp_ms, OutRecord(_raw(value), _raw(key), told, timestamp_ms))
        log._topics[topic].partitions[partition].records.append(held)
    return log, Kind(head["files"], 0, 0)


def formats(golden: Path) -> dict[str, Any]:
    """The golden files of single formats with their digests, and how many lines those have that grow by lines."""
    found: dict[str, Any] = {}
    for path in sorted(golden.rglob("*")):
        if path.is_file() and golden / RELEASES.name not in path.parents:
            raw = path.read_bytes()
            lines = raw.count(b"\n") if path.suffix == ".txt" else None
            found[str(path.relative_to(golden))] = {"lines": lines, "sha256": _digest(raw)}
    return found


def write(name: str, folder: Path, golden: Path) -> None:
    """Write the folder of a release, which came with the golden files in `golden`."""
    target = RELEASES / name
    target.mkdir(parents=True)
    for kind in kinds():
        left, how = leave(kind, folder)
        (target / f"{kind}.jsonl.gz").write_bytes(left)
        (target / f"{kind}.ended.json").write_bytes(orjson.dumps(how, option=orjson.OPT_INDENT_2))
    (target / "formats.json").write_bytes(orjson.dumps(formats(golden), option=orjson.OPT_INDENT_2))


def main(name: str, tree: str | None = None) -> int:
    """Write it, by the code of another tree in a process of its own."""
    if tree is not None:
        environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"}
        return subprocess.run(
            [sys.executable, "-m", __spec__.name, name], cwd=tree, env=environment, check=False
        ).returncode
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(name, Path(folder), Path.cwd() / GOLDEN.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
