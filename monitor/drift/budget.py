"""The two dials of the alarms, budget and materiality, and how a model's attention is shared.

A budget is "at most F false pages per period, expected". With ticks of a known length that is a patience of
c = period / (tick F) ticks (`edetector`). It is the model's: whatever it watches shares it by weight, so more features
or metrics cost delay (ln of how many, over the growth per tick), never more false pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Area(StrEnum):
    """Where trouble can be. The weights are a prior on it."""

    PERFORMANCE = "performance"
    PREDICTIONS = "predictions"
    QUALITY = "quality"
    FEATURES = "features"


WEIGHTS: Final[Mapping[Area, float]] = {
    Area.PERFORMANCE: 0.5,
    Area.PREDICTIONS: 0.2,
    Area.QUALITY: 0.15,
    Area.FEATURES: 0.15,
}
"""Out of 1. What an area that has no channel would have had is shared by the others."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `false_pages` false pages are to be expected in `per_ms` of event time, decided every `tick_ms`."""

    false_pages: float
    per_ms: int
    tick_ms: int

    @property
    def patience(self) -> float:
        """c: ticks in which one false page is to be expected, at most. Below 1 every tick would be a page."""
        return self.per_ms / (self.tick_ms * self.false_pages)


@dataclass(frozen=True, slots=True)
class Materiality:
    """Shifts that nobody is to be woken for: of performance in points of a rate, of features and predictions in KS
    distance (or the share of a category), of quality in points of a rate."""

    performance: float = 0.01
    features: float = 0.02
    quality: float = 0.0

    def of(self, area: Area) -> float:
        """What is forgiven in an area; predictions are forgiven what features are."""
        return {Area.PERFORMANCE: self.performance, Area.QUALITY: self.quality}.get(area, self.features)


def shares(areas: Sequence[Area]) -> list[float]:
    """The weight of each channel, given the area of each: its area's, split evenly; all add up to 1."""
    held = Counter(areas)
    total = sum(WEIGHTS[area] for area in held)
    return [WEIGHTS[area] / held[area] / total for area in areas]
