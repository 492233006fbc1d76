"""Whether the log answers a worker, and what it last said about the ends of the sources.

The loop asks every ASK_EVERY_MS and remembers; whoever wants to know (the probes above all) looks at what is remembered
and asks nobody, so a probe never waits for a broker.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.errors import LogError
from monitor.ports import Log

ASK_EVERY_MS = 2_000
"""How old the ends may be, and how long an outage may go unnoticed beyond the time that a question is given."""


class Contact:
    """What a worker knows of its log without asking."""

    def __init__(self, log: Log, topics: Sequence[str]) -> None:
        self._log, self._topics = log, tuple(topics)
        self._due_ms = 0
        self.ends: dict[str, list[int]] = {}
        """End offsets of the sources as they were last told, by topic; empty before."""
        self.lost: str | None = None
        """Why there is no contact: what came of the last question, when nobody answered it; None while all is well."""

    def look(self, now_ms: int) -> None:
        """Ask for the ends, if it is time to. Raises nothing: what was known stays, and `lost` says why."""
        if now_ms < self._due_ms:
            return
        try:
            self.ends = {name: self._log.end_offsets(name) for name in self._topics}
            self.lost = None
        except LogError as error:
            self.lost = str(error)
        self._due_ms = now_ms + ASK_EVERY_MS

    def failed(self, error: LogError, now_ms: int) -> None:
        """Something else was not answered: no need to ask again at once."""
        self.lost = str(error)
        self._due_ms = now_ms + ASK_EVERY_MS
