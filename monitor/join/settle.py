"""Settling: what the finality clocks decide. Predictions expire or are settled as absent, labels become orphans, rows go.

It works on the clocks rounded down to the settle grid, so a row is looked at once per grid step and not at every
commit; what it decides could be decided later without being seen anywhere but in memory and in the outcome counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.events import Int64s
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.join import tables as t
from monitor.join.absence import settle_absent
from monitor.join.index import FIRST_ROW, Rows

if TYPE_CHECKING:
    from monitor.join.join import Join

_SLICE = 1 << 17


class Settler:
    """The grid clocks a join was last settled at."""

    __slots__ = ("_join", "_label_ms", "_overdue", "_prediction_ms")

    def __init__(self, join: Join) -> None:
        self._join = join
        self._prediction_ms = NEVER
        self._label_ms = NEVER
        self._overdue = False

    def notice(self, at_ms: Int64s) -> None:
        """New predictions: some may be older than what was settled already."""
        if self._label_ms != NEVER and at_ms.size:
            bounds, absent = self._join.params.bounds, self._join.params.absent
            wait = min(bounds.horizon_ms, absent[1]) if absent else bounds.horizon_ms
            self._overdue = self._overdue or int(at_ms.min()) + wait < self._label_ms

    def overdue(self) -> None:
        """Settle at the next call even if the clocks stand still."""
        self._overdue = True

    def run(self, prediction_ms: int, label_ms: int) -> None:
        """Settle everything the two finality clocks decide."""
        step = self._join.params.settle_ms
        prediction_ms, label_ms = _floor(prediction_ms, step), _floor(label_ms, step)
        if (prediction_ms, label_ms) == (self._prediction_ms, self._label_ms) and not self._overdue:
            return
        self._prediction_ms, self._label_ms, self._overdue = prediction_ms, label_ms, False
        spilled = self._join.spilled
        spilled.settle_predictions(prediction_ms, label_ms)
        self._predictions()
        spilled.settle_labels(prediction_ms, label_ms)
        self._labels()

    def dropped_below(self) -> tuple[int, int]:
        """Event times below which no prediction, no label, is held any more."""
        bounds = self._join.params.bounds
        wait = bounds.horizon_ms + bounds.skew_ms
        prediction = min(self._label_ms - bounds.horizon_ms, self._prediction_ms - wait)
        label = min(self._label_ms - wait, self._prediction_ms - wait - bounds.skew_ms)
        return prediction, label

    def _predictions(self) -> None:
        join = self._join
        table, bounds, absent = join.predictions, join.params.bounds, join.params.absent
        gone: list[Rows] = []
        for start in range(FIRST_ROW, table.top, _SLICE):
            part = slice(start, min(start + _SLICE, table.top))
            flags, at = table.flags[part], table.at_ms(part)
            live = (flags & t.LIVE) != 0
            pending = live & ((flags & t.OUTCOME) == t.PENDING)
            if absent is not None:
                due = pending & ((flags & t.ABSENT) == 0) & (at + absent[1] < self._label_ms)
                settle_absent(join, (np.flatnonzero(due) + start).astype(np.uint32))
            expired = np.flatnonzero(pending & (at + bounds.horizon_ms < self._label_ms))
            if expired.size:
                join.set_outcome((expired + start).astype(np.uint32), t.EXPIRED)
            done = live & (at + bounds.horizon_ms < self._label_ms)
            done &= at + bounds.horizon_ms + bounds.skew_ms < self._prediction_ms
            gone.append((np.flatnonzero(done) + start).astype(np.uint32))
        rows = np.concatenate(gone) if gone else np.zeros(0, np.uint32)
        if rows.size:
            join.forget_predictions(rows)

    def open_label(self, at_ms: int) -> bool:
        """Whether a prediction that a label of this time is valid for may still come, by the clock last settled at."""
        return at_ms + self._join.params.bounds.skew_ms >= self._prediction_ms

    def labels(self, rows: Rows) -> None:
        """Settle those of these labels that wait and for which no prediction can come: how many wait is at any commit a
        function of the labels held and of the clocks, however they were read."""
        table = self._join.labels
        rows = rows[table.at_ms[rows] + self._join.params.bounds.skew_ms < self._prediction_ms]
        status = table.status[rows]
        self._join.set_status(rows[status == t.WAITING], t.ORPHANED)
        self._join.set_status(rows[status == t.MET], t.OUTSIDE)

    def _labels(self) -> None:
        join = self._join
        table, bounds = join.labels, join.params.bounds
        rows = table.used()
        if not rows.size:
            return
        self.labels(rows)
        at = table.at_ms[rows]
        done = at + bounds.skew_ms + bounds.horizon_ms < self._label_ms
        done &= at + 2 * bounds.skew_ms + bounds.horizon_ms < self._prediction_ms
        if done.any():
            join.forget_labels(rows[done])


def _floor(clock_ms: int, step: int) -> int:
    return clock_ms if clock_ms > FOREVER // 2 else clock_ms // step * step
