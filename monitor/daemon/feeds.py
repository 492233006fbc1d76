"""Both streams of the partitions that a worker owns: whether something comes, decided by the clock of the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.config.quality_rules import shortest_silence_ms
from monitor.config.types import Config
from monitor.daemon.label_feed import LabelFeeds
from monitor.daemon.prediction_feed import PredictionFeeds
from monitor.partition import Flags
from monitor.ports import Log


class Feeds:
    """The label feeds and the prediction feeds. Times are a monotonic clock's."""

    def __init__(self, log: Log, topics: Sequence[str], config: Config) -> None:
        """`topics`: predictions and, unless there are none, labels."""
        self.labels = LabelFeeds(log, topics, config.time.stalled_after_ms)
        self.predictions = PredictionFeeds(log, topics[0], shortest_silence_ms(config))

    def use(self, config: Config) -> None:
        """Go on with another configuration of the same meaning."""
        self.predictions.use(shortest_silence_ms(config))

    def open(self, partition: int, prediction_ms: int, label_ms: int, flags: Flags) -> None:
        """A partition was opened. When its last records came, and `flags`, are as its commits say."""
        self.labels.open(partition, prediction_ms, label_ms, stalled=flags.stalled)
        self.predictions.open(partition, prediction_ms, silent=flags.silent)

    def forget(self, partition: int) -> None:
        """A partition is no longer ours."""
        self.labels.forget(partition)
        self.predictions.forget(partition)

    def heard(self, partition: int, stream: int, now_ms: int) -> None:
        """Records of a stream (0 predictions, 1 labels) were read."""
        self.labels.heard(partition, stream, now_ms)
        if not stream:
            self.predictions.heard(partition, now_ms)

    def recorded(self, partition: int) -> dict[str, bool]:
        """What the next commit records, as `Flags`."""
        return {"stalled": self.labels.stalled(partition), "silent": self.predictions.silent(partition)}

    def look(self, next_offsets: Mapping[int, tuple[int, int]], now_ms: int) -> None:
        """Decide, where nothing came for long enough. `next_offsets`: of predictions and labels, by partition to read."""
        self.labels.look({p: labels for p, (_, labels) in next_offsets.items()}, now_ms)
        self.predictions.look({p: predictions for p, (predictions, _) in next_offsets.items()}, now_ms)
