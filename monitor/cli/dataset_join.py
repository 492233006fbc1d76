"""From a partition that was read to the rows that are asked for, with every record accounted for.

The narrow range. What is written into a manifest is not all that was read but the shortest ranges that hold every record
that touches a selected prediction, with the clocks before them. Reading those again gives the same rows, and a
version that was made of a month does not change when the topics get longer.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.cli.dataset_read import Read, Span, Stream, Topics
from monitor.errors import MonitorError
from monitor.events import Bools, Int64s, LabelColumns, PredictionColumns, Rejected
from monitor.ingest.clocks import NEVER, ClockState
from monitor.ingest.decode_predictions import OVERFLOW
from monitor.join import whole
from monitor.join.whole import Fate, Use
from pipelines.dataset import manifest as m
from pipelines.dataset.selection import chosen
from pipelines.dataset.table import Column, Floats, Hashes, Ints, Table, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOT_SELECTED = "not_selected"
_FATES = {Fate.LATE: "late", Fate.DUPLICATE: "duplicate", Fate.WITHDRAWN: "withdrawn", Fate.STANDS: NOT_SELECTED}
_USES = {
    Use.ORPHANED: NOT_SELECTED,
    Use.SUPERSEDED: "superseded",
    Use.OUTSIDE: "outside_horizon",
    Use.WITHDRAWAL: "withdrawal",
    Use.LATE: "late",
    Use.DUPLICATE: "duplicate",
}


@dataclass(frozen=True, slots=True)
class Joined:
    """The rows of a partition in order of their offsets, where they are from, and what became of every record there.

    `source` is None when nothing of the partition is touched.
    """

    table: Table
    offsets: Int64s
    source: m.PartitionSource | None
    records: dict[str, int]
    excluded: tuple[Counter[str], Counter[str]]


def join(topics: Topics, read: Read, selection: m.Selection, label_clock_ms: int | None = None) -> Joined:
    """The rows of a partition. `label_clock_ms`: where the labels' clock was when the version was made, if it is made again."""
    one = _Partition(topics, read, selection, label_clock_ms)
    one.choose()
    one.label()
    return Joined(one.table(), one.p.offsets[one.rows], one.source(), one.records, (one.lost, one.unused))


class _Partition:
    """The steps of a join, one after the other."""

    def __init__(self, topics: Topics, read: Read, selection: m.Selection, label_clock_ms: int | None) -> None:
        self.topics, self.read, self.selection, self._known_clock_ms = topics, read, selection, label_clock_ms
        self.plan = topics.plan
        self.p = PredictionColumns.joined(read.predictions.parts or [_no_predictions(topics)])
        read.predictions.parts.clear()  # not twice in memory
        self.q = None if read.labels is None else _labels(read.labels)
        self.lost: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()
        self.records = {"predictions": 0, "labels": 0}

    # -- predictions ---------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Which records are rows, and which range holds all that touch a selected prediction."""
        p, shared = self.p, self.topics.shared
        self.group, self.bins = shared.coder.code(p) if len(p) else (np.zeros(0, np.uint32), np.zeros((0, 0), np.uint8))
        key = p.model.astype(np.int64) << 32 | p.version.astype(np.int64)
        records = whole.Predictions(p.ids, key, p.at_ms, self.read.predictions.before_ms, p.withdrawn)
        keys = whole.same_keys(records)
        fates = whole.fates(records, keys, self.plan.join.lateness_ms, self._content)
        asked = chosen(
            self.selection, self.read.partition, p.at_ms, p.offsets, p.model, shared.predictions.models.values
        )
        touched = whole.among(keys, keys[asked])
        is_row = (fates == Fate.STANDS) & asked
        self.rows = np.flatnonzero(is_row)
        self.prediction_span = self._span(p.offsets[touched], self.read.predictions.span, self._asked_offsets())
        inside = _within(p.offsets, self.prediction_span)
        reasons = np.where(touched, fates, Fate.STANDS)[inside & ~is_row]
        self.lost.update(_named(reasons, _FATES))
        self.lost.update(_rejections(self.read.predictions.rejected, self.prediction_span))
        self.records["predictions"] = len(self.rows) + self.lost.total()

    def _asked_offsets(self) -> list[int]:
        """The ends of the offsets asked for: a range by offsets is kept as it was asked for."""
        own = [part for part in self.selection.offsets or () if part.partition == self.read.partition]
        return [offset for part in own for offset in (part.start, part.end - 1)]

    def _span(self, touched: Int64s, read: Span, asked: Sequence[int] = ()) -> tuple[int, int]:
        if (self.selection.from_ms, self.selection.until_ms, self.selection.offsets) == (None, None, None):
            return read.start, read.end
        ends = [*asked, *((int(touched.min()), int(touched.max())) if len(touched) else ())]
        return (min(ends), max(ends) + 1) if ends else (0, 0)

    def _content(self, place: int) -> tuple[Any, ...]:
        """As the engine orders contents of one time, then by what it does not keep: the raw features."""
        p = self.p
        score = float(p.score[place])
        raw = [_orderable(float(column[place])) for column in p.numeric.values()]
        names = self.topics.shared.predictions.categories
        words = [
            names[name].values[code] if (code := int(codes[place])) >= 0 else "" for name, codes in p.category.items()
        ]
        group = self.topics.shared.groups.items[int(self.group[place])]
        known = not math.isnan(score)
        predicted = int(p.predicted[place])
        return (known, score if known else 0.0, predicted, group, self.bins[place].tobytes(), raw, words)

    # -- labels --------------------------------------------------------------------------------------------------

    def label(self) -> None:
        """The label of each row, and what became of the others."""
        n, selection = len(self.rows), self.selection
        self.label_value = np.full(n, math.nan)
        self.label_at = Ints(np.zeros(n, np.int64), np.ones(n, np.bool_))
        self.label_span: tuple[int, int] | None = None
        if self.q is None or self.read.labels is None:
            return
        q, ids, at = self.q, self.p.ids[self.rows], self.p.at_ms[self.rows]
        too_late = whole.late(q.at_ms, self.read.labels.before_ms, self.plan.join.lateness_ms)
        cut_off = selection.label_cutoff_ms
        after = np.zeros(len(q), np.bool_) if cut_off is None else q.at_ms > cut_off
        usable = ~(too_late | after)
        labels = whole.Labels(q.ids, q.at_ms, self.read.labels.before_ms, q.value)
        winner, use = whole.match(ids, at, labels, usable, self.plan.join.bounds)
        won = np.flatnonzero(winner >= 0)
        self.label_value[won] = q.value[winner[won]]
        known = won[~np.isnan(self.label_value[won])]
        self.label_at.values[known] = q.at_ms[winner[known]]
        self.label_at.null[known] = False
        self._settle_absent(np.flatnonzero(winner < 0), at)
        ours = _same_ids(q.ids, ids)
        self.label_span = self._span(q.offsets[ours & usable], self.read.labels.span)
        rest = _within(q.offsets, self.label_span) & (use != Use.APPLIED)
        self.unused.update(_named(np.where(ours, use, Use.ORPHANED)[rest & ~(ours & after)], _USES))
        self.unused.update({"after_cutoff": int((rest & ours & after).sum())})
        self.unused.update(_rejections(self.read.labels.rejected, self.label_span))
        applied = int((use == Use.APPLIED).sum())
        self.records["labels"] = applied + self.unused.total()

    def _settle_absent(self, without: Int64s, at: Int64s) -> None:
        """Labels that never came, where the configuration says what that means: a value without a time."""
        labels = self.topics.config.streams.labels
        if labels is None or labels.absent is None:
            return
        due = at[without] + labels.absent.after_ms
        certain = np.ones(len(without), np.bool_)
        if not self.selection.ended:
            certain = due < self._label_clock_ms() - self.plan.join.lateness_ms
        if self.selection.label_cutoff_ms is not None:
            certain &= due <= self.selection.label_cutoff_ms
        self.label_value[without[certain]] = labels.absent.value

    def _label_clock_ms(self) -> int:
        """The running maximum of the labels where reading ended."""
        assert self.read.labels is not None
        return self._known_clock_ms if self._known_clock_ms is not None else self.read.labels.clock.maximum_ms

    # -- what comes out ------------------------------------------------------------------------------------------

    def table(self) -> Table:
        """The rows."""
        p, rows, shared = self.p, self.rows, self.topics.shared
        columns: dict[str, Column] = {"id_hash": Hashes(p.ids[rows])}
        if self.selection.ids:
            columns["id"] = Texts(np.arange(len(rows), dtype=np.int32), [self.read.ids[row] for row in rows.tolist()])
        columns["at_ms"] = _ints(p.at_ms[rows])
        columns["label_at_ms"] = self.label_at
        columns["model"] = Texts(p.model[rows], shared.predictions.models.values)
        columns["version"] = Texts(p.version[rows], shared.predictions.versions.values)
        columns["score"] = Floats(p.score[rows])
        columns["prediction"] = _ints(p.predicted[rows].astype(np.int64))
        columns["label"] = Floats(self.label_value)
        columns |= self._segments(rows)
        features: dict[str, Column] = {name: Floats(values[rows]) for name, values in p.numeric.items()}
        features |= {name: self._category(name, codes[rows]) for name, codes in p.category.items()}
        return Table(columns | {f"feature.{name}": features[name] for name in sorted(features)})

    def _segments(self, rows: Int64s) -> dict[str, Column]:
        """A column a dimension: the value, `other` where it is not listed, null where the model has no such dimension."""
        groups = [dict(group.segments) for group in self.topics.shared.groups.items]
        made: dict[str, Column] = {}
        for name in sorted({d.name for model in self.plan.all_models for d in model.dimensions}):
            words = sorted({segments[name] for segments in groups if name in segments})
            place = {word: code for code, word in enumerate(words)}
            table = np.array([place.get(segments.get(name, ""), -1) for segments in groups] or [-1], np.int32)
            made[f"segment.{name}"] = Texts(table[self.group[rows]], words)
        return made

    def _category(self, name: str, codes: np.ndarray) -> Texts:
        """Raw values. Raises MonitorError where the decoder could not tell them apart."""
        words = self.topics.shared.predictions.categories[name].values
        used = np.unique(codes[codes >= 0])
        if any(words[code] == OVERFLOW for code in used.tolist()):
            raise MonitorError(
                f"the feature {name!r} has more values than are told apart, so the rows cannot be kept as they were. "
                "Take it out of `features`, or map a coarser field."
            )
        return Texts(np.where(codes < 0, -1, codes).astype(np.int32), words)

    def source(self) -> m.PartitionSource | None:
        """The narrow ranges with the clocks before them."""
        if self.prediction_span == (0, 0):
            return None
        p, jump = self.p, self.plan.max_jump_ms
        start, end = self.prediction_span
        clock = self.read.predictions.clock_at(start, p.offsets, p.at_ms, p.ids, jump)
        predictions = m.Range(start, end, _clock(clock))
        if self.q is None or self.read.labels is None or self.label_span is None:
            return m.PartitionSource(self.read.partition, predictions)
        q, (start, end) = self.q, self.label_span
        clock = self.read.labels.clock_at(start, q.offsets, q.at_ms, q.ids, jump)
        labels = m.Range(start, end, _clock(clock))
        absent = self.plan.join.absent is not None and not self.selection.ended
        maximum = self._label_clock_ms() if absent else NEVER
        return m.PartitionSource(self.read.partition, predictions, labels, None if maximum == NEVER else maximum)


def state_of(clock: m.Clock) -> ClockState:
    """The clock of a manifest as the engine has it."""
    maximum = NEVER if clock.maximum_ms is None else clock.maximum_ms
    return ClockState(maximum, tuple((at, int(word, 16)) for at, word in clock.ahead))


def _clock(state: ClockState) -> m.Clock:
    maximum = None if state.maximum_ms == NEVER else state.maximum_ms
    return m.Clock(maximum, tuple((at, f"{word:016x}") for at, word in state.ahead))


def _labels(stream: Stream[LabelColumns]) -> LabelColumns:
    nothing = np.zeros(0, np.int64)
    parts = stream.parts or [LabelColumns(nothing, nothing, np.zeros((0, 2), np.uint64), nothing, np.zeros(0))]
    names = ("offsets", "broker_ms", "ids", "at_ms", "value")
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    stream.parts.clear()
    return LabelColumns(**columns)


def _no_predictions(topics: Topics) -> PredictionColumns:
    from monitor.events import RecordBatch

    nothing = np.zeros(0, np.int64)
    return topics.shared.predictions.decode(RecordBatch(topics.predictions.name, 0, nothing, nothing, [], 0, [], []))


def _ints(values: Int64s) -> Ints:
    return Ints(values, np.zeros(len(values), np.bool_))


def _within(offsets: Int64s, span: tuple[int, int]) -> Bools:
    out: Bools = (offsets >= span[0]) & (offsets < span[1])
    return out


def _rejections(rejected: Iterable[Rejected], span: tuple[int, int]) -> Counter[str]:
    return Counter(f"rejected_{one.reason}" for one in rejected if span[0] <= one.offset < span[1])


def _named(codes: np.ndarray, names: dict[Any, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        found[names[int(code)]] += int(count)
    return found


def _same_ids(ids: np.ndarray, among: np.ndarray) -> Bools:
    """Which of some ids are among others."""
    wide = [np.ascontiguousarray(x).view("V16").reshape(-1) for x in (ids, among)]
    out: Bools = np.isin(wide[0], wide[1]) if len(ids) and len(among) else np.zeros(len(ids), np.bool_)
    return out


def _orderable(value: float) -> tuple[bool, float]:
    return (False, 0.0) if math.isnan(value) else (True, value)
