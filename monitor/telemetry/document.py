"""docs/telemetry.md, written from the table."""

from __future__ import annotations

from monitor.telemetry.families import FAMILIES, LABELS, NAMESPACE_LABEL


def markdown() -> str:
    """docs/telemetry.md, from the table."""
    lines = [_INTRODUCTION]
    for group in dict.fromkeys(f.group for f in FAMILIES):
        lines += [f"## {group.capitalize()}", "", "| family | type | labels | meaning |", "| --- | --- | --- | --- |"]
        for f in FAMILIES:
            if f.group == group:
                labels = ", ".join(f"`{name}`" for name in f.labels) or "none"
                budget = " ◦" if f.budgeted else ""
                lines.append(f"| `{f.full_name}`{budget} | {f.type} | {labels} | {f.help} |")
        lines.append("")
    lines += ["## Labels and what bounds them", "", "| label | values |", "| --- | --- |"]
    lines += [f"| `{name}` | {bound} |" for name, bound in LABELS.items()]
    return "\n".join(lines) + "\n"


_INTRODUCTION = f"""# Telemetry

Everything the daemon exports on `/metrics`, in the text format 0.0.4 or OpenMetrics, as the scraper asks. This page is
generated from the catalogue in `monitor/telemetry.py`; do not edit it by hand.

- Every series carries `{NAMESPACE_LABEL}`, the configured namespace, so that one set of rules and
  dashboards serves all deployments.
- Families marked ◦ share the series budget (`series_budget` in the config). Over it, whole segments are left out, `all`
  segments last, the versions seen longest ago first; what was left out is counted by family. Firing alerts and
  thresholds go out before all else.
- A metric that is undefined (nothing labelled yet, no predicted positives, no reference) is absent, never 0.
- The newest window is, of those still open, the one that ends next: of `1d` the current day, of `24h/1h` the last 24
  hours to within an hour. Read a value with its `quality_samples` and `quality_coverage_ratio`.
- Times are event time unless the text says wall clock. Ages are left to the query: `time() - ..._timestamp_seconds`.
- `process_*` and `python_gc_*` are those of the Prometheus client library.
"""
