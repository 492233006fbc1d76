"""From cells to views: the metrics of many windows of one model at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from monitor.drift.binning import NumericBinning
from monitor.drift.checked import (
    OUT_OF_RANGE,
    Checked,
    CheckedCategorical,
    CheckedNumeric,
    Violation,
    of_base,
    violations,
)
from monitor.drift.pairs import dependence
from monitor.drift.reference import FeatureProfile, histogram_name
from monitor.drift.statistics import ORDERED, STATISTICS, share
from monitor.events import Int64s
from monitor.metrics.estimates import Estimates, undefined_everywhere
from monitor.metrics.task import Metric, evaluate
from monitor.plan import FeaturePlan, ModelPlan, PairPlan
from monitor.sketches.cells import Cells
from monitor.windows.view import Kind, Outlook, Undefined, WindowKey, WindowView

COUNTED = 1
"""Slices of this many cells are counts and are published as such; longer ones are histograms and stay inside."""


class Revision(NamedTuple):
    """Which revision of which window; `tick_ms` is the end of the tick that made it."""

    key: WindowKey
    number: int
    final: bool
    tick_ms: int
    outlook: Outlook | None = None
    partial: bool = False


Measured = tuple[list[WindowView], Mapping[str, Estimates]]
"""Views of windows, and their metrics as the columns they were made from."""


def performance_views(plan: ModelPlan, config_digest: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
    """Views of performance windows; row i of `cells` belongs to revision i."""
    counts = {name: cells.count(name).tolist() for name in _counted(cells)}
    metrics = evaluate(plan.task, cells)
    views = _views(plan, config_digest, revisions, Kind.PERFORMANCE, metrics, counts, counts["labelled"])
    if tables := plan.task.table(cells):
        views = [replace(view, counts={**view.counts, **more}) for view, more in zip(views, tables, strict=True)]
    return views, metrics


def input_views(plan: ModelPlan, config_digest: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
    """Views of input windows: volume, missing rates, the distances of every watched feature to its reference, and of
    those whose quality is declared the violations."""
    violated = _violations(plan, cells)
    metrics = {name: metric(cells) for name, metric in _statistics(plan).items()}
    metrics |= _shares(_wrong(violated), cells.count("seen"))
    counts = {name: number.tolist() for name, number in _input_counts(cells, violated).items()}
    return _views(plan, config_digest, revisions, Kind.INPUT, metrics, counts, [0] * len(revisions)), metrics


def formulas(plan: ModelPlan, kind: Kind) -> Mapping[str, Metric]:
    """What computes each metric of the windows of a kind by itself, in the order of the views above."""
    if kind is Kind.PERFORMANCE:
        return plan.task.metrics

    def share_of(name: str) -> Metric:
        return lambda cells: share(_wrong(_violations(plan, cells))[name], cells.count("seen"))

    declared = _wrong(_violations(plan, plan.input_cells.zeros()))
    return {**_statistics(plan), **{name: share_of(name) for name in declared}}


def counts_of(plan: ModelPlan, kind: Kind, cells: Cells) -> list[dict[str, int]]:
    """The counts that views of these windows have."""
    if kind is Kind.PERFORMANCE:
        plain = _by_window({name: cells.count(name).tolist() for name in _counted(cells)})
        return _with_tables(plan, cells, plain)
    counted = _input_counts(cells, _violations(plan, cells))
    return _by_window({name: number.tolist() for name, number in counted.items()})


def _counted(cells: Cells) -> list[str]:
    return [part.name for part in cells.layout.slices if part.size == COUNTED and not part.fraction_bits]


def _by_window(counts: Mapping[str, list[int]]) -> list[dict[str, int]]:
    return [dict(zip(counts, column, strict=True)) for column in zip(*counts.values(), strict=True)]


def _with_tables(plan: ModelPlan, cells: Cells, counts: list[dict[str, int]]) -> list[dict[str, int]]:
    tables = plan.task.table(cells)
    return [{**own, **more} for own, more in zip(counts, tables, strict=True)] if tables else counts


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
            revision.outlook,
            revision.partial,
        )
        for revision, row, known, numbers in zip(
            revisions,
            estimates,
            labelled,
            (dict(zip(counts, column, strict=True)) for column in zip(*counts.values(), strict=True)),
            strict=True,
        )
    ]


def _asked_about(plan: ModelPlan) -> tuple[FeaturePlan, ...]:
    """The features, and the scores where the reference knows them."""
    return (*plan.features, *((plan.score,) if plan.score else ()))


def _checked_by(feature: FeaturePlan) -> Checked | None:
    binning = feature.binning
    return binning if isinstance(binning, (CheckedNumeric, CheckedCategorical)) else None


def _statistics(plan: ModelPlan) -> dict[str, Metric]:
    """The distances of each feature to its reference, and its missing rate where its quality is not declared."""
    found: dict[str, Metric] = {}
    for feature in _asked_about(plan):
        profile = plan.reference.features[feature.name] if plan.reference is not None else None
        numeric = isinstance(feature.base, NumericBinning)
        for name in plan.distances:
            if numeric or name not in ORDERED:
                found[f"{name}:{feature.name}"] = _distance(feature, profile, name)
        if _checked_by(feature) is None and feature is not plan.score:
            counted = profile or FeatureProfile(feature.base, (0,) * feature.base.bins)
            found[f"missing:{feature.name}"] = _distance(feature, counted, "missing")
    for pair in plan.pairs:
        found[f"dependence:{pair.name}"] = _dependence(pair)
    return found


def _dependence(pair: PairPlan) -> Metric:
    return lambda cells: dependence(pair.reference, cells.histogram(f"pair:{pair.name}"))


def _distance(feature: FeaturePlan, profile: FeatureProfile | None, name: str) -> Metric:
    """One statistic of one feature; undefined without a profile."""
    checked, histogram_of, statistic = _checked_by(feature), histogram_name(feature.name), STATISTICS[name]

    def metric(cells: Cells) -> Estimates:
        if profile is None:
            return undefined_everywhere(cells.count("seen"), Undefined.NO_REFERENCE)
        histogram = cells.histogram(histogram_of)
        return statistic(profile, histogram if checked is None else of_base(checked, histogram))

    return metric


_Violated = Mapping[str, Mapping[Violation, Int64s]]


def _violations(plan: ModelPlan, cells: Cells) -> _Violated:
    """How many values of each feature whose quality is declared are wrong in which way."""
    return {
        feature.name: violations(checked, cells.histogram(histogram_name(feature.name)))
        for feature in _asked_about(plan)
        if (checked := _checked_by(feature)) is not None
    }


def _input_counts(cells: Cells, violated: _Violated) -> dict[str, Int64s]:
    found = {"seen": cells.count("seen")}
    for name, wrong in violated.items():
        found |= {f"{kind}:{name}": number for kind, number in wrong.items()}
    return found


def _wrong(violated: _Violated) -> dict[str, Int64s]:
    """What is published as a share: the violations, those of both ends of a range together."""
    wrong: dict[str, Int64s] = {}
    for name, found in violated.items():
        wrong |= {f"{kind}:{name}": number for kind, number in found.items() if kind not in OUT_OF_RANGE}
        if outside := [found[kind] for kind in OUT_OF_RANGE if kind in found]:
            wrong[f"out_of_range:{name}"] = np.sum(outside, axis=0)
    return wrong


def _shares(wrong: Mapping[str, Int64s], seen: Int64s) -> dict[str, Estimates]:
    """Shares of the predictions seen. All features at once: an interval costs the same for one column as for thirty."""
    if not wrong:
        return {}
    n = len(seen)
    columns = share(np.concatenate(list(wrong.values())), np.tile(seen, len(wrong)))
    return {name: columns.part(i * n, (i + 1) * n) for i, name in enumerate(wrong)}
