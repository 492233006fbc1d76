"""The false-alarm budget: what a user says instead of thresholds and p-values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from monitor.config.base import Number, Ratio, Section
from monitor.config.durations import Duration, PositiveDuration

LEAST_BEATS = 64
"""Fewer beats of learning cannot tell bursts from chance."""
LEAST_DAYS_MS = 4 * 86_400_000
MOST_BEATS = 4_096
"""More beats of learning would be held in memory for nothing."""


class Materiality(Section):
    """Changes that nobody is to be woken for."""

    performance: Ratio = Field(
        0.01, description="Rise of an error rate, or of the share of errors beyond any size: 0.01 is one point."
    )
    features: Ratio = Field(
        0.02, description="Shift of a feature or of the score: KS distance, or share of a category."
    )
    quality: Ratio = Field(0.0, description="Rise of the share of missing or invalid values.")


class Budget(Section):
    """How often a false alarm is accepted, per model version that serves; left out, nothing is watched like this."""

    false_pages: Annotated[Number, Field(gt=0)] = Field(
        1.0, description="Expected false alarms in each `per`, at most.", examples=[1]
    )
    per_ms: PositiveDuration = Field(2_592_000_000, alias="per", description="The period of the budget.")
    every_ms: PositiveDuration = Field(
        3_600_000, alias="every", description="How often it is decided, in event time: a multiple of `time.tick`."
    )
    learn_ms: PositiveDuration = Field(
        1_209_600_000,
        alias="learn",
        description="How much of a version's own beginning is the reference that it is compared with.",
    )
    season: Literal["day", "none"] = Field(
        "day", description="day: hours of the day have limits of their own (up to eight parts, each of whole beats)."
    )
    quiet_ms: Duration = Field(
        86_400_000, alias="quiet", description="An alert resolves when no further alarm came for this long."
    )
    materiality: Materiality = Field(default_factory=lambda: Materiality.model_validate({}))

    @property
    def patience(self) -> float:
        """Decisions in which one false alarm is to be expected, at most."""
        return self.per_ms / (self.every_ms * self.false_pages)
