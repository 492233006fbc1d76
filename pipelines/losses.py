"""What one prediction costs, bounded: the loss of each row, from its label and the score of a model.

A gate compares sums of losses, and says something sure about them only if no single row can decide: a logarithmic or a squared
loss is cut at a stated bound, and what is cut is the same for champion and challenger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, assert_never

import msgspec
import numpy as np

from pipelines.sense import Wrong, refuse

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Loss(StrEnum):
    """How a row is scored. The first three are for a label of 0 or 1 and a score within [0, 1]."""

    BRIER = "brier"
    LOG_LOSS = "log_loss"
    ZERO_ONE = "zero_one"
    ABSOLUTE = "absolute"
    SQUARED = "squared"


BINARY: Final = frozenset({Loss.BRIER, Loss.LOG_LOSS, Loss.ZERO_ONE})
"""For a label of 0 or 1 and a score that is its probability."""
_BOUNDS: Final = {Loss.BRIER: 1.0, Loss.ZERO_ONE: 1.0, Loss.LOG_LOSS: 4.0}
"""A log loss of 4 is a score of 0.018 for what happened."""


class LossSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A loss, where it is cut, and for `zero_one` from which score on the answer is yes."""

    name: Loss = Loss.BRIER
    bound: float | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if self.bound is None and self.name not in _BOUNDS:
            why = f"loss {self.name} has no bound of its own; say one in the unit of the label"
            yield Wrong("bound", why, ("name", "bound"))
        if self.bound is not None and not 0 < self.bound < math.inf:
            yield Wrong("bound", f"bound ({self.bound}) must be above 0")

    @property
    def most(self) -> float:
        """The largest loss of one row."""
        return _BOUNDS.get(self.name, math.inf) if self.bound is None else self.bound

    def of(self, labels: Floats, scores: Floats) -> Floats:
        """The loss of each row, NaN where label or score is none."""
        match self.name:
            case Loss.BRIER | Loss.SQUARED:
                found = (scores - labels) ** 2
            case Loss.ABSOLUTE:
                found = np.abs(scores - labels)
            case Loss.ZERO_ONE:
                found = np.where(np.isnan(scores), np.nan, ((scores >= self.threshold) != (labels >= 0.5)) * 1.0)
            case Loss.LOG_LOSS:
                inside = np.clip(scores, 1e-15, 1 - 1e-15)
                found = -(labels * np.log(inside) + (1 - labels) * np.log1p(-inside))
            case _:
                assert_never(self.name)
        return np.minimum(found, self.most)
