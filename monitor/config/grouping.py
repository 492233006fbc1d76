"""Which alerts are taken to have one cause."""

from __future__ import annotations

from pydantic import Field

from monitor.config.base import Section
from monitor.config.durations import PositiveDuration


class Grouping(Section):
    """Alerts say which group they belong to; left out, they do not."""

    within_ms: PositiveDuration = Field(
        86_400_000,
        alias="within",
        description="An alert belongs to a group of its model, or of its feature, when what it judged began no later than this "
        "after the group did, in event time.",
    )
