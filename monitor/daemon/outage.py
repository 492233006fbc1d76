"""What the log of a process says of an outage: once that it began, then ever more rarely that it goes on, once that it is over.

Decides, and writes nothing: times are handed in, sentences come back.
"""

from __future__ import annotations

from typing import Final

from monitor.config.durations import format_duration

FIRST_MS: Final = 30_000
"""From the first line to the second; each further distance is twice the one before."""
LONGEST_MS: Final = 3_600_000
"""No distance is longer: who reads the log of the last hour finds a line."""
CALM_MS: Final = 60_000
"""A failure that comes sooner after the last answer belongs to the same outage: brokers that come and go fill no disk."""


class Outage:
    """What is to be said. Mutable; one for each place whose questions fail and succeed together."""

    def __init__(self) -> None:
        self._since_ms: int | None = None
        self._over_ms: int | None = None
        self._due_ms = self._distance_ms = 0
        self._told = False

    def failed(self, why: str, now_ms: int) -> str | None:
        """A question got no answer, for a reason. What to say now, None for nothing."""
        if self._since_ms is None:
            self._since_ms = now_ms
            if self._over_ms is None or now_ms - self._over_ms >= CALM_MS:
                self._due_ms, self._distance_ms = now_ms, FIRST_MS
        if now_ms < self._due_ms:
            return None
        self._due_ms, self._distance_ms = now_ms + self._distance_ms, min(2 * self._distance_ms, LONGEST_MS)
        self._told = True
        lasts_ms = now_ms - self._since_ms
        return f"{why}; trying again" if not lasts_ms else f"no answer for {_seconds(lasts_ms)}: {why}; trying again"

    def answered(self, now_ms: int) -> str | None:
        """A question got its answer. What to say now, None where no failure was told."""
        if self._since_ms is None:
            return None
        lasted_ms, self._since_ms, self._over_ms = now_ms - self._since_ms, None, now_ms
        told, self._told = self._told, False
        return f"answers come again, after {_seconds(lasted_ms)} without" if told else None


def _seconds(ms: int) -> str:
    return format_duration(max(1_000, ms // 1_000 * 1_000))
