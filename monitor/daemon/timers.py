"""What a worker does every so often, in its own loop."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Every:
    """Due at once, and again `every_ms` after it was last done."""

    every_ms: int
    _next_ms: int = 0

    def due(self, now_ms: int) -> bool:
        """Whether it is due; if so the caller does it now."""
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + self.every_ms
        return True


@dataclass(slots=True)
class Timers:
    """The duties of a worker. Commits are as often as the configuration says."""

    commit: Every
    lease: Every = field(default_factory=lambda: Every(200))
    settled: Every = field(default_factory=lambda: Every(500))
    collect: Every = field(default_factory=lambda: Every(5_000))
    evaluate: Every = field(default_factory=lambda: Every(10))
    """The ledger is looked at so often: many commits are then read, and many ticks closed, at once."""
