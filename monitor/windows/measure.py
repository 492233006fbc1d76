"""From cells to views: the metrics of many windows of one model at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from monitor.drift.binning import NumericBinning
from monitor.drift.checked import OUT_OF_RANGE, Checked, CheckedCategorical, CheckedNumeric, of_base, violations
from monitor.drift.pairs import dependence
from monitor.drift.reference import FeatureProfile, histogram_name
from monitor.drift.statistics import ORDERED, STATISTICS, share
from monitor.events import Int64s
from monitor.metrics.estimates import Estimates, undefined_everywhere
from monitor.metrics.task import evaluate
from monitor.plan import FeaturePlan, ModelPlan
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
    names = [s.name for s in cells.layout.slices if s.size == COUNTED and not s.fraction_bits]
    counts = {name: cells.count(name).tolist() for name in names}
    metrics = evaluate(plan.task, cells)
    views = _views(plan, config_digest, revisions, Kind.PERFORMANCE, metrics, counts, counts["labelled"])
    if tables := plan.task.table(cells):
        views = [replace(view, counts={**view.counts, **more}) for view, more in zip(views, tables, strict=True)]
    return views, metrics


def input_views(plan: ModelPlan, config_digest: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
    """Views of input windows: volume, missing rates, the distances of every watched feature to its reference, and of
    those whose quality is declared the violations."""
    counts = {"seen": cells.count("seen").tolist()}
    metrics: dict[str, Estimates] = {}
    wrong: dict[str, Int64s] = {}
    for feature in (*plan.features, *((plan.score,) if plan.score else ())):
        _feature(plan, feature, cells, metrics, counts, wrong)
    for pair in plan.pairs:
        metrics[f"dependence:{pair.name}"] = dependence(pair.reference, cells.histogram(f"pair:{pair.name}"))
    metrics |= _shares(wrong, cells.count("seen"))
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


def _feature(
    plan: ModelPlan,
    feature: FeaturePlan,
    cells: Cells,
    metrics: dict[str, Estimates],
    counts: dict[str, list[int]],
    wrong: dict[str, Int64s],
) -> None:
    """Add the metrics of one feature, or of the scores, and how many of its values are wrong in which way."""
    seen, histogram = cells.count("seen"), cells.histogram(histogram_name(feature.name))
    binning = feature.binning
    checked = binning if isinstance(binning, (CheckedNumeric, CheckedCategorical)) else None
    base = histogram if checked is None else of_base(checked, histogram)
    profile = plan.reference.features[feature.name] if plan.reference is not None else None
    numeric = isinstance(feature.base, NumericBinning)
    for name in plan.distances:
        if name in ORDERED and not numeric:
            continue
        metrics[f"{name}:{feature.name}"] = (
            undefined_everywhere(seen, Undefined.NO_REFERENCE) if profile is None else STATISTICS[name](profile, base)
        )
    if checked is not None:
        _violations(feature.name, checked, histogram, wrong, counts)
    elif feature is not plan.score:
        counted = profile or FeatureProfile(feature.base, (0,) * feature.base.bins)
        metrics[f"missing:{feature.name}"] = STATISTICS["missing"](counted, base)


def _violations(
    name: str, checked: Checked, histogram: Int64s, wrong: dict[str, Int64s], counts: dict[str, list[int]]
) -> None:
    found = violations(checked, histogram)
    for kind, number in found.items():
        counts[f"{kind}:{name}"] = number.tolist()
        if kind not in OUT_OF_RANGE:
            wrong[f"{kind}:{name}"] = number
    if outside := [found[kind] for kind in OUT_OF_RANGE if kind in found]:
        wrong[f"out_of_range:{name}"] = np.sum(outside, axis=0)


def _shares(wrong: Mapping[str, Int64s], seen: Int64s) -> dict[str, Estimates]:
    """Shares of the predictions seen. All features at once: an interval costs the same for one column as for thirty."""
    if not wrong:
        return {}
    n = len(seen)
    columns = share(np.concatenate(list(wrong.values())), np.tile(seen, len(wrong)))
    return {name: columns.part(i * n, (i + 1) * n) for i, name in enumerate(wrong)}
