"""Whether the label feed of a partition has stalled: predictions go on, its labels log does not.

A decision of the partition's owner, which goes into its commits. It is taken only at the end of the labels log, against an
end offset asked for at that moment, so that who is slow to read never takes himself for an outage; and only while the
predictions log grows. Silence is counted from the last label, or from when predictions came again after a pause of
their own that was as long: a quiet weekend is no outage. It holds until a label is read, whoever owns the partition by
then. Nothing waits for it: it closes no tick and expires no row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.errors import LogUnreachable
from monitor.ports import Log

_log = logging.getLogger("driftline.labels")

LOOK_EVERY_MS = 5_000
"""How often the ends are asked for while a partition is silent: one question for each topic, whatever the partitions."""


@dataclass(slots=True)
class _Feed:
    """One partition's. `since_ms`: silence is counted from here. `predictions_end` is where the predictions log ended at
    the last look of this silence."""

    since_ms: int
    prediction_ms: int
    stalled: bool
    predictions_end: int | None = None


class LabelFeeds:
    """The label feeds of the partitions that a worker owns. Times are a monotonic clock's."""

    def __init__(self, log: Log, topics: Sequence[str], stalled_after_ms: int) -> None:
        """`topics`: predictions and, unless there are none, labels. Without labels nothing ever stalls."""
        self._log, self._topics, self._after_ms = log, tuple(topics), stalled_after_ms
        self._feeds: dict[int, _Feed] = {}
        self._next_ms = 0

    def open(self, partition: int, prediction_ms: int, label_ms: int, *, stalled: bool) -> None:
        """A partition was opened. When its last prediction and label came, and `stalled`, are as its commits say."""
        self._feeds[partition] = _Feed(label_ms, prediction_ms, stalled)

    def forget(self, partition: int) -> None:
        """A partition is no longer ours."""
        self._feeds.pop(partition, None)

    def heard(self, partition: int, stream: int, now_ms: int) -> None:
        """Records of a stream (0 predictions, 1 labels) were read."""
        feed = self._feeds[partition]
        if stream:
            if feed.stalled:
                _log.info("partition %d: labels come again", partition)
            self._feeds[partition] = _Feed(now_ms, feed.prediction_ms, stalled=False)
            return
        if now_ms - feed.prediction_ms >= self._after_ms:
            feed.since_ms = now_ms
        feed.prediction_ms = now_ms

    def stalled(self, partition: int) -> bool:
        """What the next commit records."""
        return self._feeds[partition].stalled

    def look(self, next_labels: Mapping[int, int], now_ms: int) -> None:
        """Decide, where it was silent for long enough. `next_labels`: the next label offset of each partition to read."""
        if len(self._topics) < 2 or now_ms < self._next_ms:
            return
        silent = [p for p, feed in self._feeds.items() if p in next_labels and self._silent(feed, now_ms)]
        if not silent:
            return
        self._next_ms = now_ms + LOOK_EVERY_MS
        try:
            predictions, labels = (self._log.end_offsets(topic) for topic in self._topics)
        except LogUnreachable as error:  # not known to be at the end; looked at again
            _log.warning("%s", error)
            return
        for partition in silent:
            feed, end = self._feeds[partition], predictions[partition]
            grew = feed.predictions_end is not None and end > feed.predictions_end
            feed.predictions_end = end
            feed.stalled = grew and next_labels[partition] >= labels[partition]
            if feed.stalled:
                minutes = (now_ms - feed.since_ms) / 60_000
                _log.warning(
                    "partition %d: no label for %.0f min while predictions go on: the label feed is stalled",
                    partition,
                    minutes,
                )

    def _silent(self, feed: _Feed, now_ms: int) -> bool:
        return not feed.stalled and now_ms - feed.since_ms >= self._after_ms
