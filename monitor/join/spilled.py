"""The rows of one join that are kept elsewhere, and how that is never seen.

Every record that names an id first fetches the rows of that id, predictions and labels, back into the tables (`recall`): all
rules of the join then see them as if they had never been away. What needs no record, settling by the clocks, is done in place on
columns, with the same numbers at the same grid steps as in the tables. Rows with a history are few and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Int64s, UInt64s
from monitor.join import tables as t
from monitor.join.absence import count_absent
from monitor.join.chains import link
from monitor.join.index import Rows
from monitor.join.rows import ChainedRows, place_of
from monitor.join.segments import GONE, Segment
from monitor.join.weigh import weigh_contents, weigh_label_contents
from monitor.ports import SegmentStore

if TYPE_CHECKING:
    from monitor.join.join import Join

_Found = tuple[Segment, Int64s]
"""Rows of a segment."""


class Spilled:
    """Segments of predictions and of labels."""

    __slots__ = ("_join", "labels", "predictions")

    def __init__(self, join: Join) -> None:
        self._join = join
        self.predictions: list[Segment] = []
        self.labels: list[Segment] = []

    @property
    def rows(self) -> tuple[int, int]:
        """Predictions and labels that are not in memory."""
        return sum(s.live for s in self.predictions), sum(s.live for s in self.labels)

    @property
    def nbytes(self) -> int:
        """Memory that segments take."""
        return sum(s.nbytes for s in (*self.predictions, *self.labels))

    @property
    def kept_bytes(self) -> int:
        """What they take where they are kept."""
        return sum(s.kept_bytes for s in (*self.predictions, *self.labels))

    def close(self) -> None:
        """Drop everything: the join is not needed any more."""
        for segment in (*self.predictions, *self.labels):
            segment.drop()
        self.predictions, self.labels = [], []

    # -- out and back --------------------------------------------------------------------------------------------

    def spill(self, n: int, store: SegmentStore) -> int:
        """Put about the `n` oldest rows aside; returns how many. Raises SpillRefused: what was not kept is still in the
        tables."""
        predictions, labels = self._movable(), self._join.labels.used()
        at_p, at_q = self._join.predictions.at_ms(predictions), self._join.labels.at_ms[labels]
        at = np.concatenate([at_p, at_q])
        if not at.size or n < 1:
            return 0
        n = min(n, len(at))
        cutoff = np.partition(at, n - 1)[n - 1]
        return self._spill_predictions(predictions[at_p <= cutoff], store) + self._spill_labels(
            labels[at_q <= cutoff], store
        )

    def _movable(self) -> Rows:
        """Prediction rows without a history."""
        table = self._join.predictions
        flags = table.flags[: table.top]
        plain = (flags & (t.LIVE | t.SHADOWED | t.CANCELLED_FIRST)) == t.LIVE
        plain[self._join.revise.rows_with_history()] = False
        rows = np.flatnonzero(plain).astype(np.uint32)
        return rows[table.ticks_late(rows) < t.LATE_MAX]

    def _spill_predictions(self, rows: Rows, store: SegmentStore) -> int:
        if not len(rows):
            return 0
        table = self._join.predictions
        rows = _by_id(table, rows)
        columns: dict[str, NDArray[Any]] = {
            **_ids(table, rows),
            "at_ms": table.at_ms(rows),
            "late": table.ticks_late(rows).astype(np.uint16),
            "group": table.group[rows],
            "score": table.score[rows],
            "predicted": table.predicted[rows],
            "bins": table.bins(rows),
        }
        self.predictions.append(Segment(store.keep(columns), table.flags[rows]))
        table.remove(rows)
        table.flags[rows] = 0
        return len(rows)

    def _spill_labels(self, rows: Rows, store: SegmentStore) -> int:
        if not len(rows):
            return 0
        table = self._join.labels
        rows = _by_id(table, rows)
        columns = {
            **_ids(table, rows),
            "at_ms": table.at_ms[rows],
            "value": table.value[rows],
            "known": table.known[rows],
        }
        self.labels.append(Segment(store.keep(columns), table.status[rows]))
        table.remove(rows)
        return len(rows)

    def recall(self, ids: UInt64s) -> None:
        """Rows with one of these ids are in the tables afterwards."""
        if not self.predictions and not self.labels:
            return
        self._restore_predictions(_found(self.predictions, ids))
        self.predictions = _kept(self.predictions)
        self.recall_labels(ids)

    def recall_labels(self, ids: UInt64s) -> None:
        """The labels of these ids only."""
        self._restore_labels(_found(self.labels, ids))
        self.labels = _kept(self.labels)

    def _restore_predictions(self, found: list[_Found]) -> None:
        if not found:
            return
        table, rows_of = self._join.predictions, _Gathered(found)
        rows = table.allocate(rows_of.n)
        ids, place = rows_of.ids(), place_of(rows)
        table.ids[place] = ids
        late = rows_of.column("late").astype(np.int64)
        contents = (rows_of.column(name) for name in ("group", "score", "predicted", "bins"))
        table.fill(rows, rows_of.column("at_ms"), late, *contents)
        table.flags[place] = rows_of.take_out()
        link(table, rows, ids)

    def _restore_labels(self, found: list[_Found]) -> None:
        if not found:
            return
        table, rows_of = self._join.labels, _Gathered(found)
        rows = table.allocate(rows_of.n)
        ids, place = rows_of.ids(), place_of(rows)
        table.ids[place] = ids
        for name in ("at_ms", "value", "known"):
            getattr(table, name)[place] = rows_of.column(name)
        table.status[place] = rows_of.take_out()
        link(table, rows, ids)

    def merge(self, most_rows: int, store: SegmentStore) -> None:
        """Write segments that are half empty together, up to `most_rows` at once. Raises SpillRefused."""
        for side in (self.predictions, self.labels):
            thin, rows = [], 0
            for segment in sorted(side, key=lambda s: s.live):
                if 2 * segment.live <= len(segment.state) and rows + segment.live <= most_rows:
                    thin.append(segment)
                    rows += segment.live
            if len(thin) > 1:
                side.append(_merged(thin, store))
                for segment in thin:
                    side.remove(segment)
                    segment.drop()

    # -- settling ------------------------------------------------------------------------------------------------

    def settle_predictions(self, prediction_ms: int, label_ms: int) -> None:
        """What `settle.Settler` does with the predictions in the table, before it does."""
        params = self._join.params
        wait = min(params.bounds.horizon_ms, params.absent[1]) if params.absent else params.bounds.horizon_ms
        for segment in self.predictions:
            if segment.first_ms + wait < label_ms:
                for start, end in segment.parts():
                    self._settle_predictions(segment, start, end, prediction_ms, label_ms)
        self.predictions = _kept(self.predictions)

    def settle_labels(self, prediction_ms: int, label_ms: int) -> None:
        """The same of labels."""
        for segment in self.labels:
            if segment.first_ms + self._join.params.bounds.skew_ms < prediction_ms:
                self._settle_labels(segment, prediction_ms, label_ms)
        self.labels = _kept(self.labels)

    def _settle_predictions(self, segment: Segment, start: int, end: int, prediction_ms: int, label_ms: int) -> None:
        join, state = self._join, segment.state[start:end]
        bounds, absent = join.params.bounds, join.params.absent
        at = segment.columns["at_ms"][start:end]
        if absent is not None:
            due = _pending(state) & ((state & t.ABSENT) == 0) & (at + absent[1] < label_ms)
            self._absent(segment, np.flatnonzero(due) + start)
        expired = _pending(state) & (at + bounds.horizon_ms < label_ms)
        n = int(np.count_nonzero(expired))
        join.prediction_outcomes.pending -= n
        join.prediction_outcomes.expired += n
        state[expired] = (state[expired] & ~np.uint8(t.OUTCOME)) | np.uint8(t.EXPIRED)
        done = (state != GONE) & (at + bounds.horizon_ms < label_ms)
        done &= at + bounds.horizon_ms + bounds.skew_ms < prediction_ms
        places = np.flatnonzero(done) + start
        if places.size:
            columns = segment.columns
            names = ("first", "at_ms", "group", "score", "predicted", "late")
            words, times, group, score, predicted, late = (columns[name][places] for name in names)
            weight = weigh_contents(join.groups, words, times, group, score, predicted, late.astype(np.int64))
            join.digests[0] -= weight
            segment.take_out(places)

    def _absent(self, segment: Segment, places: Int64s) -> None:
        """Labels that never came. A row whose id has some goes back to the table, which is settled next."""
        join, columns = self._join, segment.columns
        if not places.size:
            return
        ids = segment.ids(places)
        labelled = join.labels.head(ids) != 0
        for labels in self.labels:
            labelled |= labels.has(ids)
        if labelled.any():
            self._restore_predictions([(segment, places[labelled])])
            places = places[~labelled]
        segment.state[places] |= t.ABSENT
        names = ("group", "at_ms", "late", "score", "predicted", "bins")
        group, at, late, score, predicted, bins = (columns[name][places] for name in names)
        scores = join.predictions.scores_in(bins)
        count_absent(join, group, at, late.astype(np.int64), score, predicted, scores)

    def _settle_labels(self, segment: Segment, prediction_ms: int, label_ms: int) -> None:
        join, state = self._join, segment.state
        bounds, at = join.params.bounds, segment.columns["at_ms"]
        closed = at + bounds.skew_ms < prediction_ms
        orphaned, met = closed & (state == t.WAITING), closed & (state == t.MET)
        counts = join.label_outcomes
        counts.waiting -= int(np.count_nonzero(orphaned | met))
        counts.orphaned += int(np.count_nonzero(orphaned))
        counts.outside += int(np.count_nonzero(met))
        state[orphaned], state[met] = t.ORPHANED, t.OUTSIDE
        done = (state != GONE) & (at + bounds.skew_ms + bounds.horizon_ms < label_ms)
        done &= at + 2 * bounds.skew_ms + bounds.horizon_ms < prediction_ms
        places = np.flatnonzero(done)
        if places.size:
            contents = (segment.columns[name][places] for name in ("second", "at_ms", "value", "known"))
            join.digests[1] -= weigh_label_contents(*contents)
            segment.take_out(places)


def _pending(state: NDArray[np.uint8]) -> Bools:
    out: Bools = (state != GONE) & ((state & t.OUTCOME) == t.PENDING)
    return out


def _by_id(table: ChainedRows, rows: Rows) -> Rows:
    return rows[np.argsort(table.ids[rows, 0], kind="stable")]


def _ids(table: ChainedRows, rows: Rows) -> dict[str, NDArray[Any]]:
    return {"first": table.ids[rows, 0], "second": table.ids[rows, 1]}


def _kept(segments: list[Segment]) -> list[Segment]:
    """Those that still have a row; the others are dropped."""
    for segment in segments:
        if not segment.live:
            segment.drop()
    return [segment for segment in segments if segment.live]


class _Gathered:
    """Rows of several segments as one."""

    def __init__(self, found: list[_Found]) -> None:
        self._found = found
        self.n = sum(len(places) for _, places in found)

    def column(self, name: str) -> NDArray[Any]:
        parts = [segment.columns[name][places] for segment, places in self._found]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def ids(self) -> UInt64s:
        return np.stack([self.column("first"), self.column("second")], axis=1)

    def states(self) -> NDArray[np.uint8]:
        return np.concatenate([segment.state[places] for segment, places in self._found])

    def take_out(self) -> NDArray[np.uint8]:
        """Their states; they leave their segments."""
        states = self.states()
        for segment, places in self._found:
            segment.take_out(places)
        return states


def _found(segments: list[Segment], ids: UInt64s) -> list[_Found]:
    """Where rows with these ids are."""
    found = [(segment, segment.find(ids)) for segment in segments]
    return [(segment, places) for segment, places in found if places.size]


def _merged(segments: list[Segment], store: SegmentStore) -> Segment:
    """The living rows of several as one."""
    rows_of = _Gathered([(segment, segment.living()) for segment in segments])
    order = np.argsort(rows_of.column("first"), kind="stable")
    columns = {name: rows_of.column(name)[order] for name in segments[0].columns}
    return Segment(store.keep(columns), rows_of.states()[order])
