"""The table of families, what their labels are bounded by, and the words those labels use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from monitor.alerts.event import BUDGET_RULES, Change
from monitor.alerts.operational import NAMES
from monitor.config.metric_names import BASES, BINARY, DECLARED, DEPENDENCE, DISTANCES
from monitor.events import Reason
from monitor.ingest.envelopes import Skip
from monitor.join.outcomes import LabelOutcomes, PredictionOutcomes

PREFIX = "driftline_"
NAMESPACE_LABEL = "driftline_namespace"

COMMIT_RESULTS = ("accepted", "lost")
"""Lost: another owner was first, or no acknowledgement came. The task reads the ledger and opens again."""
RELOADS = ("applied", "unchanged", "refused", "invalid")
"""What came of reading the configuration again: rules changed; nothing did; something that may not; it has mistakes."""
DEAD_LETTER_FORMS = ("record", "pointer")
"""A copy of one record, or one pointer to a range of them (the flood breaker)."""
SKIPS = tuple(map(str, Skip))
"""Why a record is no row and no mistake either."""
ALERT_CHANGES = tuple(Change)
LOOPS = ("worker",)
COMMIT_BOUNDS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
"""Upper bounds of the commit duration histogram: an append takes half a millisecond, a broker's election seconds."""
OUTCOMES: Mapping[str, tuple[str, ...]] = {
    "predictions": tuple(f.name for f in fields(PredictionOutcomes)),
    "labels": tuple(f.name for f in fields(LabelOutcomes)),
}


class TaskState(StrEnum):
    """Where a partition's owner stands. Bounded: it is a label."""

    OPENING = "opening"  # folding the ledger, fencing
    REBUILDING = "rebuilding"  # reading the sources up to the committed offsets
    LIVE = "live"
    FULL = "full"  # at the limit of its state: predictions wait for an operator's decision
    CLOSING = "closing"


class Type(StrEnum):
    """How Prometheus reads a family. INFO is a gauge that is always 1 and whose labels are the message."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


def exported(performance: Iterable[str]) -> tuple[str, ...]:
    """Those of the performance metrics of a task that are exported as quality_score; the others have families of their
    own."""
    return tuple(m for m in performance if m not in ("seen", "labelled", "coverage"))


PERFORMANCE_METRICS = exported(BINARY)
"""Metrics of binary models exported as quality_score."""

LABELS: Mapping[str, str] = {
    NAMESPACE_LABEL: "1: the configured namespace",
    "model": "configured models, or the template for unlisted ones (then by the series budget); `*` for these together",
    "version": "the predictions' own versions: by the series budget, versions seen last go first",
    "segment": "`all`, and per configured dimension its listed values and `other`",
    "window": "configured windows",
    "metric": "the metrics of the model's task; of multiclass models three for each class",
    "feature": "watched features, `$score`, and the pairs of `drift.pairs` as `A~B`",
    "method": ", ".join(f"`{d}`" for d in (*DISTANCES, DEPENDENCE)),
    "check": ", ".join(f"`{d}`" for d in DECLARED),
    "rule": "configured rules and those of `quality`, and "
    + ", ".join(f"`{name}`" for name in (*BUDGET_RULES, *NAMES)),
    "severity": "`page`, `ticket`, `info`",
    "basis": ", ".join(f"`{b}`" for b in BASES),
    "owner": "`labels.owner` of the configuration, a model or a rule",
    "runbook": "`labels.runbook`, likewise",
    "end": "`lower`, `upper`",
    "direction": "`min` (alert below), `max` (alert above)",
    "kind": "`performance`, `input`",
    "change": ", ".join(f"`{c}`" for c in ALERT_CHANGES),
    "stream": "`predictions`, `labels`",
    "outcome": "the terms of the conservation identity: 8 of predictions, 9 of labels; of reloads "
    + ", ".join(f"`{r}`" for r in RELOADS),
    "topic": "the source topics: 2",
    "partition": "partitions of the source topics that this process owns",
    "reason": f"{len(Reason)} reasons of rejection",
    "skip": f"{', '.join(f'`{skip}`' for skip in SKIPS)}",
    "form": ", ".join(f"`{f}`" for f in DEAD_LETTER_FORMS),
    "state": ", ".join(f"`{s}`" for s in TaskState),
    "result": ", ".join(f"`{r}`" for r in COMMIT_RESULTS),
    "loop": ", ".join(f"`{name}`" for name in LOOPS),
    "family": "families under the series budget",
    "release": "1: the installed version of Driftline",
    "pythonversion": "1",
    "digest": "1: the digest of the configuration in use",
    "files": "1: the digest of what its files say",
}
"""Every label and what bounds the number of its values."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `name` has no prefix; `labels` come after the namespace label, in this order; `unit` is Prometheus'
    base unit or empty; `budgeted` families share the series budget, the others are bounded by the config alone."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    budgeted: bool = False
    group: str = ""

    @property
    def full_name(self) -> str:
        """The name that queries use (the sample name, for counters with `_total`)."""
        return PREFIX + self.name


_SERIES, _TP = ("model", "version", "segment"), ("topic", "partition")


def _group(group: str, *families: Family) -> tuple[Family, ...]:
    return tuple(Family(f.name, f.type, f.labels, f.help, f.unit, f.budgeted, group) for f in families)


def _gauge(name: str, labels: tuple[str, ...], meaning: str, unit: str = "", budgeted: bool = False) -> Family:
    return Family(name, Type.GAUGE, labels, meaning, unit, budgeted)


def _counter(name: str, labels: tuple[str, ...], meaning: str) -> Family:
    return Family(name, Type.COUNTER, labels, meaning)


_QUALITY = _group(
    "quality",
    _gauge(
        "quality_score",
        (*_SERIES, "window", "metric"),
        "Metric of the newest window, over the labels that have arrived; absent while undefined.",
        budgeted=True,
    ),
    _gauge(
        "quality_score_lower",
        (*_SERIES, "window", "metric"),
        "Lower end of the 95 % interval of the metric; absent where none is defined.",
        budgeted=True,
    ),
    _gauge(
        "quality_score_upper",
        (*_SERIES, "window", "metric"),
        "Upper end of the 95 % interval of the metric; absent where none is defined.",
        budgeted=True,
    ),
    _gauge(
        "quality_threshold",
        ("rule", "model", "segment", "window", "metric", "direction"),
        "Threshold of a rule on a quality metric; each listed segment has its own series.",
        budgeted=True,
    ),
    _gauge(
        "quality_samples",
        (*_SERIES, "window"),
        "Predictions of the newest window whose label has arrived.",
        budgeted=True,
    ),
    _gauge("quality_seen", (*_SERIES, "window"), "Predictions of the newest window, labelled or not.", budgeted=True),
    _gauge(
        "quality_coverage_ratio",
        (*_SERIES, "window"),
        "Share of the predictions of the newest window whose label has arrived.",
        "ratio",
        budgeted=True,
    ),
    _gauge(
        "quality_coverage_expected_ratio",
        (*_SERIES, "window"),
        "Share of the newest window that should be labelled by now, as labels usually come; with `estimates`, until it is final.",
        "ratio",
        budgeted=True,
    ),
    _gauge(
        "quality_settled_until_timestamp_seconds",
        ("model", "version", "window"),
        "Event time before which 99 % of the labels that ever come have come; with `estimates`.",
        "seconds",
        budgeted=True,
    ),
    _gauge(
        "quality_estimate",
        (*_SERIES, "window", "metric", "basis"),
        "What a metric of the newest window will probably be: as late labels said before, or as scores mean; with `estimates`.",
        budgeted=True,
    ),
    _gauge(
        "quality_bound",
        (*_SERIES, "window", "metric", "end"),
        "Lowest and highest value that a metric of the newest window can still end at; with `estimates`.",
        budgeted=True,
    ),
    _gauge(
        "window_end_timestamp_seconds",
        ("model", "version", "window", "kind"),
        "End of the newest window (event time) of segment all.",
        "seconds",
        budgeted=True,
    ),
    _gauge(
        "window_partial",
        ("model", "version", "window", "kind"),
        "1 while records of the newest window, or labels of its predictions, may have been lost (`driftline ledger gap`).",
        budgeted=True,
    ),
)
_DRIFT = _group(
    "drift",
    _gauge(
        "input_samples",
        (*_SERIES, "window"),
        "Predictions of the newest window of inputs, labelled or not.",
        budgeted=True,
    ),
    _gauge(
        "drift_score",
        (*_SERIES, "window", "feature", "method"),
        "Distance between the newest window and the reference; absent while undefined.",
        budgeted=True,
    ),
    _gauge(
        "drift_threshold",
        ("rule", "model", "segment", "window", "feature", "method"),
        "Threshold of a rule on a distance.",
        budgeted=True,
    ),
    _gauge(
        "feature_missing_ratio",
        (*_SERIES, "window", "feature"),
        "Share of the predictions of the newest window without a value of the feature.",
        "ratio",
        budgeted=True,
    ),
    _gauge(
        "feature_violation_ratio",
        (*_SERIES, "window", "feature", "check"),
        "Share of the feature's values in the newest window that are not as `quality` declares them.",
        "ratio",
        budgeted=True,
    ),
    _gauge(
        "model_versions",
        ("model",),
        "Versions of a listed model whose windows can still change, from the evaluator; `*`: the most of one that is not listed.",
    ),
    _gauge("reference_samples", ("model",), "Rows in the model's reference; absent without a reference."),
    _counter(
        "feature_faults_total",
        ("feature",),
        "Feature values of the wrong type, counted as invalid; their records are used.",
    ),
)
_JOIN = _group(
    "join",
    _gauge(
        "join_pending_rows",
        ("stream", "partition"),
        "Rows that wait for the other stream: predictions without label, labels without prediction.",
    ),
    _gauge("join_state_rows", ("partition",), "Predictions in the join, settled ones kept for identity included."),
    _gauge("join_state_limit_rows", (), "Predictions this process may hold (state.max_rows); more wait in the topic."),
    _gauge("join_state_bytes", ("partition",), "Memory of the join's tables.", "bytes"),
    _gauge(
        "join_spilled_rows", ("partition",), "Predictions and labels of the join that are in files (state.memory_rows)."
    ),
    _gauge("join_spilled_bytes", ("partition",), "Size of those files.", "bytes"),
    _gauge(
        "recovery_estimate_seconds",
        ("partition",),
        "How long a new owner would read the sources again before the partition is live: `recovery_rows` at the rate measured "
        "in this process. Of a partition that is being opened: what is left.",
        "seconds",
    ),
    _gauge(
        "recovery_rows",
        ("partition",),
        "Offsets of the sources that a new owner would read again; of a partition that is being opened: what is left.",
    ),
    _gauge(
        "join_outcomes",
        ("stream", "outcome"),
        "Records of the owned partitions by what became of them, since genesis. A gauge: a record may move on.",
    ),
    _gauge(
        "conservation_difference_records",
        ("stream",),
        "Records read without an account, or accounted for without being read, over the owned partitions. Anything but 0 is a "
        "defect, and ends the process at its next commit.",
    ),
)
_STREAM = _group(
    "stream",
    _counter("records_consumed_total", ("topic",), "Records read, usable or not."),
    _counter("records_rejected_total", ("topic", "reason"), "Rows that could not be used."),
    _counter("records_skipped_total", ("topic", "skip"), "Records that hold no row, such as tombstones."),
    _counter("records_lost_total", ("topic",), "Offsets recorded as lost: retention took them before they were read."),
    _counter("dead_letters_total", ("topic", "form"), "Dead letters written."),
    _gauge("consumer_lag_records", _TP, "End offset minus next offset to read; absent until the end is known."),
    _gauge(
        "retention_headroom_seconds",
        _TP,
        "Until retention may take the oldest record that a restart would read again, by event time; absent without a limit "
        "of time, and when no record is needed. Below 0 a restart may be refused.",
        "seconds",
    ),
    _gauge("retention_seconds", _TP, "How long the topic keeps records; absent without a limit.", "seconds"),
    _gauge(
        "retention_headroom_records",
        _TP,
        "Offsets between the beginning of the log and the oldest record that a restart would read again.",
    ),
    _gauge("tick_clock_timestamp_seconds", _TP, "Tick clock of the partition (event time).", "seconds"),
    _gauge("finality_clock_timestamp_seconds", _TP, "Finality clock of the partition (event time).", "seconds"),
    _gauge("partition_idle", _TP, "1 while the partition is recorded as idle."),
    _gauge("label_feed_stalled", ("partition",), "1 while it is recorded that labels stopped and predictions go on."),
    _gauge("prediction_feed_silent", ("partition",), "1 while it is recorded that no predictions come."),
    _gauge("partitions", ("state",), "Partitions that this process owns, by state. Owning none is normal."),
)
_LEDGER = _group(
    "ledger",
    _counter("commits_total", ("result",), "Appends to the ledger."),
    Family("commit_duration_seconds", Type.HISTOGRAM, (), "From the append to its acknowledgement.", "seconds"),
    _counter("ledger_rejected_total", (), "Ledger records that the reading rule ignored."),
    _gauge("ledger_epoch", ("partition",), "Epoch of the partition's owner."),
    _gauge("ledger_sequence", ("partition",), "Sequence of the partition's last commit in its epoch."),
)
ALERT_LABELS: Final = ("owner", "runbook")
"""Those of an alert's own labels that Prometheus knows too; of the others there may be any number. Empty where there is none."""

_ALERTS = _group(
    "alerts",
    _gauge(
        "alert_active",
        ("rule", *_SERIES, "severity", *ALERT_LABELS),
        "1 while the alert fires, with the labels `owner` and `runbook` of the configuration.",
        budgeted=True,
    ),
    _counter("alerts_emitted_total", ("rule", "change"), "Events written to the alerts topic."),
    _gauge("evaluator_active", (), "1 while this process is the evaluator."),
    _gauge("evaluator_tick_timestamp_seconds", (), "End of the last closed tick (event time).", "seconds"),
    _counter("windows_published_total", (), "Window revisions written to the windows topic."),
    _counter(
        "windows_unplaced_total",
        (),
        "Windows that were final when records came for them, after a partition was idle or quiet; they stay as they are.",
    ),
)
_DAEMON = _group(
    "daemon",
    Family("build_info", Type.INFO, ("release", "pythonversion"), "The running build."),
    Family(
        "config_info",
        Type.INFO,
        ("digest", "files"),
        "The configuration in use: `digest` of what its namespace counts under, `files` of all that its files say and that all "
        "processes must agree in (not `kafka`, `http`, `state`, `dead_letters`, `series_budget`).",
    ),
    _counter("config_reloads_total", ("outcome",), "Times that the configuration was read again."),
    _gauge("config_last_reload_successful", (), "0 while what the files say now cannot be used; what was before is."),
    _gauge(
        "config_last_reload_success_timestamp_seconds",
        (),
        "When the configuration was last read and could be used (wall clock); at first the start.",
        "seconds",
    ),
    _gauge("config_generation", (), "Number of the configuration whose rules hold, from the evaluator; else 0."),
    _gauge("last_loop_timestamp_seconds", ("loop",), "When the loop last came round (wall clock).", "seconds"),
    _gauge("exported_series", (), "Series under the budget in this exposition."),
    _gauge("series_budget", (), "The configured series budget."),
    _counter("dropped_series_total", ("family",), "Series left out because of the budget, once per exposition."),
)

FAMILIES: tuple[Family, ...] = (*_QUALITY, *_DRIFT, *_JOIN, *_STREAM, *_LEDGER, *_ALERTS, *_DAEMON)
BY_NAME: Mapping[str, Family] = {f.full_name: f for f in FAMILIES}

RESERVED_LABELS = frozenset(
    {"job", "instance", "namespace", "pod", "container", "service", "node", "endpoint", "le", "quantile"}
)
"""Labels that scrapers attach themselves; using one would have it renamed to exported_*."""


def known(name: str) -> bool:
    """Whether a name in a query is a series of the catalogue (histograms by their three suffixes)."""
    if name in BY_NAME:
        return BY_NAME[name].type is not Type.HISTOGRAM
    stem = next((name.removesuffix(s) for s in ("_bucket", "_sum", "_count") if name.endswith(s)), "")
    return stem in BY_NAME and BY_NAME[stem].type is Type.HISTOGRAM
