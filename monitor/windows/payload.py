"""What a record on the `windows` topic holds: canonical bytes, the key they are upserted under, and how to read them.

The value of a FINAL window depends on the sums of its rows alone: two runs that saw the same rows in another order, cut
into other batches or by more workers write the same bytes. How many revisions led there and at which tick the last one
closed does depend on the order, so a final value leaves `revision` and `tick_ms` out; the record's headers have them
always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from monitor.events import Headers
from monitor.metrics.estimates import CODES, Estimates
from monitor.windows.canonical import FormatError, canonical_bytes, rounded, spelled
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, Undefined, WindowKey, WindowView

FORMAT: Final = 1
"""Version of the value's format. Readers accept this one and older ones and refuse newer ones."""

REVISION_HEADER: Final = "driftline-revision"
TICK_HEADER: Final = "driftline-tick-ms"

Count = Annotated[int, Meta(ge=0)]


class MetricPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A metric of a window: a value with its interval, or `value: null` with the reason. Never 0 instead of a
    reason."""

    value: Annotated[float | None, Meta(description="The estimate, 12 significant digits; null when undefined.")]
    rows: Annotated[Count, Meta(description="The denominator: how many rows the value rests on.")]
    reason: Annotated[Undefined | None, Meta(description="Why there is no value; absent otherwise.")] = None
    lower: Annotated[float | None, Meta(description="Lower end of the 95 % interval; null where none is defined.")] = (
        None
    )
    upper: Annotated[float | None, Meta(description="Upper end of the 95 % interval; null where none is defined.")] = (
        None
    )
    bound: Annotated[
        float | None,
        Meta(description="Largest distance of the value from the exact statistic; 0.0 when it is exact."),
    ] = None


class Assumption(StrEnum):
    """What an estimate takes for granted."""

    NOTHING = "nothing"
    LABELS_COME_AS_BEFORE = "labels_come_as_before"
    SCORES_MEAN_THE_SAME = "scores_mean_the_same"


class RangePayload(msgspec.Struct, frozen=True, kw_only=True):
    """Between which values a metric can end, whatever the missing labels say."""

    lowest: float
    highest: float


class BoundsPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds without any assumption (Manski)."""

    assumes: Assumption
    metrics: dict[str, RangePayload]


class EstimatesPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Estimates of what metrics will be, with the assumption they rest on."""

    assumes: Assumption
    metrics: dict[str, MetricPayload]


class OutlookPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be expected of a window while labels are missing; of a final one the bounds alone. Only where the
    configuration asks for `estimates`."""

    expected_coverage: Annotated[
        float | None, Meta(description="Share that should be labelled by now, as labels usually come.")
    ] = None
    eventual_coverage: Annotated[float | None, Meta(description="Share that will ever be labelled.")] = None
    settled_ms: Annotated[
        int | None, Meta(description="Event time from which 99 % of the labels that ever come have come.")
    ] = None
    bounds: Annotated[
        BoundsPayload | None, Meta(description="Lowest and highest value that metrics can end at; binary models.")
    ] = None
    completed: Annotated[
        EstimatesPayload | None,
        Meta(
            description="Metrics with what later labels said before in place of those that are missing; binary models."
        ),
    ] = None
    unlabelled: Annotated[
        EstimatesPayload | None,
        Meta(
            description="Metrics by what scores meant before, without this window's labels; `residual` is the mean of label "
            "minus chance over its labelled rows. Binary models with scores."
        ),
    ] = None


class WindowPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The latest revision of one window of one series. Upserted: a later record with the same key replaces it."""

    format: Annotated[int, Meta(description="Version of this format.", ge=1)]
    model: str
    version: str
    segment: Annotated[str, Meta(description="`all`, or `dimension=value`.")]
    window: Annotated[str, Meta(description="The window's configured name: `1d`, `24h/1h`, `month`.")]
    start_ms: Annotated[int, Meta(description="Event time, milliseconds since 1970, included.")]
    end_ms: Annotated[int, Meta(description="Event time, milliseconds since 1970, excluded.")]
    kind: Annotated[Kind, Meta(description="`performance` needs labels; `input` (volume, features, scores) does not.")]
    final: Annotated[bool, Meta(description="No record of either topic can change this window any more.")]
    seen: Annotated[Count, Meta(description="Predictions in the window.")]
    labelled: Annotated[Count, Meta(description="Those with their label; 0 in `input` windows.")]
    coverage: Annotated[
        float | None, Meta(description="labelled / seen; null when nothing was seen and in `input` windows.")
    ]
    metrics: dict[str, MetricPayload]
    counts: Annotated[
        dict[str, int],
        Meta(
            description="The integers that the metrics come from; of multiclass models the confusion matrix without zeros, as "
            "`confusion:ACTUAL:PREDICTED`."
        ),
    ]
    config: Annotated[str, Meta(description="Digest of the configuration that the window was computed under.")]
    reference: Annotated[str | None, Meta(description="Digest of the model's reference; null without one.")]
    revision: Annotated[
        int | None, Meta(description="Counts from 1. Absent when final: it depends on the order of arrival.")
    ] = None
    tick_ms: Annotated[
        int | None, Meta(description="End of the tick that closed with this revision. Absent when final.")
    ] = None
    outlook: Annotated[
        OutlookPayload | None,
        Meta(description="What is to be expected while labels are missing; absent unless asked for."),
    ] = None
    partial: Annotated[
        bool,
        Meta(
            description="Records of the window, or labels of its predictions, may have been lost by an operator's decision "
            "(`driftline ledger gap`): no rule judges it. Absent otherwise."
        ),
    ] = False


_decoder = msgspec.json.Decoder(WindowPayload)


def encode(view: WindowView) -> bytes:
    """The canonical value of a revision. Raises ValueError if a metric claims a NaN or an infinity as its value."""
    series = view.key.series
    document: dict[str, Any] = {
        "format": FORMAT,
        "model": series.model,
        "version": series.version,
        "segment": series.segment,
        "window": view.key.window,
        "start_ms": view.key.start_ms,
        "end_ms": view.key.end_ms,
        "kind": str(view.kind),
        "final": view.final,
        "seen": view.seen,
        "labelled": view.labelled,
        "coverage": None if (covered := _covered(view)) is None else rounded(covered),
        "metrics": {name: _metric(estimate) for name, estimate in view.metrics.items()},
        "counts": dict(view.counts),
        "config": view.config_digest,
        "reference": view.reference_digest,
    }
    if not view.final:
        document["revision"] = view.revision
        document["tick_ms"] = view.tick_ms
    if view.outlook is not None:
        document["outlook"] = _outlook(view.outlook)
    if view.partial:
        document["partial"] = True
    return canonical_bytes(document)


class _Defined(msgspec.Struct, gc=False):
    """A metric with a value. Fields here and below stand in the order of canonical JSON; `Any` holds a float, the text
    of one, or None."""

    bound: Any
    lower: Any
    rows: int
    upper: Any
    value: Any


class _Undefined(msgspec.Struct, gc=False):
    reason: str
    rows: int
    value: None = None


class _Document(msgspec.Struct, gc=False):
    config: str
    counts: dict[str, int]
    coverage: Any
    end_ms: int
    final: bool
    format: int
    kind: str
    labelled: int
    metrics: dict[str, _Defined | _Undefined]
    model: str
    outlook: msgspec.Raw | msgspec.UnsetType
    partial: bool | msgspec.UnsetType
    reference: str | None
    revision: int | msgspec.UnsetType
    seen: int
    segment: str
    start_ms: int
    tick_ms: int | msgspec.UnsetType
    version: str
    window: str


_encoder = msgspec.json.Encoder()


def encode_all(views: Sequence[WindowView], metrics: Mapping[str, Estimates]) -> list[bytes]:
    """`encode` of every view, to the byte, without looking at its estimates: `metrics` holds the same as columns."""
    names = sorted(metrics)
    rows = zip(*_metrics([metrics[name] for name in names]), strict=True) if names else [()] * len(views)
    coverage = spelled(np.array([np.nan if (share := _covered(view)) is None else share for view in views]))
    return [
        _encoder.encode(_document(view, share, dict(zip(names, row, strict=True))))
        for view, share, row in zip(views, coverage, rows, strict=True)
    ]


def _document(view: WindowView, coverage: object, metrics: dict[str, _Defined | _Undefined]) -> _Document:
    key, series = view.key, view.key.series
    return _Document(
        config=view.config_digest,
        counts=dict(sorted(view.counts.items())),
        coverage=coverage,
        end_ms=key.end_ms,
        final=view.final,
        format=FORMAT,
        kind=str(view.kind),
        labelled=view.labelled,
        metrics=metrics,
        model=series.model,
        outlook=msgspec.UNSET if view.outlook is None else msgspec.Raw(canonical_bytes(_outlook(view.outlook))),
        partial=view.partial or msgspec.UNSET,
        reference=view.reference_digest,
        revision=msgspec.UNSET if view.final else view.revision,
        seen=view.seen,
        segment=series.segment,
        start_ms=key.start_ms,
        tick_ms=msgspec.UNSET if view.final else view.tick_ms,
        version=series.version,
        window=key.window,
    )


def _metrics(columns: Sequence[Estimates]) -> list[list[_Defined | _Undefined]]:
    """What each window's value says about each metric, a list per metric."""
    # All numbers at once: with a few dozen windows a column is too short to be worth calls of its own.
    numbers = np.array([[column.bound, column.lower, column.upper, column.value] for column in columns])
    runs = iter(spelled(numbers.reshape(-1)))
    windows = len(columns[0])
    return [_column(column, *(list(islice(runs, windows)) for _ in range(4))) for column in columns]


def _column(
    column: Estimates, bounds: list[Any], lowers: list[Any], uppers: list[Any], values: list[Any]
) -> list[_Defined | _Undefined]:
    rows = column.rows.tolist()
    for i in np.flatnonzero(np.isnan(column.lower) | np.isnan(column.upper)).tolist():
        lowers[i] = uppers[i] = None
    found: list[_Defined | _Undefined] = list(map(_Defined, bounds, lowers, rows, uppers, values))
    for i in np.flatnonzero(column.undefined).tolist():
        found[i] = _Undefined(str(CODES[column.undefined[i]]), rows[i])
    return found


def topic_key(key: WindowKey, kind: Kind) -> bytes:
    """The key that revisions of a window share: a JSON array of model, version, segment, window name, start_ms and
    kind."""
    series = key.series
    return canonical_bytes([series.model, series.version, series.segment, key.window, key.start_ms, str(kind)])


def headers(view: WindowView) -> list[tuple[str, bytes]]:
    """Revision and tick of a record, which a final value does not carry. The publisher adds epoch and sequence to
    them."""
    return [(REVISION_HEADER, b"%d" % view.revision), (TICK_HEADER, b"%d" % view.tick_ms)]


def parse(value: bytes, headers: Headers = ()) -> WindowView:
    """The revision that `value` holds. `headers` give revision and tick of a final one; without them both are 0, which
    no revision has. Numbers come back as published, with 12 significant digits.

    Raises FormatError for a newer format and for anything that is no window.
    """
    try:
        # Looked at before the rest is: a newer format may have fields that this code does not know.
        told = msgspec.json.decode(value, type=_Versioned).format
        if told > FORMAT:
            raise FormatError("a window", f"its format is {told}, this code reads up to {FORMAT}", "Upgrade driftline.")
        payload = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("a window", str(error), "Is this the windows topic of a driftline deployment?") from error
    series = SeriesKey(payload.model, payload.version, payload.segment)
    return WindowView(
        key=WindowKey(series, payload.window, payload.start_ms, payload.end_ms),
        kind=payload.kind,
        revision=payload.revision if payload.revision is not None else _header(headers, REVISION_HEADER),
        final=payload.final,
        tick_ms=payload.tick_ms if payload.tick_ms is not None else _header(headers, TICK_HEADER),
        seen=payload.seen,
        labelled=payload.labelled,
        metrics={name: _estimate(metric) for name, metric in payload.metrics.items()},
        counts=payload.counts,
        config_digest=payload.config,
        reference_digest=payload.reference,
        outlook=None if payload.outlook is None else _read_outlook(payload.outlook),
        partial=payload.partial,
    )


def _outlook(outlook: Outlook) -> dict[str, Any]:
    shares = {"expected_coverage": outlook.expected_coverage, "eventual_coverage": outlook.eventual_coverage}
    found: dict[str, Any] = {name: rounded(share) for name, share in shares.items() if share is not None}
    if outlook.settled_ms is not None:
        found["settled_ms"] = outlook.settled_ms
    if outlook.bounds:
        ranges = {
            name: {"lowest": rounded(low), "highest": rounded(high)} for name, (low, high) in outlook.bounds.items()
        }
        found["bounds"] = {"assumes": str(Assumption.NOTHING), "metrics": ranges}
    for name, assumes, metrics in (
        ("completed", Assumption.LABELS_COME_AS_BEFORE, outlook.completed),
        ("unlabelled", Assumption.SCORES_MEAN_THE_SAME, outlook.unlabelled),
    ):
        if metrics:
            of_all = {metric: _metric(estimate) for metric, estimate in metrics.items()}
            found[name] = {"assumes": str(assumes), "metrics": of_all}
    return found


def _read_outlook(told: OutlookPayload) -> Outlook:
    completed, unlabelled = (
        {} if part is None else {name: _estimate(metric) for name, metric in part.metrics.items()}
        for part in (told.completed, told.unlabelled)
    )
    ranges = told.bounds.metrics if told.bounds is not None else {}
    bounds = {name: (both.lowest, both.highest) for name, both in ranges.items()}
    return Outlook(told.expected_coverage, told.eventual_coverage, told.settled_ms, bounds, completed, unlabelled)


class _Versioned(msgspec.Struct):
    format: int


def _covered(view: WindowView) -> float | None:
    return view.coverage if view.kind is Kind.PERFORMANCE else None


def _metric(estimate: Estimate) -> dict[str, Any]:
    if estimate.value is None:
        assert estimate.undefined is not None, "an estimate without a value says why"
        return {"value": None, "reason": str(estimate.undefined), "rows": estimate.rows}
    return {
        "value": rounded(estimate.value),
        "lower": None if estimate.lower is None else rounded(estimate.lower),
        "upper": None if estimate.upper is None else rounded(estimate.upper),
        "bound": rounded(estimate.bound),
        "rows": estimate.rows,
    }


def _estimate(metric: MetricPayload) -> Estimate:
    return Estimate(metric.value, metric.lower, metric.upper, metric.rows, metric.bound or 0.0, metric.reason)


def _header(headers: Sequence[tuple[str, bytes | None]], name: str) -> int:
    return next((int(value) for key, value in headers if key == name and value is not None), 0)
