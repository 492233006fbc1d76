"""Events into records and back: identity, canonical bytes, topics.

`alerts` gets every event. `alerts.state` is compacted and holds, per fingerprint, the newest event about the newest
episode: a new subscriber reads it from the beginning and knows what is firing. A resolved alert stays there as
resolved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from monitor.alerts.decision import Decision
from monitor.alerts.event import (
    ABOUT_DATA,
    TYPES,
    About,
    AdvisoryAlert,
    AlertEvent,
    Amends,
    BudgetAlert,
    BudgetCause,
    Change,
    CitedWindow,
    Evidence,
    OperationalAlert,
    Reason,
    RuleAlert,
    Severity,
    Standing,
    rfc3339,
)
from monitor.alerts.fingerprint import budget_fingerprint, event_id, fingerprint, operational_fingerprint
from monitor.alerts.rules import Test, measure
from monitor.alerts.state import AlertKey, Citation, Episode
from monitor.alerts.watching import Alarm, largest
from monitor.config.budget import Budget
from monitor.config.durations import format_duration
from monitor.config.metric_names import DECLARED
from monitor.config.quality_rules import PREFIX as QUALITY
from monitor.config.rules import Rule
from monitor.drift.budget import Area
from monitor.drift.edetector import Cause
from monitor.editions import LASTING
from monitor.events import Headers
from monitor.metrics import intervals
from monitor.ports import OutRecord
from monitor.windows.canonical import FormatError, canonical_bytes, rounded
from monitor.windows.view import Kind, SeriesKey, WindowView

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json")
"""Header that marks a record as a CloudEvent in structured mode."""

MOST_CAUSES: Final = 10
"""Causes of a budget's alarm that an event tells."""
LEAST_SHARE: Final = 0.01
"""Of the evidence: causes with less are told when they are listed only."""

_PER_NAMESPACE: Final = ("id", "source", "partitionkey")
_PER_NAMESPACE_DATA: Final = ("fingerprint", "episode")

_decoder = msgspec.json.Decoder(AlertEvent)


def rule_event(
    namespace: str,
    rule: Rule,
    labels: Mapping[str, str],
    key: AlertKey,
    change: Change,
    decision: Decision,
    episode: Episode | None,
    *,
    since_ms: int,
    tick_ms: int,
    latest: bool = True,
    citation: Citation | None = None,
) -> AlertEvent:
    """The event of a decision to fire (`episode` None: this event begins it), to resolve, or to amend (`citation`: what
    is amended).

    `decision.view` is the window that was judged (None only when the rule or the version is gone); `labels` are the merged ones.
    """
    print_ = fingerprint(namespace, key.rule, key.series)
    id_ = event_id(print_, tick_ms, change, citation.event if citation is not None else "")
    if episode is None:
        episode = Episode(id_, since_ms, tick_ms)
    series = key.series
    test = citation.test if citation is not None else Test.of(rule)
    evidence = None if decision.view is None else evidence_of(test, decision.view)
    data = RuleAlert(
        fingerprint=print_,
        episode=episode.id,
        state=Standing.FIRING if episode.resolved_ms is None else Standing.RESOLVED,
        latest=latest,
        reason=decision.reason,
        summary=_summary(change, decision.reason, key, evidence) + _cleared(change, rule, evidence),
        about=ABOUT_DATA if key.rule.startswith(QUALITY) or (evidence and evidence.violations) else UNSET,
        severity=rule.severity,
        labels=dict(labels),
        rule=key.rule,
        model=series.model,
        version=series.version,
        segment=series.segment,
        tick_ms=tick_ms,
        since_ms=episode.since_ms,
        fired_ms=episode.fired_ms,
        resolved_ms=episode.resolved_ms,
        evidence=evidence,
        amends=None if citation is None else Amends(event=citation.event, value=citation.value, broken=citation.broken),
    )
    subject = (series.model, series.version, series.segment, key.rule)
    return enveloped(namespace, id_, change, subject, tick_ms, data)


def operational_event(
    namespace: str,
    condition: str,
    scope: str,
    standing: Standing,
    *,
    at_ms: int,
    fired_ms: int,
    severity: Severity,
    summary: str,
    facts: Mapping[str, int | str],
    labels: Mapping[str, str],
    about: About | UnsetType = UNSET,
) -> AlertEvent:
    """An alert about the daemon itself, from a decision that somebody recorded.

    `condition` is a bounded name (`label-feed-stalled`, `dead-letter-flood`, `join-full`), `scope` says of what
    (`labels`, `partition/3`, `model/fraud`). `at_ms` is the time that the decision was recorded with, never a clock's;
    `fired_ms` the same of the decision that began the episode, so equal to `at_ms` when it fires. `facts` must not hold
    ids or feature values.
    """
    print_ = operational_fingerprint(namespace, condition, scope)
    data = OperationalAlert(
        fingerprint=print_,
        episode=event_id(print_, fired_ms, Change.FIRING),
        state=standing,
        latest=True,
        reason=Reason.DECIDED,
        summary=summary,
        severity=severity,
        labels=dict(labels),
        condition=condition,
        scope=scope,
        tick_ms=at_ms,
        fired_ms=fired_ms,
        resolved_ms=None if standing is Standing.FIRING else at_ms,
        about=about,
        facts=dict(facts),
    )
    change = Change(standing)
    return enveloped(namespace, event_id(print_, at_ms, change), change, (condition, scope), at_ms, data)


def budget_event(
    namespace: str,
    series: SeriesKey,
    kind: Kind,
    alarm: Alarm,
    reason: Reason,
    standing: Standing,
    *,
    fired_ms: int,
    tick_ms: int,
    alarms: int,
    budget: Budget,
    labels: Mapping[str, str],
    config: str,
    edition: int,
) -> AlertEvent:
    """The event of an alarm of the false-alarm budget that begins an alert, or of the end of that alert."""
    print_ = budget_fingerprint(namespace, kind, series)
    told = [_cause(*one) for one in largest(alarm, MOST_CAUSES, LEAST_SHARE if edition >= LASTING else 0.0)]
    data = BudgetAlert(
        fingerprint=print_,
        episode=event_id(print_, fired_ms, Change.FIRING),
        state=standing,
        latest=True,
        reason=reason,
        summary=_budget_summary(series, kind, alarm, standing, told, budget),
        severity="page" if alarm.pages else "ticket",
        labels=dict(labels),
        rule=f"budget-{kind}",
        kind=kind,
        model=series.model,
        version=series.version,
        segment=series.segment,
        tick_ms=tick_ms,
        since_ms=alarm.began_ms,
        fired_ms=fired_ms,
        resolved_ms=None if standing is Standing.FIRING else tick_ms,
        alarms=alarms,
        log_evidence=rounded(alarm.log_evidence),
        false_pages=budget.false_pages,
        per_ms=budget.per_ms,
        every_ms=budget.every_ms,
        causes=told,
        config=config,
    )
    change = Change(standing)
    subject = (series.model, series.version, series.segment, data.rule)
    return enveloped(namespace, event_id(print_, tick_ms, change), change, subject, tick_ms, data)


def _cause(cause: Cause, area: Area, since_ms: int) -> BudgetCause:
    effective = max(int(cause.rows / cause.dispersion), 1)
    hits = np.array([round(cause.mean * effective)], np.int64)
    lower, upper = intervals.wilson(hits, np.array([effective], np.int64))
    return BudgetCause(
        channel=cause.channel,
        area=str(area),
        question=cause.functional,
        share=rounded(cause.share),
        log_evidence=rounded(cause.log_evidence),
        listed=cause.listed,
        since_ms=since_ms,
        mean=rounded(cause.mean),
        lower=rounded(float(lower[0])),
        upper=rounded(float(upper[0])),
        rows=cause.rows,
        reference=rounded(cause.reference),
        limit=rounded(cause.limit),
        dispersion=rounded(cause.dispersion),
    )


def _budget_summary(
    series: SeriesKey, kind: Kind, alarm: Alarm, standing: Standing, told: Sequence[BudgetCause], budget: Budget
) -> str:
    whose = f"budget-{kind} {standing}: {series.model} {series.version}"
    if standing is Standing.RESOLVED:
        return f"{whose}: no further alarm"
    first = told[0]
    return (
        f"{whose}: {first.channel}, {first.question}: {first.mean:.4g} since {rfc3339(first.since_ms)}, was "
        f"{first.reference:.4g} (limit {first.limit:.4g}), on {first.rows} rows; evidence e^{alarm.log_evidence:.1f} within "
        f"a budget of {budget.false_pages:g} false alarms in {format_duration(budget.per_ms)}"
    )


def evidence_of(test: Test, view: WindowView) -> Evidence:
    """What the test saw in the window, in the digits in which it is published and compared."""
    estimate = measure(view, test.metric)
    performance = view.kind is Kind.PERFORMANCE
    feature = judged_feature(test.metric)
    violations = violations_of(feature, view.counts) if feature is not None else {}
    return Evidence(
        metric=test.metric,
        value=_rounded(estimate.value),
        undefined=estimate.undefined,
        lower=_rounded(estimate.lower),
        upper=_rounded(estimate.upper),
        op=test.op,
        threshold=test.threshold,
        broken=test.broken_by(estimate),
        rows=estimate.rows,
        seen=view.seen,
        labelled=view.labelled,
        coverage=_rounded(view.coverage) if performance else None,
        counts=dict(view.counts) if performance else {},
        feature=feature if feature is not None and violations else UNSET,
        violations=violations or UNSET,
        window=cited(view),
        config=view.config_digest,
        reference=view.reference_digest,
    )


def cited(view: WindowView) -> CitedWindow:
    """A window as an event names it."""
    return CitedWindow(
        name=view.key.window,
        kind=view.kind,
        start_ms=view.key.start_ms,
        end_ms=view.key.end_ms,
        revision=view.revision,
        final=view.final,
    )


def judged_feature(metric: str) -> str | None:
    """The feature whose quality a metric is about; None for other metrics."""
    check, _, feature = metric.partition(":")
    return feature if feature and (check == "missing" or check in DECLARED) else None


def violations_of(feature: str, counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of a window that are about a feature's quality, by kind; empty where nothing is declared of it."""
    named = (name.partition(":") for name in counts)
    return {kind: counts[f"{kind}:{about}"] for kind, _, about in named if about == feature}


def encode(event: AlertEvent) -> bytes:
    """The canonical value: structured JSON, every field present, `null` where there is nothing."""
    return canonical_bytes(msgspec.to_builtins(event))


def parse(value: bytes) -> AlertEvent:
    """The event that `value` holds. Raises FormatError for anything else."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "Is this the alerts topic of a driftline deployment no newer than this code?"
        raise FormatError("an alert", str(error), hint) from error


def records(event: AlertEvent, alerts: str, alerts_state: str, headers: Headers = ()) -> list[tuple[str, OutRecord]]:
    """(topic, record) of the events topic and, unless the event is about an older episode, of the compacted state
    topic.

    The records carry the log's own time, not event time: a topic's retention would take alerts of a replay at once.
    """
    record = OutRecord(encode(event), event.partitionkey.encode(), [CONTENT_TYPE, *headers])
    return [(topic, record) for topic in ((alerts, alerts_state) if event.data.latest else (alerts,))]


def comparable(value: bytes) -> bytes:
    """The event without what names the deployment, to compare runs under different namespaces: `id`, `source`,
    `partitionkey`, `data.fingerprint`, `data.episode`, `data.amends.event`, `data.group.id` and the episodes of its members
    are left out. Deduplicate by `id` first."""
    document: dict[str, Any] = msgspec.json.decode(value)
    data: dict[str, Any] = document["data"]
    kept = {name: field for name, field in data.items() if name not in _PER_NAMESPACE_DATA}
    if kept.get("amends"):
        kept["amends"] = {name: field for name, field in kept["amends"].items() if name != "event"}
    if group := kept.get("group"):
        members = [{name: field for name, field in one.items() if name != "episode"} for one in group["members"]]
        kept["group"] = {name: field for name, field in group.items() if name != "id"} | {"members": members}
    return canonical_bytes({n: f for n, f in document.items() if n not in _PER_NAMESPACE} | {"data": kept})


def enveloped(
    namespace: str,
    id_: str,
    change: Change,
    subject: tuple[str, ...],
    at_ms: int,
    data: RuleAlert | OperationalAlert | BudgetAlert | AdvisoryAlert,
) -> AlertEvent:
    """The CloudEvent that carries an alert."""
    return AlertEvent(
        id=id_,
        source=f"driftline/{quote(namespace, safe='')}",
        type=TYPES[change],
        subject="/".join(quote(part, safe="=") for part in subject),
        time=rfc3339(at_ms),
        partitionkey=data.fingerprint,
        data=data,
    )


def _summary(change: Change, reason: Reason, key: AlertKey, evidence: Evidence | None) -> str:
    series = key.series
    whose = f"{key.rule} {change} ({reason}): {series.model} {series.version}, segment {series.segment}"
    if evidence is None:
        return whose
    said = "undefined" if evidence.value is None else f"{evidence.value:.4g}"
    verdict = {True: f"is {evidence.op}", False: f"is not {evidence.op}", None: f"was to be {evidence.op}"}[
        evidence.broken
    ]
    if evidence.violations:
        wrong = ", ".join(f"{kind} {n}" for kind, n in evidence.violations.items() if n) or "none wrong"
        said = f"{said} ({wrong})"
    share = "" if evidence.coverage is None else f", {100 * evidence.coverage:.0f} % labelled"
    return (
        f"{whose}: {evidence.metric} {said} {verdict} {evidence.threshold:g} in window {evidence.window.name} "
        f"from {rfc3339(evidence.window.start_ms)} on {evidence.rows} rows{share}"
    )


def _cleared(change: Change, rule: Rule, evidence: Evidence | None) -> str:
    """That an alert ended where the rule clears, which is not where it begins to break."""
    if change is not Change.RESOLVED or rule.clear is None or evidence is None:
        return ""
    return f"; it clears at {rule.clear:g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)
