"""The windows of one series that rules can read."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from monitor.ingest.clocks import NEVER
from monitor.windows.view import WindowView

FINALS_KEPT = 8
"""Final windows of a series that rules can still read: enough to look back past a few empty ones, bounded."""


@dataclass(slots=True)
class Shelf:
    """The current views of one series and window name, by start."""

    views: dict[int, WindowView] = field(default_factory=dict)
    finals: list[int] = field(default_factory=list)

    def put(self, view: WindowView) -> list[int]:
        """The newest revision of a window; the oldest final ones make room. Starts of these."""
        start = view.key.start_ms
        self.views[start] = view
        gone = list[int]()
        if view.final:
            heapq.heappush(self.finals, start)
            while len(self.finals) > FINALS_KEPT:
                gone.append(heapq.heappop(self.finals))
                self.views.pop(gone[-1], None)
        return gone

    def state(self) -> tuple[bool, int]:
        """Whether any window here can still change, and where the last one ends."""
        newest = self.views[max(self.views)] if self.views else None
        return (not newest.final, newest.key.end_ms) if newest is not None else (False, NEVER)

    def remove(self, start_ms: int) -> None:
        """Forget a window."""
        self.views.pop(start_ms, None)
