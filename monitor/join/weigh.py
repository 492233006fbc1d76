"""An order-free digest of the rows of a join: the sum of one 64-bit word per row.

Equal logs give equal digests, however they were read: only what a row says enters, never its place or its outcome.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.events import Float64s, Int64s, UInt64s
from monitor.groups import Groups
from monitor.join.index import Rows
from monitor.join.tables import LabelRows, PredictionRows


def weigh_predictions(table: PredictionRows, groups: Groups, rows: Rows) -> int:
    """Sum of the words of prediction rows."""
    columns = table.ids[rows, 0], table.at_ms(rows), table.group[rows], table.score[rows], table.predicted[rows]
    return weigh_contents(groups, *columns, table.ticks_late(rows))


def weigh_contents(
    groups: Groups,
    first_words: UInt64s,
    at_ms: Int64s,
    group: NDArray[np.uint32],
    score: Float64s,
    predicted: NDArray[np.uint8],
    ticks_late: Int64s,
) -> int:
    """The same of rows whose contents are at hand; `first_words` are those of their ids."""
    word = at_ms.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word ^= first_words
    word ^= groups.hashes[group] + score.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    word += predicted + (ticks_late << 8).view(np.uint64)
    return int(_mix(word).sum(dtype=np.uint64))


def weigh_labels(table: LabelRows, rows: Rows) -> int:
    """Sum of the words of label rows."""
    return weigh_label_contents(table.ids[rows, 1], table.at_ms[rows], table.value[rows], table.known[rows])


def weigh_label_contents(second_words: UInt64s, at_ms: Int64s, value: Float64s, known: Int64s) -> int:
    """The same of rows whose contents are at hand; every NaN is the same withdrawal."""
    word = second_words ^ (at_ms.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    plain = np.where(np.isnan(value), -0.0, value + 0.0)
    word ^= plain.view(np.uint64) + known.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    return int(_mix(word).sum(dtype=np.uint64))


def _mix(word: UInt64s) -> UInt64s:
    """The finaliser of SplitMix64: every bit of the word reaches every bit of the sum's terms. In place."""
    word ^= word >> np.uint64(30)
    word *= np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(27)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(31)
    return word
