"""The opening of an evaluator: its lease, and what may come between."""

from __future__ import annotations

import logging
from collections.abc import Callable

from monitor.daemon.counted import OlderRoster
from monitor.daemon.judge import Judge
from monitor.daemon.writer import LostOwnership
from monitor.errors import OffsetLost, UnknownOutcome
from monitor.ports import Leases, Log

_logger = logging.getLogger("driftline.evaluator")


class JudgeLeases:
    """The lease of the evaluator. A process that cannot be it gives it back, to one that can."""

    def __init__(self, log: Log, topic: str, group: str) -> None:
        self._log, self._topic, self._group = log, topic, group
        self.leases: Leases | None = log.leases(topic, group)
        """None while it is given back."""

    def held(self, *, able: bool) -> bool:
        """Whether this process may evaluate; `able`: whether it could."""
        if not able:
            self.close()
        elif self.leases is None:
            self.leases = self._log.leases(self._topic, self._group)
        return self.leases is not None and 0 in self.leases.poll(0)

    def keep(self) -> None:
        """What takes long may not cost it."""
        if self.leases is not None:
            self.leases.poll(0)

    def close(self) -> None:
        """Give it back."""
        if self.leases is not None:
            self.leases.close()
            self.leases = None


def opened(judge: Judge, progress: Callable[[int, int], None]) -> Judge | None:
    """The judge, open; None, and closed, when another one fenced it off, or trimmed what it was reading, meanwhile: the next
    try sees what is left. Raises what `Judge.open` does besides."""
    try:
        judge.open(progress)
    except (LostOwnership, OffsetLost, OlderRoster, UnknownOutcome) as error:
        judge.close()
        if isinstance(error, UnknownOutcome):
            raise
        _logger.warning("evaluator: %s", error)
        return None
    _logger.info("evaluator: open, epoch %d", judge.writer.follower.state.epoch)
    return judge
