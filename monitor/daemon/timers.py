"""What a worker does every so often, in its own loop."""

from __future__ import annotations

from dataclasses import dataclass, field

PATIENCE = 7
"""What can be put off is put off so many times its interval at most."""


@dataclass(slots=True)
class Every:
    """Due at once, and again `every_ms` after it was last done."""

    every_ms: int
    _next_ms: int = 0

    def due(self, now_ms: int, *, put_off: bool = False) -> bool:
        """Whether it is due; if so the caller does it now. `put_off`: rather later, within reason."""
        if now_ms < self._next_ms + (PATIENCE * self.every_ms if put_off else 0):
            return False
        self._next_ms = now_ms + self.every_ms
        return True


@dataclass(slots=True)
class Timers:
    """The duties of a worker."""

    commit: Every
    """As often as the configuration says. Put off while there is more to read than can be taken: what a commit costs
    depends little on its rows, so fewer and larger ones help to catch up."""
    lease: Every = field(default_factory=lambda: Every(200))
    settled: Every = field(default_factory=lambda: Every(500))
    collect: Every = field(default_factory=lambda: Every(5_000))
    evaluate: Every = field(default_factory=lambda: Every(10))
    """The ledger is looked at so often: many commits are then read, and many ticks closed, at once."""
