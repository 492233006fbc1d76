"""Whether the log answers a worker, and what it last said about the sources: where they end and begin, how long it keeps.

The loop asks every so often and remembers; whoever wants to know (the probes above all) looks at what is remembered
and asks nobody, so a probe never waits for a broker.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from monitor.daemon.outage import Outage
from monitor.errors import LogError
from monitor.ports import Log, TopicInfo

_log = logging.getLogger("driftline.contact")

ASK_EVERY_MS = 2_000
"""How old the ends may be, and how long an outage may go unnoticed beyond the time that a question is given."""
BOUNDS_EVERY_MS = 30_000
"""How old the beginnings and the retention may be: they move slowly."""


class Contact:
    """What a worker knows of its log without asking. Says in the process's own log when contact is lost and when it is back."""

    def __init__(self, log: Log, topics: Sequence[str]) -> None:
        self._log, self._topics = log, tuple(topics)
        self._due_ms = 0
        self._outage = Outage()
        self.ends: dict[str, list[int]] = {}
        """End offsets of the sources as they were last told, by topic; empty before."""
        self._bounds_due_ms = 0
        self.begins: dict[str, list[int]] = {}
        """First offsets held, likewise."""
        self.retention_ms: dict[str, int | None] = {}
        """How long records are kept, by topic; None for those without a limit of time."""
        self.lost: str | None = None
        """Why there is no contact: what came of the last question, when nobody answered it; None while all is well."""

    def look(self, now_ms: int) -> None:
        """Ask for the ends, if it is time to. Raises nothing: what was known stays, and `lost` says why."""
        if now_ms < self._due_ms:
            return
        try:
            self.ends = {name: self._log.end_offsets(name) for name in self._topics}
            if now_ms >= self._bounds_due_ms:
                self.begins = {name: self._log.begin_offsets(name) for name in self._topics}
                self.retention_ms = {name: _retention_ms(self._log.topic(name)) for name in self._topics}
                self._bounds_due_ms = now_ms + BOUNDS_EVERY_MS
        except LogError as error:
            self.failed(error, now_ms)
            return
        self.lost = None
        if said := self._outage.answered(now_ms):
            _log.info("%s", said)
        self._due_ms = now_ms + ASK_EVERY_MS

    def failed(self, error: LogError, now_ms: int) -> None:
        """A question was not answered, of this or of somebody else: no need to ask again at once."""
        self.lost = str(error)
        if said := self._outage.failed(self.lost, now_ms):
            _log.warning("%s", said)
        self._due_ms = now_ms + ASK_EVERY_MS


def _retention_ms(topic: TopicInfo | None) -> int | None:
    kept = int(topic.config.get("retention.ms", -1)) if topic is not None else -1
    return None if kept < 0 else kept
