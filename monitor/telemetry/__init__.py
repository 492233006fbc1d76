"""The catalogue: every family of telemetry the daemon exports, in one table (`families.FAMILIES`).

The exposition, docs/telemetry.md (`document`), the check of the alerting rules and the estimate of `driftline check`
(`estimate`) derive from it; tests refuse a family that is exported but not listed, listed but never exported, or named
in a rule and unknown. Names, labels and meanings are an interface: renaming one is a breaking change.

Two decisions, with their reasons:

*The prefix is always `driftline_`; the configured namespace is a label on every series.* A prefix per deployment
would need a rule file, a dashboard and a page of documentation per deployment, and no query could look at two of them.

*That label is `driftline_namespace`, not `namespace`*: on Kubernetes the scraper attaches its own `namespace`,
and Prometheus would rename ours to `exported_namespace` without a word.

What is not here: the `process_*` and `python_gc_*` families, which prometheus_client defines, and any number: this
package knows what can be said, `monitor.view` holds what is said, `monitor.adapters.exposition` writes it down.
"""

from monitor.telemetry.configuration import Configuration
from monitor.telemetry.estimate import estimate_series, rule_segments, segments_of
from monitor.telemetry.families import (
    ALERT_CHANGES,
    ALERT_LABELS,
    BY_NAME,
    COMMIT_BOUNDS_MS,
    COMMIT_RESULTS,
    DEAD_LETTER_FORMS,
    FAMILIES,
    LABELS,
    LOOPS,
    NAMESPACE_LABEL,
    OUTCOMES,
    PERFORMANCE_METRICS,
    PREFIX,
    RELOADS,
    SKIPS,
    Family,
    TaskState,
    Type,
    known,
)

__all__ = [
    "ALERT_CHANGES",
    "ALERT_LABELS",
    "BY_NAME",
    "COMMIT_BOUNDS_MS",
    "COMMIT_RESULTS",
    "DEAD_LETTER_FORMS",
    "FAMILIES",
    "LABELS",
    "LOOPS",
    "NAMESPACE_LABEL",
    "OUTCOMES",
    "PERFORMANCE_METRICS",
    "PREFIX",
    "RELOADS",
    "SKIPS",
    "Configuration",
    "Family",
    "TaskState",
    "Type",
    "estimate_series",
    "known",
    "rule_segments",
    "segments_of",
]
