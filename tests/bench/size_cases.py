"""The configurations that `tests.bench.size` runs, what comes of each, and records of it: made here and not by what is measured.

`seen` were looked at while the model of `driftline size` was made, `unseen` were not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from monitor.daemon.trial import Traffic

FIELDS = "id: $.id, model: $.model, version: $.version, at: {from: $.at, unit: ms}"
LABELS = "{topic: labels, fields: {id: $.id, at: {from: $.at, unit: ms}, label: $.label}}"
NUMBERS = tuple(f"n{i:02}" for i in range(24))
WORDS = tuple(f"w{i}" for i in range(6))
LETTERS = "abcdefghijklmnopqrst"
_THIRTY = ", ".join([*(f"{n}: numeric" for n in NUMBERS), *(f"{w}: categorical" for w in WORDS)])
_MANY = ", ".join(f"{{name: model-{i:02}, task: regression}}" for i in range(40))
_EIGHT = ", ".join(
    f"{{name: model-{i}, task: multiclass, classes: [ant, bee, cat], segments: {{w0: [a, b], w1: [c, d]}}}}"
    for i in range(8)
)
_RULES = """
rules:
  - {name: worse, metric: METRIC, op: "OP", threshold: LIMIT, window: WINDOW, min_rows: 50, severity: ticket}
"""


def _rules(metric: str, op: str, limit: float, window: str) -> str:
    named = {"METRIC": metric, "OP": op, "LIMIT": str(limit), "WINDOW": window}
    text = _RULES
    for word, value in named.items():
        text = text.replace(word, value)
    return text


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration without its broker and namespace; `reference`: whether its features are compared with one."""

    name: str
    text: str
    traffic: Traffic
    task: str = "binary"
    models: tuple[str, ...] = ("m",)
    features: tuple[str, ...] = ()
    words: int = 5
    reference: bool = False
    seen: bool = True


CASES = (
    Case(
        "binary with segments",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{n00: numeric, n01: numeric, n02: numeric, n03: numeric, w0: categorical, w1: categorical}}
  labels: {LABELS}
time: {{horizon: 40m, lateness: 10m, tick: 1m}}
models: [{{name: m, segments: {{w0: [a, b, c, d, e], w1: [a, b, c]}}REFERENCE}}]
windows: [10m, 1h]
"""
        + _rules("recall", "<", 0.01, "1h"),
        Traffic(rate=150, labelled=0.9, delay_ms=300_000, versions=3, partitions=3),
        features=(*NUMBERS[:4], *WORDS[:2]),
        reference=True,
    ),
    Case(
        "small, a first try",
        f"""
streams:
  predictions: {{topic: predictions, fields: {{{FIELDS}, score: $.score}}}}
  labels: {LABELS}
time: {{horizon: 1h, lateness: 5m, tick: 1m}}
models: [{{name: m}}]
windows: [10m]
"""
        + _rules("accuracy", "<", 0.01, "10m"),
        Traffic(rate=19, labelled=0.95, delay_ms=300_000, versions=1, partitions=3),
    ),
    Case(
        "small, multiclass with segments",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, prediction: $.prediction}}
    features: {{n00: numeric, w0: categorical}}
  labels: {LABELS}
time: {{horizon: 2h, lateness: 10m, tick: 1m}}
models: [{{name: m, task: multiclass, classes: [ant, bee, cat, dog, eel, fox, gnu, hen], segments: {{w0: [a, b]}}}}]
windows: [5m, 1h]
""",
        Traffic(rate=8, labelled=0.9, delay_ms=900_000, versions=2, partitions=6),
        task="multiclass",
        features=(NUMBERS[0], WORDS[0]),
    ),
    Case(
        "multiclass with 30 features",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, prediction: $.prediction}}
    features: {{{_THIRTY}}}
  labels: {LABELS}
time: {{horizon: 1h, lateness: 30m, tick: 1m}}
models: [{{name: m, task: multiclass, classes: [ant, bee, cat, dog, eel, fox, gnu, hen], segments: {{w0: [a, b]}}REFERENCE}}]
windows: [30m]
"""
        + _rules("accuracy", "<", 0.001, "30m"),
        Traffic(rate=60, labelled=1.0, delay_ms=1_200_000, versions=2, partitions=2),
        task="multiclass",
        features=(*NUMBERS, *WORDS),
        reference=True,
    ),
    Case(
        "regression, 40 models",
        f"""
streams:
  predictions: {{topic: predictions, fields: {{{FIELDS}, prediction: $.prediction}}}}
  labels: {LABELS}
time: {{horizon: 20m, lateness: 20m, tick: 30s}}
models: [{_MANY}]
windows: [5m, {{size: 1h, slide: 10m}}]
"""
        + _rules("mae", ">", 1e9, "5m"),
        Traffic(rate=250, labelled=0.7, delay_ms=60_000, versions=1, partitions=4),
        task="regression",
        models=tuple(f"model-{i:02}" for i in range(40)),
    ),
    Case(
        "inputs only, 12 partitions",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{{", ".join(f"{n}: numeric" for n in NUMBERS[:10])}, w0: categorical}}
time: {{lateness: 30m, tick: 1m}}
models:
  - {{name: m, segments: {{w0: [a, b, c, d]}}REFERENCE}}
windows: [15m]
""",
        Traffic(rate=200, labelled=0.0, delay_ms=0, versions=2, partitions=12),
        features=(*NUMBERS[:10], "w0"),
        words=4,
        reference=True,
        seen=False,
    ),
    Case(
        "binary with estimates and a budget, labels late",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, score: $.score}}
    features: {{n00: numeric, n01: numeric, w0: categorical}}
  labels: {LABELS}
time: {{horizon: 2h, lateness: 20m, tick: 1m}}
models: [{{name: m, segments: {{w0: [a, b, c]}}REFERENCE}}]
windows: [20m, day]
estimates: true
budget: {{false_pages: 1, per: 30d}}
state: {{commit_interval: 2s}}
""",
        Traffic(rate=50, labelled=0.8, delay_ms=2_400_000, versions=1, partitions=6),
        features=("n00", "n01", "w0"),
        words=3,
        reference=True,
        seen=False,
    ),
    Case(
        "multiclass, sliding windows, 8 models",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, prediction: $.prediction}}
    features: {{w0: categorical, w1: categorical}}
  labels: {LABELS}
time: {{horizon: 15m, lateness: 15m, tick: 1m}}
models: [{_EIGHT}]
windows: [{{size: 30m, slide: 10m}}]
state: {{commit_interval: 1s}}
""",
        Traffic(rate=200, labelled=1.0, delay_ms=30_000, versions=2, partitions=2),
        task="multiclass",
        models=tuple(f"model-{i}" for i in range(8)),
        features=("w0", "w1"),
        words=4,
        seen=False,
    ),
    Case(
        "least: binary, one partition",
        f"""
streams:
  predictions: {{topic: predictions, fields: {{{FIELDS}, score: $.score}}}}
  labels: {LABELS}
time: {{horizon: 30m, lateness: 10m, tick: 1m}}
models: [{{name: m}}]
windows: [10m]
""",
        Traffic(rate=5, labelled=0.8, delay_ms=120_000, versions=1, partitions=1),
    ),
    Case(
        "small: regression with features and segments",
        f"""
streams:
  predictions:
    topic: predictions
    fields: {{{FIELDS}, prediction: $.prediction}}
    features: {{n00: numeric, n01: numeric, w0: categorical}}
  labels: {LABELS}
time: {{horizon: 20m, lateness: 10m, tick: 1m}}
models: [{{name: m, task: regression, segments: {{w0: [a, b, c]}}REFERENCE}}]
windows: [10m, 30m]
""",
        Traffic(rate=30, labelled=0.9, delay_ms=240_000, versions=2, partitions=4),
        task="regression",
        features=("n00", "n01", "w0"),
        words=4,
        reference=True,
        seen=False,
    ),
)


class Stream:
    """The records of a case over a span of event time, as (time, topic, id, value), in order of time."""

    def __init__(self, case: Case, begin_ms: int, end_ms: int, seed: int = 5) -> None:
        self.case, self._rng, traffic = case, np.random.default_rng(seed), case.traffic
        self._at = begin_ms + np.sort(self._rng.integers(0, end_ms - begin_ms, self._drawn(end_ms - begin_ms)))
        delays = self._rng.exponential(traffic.delay_ms, len(self._at)).astype(np.int64)
        self._known = np.where(self._rng.random(len(self._at)) < traffic.labelled, self._at + delays, end_ms)
        self._end_ms = end_ms

    def _drawn(self, span_ms: int) -> int:
        return int(self._rng.poisson(self.case.traffic.rate * span_ms / 1_000))

    def records(self) -> Iterator[tuple[int, str, str, bytes]]:
        """All of them."""
        order_known = np.argsort(self._known, kind="stable")
        order_known = order_known[self._known[order_known] < self._end_ms]
        predicted = labelled = 0
        while predicted < len(self._at) or labelled < len(order_known):
            label = int(order_known[labelled]) if labelled < len(order_known) else None
            if label is None or (predicted < len(self._at) and self._at[predicted] <= self._known[label]):
                yield int(self._at[predicted]), "predictions", _id(predicted), self._prediction(predicted)
                predicted += 1
            else:
                yield int(self._known[label]), "labels", _id(label), self._label(label)
                labelled += 1

    def _prediction(self, i: int) -> bytes:
        case, rng = self.case, self._rng
        record: dict[str, Any] = {
            "id": _id(i),
            "model": case.models[i % len(case.models)],
            "version": f"v{rng.integers(case.traffic.versions)}",
            "at": int(self._at[i]),
        }
        if case.task == "binary":
            record["score"] = round(float(rng.random()), 6)
        else:
            record["prediction"] = self._answer()
        features: dict[str, Any] = {}
        for name in case.features:
            word = "other" if rng.random() < 0.1 else LETTERS[rng.integers(case.words)]
            features[name] = word if name in WORDS else round(float(rng.lognormal()), 5)
        return orjson.dumps(record | ({"features": features} if features else {}))

    def _label(self, i: int) -> bytes:
        return orjson.dumps({"id": _id(i), "at": int(self._known[i]), "label": self._answer()})

    def _answer(self) -> Any:
        if self.case.task == "binary":
            return int(self._rng.integers(2))
        if self.case.task == "regression":
            return round(float(self._rng.normal(100.0, 20.0)), 4)
        return ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")[self._rng.integers(8)]


def _id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number * 2_654_435_761 % (1 << 48):012x}"
