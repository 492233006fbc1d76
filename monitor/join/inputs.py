"""What goes into a join, and where its contributions go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Float64s, Int64s, UInt64s
from monitor.join.timeline import Bounds

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class JoinParams:
    """What decides the join. `settle_ms` is the grid on which outcomes are settled and rows dropped (memory, not
    meaning). `absent` is (value, after_ms) of `labels.absent`. `max_rows` bounds predictions held."""

    bounds: Bounds
    disorder_ms: int
    lateness_ms: int
    tick_ms: int
    settle_ms: int
    max_rows: int
    absent: tuple[float, int] | None = None


class Sink(Protocol):
    """Takes contributions to windows. `sign` is +1 or -1 per row; `ticks` are the ticks they become known in."""

    def seen(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        bins: UInt8s,
        sign: Int64s,
    ) -> None:
        """Predictions as such: volume, features, scores, answers."""

    def labelled(
        self,
        group: UInt32s,
        at_ms: Int64s,
        ticks: Int64s,
        score: Float64s,
        predicted: UInt8s,
        label: Float64s,
        sign: Int64s,
        scores: Float64s,
    ) -> None:
        """Predictions with their label. `scores` (n, k): probabilities of classes, k = 0 where the stream has none."""


@dataclass(slots=True)
class PredictionBatch:
    """Predictions to be joined. `before_ms` is the running maximum of their log before each. `bins` ends with 8 bytes for
    each probability of a class (`tables.with_scores`)."""

    ids: UInt64s
    at_ms: Int64s
    before_ms: Int64s
    group: UInt32s
    score: Float64s
    predicted: UInt8s
    bins: UInt8s
    withdrawn: Bools

    def __len__(self) -> int:
        return len(self.at_ms)

    def take(self, which: Int64s) -> PredictionBatch:
        """Some of the rows, in the order of `which`."""
        return PredictionBatch(
            self.ids[which],
            self.at_ms[which],
            self.before_ms[which],
            self.group[which],
            self.score[which],
            self.predicted[which],
            self.bins[which],
            self.withdrawn[which],
        )


@dataclass(slots=True)
class LabelBatch:
    """Labels to be joined; `value` NaN withdraws. `before_ms` as above."""

    ids: UInt64s
    at_ms: Int64s
    before_ms: Int64s
    value: Float64s

    def __len__(self) -> int:
        return len(self.at_ms)

    def take(self, which: Int64s) -> LabelBatch:
        """Some of the rows, in the order of `which`."""
        return LabelBatch(self.ids[which], self.at_ms[which], self.before_ms[which], self.value[which])
