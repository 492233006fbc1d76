"""The flights of January to March told to a label book hour by hour, and looked at while labels are missing."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from monitor.config import loads
from monitor.events import Int64s
from monitor.metrics.foreseen import ForeseenBinary
from monitor.plan import plan_of
from monitor.sketches.cells import Cells
from monitor.windows.arrivals import Arrival
from monitor.windows.measure import Revision
from monitor.windows.outlook import LabelBook
from monitor.windows.view import Estimate, SeriesKey, WindowKey

FLIGHTS = Path(__file__).parents[2] / "monitor" / "demo" / "flights"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CONFIG = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: $.at, score: $.score, prediction: $.prediction}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 36h, lateness: 1h, disorder: 1m, tick: 1h}
models: [{name: m}]
windows: [1h]
estimates: true
"""
PLAN = plan_of(loads(CONFIG))
MODEL = PLAN.model("m")
assert isinstance(MODEL.task, ForeseenBinary)
TASK = MODEL.task


@dataclass(frozen=True, slots=True)
class Pairs:
    """Columns of the flights; `known` is when the label came (-1: never within the horizon)."""

    at: Int64s
    known: Int64s
    called: Int64s
    label: Int64s


@dataclass(frozen=True, slots=True)
class Look:
    """What an open window was told to end with: `after_ms` after its end."""

    after_ms: int
    start_ms: int
    completed: dict[str, Estimate]
    so_far: float
    final: dict[str, float]


def pairs() -> tuple[Pairs, np.ndarray]:
    """The flights, and their scores."""
    predictions, labels = (
        [orjson.loads(line) for line in gzip.decompress((FLIGHTS / f"{n}.jsonl.gz").read_bytes()).splitlines()]
        for n in ("predictions", "labels")
    )
    came = {row["id"]: (row["at"], row["label"]) for row in labels}
    known, label = (np.array([came.get(row["id"], (-1, -1))[i] for row in predictions]) for i in range(2))
    at, called = (np.array([row[name] for row in predictions], np.int64) for name in ("at", "prediction"))
    late = (known >= 0) & (known - at > PLAN.join.bounds.horizon_ms)
    return Pairs(at, np.where(late, -1, known), called, label), np.array([row["score"] for row in predictions])


def told(own: Pairs, score: np.ndarray) -> Iterator[tuple[int, list[Arrival]]]:
    """What each hour brings, in order."""
    tick_ms, came = PLAN.join.tick_ms, own.known >= 0
    called = own.called.astype(np.float64)
    cell, amount = TASK.foresee(score, called)
    seen = np.full((len(score), 1), TASK.cells.index("seen"))
    predicted = own.at // tick_ms, np.column_stack((seen, cell)), np.column_stack((np.ones_like(seen), amount)), own.at
    tick = np.maximum(own.known, own.at) // tick_ms
    cells, amounts = TASK.contribute(
        score[came],
        called[came],
        own.label[came].astype(np.float64),
        1.0,
        delay_ms=tick[came] * tick_ms + tick_ms // 2 - own.at[came],
    )
    parts = [predicted, (tick[came], cells, amounts, own.at[came])]
    ticks = sorted({*np.unique(parts[0][0]).tolist(), *np.unique(parts[1][0]).tolist()})
    orders = [np.argsort(part[0], kind="stable") for part in parts]
    edges = [
        np.searchsorted(part[0][order], [*ticks, ticks[-1] + 1]) for part, order in zip(parts, orders, strict=True)
    ]
    for number, now in enumerate(ticks):
        panes: dict[int, Int64s] = {}
        for part, order, edge in zip(parts, orders, edges, strict=True):
            rows = order[edge[number] : edge[number + 1]]
            for pane in np.unique(part[3][rows] // PLAN.pane_ms).tolist():
                mine = rows[part[3][rows] // PLAN.pane_ms == pane]
                total = panes.setdefault(pane * PLAN.pane_ms, TASK.cells.zeros().array[0])
                np.add.at(total, part[1][mine].ravel(), part[2][mine].ravel())
        yield now, [Arrival("m", "1", pane, cells) for pane, cells in sorted(panes.items())]


def metrics_of(own: Pairs, rows: Int64s) -> dict[str, float]:
    """Accuracy, precision and recall of labelled rows."""
    right, called, positive = own.called[rows] == own.label[rows], own.called[rows] == 1, own.label[rows] == 1

    def mean(of: np.ndarray) -> float:
        return float(of.mean()) if len(of) else math.nan

    return {"accuracy": mean(right), "precision": mean(positive[called]), "recall": mean(called[positive])}


def looks(size_ms: int, after: tuple[int, ...], *, from_day: int, to_day: int = 88) -> list[Look]:
    """Windows of this size, told so long after their end."""
    own, score = pairs()
    book, found = LabelBook(PLAN), list[Look]()
    begin = int(own.at.min()) // DAY_MS * DAY_MS
    held: dict[int, Int64s] = {}
    for tick, arrived in told(own, score):
        book.take(tick, arrived)
        now = (tick + 1) * PLAN.join.tick_ms
        for arrival in arrived:
            start = (arrival.pane_ms - begin) // size_ms * size_ms + begin
            held[start] = held[start] + arrival.cells if start in held else arrival.cells.copy()
        for start in [start for start in held if now > start + size_ms + max(after)]:
            del held[start]
        for start in sorted(held):
            passed = now - start - size_ms
            if passed in after and from_day <= (start - begin) // DAY_MS < to_day:
                key = WindowKey(SeriesKey("m", "1", "all"), "1h", start, start + size_ms)
                cells = Cells(TASK.cells, held[start][np.newaxis])
                (outlook,) = book.outlooks(MODEL, [Revision(key, 1, False, now)], cells)
                rows = np.flatnonzero((own.at >= start) & (own.at < start + size_ms) & (own.known >= 0))
                right = cells.count("tp")[0] + cells.count("tn")[0]
                assert outlook is not None
                so_far = float(right / max(cells.count("labelled")[0], 1))
                found.append(Look(passed, start, dict(outlook.completed), so_far, metrics_of(own, rows)))
    return found


def coverage(found: list[Look], metric: str) -> dict[int, tuple[float, float, int]]:
    """By hours after the end: the share of intervals that held the final value, their mean width, how many there are."""
    by: dict[int, list[tuple[bool, float]]] = {}
    for look in found:
        told_ = look.completed.get(metric)
        if told_ is None or told_.lower is None or told_.upper is None or np.isnan(look.final[metric]):
            continue
        inside = told_.lower - 1e-9 <= look.final[metric] <= told_.upper + 1e-9
        by.setdefault(look.after_ms // HOUR_MS, []).append((inside, told_.upper - told_.lower))
    return {h: (float(np.mean([i for i, _ in v])), float(np.mean([w for _, w in v])), len(v)) for h, v in by.items()}
