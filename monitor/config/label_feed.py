"""What is held while labels do not come as they usually do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitor.config.base import Number, Section
from monitor.config.durations import PositiveDuration

SLOW_AFTER_MS = 108_000_000
"""30 hours: a daily batch of labels may be six hours late."""


class LabelFeed(Section):
    """When labels count as slow, and how long verdicts on labelled windows wait for them; left out, they never do."""

    slow_below: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.5,
        description="Fewer of the labels that usually are there, as a share, are a slow feed.",
        examples=[0.5],
    )
    slow_after_ms: PositiveDuration | None = Field(
        None,
        alias="slow_after",
        description="Labels of predictions that are at least so old are looked at; longer than the pause between two "
        "batches of labels. Default: the horizon, at most 30h.",
        examples=["30h"],
    )
    hold_at_most_ms: PositiveDuration = Field(
        604_800_000,
        alias="hold_at_most",
        description="Verdicts on labelled windows are held while labels stand still or are slow, but no longer than this, in "
        "event time.",
    )

    def late_ms(self, horizon_ms: int) -> int:
        """From which age a prediction's missing label counts."""
        return min(horizon_ms, SLOW_AFTER_MS) if self.slow_after_ms is None else self.slow_after_ms
