"""Binary classification that also counts what waits for its label: what bounds and estimates while labels are missing need.

Cells of a window, after those of `binary`:

    called                          predictions that the model called positive, labelled or not
    called_scores[120], rejected_scores[120]  predictions with a score, by what they were called, in equal-width score bins
    arrived[4 J]                    labels by bin of delay, and within it as tp, fp, fn, tn

120 bins of scores, a tenth of those of `binary`: chances are learned from few rows. J, at most 48, are the bins of
`delays`. A delay goes from the prediction to the middle of the tick in which its label is known. 4 KB a window in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from monitor.editions import NEWEST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics.binary import LAYOUT as COUNTED
from monitor.metrics.binary import SCORE_BINS, Binary, score_bins
from monitor.sketches.cells import CellLayout, CellSlice

COARSE_BINS: Final = 120
MATRIX: Final = ("tp", "fp", "fn", "tn")
"""The order within a bin of delay."""
_OUTCOMES: Final = np.array([3, 1, 2, 0], np.int32)
"""Places in it, indexed by 2 * actual + called."""


class ForeseenBinary(Binary):
    """The task `binary` where windows say what is to be expected. `ends` (J,), in ms, are those of the bins of delay."""

    def __init__(self, ends: Int64s, costs: Mapping[str, float] | None = None, edition: int = NEWEST) -> None:
        super().__init__(costs, edition)
        self.ends = ends
        self.cells = COUNTED + CellLayout(
            (
                CellSlice("called"),
                CellSlice("called_scores", COARSE_BINS),
                CellSlice("rejected_scores", COARSE_BINS),
                CellSlice("arrived", len(MATRIX) * len(ends)),
            )
        )
        names = ("called", "called_scores", "rejected_scores", "arrived")
        self._called, self._called_scores, self._rejected_scores, self._arrived = map(self.cells.index, names)

    def of_edition(self, number: int) -> ForeseenBinary:
        """The task as an edition has it."""
        return ForeseenBinary(self.ends, self.costs, number)

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """As `binary`, and the label by its delay, beyond the last bin in the last: (n, 9)."""
        assert delay_ms is not None, "labels are counted by their delay"
        cell, amount = super().contribute(score, predicted, label, positive)
        bin_ = np.minimum(np.searchsorted(self.ends, np.maximum(delay_ms, 0), side="left"), len(self.ends) - 1)
        outcome = _OUTCOMES[2 * (label == positive) + (predicted == 1.0)]
        arrived = (self._arrived + len(MATRIX) * bin_ + outcome).astype(np.int32)
        return np.column_stack((cell, arrived)), np.column_stack((amount, np.ones(len(score), np.int64)))

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s]:
        """What n predictions add, labelled or not, beside `seen`: cell index and amount, both (n, 2)."""
        called, scored = predicted == 1.0, ~np.isnan(score)
        bins = score_bins(np.where(scored, score, 0.0)) // (SCORE_BINS // COARSE_BINS)
        cell = np.empty((len(score), 2), np.int64)
        cell[:, 0] = self._called
        cell[:, 1] = np.where(called, self._called_scores, self._rejected_scores) + bins
        return cell, np.column_stack((called, scored)).astype(np.int64)


def coarsened(histogram: Int64s) -> Int64s:
    """Counts (..., 1200) of the bins of `binary` as counts (..., 120)."""
    found: Int64s = histogram.reshape(*histogram.shape[:-1], COARSE_BINS, SCORE_BINS // COARSE_BINS).sum(axis=-1)
    return found
