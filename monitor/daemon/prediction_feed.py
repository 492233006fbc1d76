"""Whether predictions have stopped coming altogether, as the owner of each partition decides and records.

Nothing but the clock of the wall can tell: without records no event time passes. A partition is silent when none came for
`silent_after_ms` and its log holds no more, asked for at that moment, so that who is slow to read never takes himself for an
outage. A partition with little traffic may be silent for long; only when all of them are is it told. It holds until a
prediction is read, whoever owns the partition by then, and nothing waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.daemon.label_feed import LOOK_EVERY_MS
from monitor.errors import LogUnreachable
from monitor.ports import Log

_log = logging.getLogger("driftline.predictions")


@dataclass(slots=True)
class _Feed:
    """One partition's. `since_ms`: when its last prediction came."""

    since_ms: int
    silent: bool


class PredictionFeeds:
    """The prediction feeds of the partitions that a worker owns. Times are a monotonic clock's."""

    def __init__(self, log: Log, topic: str, silent_after_ms: int | None) -> None:
        """`silent_after_ms` None: nobody wants to know."""
        self._log, self._topic, self._after_ms = log, topic, silent_after_ms
        self._feeds: dict[int, _Feed] = {}
        self._next_ms = 0

    def use(self, silent_after_ms: int | None) -> None:
        """Go on with another limit. Who is silent stays so, unless nobody wants to know any more."""
        self._after_ms = silent_after_ms
        if silent_after_ms is None:
            for feed in self._feeds.values():
                feed.silent = False

    def open(self, partition: int, prediction_ms: int, *, silent: bool) -> None:
        """A partition was opened. When its last prediction came, and `silent`, are as its commits say."""
        self._feeds[partition] = _Feed(prediction_ms, silent and self._after_ms is not None)

    def forget(self, partition: int) -> None:
        """A partition is no longer ours."""
        self._feeds.pop(partition, None)

    def heard(self, partition: int, now_ms: int) -> None:
        """Predictions were read."""
        self._feeds[partition] = _Feed(now_ms, silent=False)

    def silent(self, partition: int) -> bool:
        """What the next commit records."""
        return self._feeds[partition].silent

    def look(self, next_predictions: Mapping[int, int], now_ms: int) -> None:
        """Decide, where none came for long enough. `next_predictions`: the next offset of each partition to read."""
        after_ms = self._after_ms
        if after_ms is None or now_ms < self._next_ms:
            return
        waiting = {p: feed for p, feed in self._feeds.items() if p in next_predictions and not feed.silent}
        long = {p: feed for p, feed in waiting.items() if now_ms - feed.since_ms >= after_ms}
        if not long:
            return
        self._next_ms = now_ms + LOOK_EVERY_MS
        try:
            ends = self._log.end_offsets(self._topic)
        except LogUnreachable as error:  # not known to be at the end; looked at again
            _log.warning("%s", error)
            return
        for partition, feed in long.items():
            feed.silent = next_predictions[partition] >= ends[partition]
