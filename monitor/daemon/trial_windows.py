"""What the windows of a deployment take, found out by trying: the evaluator of a few models over made-up rows.

A window is held until nothing can change it: one of an hour, with labels that may take a month, for a month. No trial makes
up so many. How many there are is counted, for that only takes the spans and the rate; what one takes is tried, on some tens
of each series: its cells, its view, and what the evaluator keeps to find it. Models of one shape (task, classes, features,
segments) need the same, so that one of them is tried.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.config.types import Config
from monitor.config.windows import Window
from monitor.daemon.trial import OTHERS, SEED, START_MS, Dealt, Traffic
from monitor.daemon.trial_published import revised
from monitor.evaluator import Evaluator
from monitor.history import NUMBERS, POINTS, WINDOWS
from monitor.plan import ModelPlan, Plan
from monitor.windows.shelf import FINALS_KEPT
from monitor.windows.view import Kind, WindowView

STEPS, FIRST = 14, 4
"""Windows of each series that are tried, and those after which it is looked for the first time: names are new before."""
ROWS = 100_000
"""Rows of a trial at most, so many that each series has some in each window."""
ROWS_A_SERIES = 8
MONTH_MS = 2_629_746_000
DAY_MS = 86_400_000
FLOAT_BYTES, INT_BYTES = 24, 28
RECORD_BYTES = 100
"""Key and headers of a record of the windows topic, about."""


class Shape(NamedTuple):
    """A model that stands for so many that need the same."""

    model: ModelPlan
    models: int


@dataclass(frozen=True, slots=True)
class Held:
    """Windows that are held at a time, of everything that is evaluated, and the bytes that they take. `told`: bytes of the
    revisions of a tick, which are held until those of all ticks that were closed together are published. `published`: bytes
    that a tick adds to the topic of windows, before they are compressed and before older revisions are compacted away."""

    windows: float
    nbytes: float
    told: float
    published: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What was found of a shape: bytes of a view of each kind and of what is published of it, of what leads to a view, and of
    the model besides."""

    view: dict[Kind, float]
    payload: dict[Kind, float]
    place: float
    model: float


def shapes(plan: Plan) -> list[Shape]:
    """The models of a plan, alike ones together. The template is one model."""
    found: dict[object, list[ModelPlan]] = {}
    for model in plan.all_models:
        dimensions = tuple(len(dimension.values) for dimension in model.dimensions)
        cells = model.task.name, model.task.cells.size, model.input_cells.size
        known = len(model.features), model.score is None, model.reference is None, model.distances
        found.setdefault((*cells, dimensions, *known), []).append(model)
    return [Shape(models[0], len(models)) for models in found.values()]


def size_ms(window: Window) -> int:
    """How long a window is; of months the mean."""
    if window.calendar is not None:
        return MONTH_MS if window.calendar == "month" else DAY_MS
    assert window.size_ms is not None
    return window.size_ms


def slide_ms(window: Window) -> int:
    """How long after one window the next begins."""
    return window.slide_ms or size_ms(window)


def settling_ms(plan: Plan, kind: Kind) -> int:
    """How long after its end a window of this kind can still change."""
    join = plan.join
    return join.lateness_ms + (join.bounds.horizon_ms + join.settle_ms if kind is Kind.PERFORMANCE else 0)


def kinds(plan: Plan) -> tuple[Kind, ...]:
    """The kinds of window that there are."""
    return (Kind.INPUT, Kind.PERFORMANCE) if plan.has_labels else (Kind.INPUT,)


def segment_shares(model: ModelPlan) -> Iterator[tuple[str, float]]:
    """The segments of a model, and the share of its rows that each has as they are dealt."""
    yield "all", 1.0
    for dimension in model.dimensions:
        listed = len(dimension.values)
        for value in dimension.values:
            yield f"{dimension.name}={value}", (1 - OTHERS) / listed
        yield f"{dimension.name}=other", OTHERS if listed else 1.0


def held(config: Config, plan: Plan, traffic: Traffic) -> Held:
    """What the evaluator of a deployment holds once as many windows become final as begin."""
    windows = nbytes = told = published = 0.0
    all_shapes = shapes(plan)
    per_version_ms = traffic.rate / 1_000 / sum(shape.models for shape in all_shapes) / traffic.versions
    slots = sum(s.models * traffic.versions * sum(1 for _ in segment_shares(s.model)) for s in all_shapes)
    slots *= len(config.windows) * len(kinds(plan))
    for shape in all_shapes:
        cost = tried(config, plan, shape.model, traffic.versions)
        nbytes += shape.models * cost.model
        for kind in kinds(plan):
            cells = shape.model.input_cells if kind is Kind.INPUT else shape.model.task.cells
            remembered = min(POINTS, WINDOWS / slots, NUMBERS / slots / max(1, _numbers(shape.model, kind)))
            for window in config.windows:
                size = size_ms(window)
                live = (size + settling_ms(plan, kind)) / slide_ms(window)
                shelved = live + FINALS_KEPT
                for _, share in segment_shares(shape.model):
                    there = shape.models * traffic.versions * -math.expm1(-per_version_ms * share * size)
                    windows += there * live
                    nbytes += there * (live * 8 * cells.size + shelved * (cost.view[kind] + cost.place))
                    nbytes += there * max(0.0, remembered - shelved) * cost.view[kind]
                    moved = shape.models * traffic.versions * -math.expm1(-per_version_ms * share * plan.join.tick_ms)
                    told += moved * _touched(window, kind, traffic) * (cost.view[kind] + cost.payload[kind])
                    rows = per_version_ms * share * plan.join.tick_ms
                    span = size, slide_ms(window)
                    labels = kind is Kind.PERFORMANCE
                    each = revised(*span, rows, traffic, plan.join.bounds.horizon_ms, labels=labels)
                    published += shape.models * traffic.versions * each * (cost.payload[kind] + RECORD_BYTES)
    return Held(windows, nbytes, told, published)


def _touched(window: Window, kind: Kind, traffic: Traffic) -> float:
    """Windows of a series that what comes in a tick belongs to; labels come for those of about twice their delay."""
    late_ms = 2 * traffic.delay_ms * traffic.labelled if kind is Kind.PERFORMANCE else 0
    return (size_ms(window) + late_ms) / slide_ms(window)


def _numbers(model: ModelPlan, kind: Kind) -> int:
    """Metrics of a window, about."""
    return len(model.features) * (1 + len(model.distances)) if kind is Kind.INPUT else len(model.task.metrics)


def tried(config: Config, plan: Plan, model: ModelPlan, versions: int) -> Cost:
    """Have one model evaluated for some windows of each series, and see what that leaves in memory."""
    alone = replace(plan, models={model.name: model}, template=None) if model.name in plan.models else plan
    every_ms = max(plan.join.tick_ms, min(slide_ms(window) for window in config.windows))
    series = versions * sum(1 for _ in segment_shares(model))
    n = min(ROWS // STEPS, max(200, ROWS_A_SERIES * series))
    rng = np.random.default_rng(SEED)
    # All rows of a step within a tick: ticks take the time that a trial takes, and windows are as large after one.
    at = START_MS + np.repeat(np.arange(STEPS) * every_ms, n)
    number = np.arange(len(at))
    known = at + min(plan.join.tick_ms, plan.join.bounds.horizon_ms)
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        evaluator = evaluator_of(config, alone)
        dealt = Dealt(config, alone, versions, rng, (model,))
        partition = dealt.partition()
        seen: list[_Seen] = []
        said: dict[Kind, list[int]] = {kind: [] for kind in Kind}
        for step in range(1, STEPS + 1):
            evaluator.feed(0, dealt.step(partition, at, number, (known, number), START_MS + step * every_ms))
            for output in evaluator.close():
                for view, payload in zip(output.windows, output.payloads, strict=True):
                    said[view.kind].append(len(payload))
            if step in (FIRST, STEPS):
                seen.append(_Seen.of(evaluator, tracemalloc.get_traced_memory()[0] - before))
    finally:
        if not tracing:
            tracemalloc.stop()
    return _cost({kind: float(np.mean(sizes)) if sizes else 0.0 for kind, sizes in said.items()}, *seen)


def evaluator_of(config: Config, plan: Plan) -> Evaluator:
    """The evaluator of one partition, as a worker makes it."""
    watch = OperationalWatch(config.namespace, config.labels, config.source_topics(), 1)
    book, budget = RuleBook.of(config, plan), BudgetWatch.of(config, plan)
    return Evaluator(plan, config.windows, book, watch, 1, budget)


@dataclass(frozen=True, slots=True)
class _Seen:
    """An evaluator at a moment: bytes traced since it was made, its views by kind, and their bytes and those of cells."""

    traced: int
    views: dict[Kind, int]
    view_bytes: dict[Kind, int]
    cell_bytes: int

    @classmethod
    def of(cls, evaluator: Evaluator, traced: int) -> _Seen:
        views, nbytes, cells = dict[Kind, int](), dict[Kind, int](), 0
        for kind, engine in evaluator.engines.items():
            stores, shelves = engine.kept
            found = [view for shelf in shelves for view in shelf.views.values()]
            views[kind], nbytes[kind] = len(found), sum(map(bytes_of, found))
            cells += sum(store.nbytes for store in stores)
        return cls(traced, views, nbytes, cells)


def _cost(payload: dict[Kind, float], first: _Seen, last: _Seen) -> Cost:
    view = {kind: last.view_bytes[kind] / max(1, last.views[kind]) for kind in last.views}
    rest = [one.traced - one.cell_bytes - sum(one.view_bytes.values()) for one in (first, last)]
    views = [sum(one.views.values()) for one in (first, last)]
    place = max(0.0, (rest[1] - rest[0]) / max(1, views[1] - views[0]))
    return Cost(view, payload, place, max(0.0, rest[1] - place * views[1]))


def bytes_of(view: WindowView) -> int:
    """What a view takes for itself; names of metrics, series and versions are shared."""
    found = sys.getsizeof(view) + sys.getsizeof(view.key) + 2 * INT_BYTES
    for mapping in (view.metrics, view.counts):
        found += sys.getsizeof(mapping)
    found += INT_BYTES * len(view.counts)
    return found + sum(sys.getsizeof(e) + _numbers_of(e.value, e.lower, e.upper) for e in view.metrics.values())


def _numbers_of(*numbers: float | None) -> int:
    return INT_BYTES + FLOAT_BYTES * sum(number is not None for number in numbers)
