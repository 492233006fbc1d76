"""The dashboard for Grafana: rows of panels over the catalogue's families. `tests.deploy.generated` writes it down.

Written by hand as data rather than clicked together: what a panel asks is in one line, a test lints each, and a family that
is renamed fails here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
NAMESPACE = 'driftline_namespace=~"$driftline_namespace"'
MODEL = f'{NAMESPACE}, model=~"$model", version=~"$version", segment=~"$segment", window=~"$window"'
NEWEST = "max by ({by}) ({expr})"
"""Several processes export the same for some seconds of a handover: the value of one is enough."""


@dataclass(frozen=True)
class Panel:
    """One picture. `asks`: PromQL and legend of each line. `unit` is Grafana's name of it."""

    title: str
    asks: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 12
    kind: str = "timeseries"
    tells: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def newest(by: str, expr: str) -> str:
    """A family of the evaluator or of a partition, by these labels."""
    return NEWEST.format(by=f"driftline_namespace, {by}", expr=expr)


SERIES = "model, version, segment, window"
ROWS: dict[str, tuple[Panel, ...]] = {
    "Now": (
        Panel("Alerts that fire", ((f"sum by (severity) (driftline:alerts_active:count{{{NAMESPACE}}}) or vector(0)", "{{severity}}"),), kind="stat", width=6),
        Panel("Processes with an evaluator", ((f"sum by (driftline_namespace) (driftline_evaluator_active{{{NAMESPACE}}})", "{{driftline_namespace}}"),), kind="stat", width=6,
              tells="One a namespace. None: nothing is decided."),
        Panel("Records read a second", ((f"driftline:records_consumed:rate5m{{{NAMESPACE}}}", "{{topic}}"),), "rps", kind="stat", width=6),
        Panel("Decided until (event time)", ((f"1000 * max by (driftline_namespace) (driftline_evaluator_tick_timestamp_seconds{{{NAMESPACE}}})", "{{driftline_namespace}}"),), "dateTimeAsIso", kind="stat", width=6),
        Panel("Firing", ((newest("rule, model, version, segment, severity", f"driftline_alert_active{{{NAMESPACE}}}") + " == 1", "{{rule}} {{model}} {{version}} {{segment}}"),), kind="table", width=24),
    ),
    "Quality": (
        Panel("Metrics of the newest window", (
            (newest(f"{SERIES}, metric", f'driftline_quality_score{{{MODEL}, metric=~"$metric"}}'), "{{model}} {{version}} {{segment}} {{metric}}"),
            (newest("rule, model, segment, window, metric", f'driftline_quality_threshold{{{NAMESPACE}, model=~"$model", segment=~"$segment", window=~"$window", metric=~"$metric"}}'), "threshold of {{rule}}"),
        ), tells="Read it with its coverage: late labels still move it."),
        Panel("Interval (95 %)", (
            (newest(f"{SERIES}, metric", f'driftline_quality_score_lower{{{MODEL}, metric=~"$metric"}}'), "{{version}} {{segment}} {{metric}} lower"),
            (newest(f"{SERIES}, metric", f'driftline_quality_score_upper{{{MODEL}, metric=~"$metric"}}'), "{{version}} {{segment}} {{metric}} upper"),
        )),
        Panel("Labelled so far", (
            (newest(SERIES, f"driftline_quality_coverage_ratio{{{MODEL}}}"), "{{version}} {{segment}} {{window}}"),
            (newest(SERIES, f"driftline_quality_coverage_expected_ratio{{{MODEL}}}"), "{{version}} {{segment}} {{window}} expected"),
        ), "percentunit"),
        Panel("Predictions of the newest window", (
            (newest(SERIES, f"driftline_quality_seen{{{MODEL}}}"), "{{version}} {{segment}} seen"),
            (newest(SERIES, f"driftline_quality_samples{{{MODEL}}}"), "{{version}} {{segment}} labelled"),
        )),
    ),
    "Inputs": (
        Panel("Distance to the reference", (
            (newest(f"{SERIES}, feature, method", f"driftline_drift_score{{{MODEL}}}"), "{{version}} {{segment}} {{feature}} {{method}}"),
        )),
        Panel("Missing values", ((newest(f"{SERIES}, feature", f"driftline_feature_missing_ratio{{{MODEL}}}"), "{{version}} {{segment}} {{feature}}"),), "percentunit"),
        Panel("Values that are not as declared", ((newest(f"{SERIES}, feature, check", f"driftline_feature_violation_ratio{{{MODEL}}}"), "{{version}} {{feature}} {{check}}"),), "percentunit"),
        Panel("Inputs of the newest window", ((newest(SERIES, f"driftline_input_samples{{{MODEL}}}"), "{{version}} {{segment}} {{window}}"),)),
    ),
    "Stream and join": (
        Panel("Lag", ((f"driftline:consumer_lag_records:sum{{{NAMESPACE}}}", "{{topic}}"),)),
        Panel("Rejected", ((f"driftline:records_rejected_ratio:rate5m{{{NAMESPACE}}}", "{{topic}}"),), "percentunit"),
        Panel("Waiting rows", ((f"sum by (driftline_namespace, stream) (driftline_join_pending_rows{{{NAMESPACE}}})", "{{stream}}"),)),
        Panel("Join, of its limit", ((f"driftline:join_state_rows:ratio{{{NAMESPACE}}}", "{{instance}}"),), "percentunit"),
        Panel("Clocks (event time behind now)", ((f"time() - min by (driftline_namespace, topic) (driftline_tick_clock_timestamp_seconds{{{NAMESPACE}}})", "{{topic}}"),), "s"),
        Panel("Until retention may take what is needed", ((f"min by (driftline_namespace, topic) (driftline_retention_headroom_seconds{{{NAMESPACE}}})", "{{topic}}"),), "s"),
    ),
    "Driftline itself": (
        Panel("Partitions", ((f"sum by (driftline_namespace, instance, state) (driftline_partitions{{{NAMESPACE}}})", "{{instance}} {{state}}"),)),
        Panel("Commit, 99th percentile", ((f"histogram_quantile(0.99, sum by (driftline_namespace, le) (rate(driftline_commit_duration_seconds_bucket{{{NAMESPACE}}}[5m])))", "{{driftline_namespace}}"),), "s"),
        Panel("Recovery, if its owner died now", ((f"max by (driftline_namespace, partition) (driftline_recovery_estimate_seconds{{{NAMESPACE}}})", "partition {{partition}}"),), "s"),
        Panel("Memory", (
            ('process_resident_memory_bytes{job="driftline"}', "{{instance}}"),
            (f"sum by (instance) (driftline_join_state_bytes{{{NAMESPACE}}})", "{{instance}} join"),
        ), "bytes"),
        Panel("Series", (
            (f"driftline_exported_series{{{NAMESPACE}}}", "{{instance}}"),
            (f"driftline_series_budget{{{NAMESPACE}}}", "{{instance}} budget"),
        )),
        Panel("Records not accounted for", ((f"max by (driftline_namespace, stream) (abs(driftline_conservation_difference_records{{{NAMESPACE}}}))", "{{stream}}"),),
              tells="Anything but 0 is a defect."),
    ),
}  # fmt: skip

VARIABLES = {
    "driftline_namespace": "label_values(driftline_build_info, driftline_namespace)",
    "model": f"label_values(driftline_quality_seen{{{NAMESPACE}}}, model)",
    "version": f'label_values(driftline_quality_seen{{{NAMESPACE}, model=~"$model"}}, version)',
    "segment": f'label_values(driftline_quality_seen{{{NAMESPACE}, model=~"$model"}}, segment)',
    "window": f'label_values(driftline_quality_seen{{{NAMESPACE}, model=~"$model"}}, window)',
    "metric": f'label_values(driftline_quality_score{{{NAMESPACE}, model=~"$model"}}, metric)',
}
FIRST = {"segment": "all"}
"""What is shown at first where it is not everything."""


def dashboard() -> str:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": 24, "x": 0, "y": y}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        y, x = y + 1, 0
        for panel in row:
            height = 4 if panel.kind == "stat" else 8
            if x + panel.width > 24:
                x, y = 0, y + height
            panels.append(_panel(panel, len(panels) + 1, {"h": height, "w": panel.width, "x": x, "y": y}))
            x += panel.width
            if x == 24:
                x, y = 0, y + height
    document = {
        "uid": "driftline", "title": "Driftline", "tags": ["driftline"], "schemaVersion": 39, "version": 1,
        "editable": True, "timezone": "utc", "refresh": "30s", "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [_DATASOURCE, *(_variable(name, query) for name, query in VARIABLES.items())]},
        "annotations": {"list": []}, "panels": panels,
    }  # fmt: skip
    return json.dumps(document, indent=1) + "\n"


_DATASOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(name: str, query: str) -> dict[str, Any]:
    first = FIRST.get(name)
    current = {"text": first, "value": first} if first else {"text": "All", "value": "$__all"}
    return {
        "name": name, "type": "query", "datasource": DATASOURCE, "query": {"query": query, "refId": name}, "refresh": 2,
        "includeAll": True, "multi": True, "allValue": ".*", "sort": 1, "current": current,
    }  # fmt: skip


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": DATASOURCE,
            "expr": expr,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for i, (expr, legend) in enumerate(panel.asks)
    ]
    if panel.kind == "table":
        targets = [{**target, "format": "table"} for target in targets]
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.tells, "datasource": DATASOURCE,
        "gridPos": place, "targets": targets, "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": panel.options,
    }  # fmt: skip
