"""The two sides of the join as packed rows: predictions and labels.

A prediction takes 46 bytes plus one per watched feature plus 8 per probability of a class plus its share of the index
(5.3 to 8 bytes): id 16, event time 6, score 8 (of regression models the number they predicted), group 4, ticks it was
known late 2, flags 1, predicted class 1, chain 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.events import Float64s, Int64s
from monitor.join.index import Rows
from monitor.join.inputs import PredictionBatch
from monitor.join.rows import ChainedRows, place_of

# Flags of a prediction row. The low two bits are its outcome.
PENDING, MATCHED, EXPIRED, WITHDRAWN = range(4)
OUTCOME = 0b11
ABSENT = 0b100  # settled by `labels.absent`: counted in its window until a label comes
SHADOWED = 0b1000  # the key has a history: see revise.Reviser
CANCELLED_FIRST = 0b1_0000  # a withdrawal whose prediction has not been read
LIVE = 0b1000_0000  # the row is in use

# Status of a label row. MET waits too: only predictions that it is not valid for were met so far.
WAITING, APPLIED, SUPERSEDED, OUTSIDE, WITHDRAWING, ORPHANED, MET = range(7)

LATE_MAX = 0xFFFF
"""Ticks late that two bytes hold no more; rows beyond are remembered apart."""

SCORE_BYTES = 8
_NO_BINS = np.zeros((0, 0), np.uint8)


def with_scores(bins: NDArray[np.uint8], scores: Float64s | None) -> NDArray[np.uint8]:
    """Bins with the bytes of probabilities behind them: what identifies a content, compares and is kept in one piece."""
    if scores is None:
        return bins
    # One NaN and one zero: equal contents are equal bytes.
    plain = np.where(np.isnan(scores), np.nan, scores + 0.0).astype("<f8")
    return np.concatenate([bins, plain.view(np.uint8)], axis=1)


def scores_of(bins: NDArray[np.uint8], score_bytes: int, n: int) -> Float64s:
    """The probabilities behind the bins of n rows."""
    if not score_bytes:
        return np.zeros((n, 0))
    return np.ascontiguousarray(bins[:, -score_bytes:]).view("<f8").astype(np.float64, copy=False)


class PredictionRows(ChainedRows):
    """Predictions whose label may still come, or whose duplicate may."""

    flags: NDArray[np.uint8]
    score: Float64s
    group: NDArray[np.uint32]
    predicted: NDArray[np.uint8]
    _at_low: NDArray[np.uint32]
    _at_high: NDArray[np.uint16]
    _late: NDArray[np.uint16]
    _bins: NDArray[np.uint8]  # only where features are watched

    def __init__(self, features: int, scores: int = 0) -> None:
        """`features`: bytes of bins a row, the last 8 x `scores` of them being its probabilities of classes."""
        columns: dict[str, tuple[type[np.generic], int]] = {
            "_at_low": (np.uint32, 0),
            "_at_high": (np.uint16, 0),
            "score": (np.float64, 0),
            "group": (np.uint32, 0),
            "_late": (np.uint16, 0),
            "flags": (np.uint8, 0),
            "predicted": (np.uint8, 0),
        }
        if features:
            columns["_bins"] = (np.uint8, features)
        super().__init__(columns)
        self.features = features
        self._score_bytes = SCORE_BYTES * scores
        self._very_late: dict[int, int] = {}

    def at_ms(self, rows: Rows | slice) -> Int64s:
        """Event time of rows."""
        return self._at_low[rows].astype(np.int64) | (self._at_high[rows].astype(np.int64) << 32)

    def bins(self, rows: Rows) -> NDArray[np.uint8]:
        """Bin of every watched feature, shape (n, features)."""
        if not self.features:
            return np.zeros((len(rows), 0), np.uint8)
        return self._bins[rows]

    def scores(self, rows: Rows) -> Float64s:
        """Probabilities of classes, shape (n, k); k = 0 where there are none."""
        return scores_of(self.bins(rows) if self._score_bytes else _NO_BINS, self._score_bytes, len(rows))

    def scores_in(self, bins: NDArray[np.uint8]) -> Float64s:
        """The same of bins that are at hand."""
        return scores_of(bins, self._score_bytes, len(bins))

    def contents(self, rows: Rows) -> PredictionBatch:
        """What rows hold, as a batch; the clock before them is not kept (0)."""
        return PredictionBatch(
            self.ids[rows],
            self.at_ms(rows),
            np.zeros(len(rows), np.int64),
            self.group[rows],
            self.score[rows],
            self.predicted[rows],
            self.bins(rows),
            np.zeros(len(rows), np.bool_),
        )

    def ticks_late(self, rows: Rows) -> Int64s:
        """Ticks between a row's own tick and the one it was known in."""
        late = self._late[rows].astype(np.int64)
        if self._very_late:
            for i in np.flatnonzero(late == LATE_MAX):
                late[i] = self._very_late[int(rows[i])]
        return late

    def fill(
        self,
        rows: Rows,
        at_ms: Int64s,
        ticks_late: Int64s,
        group: NDArray[np.uint32],
        score: Float64s,
        predicted: NDArray[np.uint8],
        bins: NDArray[np.uint8],
    ) -> None:
        """Write the contents of rows (their ids and flags are the caller's)."""
        place = place_of(rows)
        self._at_low[place] = at_ms & 0xFFFFFFFF
        self._at_high[place] = at_ms >> 32
        self.group[place] = group
        self.score[place] = score
        self.predicted[place] = predicted
        if self.features:
            self._bins[place] = bins
        if self._very_late:
            for row in rows.tolist():
                self._very_late.pop(row, None)
        self._late[place] = np.minimum(ticks_late, LATE_MAX)
        for i in np.flatnonzero(ticks_late >= LATE_MAX):
            self._very_late[int(rows[i])] = int(ticks_late[i])


class LabelRows(ChainedRows):
    """Labels that wait for their prediction, or that a prediction may still meet."""

    at_ms: Int64s
    value: Float64s
    known: Int64s  # tick
    status: NDArray[np.uint8]

    def __init__(self) -> None:
        super().__init__(
            {"at_ms": (np.int64, 0), "value": (np.float64, 0), "known": (np.int64, 0), "status": (np.uint8, 0)}
        )
