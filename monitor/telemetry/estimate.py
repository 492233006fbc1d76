"""How many series a configuration leads to, family by family, before anything runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monitor.alerts.event import BUDGET_RULES
from monitor.alerts.operational import NAMES
from monitor.config.metric_names import BASES, DECLARED, ESTIMATED, needs_reference
from monitor.config.quality import limits_of
from monitor.config.quality_rules import about, all_rules
from monitor.config.tasks import performance_of
from monitor.events import Reason
from monitor.telemetry.families import (
    ALERT_CHANGES,
    COMMIT_BOUNDS_MS,
    COMMIT_RESULTS,
    DEAD_LETTER_FORMS,
    FAMILIES,
    LOOPS,
    OUTCOMES,
    PREFIX,
    RELOADS,
    SKIPS,
    TaskState,
    exported,
)

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.config.rules import Rule
    from monitor.config.types import ModelTemplate


def segments_of(model: ModelTemplate) -> tuple[str, ...]:
    """The segments a model is counted in: `all`, then per dimension its listed values and `other`."""
    return ("all", *(f"{d}={v}" for d, values in sorted(model.segments.items()) for v in (*values, "other")))


def rule_segments(rule: Rule, model: ModelTemplate) -> tuple[str, ...]:
    """The segments of the model that the rule looks at: `each` is every one but `all`."""
    if isinstance(rule.segments, tuple):
        return rule.segments
    return ("all",) if rule.segments == "all" else segments_of(model)[1:]


def estimate_series(config: Config, *, versions: int = 2, partitions: int = 6) -> dict[str, int]:
    """Series per family at most, for a process that owns `partitions` and sees `versions` of each model at a time.

    The template for unlisted models counts as one model. Every rule is taken to fire everywhere, every metric to be
    defined. Histograms count their buckets, sum and count. Families by full name, in catalogue order.
    """
    models: tuple[ModelTemplate, ...] = config.models
    if config.unlisted_models is not None:
        models = (*models, config.unlisted_models)
    windows, has_labels = len(config.windows), config.streams.labels is not None
    topics = 2 if has_labels else 1
    score = 0 if config.streams.predictions.fields.score is None else 1
    count = dict.fromkeys((f.name for f in FAMILIES), 0)
    for model in models:
        _estimate_model(count, config, model, versions, windows, has_labels, score)
    outcomes = sum(len(names) for stream, names in OUTCOMES.items() if has_labels or stream == "predictions")
    count |= {
        "feature_faults_total": len(config.streams.predictions.features),
        "join_outcomes": outcomes,
        "alerts_emitted_total": (len(all_rules(config)) + (len(BUDGET_RULES) if config.budget else 0) + len(NAMES))
        * len(ALERT_CHANGES),
        "dropped_series_total": sum(f.budgeted for f in FAMILIES),
        "commit_duration_seconds": len(COMMIT_BOUNDS_MS) + 3,
    }
    values = {
        "stream": topics, "topic": topics, "partition": partitions, "reason": len(Reason), "skip": len(SKIPS),
        "state": len(TaskState),
        "form": len(DEAD_LETTER_FORMS), "result": len(COMMIT_RESULTS), "loop": len(LOOPS),
        "outcome": len(RELOADS),
    }  # fmt: skip
    for family in FAMILIES:
        if not family.budgeted and family.name not in ("reference_samples", "model_versions", *_COUNTED_APART):
            count[family.name] = math.prod(values.get(label, 1) for label in family.labels)
    if not has_labels:
        count["label_feed_stalled"] = 0
    return {PREFIX + name: number for name, number in count.items()}


_COUNTED_APART = (
    "feature_faults_total",
    "join_outcomes",
    "alerts_emitted_total",
    "dropped_series_total",
    "commit_duration_seconds",
)


def _estimate_model(
    count: dict[str, int], config: Config, model: ModelTemplate, versions: int, windows: int, labels: bool, score: int
) -> None:
    segments = len(segments_of(model))
    spans = versions * segments * windows
    subjects = len(model.features) + score
    performance = len(exported(performance_of(model))) if labels else 0
    for name in ("quality_score", "quality_score_lower", "quality_score_upper"):
        count[name] += spans * performance
    for name in ("quality_samples", "quality_seen", "quality_coverage_ratio"):
        count[name] += spans * labels
    if labels and config.estimates and model.task == "binary":
        count["quality_coverage_expected_ratio"] += spans
        count["quality_settled_until_timestamp_seconds"] += versions * windows
        count["quality_estimate"] += spans * sum(len(ESTIMATED[basis]) for basis in BASES)
        count["quality_bound"] += spans * 2 * len(ESTIMATED["bounds"])
    count["input_samples"] += spans
    for name in ("window_end_timestamp_seconds", "window_partial"):
        count[name] += versions * windows * (1 + labels)
    count["drift_score"] += spans * (subjects * len(config.drift.carried) + len(config.drift.pairs))
    count["feature_missing_ratio"] += spans * len(model.features)
    count["reference_samples"] += 1
    count["model_versions"] += 1
    if config.budget is not None:
        count["alert_active"] += versions * len(BUDGET_RULES)
    declared = model.quality.features.values() if model.quality is not None else ()
    count["feature_violation_ratio"] += spans * sum(len(DECLARED.keys() & limits_of(each)) for each in declared)
    for rule in all_rules(config):
        if about(rule, getattr(model, "name", None)):
            count["alert_active"] += versions * len(rule_segments(rule, model))
            name = "drift_threshold" if needs_reference(rule.metric) else "quality_threshold"
            count[name] += len(rule_segments(rule, model))
