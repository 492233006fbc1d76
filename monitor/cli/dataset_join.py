"""From a partition that was read to the rows that are asked for, with every record accounted for.

The narrow range. What is written into a manifest is not all that was read but the shortest ranges that hold every record
that touches a selected prediction, with the clocks before them. Reading those again gives the same rows, and a
version that was made of a month does not change when the topics get longer.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.cli.dataset_read import Read, Span, Stream, Topics
from monitor.config.tasks import OTHER, coded_classes, scored_classes, task_name
from monitor.errors import MonitorError
from monitor.events import (
    INVALID,
    WRONG_BITS,
    Bools,
    Float64s,
    Int64s,
    LabelColumns,
    PredictionColumns,
    RecordBatch,
    Rejected,
)
from monitor.ingest.clocks import NEVER, ClockState
from monitor.ingest.decode_predictions import OVERFLOW
from monitor.join import whole
from monitor.join.tables import with_scores
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
    wrong_type: Counter[
        str
    ]  # by feature: values that are null in the table because they were no number, or no category


def join(topics: Topics, read: Read, selection: m.Selection, label_clock_ms: int | None = None) -> Joined:
    """The rows of a partition. `label_clock_ms`: where the labels' clock was when the version was made, if it is made again.

    What was read is used up.
    """
    one = _Input(topics, read, selection, _predictions(topics, read), _labels(read.labels), label_clock_ms)
    picked = _choose(one)
    truth = _label(one, picked)
    records = {
        "predictions": len(picked.rows) + picked.lost.total(),
        "labels": truth.applied + truth.unused.total(),
    }
    table, source = _table(one, picked, truth), _source(one, picked, truth)
    excluded, wrong = (picked.lost, truth.unused), _wrong_types(one.p, picked.rows)
    return Joined(table, one.p.offsets[picked.rows], source, records, excluded, wrong)


@dataclass(frozen=True, slots=True)
class _Input:
    """A partition as it was decoded, and what is asked of it."""

    topics: Topics
    read: Read
    selection: m.Selection
    p: PredictionColumns
    q: LabelColumns | None
    known_clock_ms: int | None

    @property
    def label_clock_ms(self) -> int:
        """The running maximum of the labels where reading ended."""
        assert self.read.labels is not None
        return self.known_clock_ms if self.known_clock_ms is not None else self.read.labels.clock.maximum_ms


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Places of the rows, the range that holds all that touches a selected prediction, what became of the others in it."""

    rows: Int64s
    group: np.ndarray
    span: tuple[int, int]
    lost: Counter[str]


@dataclass(frozen=True, slots=True)
class _Truth:
    """The label of each row; the range of the labels of rows; how many were applied, and what became of the others in it."""

    value: Float64s
    at_ms: Ints
    span: tuple[int, int] | None
    applied: int
    unused: Counter[str]


# -- predictions -----------------------------------------------------------------------------------------------------


def _choose(one: _Input) -> _Chosen:
    """Which records are rows."""
    p, topics = one.p, one.topics
    nothing = np.zeros(0, np.uint32), np.zeros((0, 0), np.uint8)
    group, bins = topics.shared.coder.code(p) if len(p) else nothing
    if len(p):
        bins = with_scores(bins, p.scores)
    key = p.model.astype(np.int64) << 32 | p.version.astype(np.int64)
    records = whole.Predictions(p.ids, key, p.at_ms, one.read.predictions.before_ms, p.withdrawn)
    keys = whole.same_keys(records)
    contents = partial(_content, topics, p, group, bins)
    fates = whole.fates(records, keys, topics.plan.join.lateness_ms, contents)
    names = topics.shared.predictions.models.values
    asked = chosen(one.selection, one.read.partition, p.at_ms, p.offsets, p.model, names)
    touched = whole.among(keys, keys[asked])
    is_row = (fates == Fate.STANDS) & asked
    span = _span(one.selection, p.offsets[touched], one.read.predictions.span, _asked_offsets(one))
    if span != (0, 0):
        span = one.read.predictions.calm(span[0], p.offsets, p.at_ms, p.ids, topics.plan.max_jump_ms), span[1]
    reasons = np.where(touched, fates, Fate.STANDS)[_within(p.offsets, span) & ~is_row]
    lost = _named(reasons, _FATES) + _rejections(one.read.predictions.rejected, span)
    return _Chosen(np.flatnonzero(is_row), group, span, lost)


def _content(topics: Topics, p: PredictionColumns, group: np.ndarray, bins: np.ndarray, place: int) -> tuple[Any, ...]:
    """As the engine orders contents of one time, then by what it does not keep: the raw features."""
    score = float(p.score[place])
    raw = [_orderable(float(column[place])) for column in p.numeric.values()]
    interners = topics.shared.predictions.categories
    codes = {name: int(column[place]) for name, column in p.category.items()}
    words = [interners[name].values[code] if code >= 0 else "" for name, code in codes.items()]
    known = not math.isnan(score)
    of = topics.shared.groups.items[int(group[place])]
    return (known, score if known else 0.0, int(p.predicted[place]), of, bins[place].tobytes(), raw, words)


def _asked_offsets(one: _Input) -> list[int]:
    """The ends of the offsets asked for: a range by offsets is kept as it was asked for."""
    own = [part for part in one.selection.offsets or () if part.partition == one.read.partition]
    return [offset for part in own for offset in (part.start, part.end - 1)]


def _span(selection: m.Selection, touched: Int64s, read: Span, asked: Sequence[int] = ()) -> tuple[int, int]:
    """The shortest range (but see `Stream.calm`); all that was read where everything is asked for; (0, 0) where nothing is
    touched."""
    if (selection.from_ms, selection.until_ms, selection.offsets) == (None, None, None):
        return read.start, read.end
    ends = [*asked, *((int(touched.min()), int(touched.max())) if len(touched) else ())]
    return (min(ends), max(ends) + 1) if ends else (0, 0)


# -- labels ----------------------------------------------------------------------------------------------------------


def _label(one: _Input, picked: _Chosen) -> _Truth:
    """The label of each row, and what became of the others."""
    n = len(picked.rows)
    value, known_at = np.full(n, math.nan), Ints(np.zeros(n, np.int64), np.ones(n, np.bool_))
    if one.q is None or one.read.labels is None:
        return _Truth(value, known_at, None, 0, Counter())
    q, before, plan = one.q, one.read.labels.before_ms, one.topics.plan
    ids, at = one.p.ids[picked.rows], one.p.at_ms[picked.rows]
    cut_off = one.selection.label_cutoff_ms
    after = np.zeros(len(q), np.bool_) if cut_off is None else q.at_ms > cut_off
    usable = ~(whole.late(q.at_ms, before, plan.join.lateness_ms) | after)
    winner, use = whole.match(ids, at, whole.Labels(q.ids, q.at_ms, before, q.value), usable, plan.join.bounds)
    won = np.flatnonzero(winner >= 0)
    value[won] = q.value[winner[won]]
    known = won[~np.isnan(value[won])]
    known_at.values[known] = q.at_ms[winner[known]]
    known_at.null[known] = False
    _settle_absent(one, value, np.flatnonzero(winner < 0), at)
    ours = _same_ids(q.ids, ids)
    span = _span(one.selection, q.offsets[ours & usable], one.read.labels.span)
    if span != (0, 0):
        span = one.read.labels.calm(span[0], q.offsets, q.at_ms, q.ids, plan.max_jump_ms), span[1]
    rest = _within(q.offsets, span) & (use != Use.APPLIED)
    unused = _named(np.where(ours, use, Use.ORPHANED)[rest & ~(ours & after)], _USES)
    unused["after_cutoff"] += int((rest & ours & after).sum())
    unused += _rejections(one.read.labels.rejected, span)
    return _Truth(value, known_at, span, int((use == Use.APPLIED).sum()), unused)


def _settle_absent(one: _Input, value: Float64s, without: Int64s, at: Int64s) -> None:
    """Fill in labels that never came, where the configuration says what that means: a value without a time."""
    labels = one.topics.config.streams.labels
    if labels is None or labels.absent is None:
        return
    due = at[without] + labels.absent.after_ms
    certain = np.ones(len(without), np.bool_)
    if not one.selection.ended:
        certain = due < one.label_clock_ms - one.topics.plan.join.lateness_ms
    if one.selection.label_cutoff_ms is not None:
        certain &= due <= one.selection.label_cutoff_ms
    settled = one.topics.plan.join.absent
    assert settled is not None, "the plan knows what the configuration says of absent labels"
    value[without[certain]] = settled[0]


# -- what comes out --------------------------------------------------------------------------------------------------


def _table(one: _Input, picked: _Chosen, truth: _Truth) -> Table:
    p, rows, shared = one.p, picked.rows, one.topics.shared
    columns: dict[str, Column] = {"id_hash": Hashes(p.ids[rows])}
    if one.selection.ids:
        columns["id"] = Texts(np.arange(len(rows), dtype=np.int32), [one.read.ids[row] for row in rows.tolist()])
    columns["at_ms"] = _ints(p.at_ms[rows])
    columns["label_at_ms"] = truth.at_ms
    columns["model"] = Texts(p.model[rows], shared.predictions.models.values)
    columns["version"] = Texts(p.version[rows], shared.predictions.versions.values)
    columns |= _answers(one, rows, truth.value)
    columns |= _segments(one.topics, picked.group[rows])
    features: dict[str, Column] = {name: Floats(values[rows]) for name, values in p.numeric.items()}
    features |= {name: _category(one.topics, name, codes[rows]) for name, codes in p.category.items()}
    return Table(columns | {f"feature.{name}": features[name] for name in sorted(features)})


def _wrong_types(p: PredictionColumns, rows: Int64s) -> Counter[str]:
    found = {name: values[rows].view(np.uint64) == WRONG_BITS for name, values in p.numeric.items()}
    found |= {name: codes[rows] == INVALID for name, codes in p.category.items()}
    return Counter({name: int(wrong.sum()) for name, wrong in found.items() if wrong.any()})


def _answers(one: _Input, rows: Int64s, label: Float64s) -> dict[str, Column]:
    """Score, prediction and label, as the task has them: classes by name, numbers as they are."""
    p, config = one.p, one.topics.config
    task = task_name(config)
    if task == "binary":
        prediction = _ints(p.predicted[rows].astype(np.int64))
        return {"score": Floats(p.score[rows]), "prediction": prediction, "label": Floats(label)}
    if task == "regression":
        return {"prediction": Floats(p.score[rows]), "label": Floats(label)}
    words = [*coded_classes(config), OTHER]
    columns: dict[str, Column] = (
        {} if config.streams.predictions.fields.score is None else {"score": Floats(p.score[rows])}
    )
    for i, name in enumerate(scored_classes(config)):
        assert p.scores is not None, "the decoder reads every probability that is mapped"
        columns[f"score.{name}"] = Floats(p.scores[rows, i])
    columns["prediction"] = Texts(p.predicted[rows].astype(np.int32), words)
    columns["label"] = Texts(np.where(np.isnan(label), -1, label).astype(np.int32), words)
    return columns


def _segments(topics: Topics, group: np.ndarray) -> dict[str, Column]:
    """A column a dimension: the value, `other` where it is not listed, null where the model has no such dimension."""
    groups = [dict(each.segments) for each in topics.shared.groups.items]
    made: dict[str, Column] = {}
    for name in sorted({d.name for model in topics.plan.all_models for d in model.dimensions}):
        words = sorted({segments[name] for segments in groups if name in segments})
        place = {word: code for code, word in enumerate(words)}
        codes = np.array([place.get(segments.get(name, ""), -1) for segments in groups] or [-1], np.int32)
        made[f"segment.{name}"] = Texts(codes[group], words)
    return made


def _category(topics: Topics, name: str, codes: np.ndarray) -> Texts:
    """Raw values. Raises MonitorError where the decoder could not tell them apart."""
    words = topics.shared.predictions.categories[name].values
    if any(words[code] == OVERFLOW for code in np.unique(codes[codes >= 0]).tolist()):
        raise MonitorError(
            f"the feature {name!r} has more values than are told apart, so the rows cannot be kept as they were. "
            "Take it out of `features`, or map a coarser field."
        )
    return Texts(np.where(codes < 0, -1, codes).astype(np.int32), words)


def _source(one: _Input, picked: _Chosen, truth: _Truth) -> m.PartitionSource | None:
    """The narrow ranges with the clocks before them; None where nothing is touched."""
    if picked.span == (0, 0):
        return None
    p, jump, partition = one.p, one.topics.plan.max_jump_ms, one.read.partition
    clock = one.read.predictions.clock_at(picked.span[0], p.offsets, p.at_ms, p.ids, jump)
    predictions = m.Range(*picked.span, _clock(clock))
    if one.q is None or one.read.labels is None or truth.span is None:
        return m.PartitionSource(partition, predictions)
    q = one.q
    clock = one.read.labels.clock_at(truth.span[0], q.offsets, q.at_ms, q.ids, jump)
    absent = one.topics.plan.join.absent is not None and not one.selection.ended
    maximum = one.label_clock_ms if absent else NEVER
    labels = m.Range(*truth.span, _clock(clock))
    return m.PartitionSource(partition, predictions, labels, None if maximum == NEVER else maximum)


def state_of(clock: m.Clock) -> ClockState:
    """The clock of a manifest as the engine has it."""
    maximum = NEVER if clock.maximum_ms is None else clock.maximum_ms
    return ClockState(maximum, tuple((at, int(word, 16)) for at, word in clock.ahead))


def _clock(state: ClockState) -> m.Clock:
    maximum = None if state.maximum_ms == NEVER else state.maximum_ms
    return m.Clock(maximum, tuple((at, f"{word:016x}") for at, word in state.ahead))


def _predictions(topics: Topics, read: Read) -> PredictionColumns:
    """All columns end to end; the parts are let go, so that nothing is in memory twice."""
    nothing = np.zeros(0, np.int64)
    parts = read.predictions.parts or [
        topics.shared.predictions.decode(RecordBatch(topics.predictions.name, 0, nothing, nothing, [], 0, [], []))
    ]
    made = PredictionColumns.joined(parts)
    read.predictions.parts.clear()
    return made


def _labels(stream: Stream[LabelColumns] | None) -> LabelColumns | None:
    """The same of labels."""
    if stream is None:
        return None
    nothing = np.zeros(0, np.int64)
    parts = stream.parts or [LabelColumns(nothing, nothing, np.zeros((0, 2), np.uint64), nothing, np.zeros(0))]
    names = ("offsets", "broker_ms", "ids", "at_ms", "value")
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    stream.parts.clear()
    return LabelColumns(**columns)


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
