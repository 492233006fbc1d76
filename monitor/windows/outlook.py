"""What windows that wait for labels may be told: how labels usually come, and what these will probably say.

A book is kept of every version of a binary model: its predictions by *cohort* (spans of event time, about 64 in a
horizon), and of each cohort after which delays its labels came and what they said. A cohort whose windows are
final is *history*, for one to two weeks, or horizons where these are longer; then it is forgotten.

From that follow the delay curve of a model (all its versions: `metrics.delays`) and, by version, what rows like those
that wait turned out to be (`metrics.partial`) and what their scores meant (`metrics.without_labels`).

A cohort of which something was lost (`losses`) is no sample of how labels come: it is left out.

All is a function of the closed ticks. Taken as it is: a prediction was made when the tick was that it came in, if that lies
in its pane; and those of a window that wait do so as the curve says of their ages. Not done: curves by class or score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from monitor.editions import DETAILED, NEWEST
from monitor.events import Float64s, Int64s
from monitor.metrics.delays import DelayCounts, DelayCurve, delay_ends
from monitor.metrics.estimates import Estimates, estimates, first_reason
from monitor.metrics.extremes import area_bounds
from monitor.metrics.foreseen import COARSE_BINS, MATRIX, ForeseenBinary, coarsened
from monitor.metrics.intervals import Z95
from monitor.metrics.partial import Completion, Shared, manski
from monitor.metrics.without_labels import Calibration, estimate
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import Cells
from monitor.windows.arrivals import Arrival
from monitor.windows.losses import IsLost, nothing_lost
from monitor.windows.luck import ALONE, Grid, Past
from monitor.windows.measure import Revision
from monitor.windows.view import Estimate, Outlook, Undefined, WindowKey

COHORTS: Final = 64
"""Cohorts in a horizon, about: memory is twice so many vectors of 4 KB for each version."""
LEAST_SCORED: Final = 100
"""Labelled rows of history from which scores are said to mean something."""

SHORTEST_EPOCH_MS: Final = 604_800_000
"""A week: labels of Saturdays come as those of Saturdays did."""

EPOCHS: Final = 4
"""So many weeks (or horizons, where these are longer) tell how windows differ."""

Version = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """Where things lie in a cohort's vector: seen, called, labels by delay and outcome (J, 4), labelled rows by score and
    class (2, 120)."""

    ends: Int64s

    @property
    def delays(self) -> int:
        """J, the number of bins of delay."""
        return len(self.ends)

    @property
    def size(self) -> int:
        """Cells of a vector."""
        return 2 + len(MATRIX) * self.delays + 2 * COARSE_BINS

    def matrix(self, vectors: Int64s) -> Int64s:
        """tp, fp, fn, tn by delay, (..., J, 4)."""
        own = vectors[..., 2 : 2 + len(MATRIX) * self.delays]
        return own.reshape(*own.shape[:-1], self.delays, len(MATRIX))

    def labels(self, vectors: Int64s) -> Int64s:
        """Labels by delay, (..., J)."""
        found: Int64s = self.matrix(vectors).sum(axis=-1)
        return found

    def scores(self, vectors: Int64s) -> Int64s:
        """Labelled rows that were positive and negative by score bin, (..., 2, 120)."""
        own = vectors[..., 2 + len(MATRIX) * self.delays :]
        return own.reshape(*own.shape[:-1], 2, COARSE_BINS)

    def vector_of(self, cells: Cells) -> Int64s:
        """That of one window's cells."""
        scores = [coarsened(cells.histogram(name)[0]) for name in ("positives", "negatives")]
        counts = np.array([cells.count(name)[0] for name in ("seen", "called")], np.int64)
        return np.concatenate([counts, cells.histogram("arrived")[0], *scores])


class LabelBook:
    """How labels came, of every version. Mutable; a function of the ticks it was given, and of what was lost then."""

    def __init__(self, plan: Plan, is_lost: IsLost = nothing_lost) -> None:
        join = plan.join
        self._is_lost = is_lost
        self._plan, self._tick_ms = plan, join.tick_ms
        self._horizon_ms = join.bounds.horizon_ms
        self._settling_ms = self._horizon_ms + join.lateness_ms + join.settle_ms
        self.shape = Shape(delay_ends(self._horizon_ms, join.tick_ms))
        self.span_ms = max(1, -(-self._horizon_ms // COHORTS // plan.pane_ms)) * plan.pane_ms
        self.bucket_ms = max(1, -(-self._horizon_ms // COHORTS // join.tick_ms)) * join.tick_ms
        self._density: dict[str, dict[int, int]] = {}  # predictions by model and bucket of event time
        self._cohorts: dict[Version, dict[int, Int64s]] = {}
        self._older: dict[Version, Int64s] = {}
        self._newer: dict[Version, Int64s] = {}
        self._epoch = 0
        self._epoch_ms = max(self._horizon_ms, SHORTEST_EPOCH_MS)
        self.grid = Grid.of(self._epoch_ms, self.span_ms, self.shape.ends)
        self._blocks: dict[Version, dict[int, Int64s]] = {}  # of history

    def use(self, plan: Plan) -> None:
        """The plan has another edition, whose cells begin with those of the one before."""
        self._plan = plan

    # -- what ticks brought --------------------------------------------------------------------------------------

    def take(self, tick: int, arrived: Iterable[Arrival]) -> None:
        """What a closed tick brought to the performance windows, with all their cells."""
        now_ms = (tick + 1) * self._tick_ms
        for arrival in arrived:
            self._put(now_ms, arrival)
        self._settle(now_ms)

    def _put(self, now_ms: int, arrival: Arrival) -> None:
        task = self._plan.counted_as(arrival.sense).task
        start = arrival.pane_ms // self.span_ms * self.span_ms
        if not isinstance(task, ForeseenBinary) or start + self.span_ms + self._settling_ms <= now_ms:
            return  # of another task, or its windows are final
        own = self.shape.vector_of(Cells(task.cells, arrival.cells[np.newaxis]))
        if not self._is_lost(start, start + self.span_ms):
            held = self._cohorts.setdefault((arrival.model, arrival.version), {})
            held[start] = held[start] + own if start in held else own
        if own[0]:
            # Of a pane it is not known when in it: usually when the tick was.
            at_ms = min(max(now_ms - self._tick_ms, arrival.pane_ms), arrival.pane_ms + self._plan.pane_ms - 1)
            density, bucket = self._density.setdefault(arrival.model, {}), at_ms // self.bucket_ms * self.bucket_ms
            density[bucket] = density.get(bucket, 0) + int(own[0])

    def leave_out_lost(self) -> None:
        """Forget the cohorts of which something was lost; what is history was final before."""
        for own, held in list(self._cohorts.items()):
            self._cohorts[own] = {s: v for s, v in held.items() if not self._is_lost(s, s + self.span_ms)}
            if not self._cohorts[own]:
                del self._cohorts[own]

    def _settle(self, now_ms: int) -> None:
        """Cohorts whose windows are final become history, each at its own time, whenever that is looked at."""
        over_ms = now_ms - self._settling_ms - self.span_ms
        ready = sorted((start, own) for own, held in self._cohorts.items() for start in held if start <= over_ms)
        for start, own in ready:
            self._age(start + self.span_ms + self._settling_ms)
            vector = self._cohorts[own].pop(start)
            self._newer[own] = self._newer.get(own, np.zeros_like(vector)) + vector
            blocks, at = self._blocks.setdefault(own, {}), start // self.grid.block_ms * self.grid.block_ms
            coarse = self.grid.vector(int(vector[0]), int(vector[1]), self.shape.matrix(vector), self.shape.ends)
            blocks[at] = blocks[at] + coarse if at in blocks else coarse
            if not self._cohorts[own]:
                del self._cohorts[own]
        self._age(now_ms)
        oldest = now_ms - self._settling_ms - EPOCHS * self._epoch_ms
        for own, blocks in list(self._blocks.items()):
            self._blocks[own] = {start: vector for start, vector in blocks.items() if start >= oldest}
            if not self._blocks[own]:
                del self._blocks[own]
        for model, held in list(self._density.items()):
            self._density[model] = {at: n for at, n in held.items() if n and at + self._settling_ms > now_ms}
            if not self._density[model]:
                del self._density[model]

    def _age(self, now_ms: int) -> None:
        """An epoch after another: what became history in the one before the last is forgotten."""
        epoch = now_ms // self._epoch_ms
        if epoch > self._epoch:
            self._older = self._newer if epoch == self._epoch + 1 else {}
            self._newer, self._epoch = {}, epoch

    def history(self, own: Version) -> Int64s | None:
        """What a version's matured cohorts add up to; None where there is nothing."""
        parts = [held[own] for held in (self._older, self._newer) if own in held]
        return sum(parts[1:], parts[0]) if parts else None

    # -- what follows --------------------------------------------------------------------------------------------

    def curve(self, model: str, now_ms: int) -> DelayCurve:
        """How long labels of a model take."""
        vectors, ages = [], []
        for (name, _), held in self._cohorts.items():
            if name == model:
                vectors += list(held.values())
                ages += [now_ms - start - self.span_ms for start in held]
        for held_long in (self._older, self._newer):
            vectors += [vector for (name, _), vector in held_long.items() if name == model]
        ages += [self._horizon_ms] * (len(vectors) - len(ages))
        return _counts(self.shape, vectors, ages).curve()

    def settled_until_ms(self, model: str, now_ms: int) -> int | None:
        """Event time before which 99 % of the labels that will ever come have come; None while that is not known."""
        after = self.curve(model, now_ms).settled_after_ms()
        return None if after is None else now_ms - after

    def outlooks(self, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells) -> list[Outlook | None]:
        """Of the windows of one model that a tick revised, None where nothing is known; row i of `cells` is that of
        revision i."""
        if not isinstance(plan.task, ForeseenBinary):
            return [None] * len(revisions)
        bounds = bounds_of(cells, plan.task.edition)
        found = [Outlook(bounds=own) for own in bounds]
        waits = [i for i, revision in enumerate(revisions) if not revision.final]
        if waits:
            own = Cells(cells.layout, cells.array[waits])
            ahead = self._ahead(plan, [revisions[i].key for i in waits], own, revisions[0].tick_ms)
            for i, one in zip(waits, ahead, strict=True):
                found[i] = replace(one, bounds=bounds[i])
        nothing = Outlook()
        return [None if one == nothing else one for one in found]

    def _ahead(self, plan: ModelPlan, keys: Sequence[WindowKey], cells: Cells, now_ms: int) -> list[Outlook]:
        """All but the bounds."""
        curve = self.curve(plan.name, now_ms)
        ages, weight = self._ages(plan.name, keys, now_ms)
        here = curve.around(ages)
        expected = ((weight * here).sum(axis=1) / weight.sum(axis=1)).tolist()
        eventual, after = curve.eventual, curve.settled_after_ms()
        known = not math.isnan(eventual)
        waiting = _waiting(self.shape.ends, ages, weight * (1.0 - here))
        completed, unlabelled = self._estimates(plan, keys, cells, waiting, now_ms)
        return [
            Outlook(
                expected_coverage=expected[i] if known else None,
                eventual_coverage=eventual if known else None,
                settled_ms=None if after is None else key.end_ms + after,
                completed=completed[i],
                unlabelled=unlabelled[i],
            )
            for i, key in enumerate(keys)
        ]

    def _ages(self, model: str, keys: Sequence[WindowKey], now_ms: int) -> tuple[Int64s, Float64s]:
        """Ages of what W windows hold and how many predictions have them, both (W, buckets + 1): by bucket, and last what
        lies before them, taken as dense as they are."""
        held = self._density.get(model, {})
        buckets = np.array(sorted(held), np.int64)
        seen = np.maximum([held[bucket] for bucket in buckets.tolist()], 0)
        first = np.array([key.start_ms for key in keys], np.int64)[:, np.newaxis]
        last = np.minimum([key.end_ms for key in keys], now_ms)[:, np.newaxis]
        begin, end = np.maximum(buckets, first), np.minimum(buckets + self.bucket_ms, last)
        weight = np.maximum(end - begin, 0) / self.bucket_ms * seen
        oldest = buckets[0] if len(buckets) else now_ms
        before = np.maximum(np.minimum(last, oldest) - first, 0) / self.bucket_ms * (seen.mean() if len(seen) else 1.0)
        weight = np.column_stack([weight, before])
        ages = np.column_stack([now_ms - (begin + end) // 2, np.full(len(keys), now_ms - oldest + self._horizon_ms)])
        # Where it is not known, all lie in the middle of what is over.
        unknown = weight.sum(axis=1) <= 0
        weight[unknown, -1], ages[unknown, -1] = 1.0, (now_ms - (first + np.maximum(last, first)) // 2)[unknown, 0]
        return np.maximum(ages, 0), weight

    def _estimates(
        self, plan: ModelPlan, keys: Sequence[WindowKey], cells: Cells, waiting: Float64s, now_ms: int
    ) -> tuple[list[dict[str, Estimate]], list[dict[str, Estimate]]]:
        """The metrics that windows are expected to end with, by what came later before and by their scores; empty where
        nothing is known."""
        completed: list[dict[str, Estimate]] = [{} for _ in keys]
        unlabelled: list[dict[str, Estimate]] = [{} for _ in keys]
        for version in sorted({key.series.version for key in keys}):
            history = self.history((plan.name, version))
            if history is None:
                continue
            rows = np.array([i for i, key in enumerate(keys) if key.series.version == version])
            own = Cells(cells.layout, cells.array[rows])
            shared = self._shared((plan.name, version), [keys[i] for i in rows], now_ms)
            completed_here = _by_window(_complete(self.shape, history, own, waiting[rows], shared))
            scores = np.maximum(self.shape.scores(history), 0)
            by_score = _by_window(_by_score(scores, own)) if int(scores.sum()) >= LEAST_SCORED else [{} for _ in rows]
            for i, of_labels, of_scores in zip(rows.tolist(), completed_here, by_score, strict=True):
                completed[i], unlabelled[i] = of_labels, of_scores
        return completed, unlabelled

    def _shared(self, own: Version, keys: Sequence[WindowKey], now_ms: int) -> list[Shared]:
        """The luck that rows share, of each window of one version."""
        over_ms = now_ms - self._settling_ms - self.grid.block_ms
        blocks = {at: vector for at, vector in self._blocks.get(own, {}).items() if at <= over_ms}
        past = Past(self.grid, blocks) if blocks else None
        spans = {(key.start_ms, key.end_ms) for key in keys}
        found = {span: ALONE if past is None else past.shared(*span, now_ms) for span in spans}
        return [found[key.start_ms, key.end_ms] for key in keys]


LATER_BOUNDS: Final = frozenset({"f1", "roc_auc"})
"""Metrics whose bounds are told since edition 2."""


def as_of_edition(revision: Revision, number: int) -> Revision:
    """The revision of a window with what its edition says of missing labels, given what the newest says."""
    told = revision.outlook
    if number >= DETAILED or told is None:
        return revision
    first = replace(told, bounds={name: ends for name, ends in told.bounds.items() if name not in LATER_BOUNDS})
    return revision._replace(outlook=None if first == Outlook() else first)


def bounds_of(cells: Cells, edition: int = NEWEST) -> list[dict[str, tuple[float, float]]]:
    """What the metrics of W windows can end at, whatever the missing labels say; without those that have no
    denominator."""
    tp, fp, fn, tn = (cells.count(name) for name in MATRIX)
    called, rejected = _open(cells)
    both = manski(tp, fp, fn, tn, called, rejected)
    if edition >= DETAILED:
        positives, negatives = cells.histogram("positives"), cells.histogram("negatives")
        scored = cells.histogram("called_scores") + cells.histogram("rejected_scores")
        missing = np.maximum(scored - coarsened(positives + negatives), 0)
        both["roc_auc"] = area_bounds(positives, negatives, missing)
    return [
        {
            name: (float(low[i]), float(high[i]))
            for name, (low, high) in both.items()
            if not math.isnan(low[i] + high[i]) and (edition >= DETAILED or name not in LATER_BOUNDS)
        }
        for i in range(len(cells))
    ]


def _open(cells: Cells) -> tuple[Int64s, Int64s]:
    """Predictions without a label that were called positive and that were not, (W,)."""
    tp, fp, fn, tn = (cells.count(name) for name in MATRIX)
    called, seen = cells.count("called"), cells.count("seen")
    return np.maximum(called - tp - fp, 0), np.maximum(seen - called - fn - tn, 0)


def _counts(shape: Shape, vectors: Sequence[Int64s], ages_ms: Sequence[int]) -> DelayCounts:
    """Cohorts at the ages of their youngest predictions: labels of bins that are not over for these do not count yet."""
    arrived, waiting = np.zeros(shape.delays, np.int64), np.zeros(shape.delays + 1, np.int64)
    for vector, age in zip(vectors, ages_ms, strict=True):
        over = int(np.searchsorted(shape.ends, age, side="right"))
        came = np.maximum(shape.labels(vector)[:over], 0)
        arrived[:over] += came
        waiting[over] += max(int(vector[0]) - int(came.sum()), 0)
    return DelayCounts(shape.ends, arrived, waiting)


def _waiting(ends: Int64s, ages_ms: Int64s, weight: Float64s) -> Float64s:
    """Share of the rows that wait which have waited so many whole bins, (W, J + 1)."""
    whole = np.searchsorted(ends, ages_ms, side="right")
    found = np.zeros((len(weight), len(ends) + 1))
    np.add.at(found, (np.arange(len(weight))[:, np.newaxis], whole), weight)
    total = found.sum(axis=1, keepdims=True)
    nobody = total[:, 0] <= 0
    found[nobody, -1] = 1.0
    shares: Float64s = found / np.where(nobody[:, np.newaxis], 1.0, total)
    return shares


def _complete(
    shape: Shape, history: Int64s, cells: Cells, waiting: Float64s, shared: Sequence[Shared]
) -> dict[str, Estimates]:
    """Completed by what matured rows of the same predicted class turned out to be."""
    tp, fp, fn, tn = np.moveaxis(np.maximum(shape.matrix(history), 0), -1, 0)
    came = np.array([[fp, tp], [tn, fn]]).transpose(0, 2, 1)  # called or not, delay, negative or positive
    seen = np.array([history[1], history[0] - history[1]])
    never = np.maximum(seen - came.sum(axis=(1, 2)), 0)
    tp, fp, fn, tn = (cells.count(name) for name in MATRIX)
    labelled = np.stack([np.column_stack([fp, tp]), np.column_stack([tn, fn])], axis=1)
    left = np.column_stack(_open(cells))[:, :, np.newaxis] * waiting[:, np.newaxis, :]
    return Completion(came, never).complete(labelled, left, np.array([1, 0]), shared)


def _by_score(scores: Int64s, cells: Cells) -> dict[str, Estimates]:
    """By what the scores of matured rows meant; and how far the labels that are here are from that."""
    calibration = Calibration.of(scores[0], scores.sum(axis=0))
    found = estimate(calibration, cells.histogram("called_scores"), cells.histogram("rejected_scores"))
    positives, negatives = (coarsened(cells.histogram(name)) for name in ("positives", "negatives"))
    rows = positives + negatives
    n = rows.sum(axis=1)
    chance = calibration.chance
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (positives.sum(axis=1) - rows @ chance) / n
        half = Z95 * np.sqrt(rows @ (chance * (1.0 - chance))) / n
    undefined = first_reason(len(n), (n == 0, Undefined.NO_ROWS))
    return {**found, "residual": estimates(value, (value - half, value + half), n, undefined)}


def _by_window(metrics: dict[str, Estimates]) -> list[dict[str, Estimate]]:
    return [
        dict(zip(metrics, row, strict=True)) for row in zip(*(column.all() for column in metrics.values()), strict=True)
    ]
