"""Labels that never came, where `labels.absent` says what that means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.events import Bools, Float64s, Int64s
from monitor.join import tables as t
from monitor.join.index import Rows
from monitor.join.inputs import UInt8s, UInt32s

if TYPE_CHECKING:
    from monitor.join.join import Join


def settle_absent(join: Join, rows: Rows) -> None:
    """Count the label that never came for pending rows of the table."""
    table = join.predictions
    if join.absent is None or not rows.size:
        return
    join.spilled.recall_labels(table.ids[rows])
    # A row that has labels and is still pending had its label withdrawn: that is truth taken back, not absence.
    odd = ((table.flags[rows] & t.SHADOWED) != 0) | (join.labels.head(table.ids[rows]) != 0)
    for row in rows[odd].tolist():
        join.revise.settle_absent(row)
    rows = rows[~odd]
    table.flags[rows] |= t.ABSENT
    contents = table.group[rows], table.at_ms(rows), table.ticks_late(rows), table.score[rows], table.predicted[rows]
    count_absent(join, *contents, table.scores(rows))


def count_absent(
    join: Join, group: UInt32s, at: Int64s, late: Int64s, score: Float64s, predicted: UInt8s, scores: Float64s
) -> None:
    """Tell the sink of them; `late`: ticks between a prediction's own tick and the one it was known in."""
    absent = join.absent
    assert absent is not None
    ticks = np.maximum(at // join.params.tick_ms + late, (at + absent.wait_ms) // absent.tick_ms)
    ones = np.ones(len(at), np.int64)
    join.sink.labelled(group, at, ticks, score, predicted, np.full(len(at), absent.value), ones, scores)


def absence_first(join: Join, at: Int64s, ticks: Int64s, labels: Rows) -> Bools:
    """Whether the missing label of a prediction was known to be missing before the label was known."""
    assert join.absent is not None
    return (at + join.absent.wait_ms) // join.absent.tick_ms < np.maximum(ticks, join.labels.known[labels])
