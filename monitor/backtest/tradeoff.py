"""Which settings of a sweep are worth a look: those that no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

MEASURES: Final = ("missed", "delay_hours", "false_alarms")
"""What a setting is judged by; of each less is better."""


def front(rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Of each setting, whether none is at least as good in every measure and better in one.

    A setting that found nothing has no delay: then the delay decides nothing, and what it missed does. Settings that do
    the same are all on the front, or none. Without incidents nothing is measured, and nothing is on it.
    """
    if not all(name in row for row in rows for name in MEASURES):
        return [False] * len(rows)
    points = [tuple(_cost(row[name]) for name in MEASURES) for row in rows]
    return [not any(_beats(other, own) for other in points) for own in points]


def _cost(value: float | None) -> float:
    return float("inf") if value is None else float(value)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
