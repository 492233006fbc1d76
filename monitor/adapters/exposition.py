"""The view as Prometheus reads it: text format 0.0.4 and OpenMetrics 1.0.

Written by hand over label strings that are built once per series, because a scrape of client objects holds the
interpreter 25 to 40 times longer. The sample lines of both formats are the same; only the headers differ.

*The series budget.* Families marked `budgeted` in the catalogue share `view.series_budget`. They go out in this order:
firing alerts, thresholds, then series (model, version, segment) whole: `all` segments first, then those whose newest
window ends last, then by name. The first series that does not fit and all after it are left out and counted in
`driftline_dropped_series_total{family}`. The choice depends on the view alone, so it does not flicker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.adapters.exposition_process import process_metrics, process_registry
from monitor.adapters.exposition_sizes import family_of, sizes
from monitor.adapters.exposition_text import HEADERS, OPENMETRICS_HEADERS, escape, number, prefix, seconds
from monitor.alerts.operational import NAMES
from monitor.config.metric_names import BASES, DECLARED, DEPENDENCE, DISTANCES
from monitor.events import Reason
from monitor.telemetry import (
    ALERT_CHANGES,
    ALERT_LABELS,
    COMMIT_BOUNDS_MS,
    COMMIT_RESULTS,
    DEAD_LETTER_FORMS,
    FAMILIES,
    NAMESPACE_LABEL,
    OUTCOMES,
    PREFIX,
    SKIPS,
    TaskState,
)
from monitor.view import StreamStatus, View
from monitor.windows.view import Kind, Outlook, SeriesKey, WindowView

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Sample = tuple[str, str]
"""Family name without prefix, and a finished line."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """One scrape's worth in both formats, how many series of it are under the budget, and how many were left out."""

    text: bytes
    openmetrics: bytes
    exported_series: int
    dropped_series: int


class Exposer:
    """Renders views. Keeps label strings between calls and the running totals of what was left out.

    One thread at a time. With `process`, the families of prometheus_client about this process and its garbage
    collector are appended.
    """

    def __init__(self, *, process: bool = True) -> None:
        self._namespace = ""
        self._prefixes: dict[tuple[str, ...], str] = {}
        self._windows: dict[tuple[SeriesKey, str, Kind], WindowLabels] = {}
        self._dropped = {family.name: 0 for family in FAMILIES if family.budgeted}
        self._process = process_registry() if process else None

    def render(self, view: View) -> Exposition:
        """Both formats of a view. Counts what is over the budget, so call it once per view."""
        if (
            view.namespace != self._namespace
            or len(self._prefixes) + len(self._windows) > 4 * view.series_budget + 10_000
        ):
            self._namespace = view.namespace  # a new deployment, or versions come and go: start the strings afresh
            self._prefixes.clear()
            self._windows.clear()
        body: dict[str, list[str]] = {family.name: [] for family in FAMILIES}
        exported, dropped = self._budgeted(view, body)
        for name, line in self._bounded(view, exported):
            body[name].append(line)
        return Exposition(*self._assemble(body), exported, dropped)

    # ------------------------------------------------------------------------------------------ under the budget

    def _budgeted(self, view: View, body: dict[str, list[str]]) -> tuple[int, int]:
        room, exported, left_out = view.series_budget, 0, Counter[str]()
        full = False
        for name, line in (*self._alerts(view), *self._thresholds(view)):
            full = full or exported == room
            if full:
                left_out[name] += 1
            else:
                exported += 1
                body[name].append(line)
        for windows in _series(view):
            samples = [] if full else self._samples(windows)
            full = full or exported + len(samples) > room
            if full:  # what is not shown is counted and not written: of a fleet that is most
                for window in windows:
                    for name, number in sizes(window):
                        left_out[name] += number
                continue
            exported += len(samples)
            for name, line in samples:
                body[name].append(line)
        for name, count in left_out.items():
            self._dropped[name] += count
        return exported, left_out.total()

    def _alerts(self, view: View) -> Iterable[Sample]:
        active = (a for a in view.alerts if a.state == "firing")
        firing = {(a.rule, *_key(a.series), a.severity, *(a.labels.get(n, "") for n in ALERT_LABELS)) for a in active}
        for labels in sorted(firing):
            yield "alert_active", self._labelled("alert_active", *labels) + "1"

    def _thresholds(self, view: View) -> Iterable[Sample]:
        for t in view.thresholds:
            method, colon, feature = t.metric.partition(":")
            if colon and method in (*DISTANCES, DEPENDENCE):
                name, labels = "drift_threshold", (t.rule, t.model, t.segment, t.window, feature, method)
            else:
                name, labels = "quality_threshold", (t.rule, t.model, t.segment, t.window, t.metric, t.direction)
            yield name, self._labelled(name, *labels) + number(t.threshold)

    def _samples(self, windows: Iterable[WindowView]) -> list[Sample]:
        samples: list[Sample] = []
        for window in windows:
            slot = (window.key.series, window.key.window, window.kind)
            labels = self._windows.get(slot)
            if labels is None:
                labels = self._windows[slot] = WindowLabels(self._namespace, *slot)
            labels.write(window, samples)
        return samples

    # -------------------------------------------------------------------------------- bounded by the config alone

    def _bounded(self, view: View, exported: int) -> Iterable[Sample]:
        yield from self._join(view)
        yield from self._stream(view)
        yield from self._ledger(view)
        yield from self._daemon(view, exported)

    def _join(self, view: View) -> Iterable[Sample]:
        for model in view.models:
            if model.reference_rows is not None:
                yield self._one("reference_samples", model.reference_rows, model.name)
        for name, versions in (view.versions() if view.evaluator.active else {}).items():
            yield self._one("model_versions", versions, name)
        for feature in view.features:
            yield self._one("feature_faults_total", view.counters.feature_faults.get(feature, 0), feature)
        for p in view.partitions:
            number = str(p.partition)
            for stream, status in p.streams():
                yield self._one("join_pending_rows", status.pending_rows, stream, number)
            yield self._one("join_state_rows", p.state_rows, number)
            yield self._one("join_state_bytes", p.state_bytes, number)
            yield self._one("join_spilled_rows", p.spilled_rows, number)
            yield self._one("join_spilled_bytes", p.spilled_bytes, number)
        for partition, rows, took_ms in view.recoveries():
            yield self._one("recovery_rows", rows, str(partition))
            yield self._one("recovery_estimate_seconds", seconds(took_ms), str(partition))
        yield self._one("join_state_limit_rows", view.state_limit_rows)
        differences = {
            "predictions": sum(
                abs(p.conservation.predictions_read - p.conservation.predictions_accounted) for p in view.partitions
            ),
            "labels": sum(abs(p.conservation.labels_read - p.conservation.labels_accounted) for p in view.partitions),
        }
        for stream, _ in zip(("predictions", "labels"), view.topics, strict=False):
            outcomes = view.outcomes("predictions" if stream == "predictions" else "labels")
            for outcome in OUTCOMES[stream]:
                yield self._one("join_outcomes", outcomes.get(outcome, 0), stream, outcome)
            yield self._one("conservation_difference_records", differences[stream], stream)

    def _stream(self, view: View) -> Iterable[Sample]:
        counters = view.counters
        for topic in view.topics:
            yield self._one("records_consumed_total", counters.consumed.get(topic, 0), topic)
            yield self._one("records_lost_total", counters.lost.get(topic, 0), topic)
            for reason in Reason:
                yield self._one("records_rejected_total", _in(counters.rejected, topic, reason), topic, reason)
            for skip in SKIPS:
                yield self._one("records_skipped_total", _in(counters.skipped, topic, skip), topic, skip)
            for form in DEAD_LETTER_FORMS:
                yield self._one("dead_letters_total", _in(counters.dead_letters, topic, form), topic, form)
        for p in view.partitions:
            for _, status in p.streams():
                yield from self._place(status, status.topic, str(p.partition))
            yield self._one("prediction_feed_silent", int(p.predictions.stalled), str(p.partition))
            if p.labels is not None:
                yield self._one("label_feed_stalled", int(p.labels.stalled), str(p.partition))
        for state in TaskState:
            opening = int(state is TaskState.REBUILDING and view.rebuild is not None)
            yield self._one("partitions", sum(p.state is state for p in view.partitions) + opening, state)

    def _place(self, status: StreamStatus, *place: str) -> Iterable[Sample]:
        """One partition of a source topic. What is not known is absent."""
        if status.lag is not None:
            yield self._one("consumer_lag_records", status.lag, *place)
        times = {"tick_clock_timestamp_seconds": status.tick_ms, "finality_clock_timestamp_seconds": status.finality_ms}
        if (headroom := status.headroom) is not None:
            yield self._one("retention_headroom_records", headroom.records, *place)
            times |= {"retention_headroom_seconds": headroom.left_ms, "retention_seconds": headroom.kept_ms}
        for name, ms in times.items():
            if ms is not None:
                yield self._one(name, seconds(ms), *place)
        yield self._one("partition_idle", int(status.idle), *place)

    def _ledger(self, view: View) -> Iterable[Sample]:
        counters, histogram = view.counters, view.counters.commit_durations
        for result in COMMIT_RESULTS:
            yield self._one("commits_total", counters.commits.get(result, 0), result)
        name = "commit_duration_seconds"
        common = f'{NAMESPACE_LABEL}="{escape(self._namespace)}"'
        counts = histogram.cumulative()
        for bound, count in zip((*(b / 1_000 for b in COMMIT_BOUNDS_MS), "+Inf"), counts, strict=True):
            yield name, f'{PREFIX}{name}_bucket{{{common},le="{bound}"}} {count}'
        yield name, f"{PREFIX}{name}_count{{{common}}} {counts[-1]}"
        yield name, f"{PREFIX}{name}_sum{{{common}}} {number(histogram.total_us / 1e6)}"
        yield self._one("ledger_rejected_total", counters.ledger_rejected)
        for p in view.partitions:
            yield self._one("ledger_epoch", p.epoch, str(p.partition))
            yield self._one("ledger_sequence", p.sequence, str(p.partition))

    def _daemon(self, view: View, exported: int) -> Iterable[Sample]:
        for rule in (*view.rules, *NAMES):
            for change in ALERT_CHANGES:
                yield self._one("alerts_emitted_total", _in(view.counters.alerts_emitted, rule, change), rule, change)
        yield self._one("evaluator_active", int(view.evaluator.active))
        if view.evaluator.tick_ms is not None:
            yield self._one("evaluator_tick_timestamp_seconds", seconds(view.evaluator.tick_ms))
        yield self._one("windows_published_total", view.counters.windows_published)
        yield self._one("windows_unplaced_total", view.counters.windows_unplaced)
        yield self._one("build_info", 1, view.build.release, view.build.python)
        yield self._one("config_info", 1, view.config_digest, view.files_digest)
        yield from (self._one(*sample) for sample in view.configuration.samples())
        for loop, at_ms in sorted(view.health.loops_ms.items()):
            yield self._one("last_loop_timestamp_seconds", seconds(at_ms), loop)
        yield self._one("exported_series", exported)
        yield self._one("series_budget", view.series_budget)
        for family, count in self._dropped.items():
            yield self._one("dropped_series_total", count, PREFIX + family)

    # ------------------------------------------------------------------------------------------------- the bytes

    def _one(self, name: str, value: float, *labels: str) -> Sample:
        return name, self._labelled(name, *labels) + number(value)

    def _labelled(self, name: str, *labels: str) -> str:
        known = self._prefixes.get((name, *labels))
        if known is None:
            known = self._prefixes[name, *labels] = prefix(self._namespace, name, labels)
        return known

    def _assemble(self, body: Mapping[str, list[str]]) -> tuple[bytes, bytes]:
        text, openmetrics = [], []
        for family in FAMILIES:
            if lines := body[family.name]:
                samples = "\n".join(lines).encode("utf-8", "replace") + b"\n"
                text += [HEADERS[family.name], samples]
                openmetrics += [OPENMETRICS_HEADERS[family.name], samples]
        if self._process is not None:
            own_text, own_openmetrics = process_metrics(self._process)
            text.append(own_text)
            openmetrics.append(own_openmetrics)
        return b"".join(text), b"".join([*openmetrics, b"# EOF\n"])


def _series(view: View) -> Iterable[list[WindowView]]:
    """The windows of each series (model, version, segment), in the order in which series go out."""
    groups: dict[SeriesKey, dict[tuple[str, Kind], WindowView]] = {}
    for window in view.windows:
        groups.setdefault(window.key.series, {})[window.key.window, window.kind] = window

    def place(series: SeriesKey) -> tuple[bool, int, SeriesKey]:
        return series.segment != "all", -max(w.key.end_ms for w in groups[series].values()), series

    for series in sorted(groups, key=place):
        yield [window for _, window in sorted(groups[series].items())]


class WindowLabels:
    """The label strings of one series' window, by metric, built when the metric is first seen."""

    __slots__ = ("_base", "_counts", "_kind", "_metrics", "_namespace", "_outlook")

    def __init__(self, namespace: str, series: SeriesKey, window: str, kind: Kind) -> None:
        self._namespace, self._kind = namespace, kind
        self._base = base = (*_key(series), window)
        self._metrics: dict[str, tuple[str, ...]] = {}
        self._outlook: dict[tuple[str, ...], str] = {}
        names = (
            ("input_samples",) if kind is Kind.INPUT else ("quality_samples", "quality_seen", "quality_coverage_ratio")
        )
        self._counts = {name: prefix(namespace, name, base) for name in names}
        if series.segment == "all":
            end = (series.model, series.version, window, kind)
            for name in ("window_end_timestamp_seconds", "window_partial"):
                self._counts[name] = prefix(namespace, name, end)

    def write(self, view: WindowView, out: list[Sample]) -> None:
        """Append the samples of the window. Undefined metrics have none."""
        values: dict[str, float | None] = {
            "input_samples": view.seen,
            "quality_seen": view.seen,
            "quality_samples": view.labelled,
            "quality_coverage_ratio": view.coverage,
            "window_end_timestamp_seconds": seconds(view.key.end_ms),
            "window_partial": int(view.partial),
        }
        for name, start in self._counts.items():
            value = values[name]
            if value is not None:
                out.append((name, start + number(value)))
        write = self._performance if self._kind is Kind.PERFORMANCE else self._input
        write(view, out)
        if view.outlook is not None:
            self._ahead(view, view.outlook, out)

    def _ahead(self, view: WindowView, outlook: Outlook, out: list[Sample]) -> None:
        """What is to be expected of the window; what is not known is absent."""
        values: dict[tuple[str, ...], float | None] = {
            ("quality_coverage_expected_ratio", *self._base): outlook.expected_coverage
        }
        until_ms = outlook.settled_until_ms(view)
        if until_ms is not None and view.key.series.segment == "all":
            model, version, _, window = self._base
            values["quality_settled_until_timestamp_seconds", model, version, window] = seconds(until_ms)
        for basis, metrics in zip(BASES, (outlook.completed, outlook.unlabelled), strict=True):
            for metric, estimate in metrics.items():
                values["quality_estimate", *self._base, metric, basis] = estimate.value
        for metric, ends in outlook.bounds.items():
            for name, end in zip(("lower", "upper"), ends, strict=True):
                values["quality_bound", *self._base, metric, name] = end
        for labels, value in values.items():
            if value is not None:
                start = self._outlook.get(labels)
                if start is None:
                    start = self._outlook[labels] = prefix(self._namespace, labels[0], labels[1:])
                out.append((labels[0], start + number(value)))

    def _performance(self, view: WindowView, out: list[Sample]) -> None:
        for metric, estimate in view.metrics.items():
            if estimate.value is None:
                continue
            prefixes = self._metrics.get(metric)
            if prefixes is None:
                labels = (*self._base, metric)
                prefixes = self._metrics[metric] = tuple(prefix(self._namespace, name, labels) for name in _SCORE)
            out.append((_SCORE[0], prefixes[0] + number(estimate.value)))
            if estimate.lower is not None and estimate.upper is not None:
                out.append((_SCORE[1], prefixes[1] + number(estimate.lower)))
                out.append((_SCORE[2], prefixes[2] + number(estimate.upper)))

    def _input(self, view: WindowView, out: list[Sample]) -> None:
        for metric, estimate in view.metrics.items():
            method, colon, feature = metric.partition(":")
            if estimate.value is None or not colon:
                continue  # `volume` is input_samples
            of_method = method in DISTANCES or method in DECLARED or method == DEPENDENCE
            name = family_of(metric)
            prefixes = self._metrics.get(metric)
            if prefixes is None:
                labels = (*self._base, feature, *((method,) if of_method else ()))
                prefixes = self._metrics[metric] = (prefix(self._namespace, name, labels),)
            out.append((name, prefixes[0] + number(estimate.value)))


_SCORE = ("quality_score", "quality_score_lower", "quality_score_upper")


def _key(series: SeriesKey) -> tuple[str, str, str]:
    return series.model, series.version, series.segment


def _in(counts: Mapping[str, Mapping[str, int]], first: str, second: str) -> int:
    return counts.get(first, {}).get(second, 0)
