"""A join as columns, and back: what a snapshot holds of it.

Rows come in no order that means something, those in files with the others. Groups are numbered anew, because codes are a
process's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Int64s
from monitor.join import tables as t
from monitor.join.chains import link
from monitor.join.index import Rows
from monitor.join.rows import place_of
from monitor.join.segments import PART, Segment

if TYPE_CHECKING:
    from monitor.join.join import Join

Column = Callable[[], NDArray[Any]]


class JoinColumns:
    """The columns of a join as it is now, made one at a time. `n`: predictions and labels; `groups`: codes of this process, in
    the order in which the columns number them, with those of `beside`; `rows`: of the table, which come first."""

    def __init__(self, join: Join, beside: Sequence[int] = ()) -> None:
        self._join = join
        self.rows: Rows = join.predictions.used()
        self._label_rows: Rows = join.labels.used()
        self._living = [(s, s.living()) for s in join.spilled.predictions]
        self._living_labels = [(s, s.living()) for s in join.spilled.labels]
        codes = [join.predictions.group[self.rows], *(s.columns["group"][at] for s, at in self._living)]
        remembered = [fact.group for _, history in join.revise.histories() for fact in history.facts]
        self.groups: Int64s = np.unique(np.concatenate([*codes, np.array([*remembered, *beside], np.uint32)])).astype(
            np.int64
        )
        self.n = join.held

    def all(self) -> dict[str, Column]:
        """By name, in the order in which they are written."""
        join, rows, labels = self._join, self.rows, self._label_rows
        p, q = join.predictions, join.labels

        def group() -> NDArray[Any]:
            codes = self._joined("group", p.group[rows], self._living)
            return np.searchsorted(self.groups, codes).astype("<u4")

        def of(name: str, own: Column, living: list[tuple[Segment, Int64s]], dtype: str) -> Column:
            return lambda: self._joined(name, own(), living).astype(dtype)

        def states(own: Column, living: list[tuple[Segment, Int64s]]) -> Column:
            return lambda: np.concatenate([own(), *(s.state[at] for s, at in living)]).astype("u1")

        mine, theirs = self._living, self._living_labels
        return {
            "prediction.first": of("first", lambda: p.ids[rows, 0], mine, "<u8"),
            "prediction.second": of("second", lambda: p.ids[rows, 1], mine, "<u8"),
            "prediction.at_ms": of("at_ms", lambda: p.at_ms(rows), mine, "<i8"),
            "prediction.late": of("late", lambda: p.ticks_late(rows), mine, "<i8"),
            "prediction.group": group,
            "prediction.score": of("score", lambda: p.score[rows], mine, "<f8"),
            "prediction.predicted": of("predicted", lambda: p.predicted[rows], mine, "u1"),
            "prediction.bins": of("bins", lambda: p.bins(rows), mine, "u1"),
            "prediction.flags": states(lambda: p.flags[rows], mine),
            "label.first": of("first", lambda: q.ids[labels, 0], theirs, "<u8"),
            "label.second": of("second", lambda: q.ids[labels, 1], theirs, "<u8"),
            "label.at_ms": of("at_ms", lambda: q.at_ms[labels], theirs, "<i8"),
            "label.value": of("value", lambda: q.value[labels], theirs, "<f8"),
            "label.known": of("known", lambda: q.known[labels], theirs, "<i8"),
            "label.status": states(lambda: q.status[labels], theirs),
        }

    @staticmethod
    def _joined(name: str, own: NDArray[Any], living: list[tuple[Segment, Int64s]]) -> NDArray[Any]:
        return np.concatenate([own, *(s.columns[name][at] for s, at in living)])


def put_back(join: Join, columns: Mapping[str, NDArray[Any]], groups: Int64s, remembered: Int64s) -> dict[int, int]:
    """Fill an empty join; `groups`: codes of this process by the numbers of the columns. Gives the rows of the table where those
    predictions (`remembered`: ascending places in the columns) went that have a history; they stay there."""
    found: dict[int, int] = {}
    for start in range(0, len(columns["prediction.first"]), PART):
        rows = _put_predictions(join, {name: c[start : start + PART] for name, c in columns.items()}, groups)
        here = remembered[(remembered >= start) & (remembered < start + PART)]
        found.update(zip(here.tolist(), rows[here - start].tolist(), strict=True))
        join.make_room()
    for start in range(0, len(columns["label.first"]), PART):
        _put_labels(join, {name: c[start : start + PART] for name, c in columns.items()})
        join.make_room()
    return found


def _put_predictions(join: Join, part: Mapping[str, NDArray[Any]], groups: Int64s) -> Rows:
    table = join.predictions
    first, second, at, late, group, score, predicted, bins, flags = (
        part[f"prediction.{name}"]
        for name in ("first", "second", "at_ms", "late", "group", "score", "predicted", "bins", "flags")
    )
    rows = table.allocate(len(first))
    place, ids = place_of(rows), np.stack([first, second], axis=1)
    table.ids[place] = ids
    table.fill(rows, at, late, groups[group].astype(np.uint32), score, predicted, bins)
    table.flags[place] = flags
    link(table, rows, ids)
    join.reweigh(rows, 1)
    join.prediction_outcomes.pending += int(np.count_nonzero((flags & t.OUTCOME) == t.PENDING))
    return rows


def _put_labels(join: Join, part: Mapping[str, NDArray[Any]]) -> None:
    table = join.labels
    rows = table.allocate(len(part["label.first"]))
    place, ids = place_of(rows), np.stack([part["label.first"], part["label.second"]], axis=1)
    table.ids[place] = ids
    for name in ("at_ms", "value", "known", "status"):
        getattr(table, name)[place] = part[f"label.{name}"]
    link(table, rows, ids)
    join.reweigh_labels(rows)
    join.label_outcomes.waiting += int(np.count_nonzero(np.isin(part["label.status"], (t.WAITING, t.MET))))
