"""Alerts as the pipelines read them: CloudEvents from a topic or a file, and which of them fire now.

Known is the published schema only (`urn:driftline:schema:alert:v1`); fields that are not needed are not looked at, so that a
newer monitor can add some. What an alert is about decides what may follow from it, and that is read from its metric:
`recall` and `recall:cat` need labels and are about performance; `psi:hour` and `ks:$score` are drift, and so is what no label
says how right the model is in (`prevalence`, `unlabelled:recall`); everything else about an input, and volume, is quality of
data. What is not known is taken for quality: it blocks, it never trains. An event that says itself what it is about
(`about: data_quality`) is taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

SCHEMA: Final = "urn:driftline:schema:alert:v1"


class Kind(StrEnum):
    """What an alert is about."""

    PERFORMANCE = "performance"  # labels came, and the model is wrong more often
    DRIFT = "drift"  # inputs or scores are distributed differently
    DATA_QUALITY = "data_quality"  # the data is broken: training on it would make it worse
    LABELS = "labels"  # the labels are late or few: they cannot be trained on
    OPERATIONAL = "operational"  # the daemon: no concern of a model


class Firing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """An alert that fires: one episode of one fingerprint. `model` is None where every model is concerned."""

    fingerprint: str
    episode: str
    kind: Kind
    model: str | None
    version: str | None
    segment: str | None
    name: str  # of the rule or condition
    metric: str | None
    fired_ms: int
    summary: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no alert of the known schema. `number` counts from 1."""

    number: int
    why: str


_DISTANCES: Final = frozenset(
    {"psi", "ks", "psi_corrected", "js", "hellinger", "tvd", "linf", "chi_square", "wasserstein", "dependence"}
)
_LABEL_METRICS: Final = frozenset({"coverage", "labelled"})
_PERFORMANCE: Final = frozenset(
    {
        *(
            "accuracy",
            "balanced_accuracy",
            "precision",
            "recall",
            "f1",
            "f0_5",
            "f2",
            "specificity",
            "npv",
            "fpr",
            "g_mean",
        ),
        *(
            "mcc",
            "kappa",
            "log_loss",
            "brier",
            "ece",
            "rmsce",
            "mce",
            "roc_auc",
            "gini",
            "ks_classes",
            "average_precision",
        ),
        *(f"{name}_{how}" for name in ("precision", "recall", "f1") for how in ("macro", "micro", "weighted")),
        *("top2_accuracy", "top3_accuracy", "top5_accuracy", "roc_auc_macro", "cost"),
        *(
            "bias",
            "mae",
            "mse",
            "rmse",
            "r2",
            "explained_variance",
            "correlation",
            "mape",
            "rmsle",
            "median_ae",
            "max_error",
        ),
        *("error_p05", "error_p50", "error_p95", "pinball_0_1", "pinball_0_9", "at_or_below", "overflow"),
    }
)
"""Metrics of labelled predictions; of one class as `NAME:CLASS`, and as `completed:NAME` where late labels are allowed for."""
_CONDITIONS: Final = {
    "label-feed-stalled": Kind.LABELS,
    "label-feed-slow": Kind.LABELS,
    "dead-letter-flood": Kind.DATA_QUALITY,
}


class _Evidence(msgspec.Struct):
    metric: str


class _Rule(msgspec.Struct, tag_field="category", tag="rule"):
    fingerprint: str
    episode: str
    state: str
    latest: bool
    summary: str
    rule: str
    model: str
    version: str
    segment: str
    tick_ms: int
    fired_ms: int
    evidence: _Evidence | None
    about: str | None = None


class _Operational(msgspec.Struct, tag_field="category", tag="operational"):
    fingerprint: str
    episode: str
    state: str
    latest: bool
    summary: str
    condition: str
    tick_ms: int
    fired_ms: int
    about: str | None = None
    facts: dict[str, Any] = {}


class _Cause(msgspec.Struct):
    area: str
    listed: bool = False


class _Budget(msgspec.Struct, tag_field="category", tag="budget"):
    fingerprint: str
    episode: str
    state: str
    latest: bool
    summary: str
    rule: str
    model: str
    version: str
    segment: str
    tick_ms: int
    fired_ms: int
    causes: list[_Cause]


class _Advisory(msgspec.Struct, tag_field="category", tag="advisory"):
    """Advice: nothing follows from it."""


_AREAS: Final = {"performance": Kind.PERFORMANCE, "predictions": Kind.DRIFT, "features": Kind.DRIFT}
"""What a cause of a budget's alarm is about; anything else is quality of data."""


class _Event(msgspec.Struct):
    dataschema: str
    data: _Rule | _Operational | _Budget | _Advisory
    id: str = ""


_decoder: Final = msgspec.json.Decoder(_Event)


def firing(events: Iterable[bytes]) -> tuple[tuple[Firing, ...], tuple[Unreadable, ...]]:
    """What fires now, in order, and what could not be read. Events may come in any order, and more than once."""
    newest: dict[str, tuple[tuple[int, int, int], _Rule | _Operational | _Budget]] = {}
    unreadable = []
    for number, raw in enumerate(events, 1):
        if not raw.strip():
            continue
        try:
            event = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            unreadable.append(Unreadable(number, str(error)))
            continue
        if event.dataschema != SCHEMA:
            unreadable.append(Unreadable(number, f"its dataschema is {event.dataschema!r}, known is {SCHEMA!r}"))
            continue
        data = event.data
        if isinstance(data, _Advisory):
            continue
        # Of two events at one tick the one that resolves is the later: an episode fires before it ends.
        rank = (data.fired_ms, data.tick_ms, data.state == "resolved")
        if data.latest and (data.fingerprint not in newest or newest[data.fingerprint][0] <= rank):
            newest[data.fingerprint] = (rank, data)
    found = (_firing(data) for _, data in newest.values() if data.state == "firing")
    return tuple(sorted(found, key=_order)), tuple(unreadable)


def by_event(events: Iterable[bytes]) -> dict[str, Firing]:
    """What each event tells of, by its id, whether it fires or is over. What cannot be read is left out."""
    found = {}
    for raw in events:
        try:
            event = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if event.dataschema == SCHEMA and event.id and not isinstance(event.data, _Advisory):
            found[event.id] = _firing(event.data)
    return found


def _firing(data: _Rule | _Operational | _Budget) -> Firing:
    common: dict[str, Any] = {
        "fingerprint": data.fingerprint,
        "episode": data.episode,
        "fired_ms": data.fired_ms,
        "summary": data.summary,
    }
    if isinstance(data, _Operational):
        kind = (
            Kind.DATA_QUALITY if data.about == Kind.DATA_QUALITY else _CONDITIONS.get(data.condition, Kind.OPERATIONAL)
        )
        model = data.facts.get("model")
        return Firing(
            **common,
            kind=kind,
            model=model if isinstance(model, str) else None,
            version=None,
            segment=None,
            name=data.condition,
            metric=None,
        )
    if isinstance(data, _Budget):
        metric, kind = None, _kind_of_causes(data.causes)
    else:
        metric = None if data.evidence is None else data.evidence.metric
        kind = Kind.DATA_QUALITY if data.about == Kind.DATA_QUALITY else kind_of(metric)
    return Firing(
        **common,
        kind=kind,
        model=data.model,
        version=data.version,
        segment=data.segment,
        name=data.rule,
        metric=metric,
    )


def _kind_of_causes(causes: list[_Cause]) -> Kind:
    """What a budget's alarm is about: its leading cause, but broken data wherever they are listed beside it."""
    told = [_AREAS.get(cause.area, Kind.DATA_QUALITY) for cause in causes if cause.listed or cause is causes[0]]
    return Kind.DATA_QUALITY if not told or Kind.DATA_QUALITY in told else told[0]


def kind_of(metric: str | None) -> Kind:
    """What a metric is about. None (the rule is gone) and what nobody knows are taken for quality of data."""
    head, colon, _ = (metric or "").partition(":")
    if head in (_DISTANCES if colon else {"prevalence"}) or (head == "unlabelled" and colon):
        return Kind.DRIFT
    if metric in _LABEL_METRICS:
        return Kind.LABELS
    known = head in _PERFORMANCE or (head == "completed" and colon)
    return Kind.PERFORMANCE if known else Kind.DATA_QUALITY


def concerning(alerts: Iterable[Firing], model: str) -> Iterator[Firing]:
    """The alerts about one model, and those about all."""
    return (alert for alert in alerts if alert.model in (None, model))


def _order(alert: Firing) -> tuple[int, str]:
    return alert.fired_ms, alert.fingerprint
