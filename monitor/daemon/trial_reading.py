"""How fast a rebuild reads, found out by trying: records as the configuration maps them, through its own decoder, coder and
join, as fast as they go.

What is timed is the processor of the thread that does it, so that what else the machine does now is left out as far as it can
be. What the client takes to hand a record over cannot be tried, for nothing is connected to: it is told in what the same
machine takes for something else, `CLIENT`. Where the broker, or the network, is slower than all this, they decide. Records carry
what is mapped and nothing else.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from monitor.config.sources import Source
from monitor.config.streams import LabelStream
from monitor.config.tasks import coded_classes, task_name
from monitor.config.types import Config
from monitor.daemon.shared import make_shared
from monitor.daemon.trial import OTHERS, SEED, START_MS, Traffic
from monitor.events import Int64s, RecordBatch
from monitor.ingest.clocks import ClockState
from monitor.ingest.mapping import Leaf, label_leaves, prediction_leaves
from monitor.ingest.values import Kind
from monitor.ledger.fold import Chain
from monitor.partition import Flags, Partition
from monitor.plan import Plan

ROWS = 40_000
"""Records that are tried: a table has grown a few times by then."""
CHUNK_ROWS = 1_000
"""Records of a batch, about what a client has ready at a time."""
CLIENT, CLIENT_A_BYTE = 2.9, 0.0036
"""What the client takes to hand one record over, and for each byte of it, by what it takes to parse `YARDSTICK`:
`python -m tests.bench.size --client` measures both."""
YARDSTICK = b'{"id":"0000c0de-feed-4bad-8cab-0000feedc0de","at":1700000000000,"label":1}'
YARDS = 20_000
TRIES = 3
"""Each of which may have been disturbed: the quickest counts."""
UNLISTED_VALUES = 12
"""Values of a categorical feature of which none are segments."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Records a second that one partition is rebuilt at, on an idle processor like this one."""

    rows_per_second: float


def reading(config: Config, plan: Plan, traffic: Traffic) -> Reading | None:
    """Try it. None where records that the decoder takes could not be made up."""
    n = round(ROWS / (1 + traffic.labelled)) if plan.has_labels else ROWS
    rng = np.random.default_rng(SEED)
    times = config.time
    at = START_MS + np.sort(rng.integers(0, max(1, times.horizon_ms + times.lateness_ms), n))
    maker = _Maker(config, traffic, rng)
    topics = config.source_topics()
    streams = [maker.predictions(topics[0], at)]
    if plan.has_labels:
        known = at + rng.exponential(max(1, traffic.delay_ms), n).astype(np.int64).clip(0, times.horizon_ms)
        some = np.flatnonzero(rng.random(n) < traffic.labelled)
        streams.append(maker.labels(topics[1], known[some], some))
    values = [value or b"" for batches in streams for batch in batches for value in batch.values]
    took = [_timed(config, plan, streams) for _ in range(TRIES)]
    if None in took:
        return None
    client = yardstick_secs() * (CLIENT * len(values) + CLIENT_A_BYTE * sum(map(len, values)))
    return Reading(len(values) / (min(filter(None, took)) + client))


def _timed(config: Config, plan: Plan, streams: list[list[RecordBatch]]) -> float | None:
    """Seconds of processor that a join of these records takes; None where one was rejected."""
    partition = Partition(make_shared(config, plan), 0, (0, ClockState()), (0, ClockState()))
    rejected = 0
    with _no_collector():
        began = time.thread_time()
        for batches, feed in zip(streams, (partition.feed_predictions, partition.feed_labels), strict=False):
            rejected += sum(len(feed(batch)) for batch in batches)
        partition.commit(Chain(1, "0" * 32, 0, bytes(16)), Flags())
        took = time.thread_time() - began
    return None if rejected else took


def yardstick_secs() -> float:
    """Seconds of processor that this machine takes to parse `YARDSTICK`."""
    took = []
    for _ in range(TRIES):
        began = time.thread_time()
        for _ in range(YARDS):
            orjson.loads(YARDSTICK)
        took.append((time.thread_time() - began) / YARDS)
    return min(took)


@contextmanager
def _no_collector() -> Iterator[None]:
    """As a worker runs: columns hold no cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Maker:
    """Makes records up, every field where the configuration maps it to."""

    def __init__(self, config: Config, traffic: Traffic, rng: np.random.Generator) -> None:
        self._rng, self._stream, self._labels = rng, config.streams.predictions, config.streams.labels
        self._task, self._classes = task_name(config), coded_classes(config)
        self._models = [model.name for model in config.models] or ["unlisted"]
        self._versions = [str(number + 1) for number in range(traffic.versions)]
        kinds = (*config.models, *([config.unlisted_models] if config.unlisted_models else []))
        self._values = {name: values for kind in kinds for name, values in kind.segments.items()}

    def predictions(self, topic: str, at: Int64s) -> list[RecordBatch]:
        """One of each time, numbered from 0."""
        rng, n = self._rng, len(at)
        leaves = prediction_leaves(self._stream)
        columns: dict[str, list[Any]] = {
            "id": [_id(i) for i in range(n)],
            "model": [self._models[i] for i in rng.integers(0, len(self._models), n)],
            "version": [self._versions[i] for i in rng.integers(0, len(self._versions), n)],
            "at": _times(at, leaves["at"], self._stream.fields.at.unit),
            "score": rng.random(n).round(6).tolist(),
        }
        if "prediction" in leaves:
            columns["prediction"] = self._answers(n)
        classes = [name for name in leaves if name.startswith("score:")]
        for name, column in zip(classes, rng.dirichlet(np.ones(max(1, len(classes))), n).T, strict=False):
            columns[name] = column.tolist()
        for name in self._stream.features:
            leaf = leaves[f"feature:{name}"]
            columns[f"feature:{name}"] = self._category(name, n) if leaf.kind is Kind.CATEGORY else _numbers(rng, n)
        return _batches(topic, {name: leaf for name, leaf in leaves.items() if name in columns}, columns, at)

    def labels(self, topic: str, at: Int64s, number: Int64s) -> list[RecordBatch]:
        """Labels of some predictions, in order of time."""
        assert self._labels is not None
        leaves, order = label_leaves(self._labels), np.argsort(at, kind="stable")
        columns: dict[str, list[Any]] = {
            "id": [_id(i) for i in number[order].tolist()],
            "at": _times(at[order], leaves["at"], self._labels.fields.at.unit),
            "label": self._truths(self._labels, len(at)),
        }
        return _batches(topic, leaves, columns, at[order])

    def _answers(self, n: int) -> list[Any]:
        rng = self._rng
        if self._task == "regression":
            return _numbers(rng, n)
        if self._task == "multiclass":
            return [self._classes[i] for i in rng.integers(0, len(self._classes), n)]
        return [int(i) for i in rng.integers(0, 2, n)]

    def _truths(self, stream: LabelStream, n: int) -> list[Any]:
        if self._task != "binary" or not stream.values:
            return self._answers(n)
        words = list(stream.values)
        return [words[i] for i in self._rng.integers(0, len(words), n)]

    def _category(self, name: str, n: int) -> list[str]:
        values = self._values.get(name) or tuple(f"value {i}" for i in range(UNLISTED_VALUES))
        drawn = self._rng.integers(0, len(values), n)
        return [values[i] if own >= OTHERS else "elsewhere" for i, own in zip(drawn, self._rng.random(n), strict=True)]


def _id(number: int) -> str:
    """36 characters, as most ids are."""
    return f"{number:08x}-feed-4bad-8cab-{number:012x}"


def _numbers(rng: np.random.Generator, n: int) -> list[Any]:
    found: list[Any] = rng.normal(100.0, 30.0, n).round(4).tolist()
    return found


def _times(at: Int64s, leaf: Leaf, unit: str) -> list[Any]:
    if leaf.kind is Kind.ISO:
        return [datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds") for ms in at.tolist()]
    return [ms / 1_000 for ms in at.tolist()] if unit == "s" else at.tolist()


def _batches(topic: str, leaves: Mapping[str, Leaf], columns: Mapping[str, list[Any]], at: Int64s) -> list[RecordBatch]:
    values, keys, headers = list[bytes | None](), list[bytes | None](), list[list[tuple[str, bytes]]]()
    for row in zip(*(columns[name] for name in leaves), strict=True):
        value, key, plain, said = dict[str, Any](), dict[str, Any](), b"", list[tuple[str, bytes]]()
        for leaf, one in zip(leaves.values(), row, strict=True):
            source = leaf.source
            if source.kind == "value":
                _put(value, source, one)
            elif source.kind == "header":
                said.append((source.name, str(one).encode()))
            elif source.kind == "key" and source.path:
                _put(key, source, one)
            elif source.kind == "key":
                plain = str(one).encode()
        values.append(orjson.dumps(value))
        keys.append(orjson.dumps(key) if key else plain)
        headers.append(said)
    found = []
    for start in range(0, len(values), CHUNK_ROWS):
        end = min(start + CHUNK_ROWS, len(values))
        part = slice(start, end)
        offsets = np.arange(start, end, dtype=np.int64)
        found.append(RecordBatch(topic, 0, offsets, at[part], values[part], end, keys[part], headers[part]))
    return found


def _put(document: dict[str, Any], source: Source, value: Any) -> None:
    *steps, last = source.path
    for step in steps:
        document = document.setdefault(step, {})
    document[last] = value
