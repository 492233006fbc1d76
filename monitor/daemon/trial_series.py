"""Which numbers the newest windows of a deployment have, found out by trying: some rows of each series are counted and
measured, as many as have come half-way through a window, with as many labels as there are by then.

So a metric that needs labels is missing where labels take longer than windows, as it will be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.config.types import Config
from monitor.config.windows import Window
from monitor.daemon.trial import SEED, START_MS, Traffic, answers
from monitor.daemon.trial_windows import kinds, segment_shares, shapes, size_ms, slide_ms
from monitor.events import Int64s
from monitor.groups import Group, Groups
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import CellLayout, Cells
from monitor.summary import Summariser, Sums
from monitor.windows.measure import Revision, input_views, performance_views
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

MOST_ROWS = 400
"""Rows that are counted of one window; more would say the same."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest windows of a model that stands for so many."""

    models: int
    views: list[WindowView]


def newest(config: Config, plan: Plan, traffic: Traffic) -> list[Newest]:
    """Those of every version and segment, by shape."""
    rng = np.random.default_rng(SEED)
    found = []
    all_shapes = shapes(plan)
    per_version_ms = traffic.rate / 1_000 / sum(shape.models for shape in all_shapes) / traffic.versions
    for shape in all_shapes:
        views = []
        for window in config.windows:
            # The one to look at is that of the open ones which ends next: half a slide before its end.
            since_ms = size_ms(window) - slide_ms(window) / 2
            seen = [
                (segment, version, int(rng.poisson(per_version_ms * share * since_ms)))
                for segment, share in segment_shares(shape.model)
                for version in range(traffic.versions)
            ]
            by_now = traffic.labelled * _come_by(traffic.delay_ms, since_ms)
            keys = [_key(shape.model.name, str(version + 1), segment, window) for segment, version, _ in seen]
            rows = [max(1, n) for _, _, n in seen]  # the one before stays to be looked at until there is one
            labelled = [int(rng.poisson(n * by_now)) for n in rows]
            views += _views(config, plan, shape.model, keys, rows, labelled, rng)
        found.append(Newest(shape.models, views))
    return found


def _come_by(delay_ms: int, since_ms: float) -> float:
    """The share of the labels of a window's rows that have come: rows evenly over it, delays exponential."""
    spans = since_ms / max(1, delay_ms)
    return 1 - (1 - math.exp(-spans)) / spans if spans else 0.0


def _key(model: str, version: str, segment: str, window: Window) -> WindowKey:
    return WindowKey(SeriesKey(model, version, segment), window.name, START_MS, START_MS + size_ms(window))


def _views(
    config: Config,
    plan: Plan,
    model: ModelPlan,
    keys: list[WindowKey],
    rows: list[int],
    labelled: list[int],
    rng: np.random.Generator,
) -> list[WindowView]:
    """Views of windows with so many rows and labels each."""
    groups = Groups()
    codes = [groups.code(Group(model.name, str(number))) for number in range(len(keys))]
    summary = Summariser(plan, groups)
    for code, came, told in zip(codes, rows, labelled, strict=True):
        n, known = min(came, MOST_ROWS), min(came, told, MOST_ROWS)
        group, when, one = np.full(n, code, np.uint32), np.full(n, START_MS), np.ones(n, np.int64)
        score, said = rng.random(n), answers(config, rng, n)
        bins = np.zeros((n, plan.width), np.uint8)
        for j, feature in enumerate(model.features):
            bins[:, j] = rng.integers(0, feature.binning.bins, n)
        ticks, predicted = when // plan.join.tick_ms, said.astype(np.uint8)
        summary.seen(group, when, ticks, score, predicted, bins, one)
        if known:
            part, truth = slice(0, known), answers(config, rng, known)
            scores = rng.random((known, len(plan.scored)))
            ids = group[part], when[part], ticks[part]
            summary.labelled(*ids, score[part], predicted[part], truth, one[part], scores)
    found = []
    for kind, sums in zip((Kind.INPUT, Kind.PERFORMANCE), summary.flush(), strict=True):
        if kind in kinds(plan):
            layout = model.input_cells if kind is Kind.INPUT else model.task.cells
            revisions = [Revision(key, 1, False, key.end_ms) for key in keys]
            measured = input_views if kind is Kind.INPUT else performance_views
            cells = Cells(layout, _vectors(sums, layout, len(keys)))
            found += measured(model, plan.config_digest, revisions, cells)[0]
    return found


def _vectors(sums: Sums, layout: CellLayout, windows: int) -> Int64s:
    found: Int64s = np.zeros((windows, layout.size), np.int64)
    np.add.at(found, (np.repeat(sums.group, sums.length), sums.cell), sums.amount)
    return found
