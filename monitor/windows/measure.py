"""From cells to views: the metrics of many windows of one model at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.drift.binning import NumericBinning
from monitor.drift.reference import FeatureProfile, histogram_name
from monitor.drift.statistics import STATISTICS
from monitor.metrics.estimates import Estimates, undefined_everywhere
from monitor.metrics.task import evaluate
from monitor.plan import ModelPlan
from monitor.sketches.cells import Cells
from monitor.windows.view import Kind, Undefined, WindowKey, WindowView

COUNTED = 1
"""Slices of this many cells are counts and are published as such; longer ones are histograms and stay inside."""


def performance_views(
    plan: ModelPlan, config_digest: str, tick_ms: int, windows: Sequence[tuple[WindowKey, int, bool]], cells: Cells
) -> list[WindowView]:
    """Views of performance windows, given as (key, revision, final) with row i of `cells` each."""
    metrics = evaluate(plan.task, cells)
    seen, labelled = cells.count("seen").tolist(), cells.count("labelled").tolist()
    names = [s.name for s in cells.layout.slices if s.size == COUNTED and not s.fraction_bits]
    counts = {name: cells.count(name).tolist() for name in names}
    return [
        WindowView(
            key=key,
            kind=Kind.PERFORMANCE,
            revision=revision,
            final=final,
            tick_ms=tick_ms,
            seen=seen[i],
            labelled=labelled[i],
            metrics={name: column.at(i) for name, column in metrics.items()},
            counts={name: column[i] for name, column in counts.items()},
            config_digest=config_digest,
            reference_digest=plan.reference_digest,
        )
        for i, (key, revision, final) in enumerate(windows)
    ]


def input_views(
    plan: ModelPlan, config_digest: str, tick_ms: int, windows: Sequence[tuple[WindowKey, int, bool]], cells: Cells
) -> list[WindowView]:
    """Views of input windows: volume, missing rates, and the distances of every watched feature to its reference."""
    metrics = _drift(plan, cells)
    seen = cells.count("seen").tolist()
    return [
        WindowView(
            key=key,
            kind=Kind.INPUT,
            revision=revision,
            final=final,
            tick_ms=tick_ms,
            seen=seen[i],
            labelled=0,
            metrics={name: column.at(i) for name, column in metrics.items()},
            counts={"seen": seen[i]},
            config_digest=config_digest,
            reference_digest=plan.reference_digest,
        )
        for i, (key, revision, final) in enumerate(windows)
    ]


def _drift(plan: ModelPlan, cells: Cells) -> Mapping[str, Estimates]:
    seen = cells.count("seen")
    metrics: dict[str, Estimates] = {}
    for feature in (*plan.features, *((plan.score,) if plan.score else ())):
        numeric = isinstance(feature.binning, NumericBinning)
        profile = plan.reference.features[feature.name] if plan.reference is not None else None
        for name in ("psi", "ks") if numeric else ("psi",):
            if profile is None:
                metrics[f"{name}:{feature.name}"] = undefined_everywhere(seen, Undefined.NO_REFERENCE)
            else:
                metrics[f"{name}:{feature.name}"] = STATISTICS[name](
                    profile, cells.histogram(histogram_name(feature.name))
                )
        if feature is not plan.score:
            counted = profile or FeatureProfile(feature.binning, (0,) * feature.binning.bins)
            metrics[f"missing:{feature.name}"] = STATISTICS["missing_rate"](
                counted, cells.histogram(histogram_name(feature.name))
            )
    return metrics
