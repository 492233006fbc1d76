"""The false-alarm budget: what a user says instead of thresholds and p-values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from monitor.config.base import Number, Ratio, Section, problem
from monitor.config.durations import Duration, PositiveDuration, format_duration

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

    @model_validator(mode="after")
    def _can_be_kept(self) -> Budget:
        per, every, learn = (format_duration(ms) for ms in (self.per_ms, self.every_ms, self.learn_ms))
        if self.per_ms <= self.every_ms * self.false_pages:
            raise problem(
                f"{self.false_pages:g} false pages in {per} would be one at every decision (every {every}); "
                "accept fewer, or decide more often"
            )
        beats = self.learn_ms // self.every_ms
        if not LEAST_BEATS <= beats <= MOST_BEATS:
            raise problem(
                f"learning for {learn} holds {beats} decisions of {every}; allowed: {LEAST_BEATS} to {MOST_BEATS:,}, "
                "so that bursts can be told from chance; change learn or every"
            )
        if self.season == "day" and self.learn_ms < LEAST_DAYS_MS:
            raise problem(
                f"learning for {learn} sees each part of the day too seldom for season: day; learn for 4d at least, or "
                "set season: none"
            )
        return self

    @property
    def patience(self) -> float:
        """Decisions in which one false alarm is to be expected, at most."""
        return self.per_ms / (self.every_ms * self.false_pages)
