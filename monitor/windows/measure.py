"""From cells to views: the metrics of many windows of one model at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monitor.drift.binning import NumericBinning
from monitor.drift.reference import FeatureProfile, histogram_name
from monitor.drift.statistics import ORDERED, STATISTICS
from monitor.metrics.estimates import Estimates, undefined_everywhere
from monitor.metrics.task import evaluate
from monitor.plan import ModelPlan
from monitor.sketches.cells import Cells
from monitor.windows.view import Kind, Undefined, WindowKey, WindowView

COUNTED = 1
"""Slices of this many cells are counts and are published as such; longer ones are histograms and stay inside."""


class Revision(NamedTuple):
    """Which revision of which window; `tick_ms` is the end of the tick that made it."""

    key: WindowKey
    number: int
    final: bool
    tick_ms: int


Measured = tuple[list[WindowView], Mapping[str, Estimates]]
"""Views of windows, and their metrics as the columns they were made from."""


def performance_views(plan: ModelPlan, config_digest: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
    """Views of performance windows; row i of `cells` belongs to revision i."""
    names = [s.name for s in cells.layout.slices if s.size == COUNTED and not s.fraction_bits]
    counts = {name: cells.count(name).tolist() for name in names}
    metrics = evaluate(plan.task, cells)
    return _views(plan, config_digest, revisions, Kind.PERFORMANCE, metrics, counts, counts["labelled"]), metrics


def input_views(plan: ModelPlan, config_digest: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
    """Views of input windows: volume, missing rates, and the distances of every watched feature to its reference."""
    counts = {"seen": cells.count("seen").tolist()}
    metrics = _drift(plan, cells)
    return _views(plan, config_digest, revisions, Kind.INPUT, metrics, counts, [0] * len(revisions)), metrics


def _views(
    plan: ModelPlan,
    config_digest: str,
    revisions: Sequence[Revision],
    kind: Kind,
    metrics: Mapping[str, Estimates],
    counts: Mapping[str, list[int]],
    labelled: list[int],
) -> list[WindowView]:
    estimates = zip(*(column.all() for column in metrics.values()), strict=True) if metrics else [()] * len(revisions)
    return [
        WindowView(
            revision.key,
            kind,
            revision.number,
            revision.final,
            revision.tick_ms,
            numbers["seen"],
            known,
            dict(zip(metrics, row, strict=True)),
            numbers,
            config_digest,
            plan.reference_digest,
        )
        for revision, row, known, numbers in zip(
            revisions,
            estimates,
            labelled,
            (dict(zip(counts, column, strict=True)) for column in zip(*counts.values(), strict=True)),
            strict=True,
        )
    ]


def _drift(plan: ModelPlan, cells: Cells) -> Mapping[str, Estimates]:
    seen = cells.count("seen")
    metrics: dict[str, Estimates] = {}
    for feature in (*plan.features, *((plan.score,) if plan.score else ())):
        numeric = isinstance(feature.binning, NumericBinning)
        profile = plan.reference.features[feature.name] if plan.reference is not None else None
        for name in plan.distances:
            if name in ORDERED and not numeric:
                continue
            if profile is None:
                metrics[f"{name}:{feature.name}"] = undefined_everywhere(seen, Undefined.NO_REFERENCE)
            else:
                metrics[f"{name}:{feature.name}"] = STATISTICS[name](
                    profile, cells.histogram(histogram_name(feature.name))
                )
        if feature is not plan.score:
            counted = profile or FeatureProfile(feature.binning, (0,) * feature.binning.bins)
            metrics[f"missing:{feature.name}"] = STATISTICS["missing"](
                counted, cells.histogram(histogram_name(feature.name))
            )
    return metrics
