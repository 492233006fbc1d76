"""How many samples a window makes, without making them: what the series budget leaves out is counted and not written."""

from __future__ import annotations

from functools import cache

from monitor.config.metric_names import DECLARED
from monitor.windows.view import Kind, Outlook, WindowView

_INPUT = {"missing": "feature_missing_ratio", **dict.fromkeys(DECLARED, "feature_violation_ratio")}


@cache
def family_of(metric: str) -> str:
    """The family of a metric of inputs, `METHOD:FEATURE`."""
    return _INPUT.get(metric.partition(":")[0], "drift_score")


def sizes(view: WindowView) -> list[tuple[str, int]]:
    """(family, samples), as `exposition.WindowLabels.write` would write them; a family may come more than once."""
    of_all = view.key.series.segment == "all"
    found = [("window_end_timestamp_seconds", 1), ("window_partial", 1)] if of_all else []
    if view.kind is Kind.INPUT:
        found.append(("input_samples", 1))
        found += [
            (family_of(metric), 1) for metric, one in view.metrics.items() if one.value is not None and ":" in metric
        ]
        return found
    known = bounded = 0
    for one in view.metrics.values():
        if one.value is not None:
            known += 1
            bounded += one.lower is not None and one.upper is not None
    found += [("quality_samples", 1), ("quality_seen", 1), ("quality_coverage_ratio", int(view.coverage is not None))]
    found += [("quality_score", known), ("quality_score_lower", bounded), ("quality_score_upper", bounded)]
    return found if view.outlook is None else found + _ahead(view, view.outlook, of_all=of_all)


def _ahead(view: WindowView, outlook: Outlook, *, of_all: bool) -> list[tuple[str, int]]:
    until = of_all and outlook.settled_until_ms(view) is not None
    estimates = (*outlook.completed.values(), *outlook.unlabelled.values())
    return [
        ("quality_coverage_expected_ratio", int(outlook.expected_coverage is not None)),
        ("quality_settled_until_timestamp_seconds", int(until)),
        ("quality_estimate", sum(one.value is not None for one in estimates)),
        ("quality_bound", 2 * len(outlook.bounds)),
    ]
