"""Names of alerts that the daemon gives by itself: no rule may have one, or two alerts would be one to whoever reads `rule`."""

from __future__ import annotations

from typing import Final

BUILT_IN: Final = frozenset(
    {
        "budget-input",
        "budget-performance",
        "dead-letter-flood",
        "join-full",
        "label-feed-slow",
        "label-feed-stalled",
        "model-silent",
        "partition-unowned",
        "predictions-silent",
        "records-unreadable",
        "volume-low",
    }
)
"""Held to what the alerts know of by a test."""
