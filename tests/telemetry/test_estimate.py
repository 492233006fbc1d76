from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.adapters.exposition import Exposer
from monitor.config import Config, loads
from monitor.config.metric_names import BASES, ESTIMATED
from monitor.metrics.expected import RATIOS
from monitor.metrics.partial import manski
from monitor.metrics.without_labels import Calibration, estimate
from monitor.telemetry import FAMILIES, PERFORMANCE_METRICS, Type, estimate_series, segments_of
from monitor.view import ActiveAlert, Build, ModelStatus, View, new_view, thresholds_of
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, WindowKey, WindowView
from tests.telemetry.samples import partition

LABELS = """
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}"""
TEXT = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric, origin: categorical, carrier: categorical}%s
models:
  - {name: a, segments: {origin: [EWR, LGA], carrier: [AA]}, reference: a.json}
  - {name: b, features: [hour]}
windows: [1d, 1h]
rules:
  - {name: slow, metric: volume, op: "<", threshold: 10, window: 1d}
  - {name: drift, metric: "psi:hour", op: ">", threshold: 0.2, window: 1h, model: a, segments: each}
  - {name: some, metric: "missing:hour", op: ">", threshold: 0.2, window: 1h, model: a, segments: [origin=EWR]}
"""
VERSIONS = 3
PARTITIONS = 4


def config_of(labels: str, more: str = "") -> Config:
    return loads(TEXT % labels + more, require_references=False)


def outlook() -> Outlook:
    estimate = Estimate(0.5, 0.4, 0.6, 9)
    completed, unlabelled = (dict.fromkeys(ESTIMATED[basis], estimate) for basis in BASES)
    return Outlook(0.9, 0.99, 5, dict.fromkeys(ESTIMATED["bounds"], (0.1, 0.9)), completed, unlabelled)


def everything(config: Config) -> View:
    """A view in which every metric of every window is defined and every rule fires everywhere."""
    ahead = outlook() if config.estimates else None
    view = new_view(config, Build("0.1.0", "3.11"), 0)
    labelled = config.streams.labels is not None
    windows = []
    for model, version, window in product(config.models, range(VERSIONS), config.windows):
        for segment in segments_of(model):
            key = WindowKey(SeriesKey(model.name, f"v{version}", segment), window.name, 0, 1)
            estimate = Estimate(0.5, 0.4, 0.6, 9)
            performance = dict.fromkeys(PERFORMANCE_METRICS, estimate)
            names = [*(f"{m}:{f}" for f in model.features for m in ("psi", "ks", "missing")), "psi:$score", "ks:$score"]
            inputs = dict.fromkeys([*names, "volume"], estimate)
            if labelled:
                own = WindowView(key, Kind.PERFORMANCE, 1, False, 1, 9, 9, performance, {}, "sha256:c", outlook=ahead)
                windows.append(own)
            windows.append(WindowView(key, Kind.INPUT, 1, False, 1, 9, 0, inputs, {}, "sha256:c"))
    alerts = [
        ActiveAlert(
            t.rule, SeriesKey(t.model, f"v{v}", t.segment), t.window, "firing", t.severity, 0, t.metric, ">", 0, 1, 9
        )
        for t in thresholds_of(config)
        for v in range(VERSIONS)
    ]
    owned = tuple(partition(i) for i in range(PARTITIONS))
    return replace(
        view,
        series_budget=1_000_000,
        models=tuple(ModelStatus(m.name, m.task, m.features, 1_000) for m in config.models),
        windows=tuple(windows),
        alerts=tuple(alerts),
        partitions=owned if labelled else tuple(replace(p, labels=None) for p in owned),
        health=replace(view.health, loops_ms={"worker": 0}),
        evaluator=replace(view.evaluator, active=True, tick_ms=0),
    )


@pytest.mark.parametrize(
    ("labels", "more"),
    [(LABELS, ""), ("", ""), (LABELS, "estimates: true\n")],
    ids=["with-labels", "predictions-only", "with-estimates"],
)
def test_the_estimate_is_what_a_full_exposition_has(labels: str, more: str) -> None:
    config = config_of(labels, more)
    text = Exposer(process=False).render(everything(config)).text.decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        found[family.name + ("_total" if family.type == "counter" else "")] += len(family.samples)
    estimate = estimate_series(config, versions=VERSIONS, partitions=PARTITIONS)
    unknown_end = "driftline_consumer_lag_records"  # the sample leaves some ends unknown
    assert {k: v for k, v in estimate.items() if v and k != unknown_end} == {
        k: v for k, v in found.items() if k != unknown_end
    }
    assert estimate[unknown_end] == PARTITIONS * (2 if labels else 1) >= found[unknown_end]


def test_the_template_of_unlisted_models_counts_as_one_model() -> None:
    listed = estimate_series(config_of(LABELS))
    template = estimate_series(config_of(LABELS, "unlisted_models: {features: [hour]}\n"))
    name = "driftline_quality_samples"
    assert template[name] - listed[name] == 2 * 2  # versions, windows


def test_what_an_outlook_can_have_is_what_the_metrics_give() -> None:
    counts = np.array([3])
    bounds = manski(counts, counts, counts, counts, counts, counts)
    calibration = Calibration.of(np.array([1, 2]), np.array([2, 3]))
    by_score = estimate(calibration, np.array([[0, 2]]), np.array([[2, 0]]))
    assert set(ESTIMATED["bounds"]) == {*bounds, "roc_auc"}
    assert set(ESTIMATED["completed"]) == set(RATIOS)
    assert set(ESTIMATED["unlabelled"]) == {*by_score, "residual"}


def test_every_family_has_an_estimate() -> None:
    assert list(estimate_series(config_of(LABELS))) == [family.full_name for family in FAMILIES]
    assert any(family.type is Type.HISTOGRAM for family in FAMILIES)
