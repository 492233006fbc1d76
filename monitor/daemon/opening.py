"""The opening of an evaluator, and what may come between."""

from __future__ import annotations

import logging
from collections.abc import Callable

from monitor.daemon.counted import OlderRoster
from monitor.daemon.judge import Judge
from monitor.daemon.writer import LostOwnership
from monitor.errors import OffsetLost, UnknownOutcome

_logger = logging.getLogger("driftline.evaluator")


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
