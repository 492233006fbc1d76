"""What a configuration needs under a stated traffic, found out by trying: the engine of a partition over made-up rows.

No formula knows how many cells a commit carries or when a row may leave: the engine does. So rows that are as many, as late
and as varied as stated are fed to it, in two short runs, and what they left is scaled:

- `hold`: rows thinned out over more than horizon + lateness of event time; which share is held, what a row takes, and how
  much a rebuild would read;
- `commits`: some commits as they will be, at the full rate, with labels that find their predictions; how large they are.

Bins, listed segments, versions and models are drawn evenly: more even than most data, so that commits rather come out too
large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from monitor.config.tasks import coded_classes, task_name
from monitor.daemon.recovery import rows_to_read_again
from monitor.events import Bools, Float64s, Int64s, LabelColumns, PredictionColumns, RecordBatch
from monitor.groups import Group, Groups
from monitor.ingest.clocks import ClockState
from monitor.ingest.interner import Interner
from monitor.ledger.fold import Chain
from monitor.ledger.records import Commit, encode
from monitor.partition import Flags, Partition, Shared
from monitor.plan import ModelPlan, Plan

if TYPE_CHECKING:
    from monitor.coding import Coder, UInt8s, UInt32s
    from monitor.config.types import Config
    from monitor.ingest.decode_labels import LabelDecoder
    from monitor.ingest.decode_predictions import PredictionDecoder

START_MS = 1_700_006_400_000
HELD_ROWS = 200_000
"""Rows of `hold` per span of horizon + lateness: enough that a table's beginnings no longer show."""
STEPS = 200
SPANS = 1.3
"""Spans of horizon + lateness until as many leave as come."""
COMMITS = 40
SKIPPED = 4
"""First commits that are not counted: names of groups and clocks are new then."""
OTHERS = 0.1
"""Share of rows whose value of a segment dimension is none of those listed."""
SEED = 11


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes: predictions a second, all together; the share of them whose label comes, how long that takes on the
    average (exponentially), and how many versions of a model predict at a time."""

    rate: float
    labelled: float
    delay_ms: int
    versions: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Need:
    """Of one partition, once as many rows leave as come."""

    held_rows: float
    join_bytes: float
    recovery_rows: float
    commits_per_second: float
    bytes_per_commit: float

    @property
    def ledger_bytes_per_day(self) -> float:
        """Values of the ledger, before the client compresses them."""
        return 86_400 * self.commits_per_second * self.bytes_per_commit


def need(config: Config, plan: Plan, traffic: Traffic) -> Need:
    """What a partition of this deployment needs."""
    per_ms = traffic.rate / traffic.partitions / 1_000
    held, nbytes, again = hold(config, plan, traffic, per_ms)
    a_second, size = commits(config, plan, traffic, per_ms)
    return Need(held, nbytes, again, a_second, size)


def hold(config: Config, plan: Plan, traffic: Traffic, per_ms: float) -> tuple[float, float, float]:
    """Rows held, bytes of the join, and rows that a rebuild reads, of a partition to which `per_ms` predictions come."""
    times, rng = config.time, np.random.default_rng(SEED)
    span_ms = times.horizon_ms + times.lateness_ms if plan.has_labels else times.lateness_ms
    span_ms = max(span_ms, 1_000)
    n = round(min(HELD_ROWS, max(1_000.0, per_ms * span_ms)) * SPANS)
    scale = per_ms * span_ms * SPANS / n
    at = START_MS + np.sort(rng.integers(0, round(SPANS * span_ms), n))
    truths = _labels(rng, at, np.arange(n), traffic)
    dealt = Dealt(config, plan, traffic.versions, rng)
    partition = dealt.partition()
    commit: Commit | None = None
    for end in np.linspace(START_MS, START_MS + SPANS * span_ms, STEPS + 1)[1:]:
        commit = dealt.step(partition, at, np.arange(n), truths, int(end))
    held = partition.join.held[0]
    return held * scale, partition.join.nbytes * scale, rows_to_read_again(commit) * scale


def commits(config: Config, plan: Plan, traffic: Traffic, per_ms: float) -> tuple[float, float]:
    """Commits a second, and bytes of one on the average."""
    rng = np.random.default_rng(SEED)
    labelled = traffic.labelled if plan.has_labels else 0.0
    both = per_ms * (1 + labelled)
    every_ms = min(float(config.state.commit_interval_ms), config.state.max_batch_rows / both)
    filled = 1 - math.exp(-both * every_ms)  # an interval in which nothing comes has no commit
    a_second = 1_000 * filled / every_ms
    begin = START_MS + 40 * traffic.delay_ms
    ends = begin + np.arange(1, COMMITS + 1) * max(1.0, every_ms / filled)
    rows, truths = (rng.poisson(r * every_ms / filled, COMMITS) for r in (per_ms, per_ms * labelled))
    rows[(rows == 0) & (truths == 0)] = 1  # what is counted are commits, and none is empty
    fresh = np.concatenate([_within(rng, end, every_ms, k) for end, k in zip(ends, rows, strict=True)])
    known = np.concatenate([_within(rng, end, every_ms, k) for end, k in zip(ends, truths, strict=True)])
    waited = rng.exponential(max(1, traffic.delay_ms), len(known)).clip(
        0, min(40 * traffic.delay_ms, config.time.horizon_ms)
    )
    predicted = known - waited.astype(np.int64)
    at = np.concatenate([predicted, fresh])
    order = np.argsort(at, kind="stable")
    by_time = np.argsort(known, kind="stable")
    dealt = Dealt(config, plan, traffic.versions, rng)
    partition = dealt.partition()
    sizes = []
    for end in (begin, *ends):
        commit = dealt.step(partition, at[order], order, (known[by_time], by_time), int(end))
        sizes.append(len(encode(commit)))
    return a_second, float(np.mean(sizes[1 + SKIPPED :]))


def _within(rng: np.random.Generator, end: float, every_ms: float, n: int) -> Int64s:
    return cast("Int64s", np.sort(rng.integers(round(end - every_ms), round(end), n, endpoint=False)))


def _labels(rng: np.random.Generator, at: Int64s, number: Int64s, traffic: Traffic) -> tuple[Int64s, Int64s]:
    """When the labels of some predictions come, and of which, in order of time."""
    some = np.flatnonzero(rng.random(len(at)) < traffic.labelled)
    known = at[some] + rng.exponential(max(1, traffic.delay_ms), len(some)).astype(np.int64)
    order = np.argsort(known, kind="stable")
    return known[order], number[some][order]


class Dealt:
    """Rows that were made up, in place of decoders and coder: what they would make of records is dealt here."""

    opens: Final = False  # as decoders whose records are their rows

    def __init__(
        self,
        config: Config,
        plan: Plan,
        versions: int,
        rng: np.random.Generator,
        models: tuple[ModelPlan, ...] = (),
    ) -> None:
        """`models`: those that rows are of; by default all that are listed."""
        self._config, self._plan, self._rng, self._versions = config, plan, rng, versions
        self._models = models or tuple(plan.models.values()) or tuple(plan.all_models)
        self.models = Interner(plan.models)
        self._groups = Groups()
        self._read = [0, 0]
        self._columns: PredictionColumns | LabelColumns

    def partition(self) -> Partition:
        """The engine of a partition that reads from here."""
        labels = cast("LabelDecoder", self) if self._plan.has_labels else None
        shared = Shared(self._plan, cast("PredictionDecoder", self), labels, self._groups, cast("Coder", self))
        return Partition(shared, 0, (0, ClockState()), (0, ClockState()))

    def step(
        self, partition: Partition, at: Int64s, number: Int64s, truths: tuple[Int64s, Int64s], end_ms: int
    ) -> Commit:
        """Feed what is due before `end_ms` and was not fed yet, and commit."""
        self.feed(partition, at, number, truths, end_ms)
        return partition.commit(Chain(1, "0" * 32, self._read[0], bytes(16)), Flags())

    def feed(
        self, partition: Partition, at: Int64s, number: Int64s, truths: tuple[Int64s, Int64s], end_ms: int
    ) -> None:
        """Feed what is due before `end_ms` and was not fed yet."""
        begin, end = self._read[0], int(np.searchsorted(at, end_ms))
        if end > begin:
            self._columns = self._predictions(at[begin:end], number[begin:end])
            partition.feed_predictions(_batch("predictions", begin, end))
        first, last = self._read[1], int(np.searchsorted(truths[0], end_ms))
        if last > first and self._plan.has_labels:
            self._columns = self._truths(truths[0][first:last], truths[1][first:last])
            partition.feed_labels(_batch("labels", first, last))
        self._read = [end, last]

    # -- what the engine asks of decoders and coder ------------------------------------------------------------------

    def decode(self, batch: RecordBatch) -> PredictionColumns | LabelColumns:
        """The columns that were made for this batch."""
        assert len(batch) == len(self._columns)
        return self._columns

    def code(self, columns: PredictionColumns, numbers: Int64s | None = None) -> tuple[UInt32s, UInt8s]:
        """Groups and bins of rows, drawn evenly. `numbers` is None: models that are made up never changed."""
        assert numbers is None
        n, rng = len(columns), self._rng
        chosen = rng.integers(0, len(self._models), n)
        group, bins = np.zeros(n, np.uint32), np.zeros((n, self._plan.width), np.uint8)
        for i, model in enumerate(self._models):
            rows = np.flatnonzero(chosen == i)
            group[rows] = self._group(model, len(rows))
            for j, feature in enumerate(model.features):
                bins[rows, j] = rng.integers(0, feature.binning.bins, len(rows))
        return group, bins

    def _group(self, model: ModelPlan, n: int) -> UInt32s:
        rng = self._rng
        key = rng.integers(0, self._versions, n)
        for dimension in model.dimensions:
            listed = len(dimension.values)
            place = np.where(rng.random(n) < OTHERS, listed, rng.integers(0, max(1, listed), n))
            key = key * (listed + 1) + np.minimum(place, listed)
        unique, inverse = np.unique(key, return_inverse=True)
        codes = [self._groups.code(_named(model, int(value))) for value in unique]
        return np.array(codes, np.uint32)[inverse]

    def _predictions(self, at: Int64s, number: Int64s) -> PredictionColumns:
        n, rng = len(at), self._rng
        nothing = np.zeros(n, np.int32)
        scores = rng.random((n, len(self._plan.scored))) if self._plan.scored else None
        never: Bools = np.zeros(n, np.bool_)
        return PredictionColumns(
            number, at, _ids(number), at, nothing, nothing, rng.random(n), self._answers(n), never, scores=scores
        )

    def _truths(self, at: Int64s, number: Int64s) -> LabelColumns:
        return LabelColumns(number, at, _ids(number), at, self._answers(len(at)))

    def _answers(self, n: int) -> Float64s:
        return answers(self._config, self._rng, n)


def answers(config: Config, rng: np.random.Generator, n: int) -> Float64s:
    """What models predict, or what was true: numbers, or codes of classes, evenly."""
    task = task_name(config)
    if task == "regression":
        return rng.normal(0.0, 1.0, n)
    return rng.integers(0, len(coded_classes(config)) + 1 if task == "multiclass" else 2, n).astype(np.float64)


def _named(model: ModelPlan, key: int) -> Group:
    segments = []
    for dimension in reversed(model.dimensions):
        key, place = divmod(key, len(dimension.values) + 1)
        segments.append((dimension.name, (*dimension.values, "other")[place]))
    return Group(model.name, str(key + 1), tuple(reversed(segments)))


def _ids(number: Int64s) -> np.typing.NDArray[np.uint64]:
    """128 bits each, as evenly spread as hashes are."""
    words = np.stack([number, ~number], axis=1).astype(np.uint64)
    words *= np.uint64(0x9E3779B97F4A7C15)
    return words ^ (words >> np.uint64(29))


def _batch(topic: str, begin: int, end: int) -> RecordBatch:
    n = end - begin
    return RecordBatch(topic, 0, np.arange(begin, end, dtype=np.int64), np.zeros(n, np.int64), [b""] * n, end)
