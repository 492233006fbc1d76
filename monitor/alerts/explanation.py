"""Why an alert fired, from the windows that are there: which segments became worse, or only more frequent, and which bins
moved.

A window is compared with those of its own series before it that could be judged and did not break the rule. All numbers
are of integer counts, so who decides again says the same. Sources: Kitagawa (1955) and Oaxaca (1973) for the split; the
search is for worsening, not for high error, and small segments are drawn to the model's own rate.

Slices of two segments are another search (`explained_crossed`). Not done: features without segments, for which rows are needed
and windows have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import numpy as np

from monitor.alerts.explained import Bin, Crossed, Explanation, MeanSlice, Slice, Split
from monitor.alerts.explained_crossed import DRAWN, LEAST_Z, crossed_slices, expected_of
from monitor.alerts.explained_means import Both, has_means, lot_of, means_of, metric_of, slice_of, split_of, worse_of
from monitor.alerts.rules import ALL, Test, kind_of, measure
from monitor.alerts.standstill import is_mature
from monitor.config.metric_names import DISTANCES
from monitor.config.rules import Rule
from monitor.drift.checked import CheckedCategorical, CheckedNumeric, of_base
from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.windows.canonical import rounded
from monitor.windows.crossed import Combination, Errors
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

MOST_SLICES: Final = 5
MOST_BINS: Final = 3


class Windows(Protocol):
    """The windows that are held at the end of a tick."""

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        """Those of a series and configured name, by start."""

    def segments(self, series: SeriesKey, kind: Kind) -> Sequence[SeriesKey]:
        """The segments of the same model and version."""

    def cells(self, key: WindowKey, kind: Kind) -> Int64s | None:
        """The sums of a window that is not final."""

    def combinations(self, series: SeriesKey, window: str, starts: Iterable[int]) -> Mapping[Combination, Errors]:
        """Labelled rows and errors of windows of labelled rows, by combination of segments; nothing where none are kept."""


def explain(
    rule: Rule, view: WindowView, windows: Windows, mature: Callable[[WindowView], bool], plan: ModelPlan
) -> Explanation | None:
    """Why the window broke the rule; None where nothing can be said. `mature`: whether the rule may judge a window."""
    if kind_of(rule.metric) is Kind.INPUT:
        bins = _bins(rule.metric, windows.cells(view.key, view.kind), plan)
        return _explanation((), (0, 0), (0, 0), bins=bins) if bins else None
    counted, means = errors_of(view) is not None, has_means(rule, view)
    if not (counted or means) or view.key.series.segment != ALL:
        return None
    test, key = Test.of(rule), view.key
    held = sorted(windows.held(key.series, key.window, view.kind).items())
    earlier = (one for _, one in held if one.key.end_ms <= key.start_ms)
    before = [one for one in earlier if mature(one) and test.broken_by(measure(one, rule.metric)) is False]
    if means:
        return _compared_means(rule, view, before, windows)
    return _compared(key.series, key.window, [view], before, windows)


def explain_since(series: SeriesKey, since_ms: int, window: str, windows: Windows) -> Explanation | None:
    """What changed since then, out of the windows of this name that hardly wait for labels any more and lost nothing; None
    where nothing can be said. For alarms, which are not about a window. Of sliding windows those that do not overlap are taken,
    the newest first: no row counts twice."""
    held = sorted(windows.held(series, window, Kind.PERFORMANCE).items())
    mature = _apart([v for _, v in held if not v.partial and (v.final or is_mature(v.seen, v.labelled))])
    now = [view for view in mature if view.key.end_ms > since_ms]
    before = [view for view in mature if view.key.end_ms <= since_ms]
    return _compared(series, window, now, before, windows)


def _apart(views: Sequence[WindowView]) -> list[WindowView]:
    """Of windows, oldest first, those that do not overlap a newer one that is taken."""
    taken: list[WindowView] = []
    for view in reversed(views):
        if not taken or view.key.end_ms <= taken[-1].key.start_ms:
            taken.append(view)
    return taken[::-1]


def _compared(
    series: SeriesKey, window: str, now: Sequence[WindowView], before: Sequence[WindowView], windows: Windows
) -> Explanation | None:
    """Errors in some windows against those in others, by segment."""
    current, past = _sum(now), _sum(before)
    if not current[0] or not past[0]:
        return None
    segments: dict[str, dict[str, tuple[Errors, Errors]]] = {}
    for dimension, name, own_now, own_before in _segments(series, window, now, before, windows):
        segments.setdefault(dimension, {})[name] = _sum(own_now), _sum(own_before)
    splits = [_split(name, list(parts.values())) for name, parts in sorted(segments.items())]
    slices = [one for parts in segments.values() for name, both in parts.items() if (one := _slice(name, both, past))]
    said = _explanation(before, current, past, splits=splits, slices=slices)
    both = _crossed(series, window, (now, current), (before, past), windows)
    return said if both is None else msgspec.structs.replace(said, crossed=both)


def _crossed(
    series: SeriesKey,
    window: str,
    now: tuple[Sequence[WindowView], Errors],
    before: tuple[Sequence[WindowView], Errors],
    windows: Windows,
) -> Crossed | None:
    """What slices of two segments say; None where the combinations that are kept are not all of the windows' rows: nothing was
    kept when they began."""
    current, past = (windows.combinations(series, window, [v.key.start_ms for v in side]) for side, _ in (now, before))
    for side, (_, whole) in ((current, now), (past, before)):
        if (sum(rows for rows, _ in side.values()), sum(errors for _, errors in side.values())) != whole:
            return None
    slices, searched = crossed_slices(current, past)
    return Crossed(searched=searched, slices=slices)


def _compared_means(rule: Rule, view: WindowView, before: Sequence[WindowView], windows: Windows) -> Explanation | None:
    """The mean error of a regression model, or its bias, against that of the windows before, by segment."""
    metric, worse, series = metric_of(rule), worse_of(rule), view.key.series
    current, past = lot_of([view], metric), lot_of(before, metric)
    if not current.rows or not past.rows:
        return None
    parts: dict[str, list[Both]] = {}
    found: list[MeanSlice] = []
    for dimension, name, own_now, own_before in _segments(series, view.key.window, [view], before, windows):
        both = lot_of(own_now, metric), lot_of(own_before, metric)
        parts.setdefault(dimension, []).append(both)
        one = slice_of(name, both, past, worse=worse, drawn=DRAWN)
        found += [one] if one is not None and one.z >= LEAST_Z else []
    slices = sorted(found, key=lambda one: (-one.z, one.segment))[:MOST_SLICES]
    splits = sorted(
        (split_of(name, each) for name, each in parts.items()), key=lambda one: (-worse * one.harm, one.feature)
    )
    said = _explanation(before, (current.rows, 0), (past.rows, 0))
    return msgspec.structs.replace(said, splits=splits, means=means_of(metric, current, past, slices))


def _segments(
    series: SeriesKey, window: str, now: Sequence[WindowView], before: Sequence[WindowView], windows: Windows
) -> Iterator[tuple[str, str, list[WindowView], list[WindowView]]]:
    """Of each segment its dimension, its name, and its windows at the same times."""
    ends = tuple({view.key.start_ms for view in side} for side in (now, before))
    for own in windows.segments(series, Kind.PERFORMANCE):
        held = windows.held(own, window, Kind.PERFORMANCE)
        both = [[held[start] for start in sorted(starts) if start in held] for starts in ends]
        dimension, _, _ = own.segment.partition("=")
        yield dimension, own.segment, both[0], both[1]


def errors_of(view: WindowView) -> Errors | None:
    """Labelled rows and errors of a window; None of a task that counts none."""
    counts = view.counts
    if "tp" in counts:
        return view.labelled, counts["fp"] + counts["fn"]
    named = [name.split(":") for name in counts if name.startswith("confusion:")]
    if not named:
        return None
    right = sum(counts[":".join(parts)] for parts in named if parts[1] == parts[-1] and len(parts) == 3)
    return view.labelled, view.labelled - right


def _explanation(
    before: Sequence[WindowView],
    now: Errors,
    whole: Errors,
    splits: Iterable[Split] = (),
    slices: Iterable[Slice] = (),
    bins: Iterable[Bin] = (),
) -> Explanation:
    return Explanation(
        before_start_ms=before[0].key.start_ms if before else 0,
        before_end_ms=before[-1].key.end_ms if before else 0,
        before_windows=len(before),
        rows=now[0],
        errors=now[1],
        before_rows=whole[0],
        before_errors=whole[1],
        splits=sorted(splits, key=lambda split: (-split.harm, split.feature)),
        slices=sorted(slices, key=lambda one: (-one.z, one.segment))[:MOST_SLICES],
        bins=list(bins),
    )


def _sum(views: Iterable[WindowView]) -> Errors:
    rows = errors = 0
    for view in views:
        own = errors_of(view)
        if own is not None:
            rows, errors = rows + own[0], errors + own[1]
    return rows, errors


def _split(feature: str, parts: Sequence[tuple[Errors, Errors]]) -> Split:
    """Kitagawa's split over the values of a feature. A value that is missing on one side has the other's rate there."""
    now_rows = max(sum(now[0] for now, _ in parts), 1)
    before_rows = max(sum(before[0] for _, before in parts), 1)
    mix = within = harm = 0.0
    for now, before in parts:
        q, p = now[0] / now_rows, before[0] / before_rows
        rate, was = _rate(now, before), _rate(before, now)
        mix += (q - p) * (rate + was) / 2.0
        within += (q + p) / 2.0 * (rate - was)
        harm += (q - p) * was
    return Split(feature=feature, mix=rounded(mix), within=rounded(within), harm=rounded(harm))


def _rate(own: Errors, other: Errors) -> float:
    rows, errors = own if own[0] else other
    return errors / rows if rows else 0.0


def _slice(segment: str, both: tuple[Errors, Errors], whole: Errors) -> Slice | None:
    (rows, errors), (before_rows, before_errors) = both
    if not rows:
        return None
    expected = expected_of((rows, errors), (before_rows, before_errors), whole)
    if expected.z < LEAST_Z:
        return None
    return Slice(
        segment=segment,
        rows=rows,
        errors=errors,
        before_rows=before_rows,
        before_errors=before_errors,
        expected=rounded(expected.rate),
        z=rounded(expected.z),
        excess=rounded(errors - rows * expected.rate),
    )


def _bins(metric: str, cells: Int64s | None, plan: ModelPlan) -> list[Bin]:
    """The bins of a feature that moved most against the reference; none for other metrics than distances."""
    method, _, name = metric.partition(":")
    reference = plan.reference
    watched = [*plan.features, *([plan.score] if plan.score is not None else [])]
    feature = next((one for one in watched if one.name == name), None)
    if method not in DISTANCES or cells is None or reference is None or feature is None:
        return []
    counts = cells[feature.start : feature.start + feature.binning.bins]
    if isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
        counts = of_base(feature.binning, counts[np.newaxis])[0]
    was = np.asarray(reference.features[name].reference)
    if not counts.sum() or not was.sum():
        return []
    share, before = counts / counts.sum(), was / was.sum()
    order = sorted(range(len(counts)), key=lambda i: (-abs(share[i] - before[i]), i))[:MOST_BINS]
    return [
        Bin(bin=feature.base.label(i), share=rounded(float(share[i])), reference=rounded(float(before[i])))
        for i in order
        if share[i] != before[i]
    ]
