"""How long to wait, and how far the order of records may be trusted."""

from __future__ import annotations

from pydantic import Field

from monitor.config.base import Section
from monitor.config.durations import Duration, PositiveDuration

_STALLED_AFTER_MS = 108_000_000
"""30 hours: a daily batch of labels may be six hours late."""


class Time(Section):
    """How long to wait, and how far the order of records may be trusted. Event time throughout."""

    horizon_ms: PositiveDuration = Field(
        129_600_000, alias="horizon", description="Longest delay of a label that still counts, from its prediction."
    )
    skew_ms: Duration = Field(
        10_000, alias="skew", description="How far a label may precede its prediction, and a record the broker's clock."
    )
    disorder_ms: Duration = Field(
        60_000,
        alias="disorder",
        description="How much disorder is normal; ticks close this far behind the newest record.",
    )
    lateness_ms: Duration = Field(
        alias="lateness",
        default_factory=lambda data: data["horizon_ms"],
        description="How far behind its own partition a record may be and still count. Default: the horizon.",
    )
    max_jump_ms: PositiveDuration = Field(
        86_400_000, alias="max_jump", description="A record further ahead than this moves no clock until others agree."
    )
    tick_ms: PositiveDuration = Field(
        60_000, alias="tick", description="Step of event time at which rules are evaluated. Divides every window."
    )
    idle_after_ms: PositiveDuration = Field(
        30_000, alias="idle_after", description="A partition without records for this long no longer holds up ticks."
    )
    stalled_after_ms: PositiveDuration = Field(
        alias="stalled_after",
        default_factory=lambda data: min(data["horizon_ms"], _STALLED_AFTER_MS),
        description="No label for this long while predictions go on: the label feed has stalled. "
        "Default: the horizon, at most 30h.",
    )
