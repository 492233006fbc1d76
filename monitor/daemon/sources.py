"""The two source topics: what they are now, and whether they are still what the ledger was begun with.

Offsets are only as good as the topic they belong to. A topic that was made again, or that has other partitions than it
had, is refused: at every opening against the genesis, and every few seconds while it is read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Config
from monitor.errors import LedgerError, LogUnreachable
from monitor.ledger.records import SourceTopic
from monitor.ports import Log, TopicInfo

_log = logging.getLogger("driftline.sources")

LOOK_EVERY_MS = 5_000
"""How long keys may go to other partitions unnoticed. One look is two questions to the cluster's controller."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The two source topics as they are now."""

    predictions: TopicInfo
    labels: TopicInfo | None

    @property
    def names(self) -> tuple[str, ...]:
        """Topic names, predictions first."""
        return (self.predictions.name,) if self.labels is None else (self.predictions.name, self.labels.name)


def source_topics(log: Log, config: Config) -> Sources:
    """Look the source topics up. Raises LedgerError when one is missing or their partition counts differ."""
    predictions = _topic(log, config.streams.predictions)
    labels = _topic(log, config.streams.labels) if config.streams.labels else None
    if labels is not None and labels.partitions != predictions.partitions:
        raise LedgerError(
            f"topic {predictions.name!r} has {predictions.partitions} partitions and {labels.name!r} has "
            f"{labels.partitions}, so a label is not in the partition of its prediction",
            "Give both the same number of partitions and key both by the id, or let `driftline rekey` copy the labels to where "
            "their predictions are (streams.labels.rekey); `driftline check --live` looks closer.",
        )
    return Sources(predictions, labels)


def _topic(log: Log, stream: PredictionStream | LabelStream) -> TopicInfo:
    info = log.topic(stream.topic)
    if info is None:
        hint = "Create it, or correct `streams` in the configuration."
        if stream.rekey is not None:
            hint = f"It is a copy of {stream.rekey.source!r} that `driftline rekey` makes: start that first."
        raise LedgerError(f"there is no topic {stream.topic!r}", hint)
    return info


def at_end(log: Log, topics: Sequence[str], partition: int, next_offsets: tuple[int, int]) -> bool:
    """Whether a partition of these topics (predictions, or both) holds nothing more, asked now; who does not answer may
    hold more."""
    try:
        ends = [log.end_offsets(name)[partition] for name in topics]
    except LogUnreachable as error:
        _log.warning("partition %d: %s", partition, error)
        return False
    return all(next_ >= end for next_, end in zip(next_offsets, ends, strict=False))


def refuse_another(where: str, then: SourceTopic | TopicInfo, now: TopicInfo | None) -> None:
    """Raise LedgerError unless a topic is the one that it was; `where` names the ledger that is about it."""
    if now is None:
        raise LedgerError(
            f"{where} is about topic {then.name!r}, which was deleted",
            "A topic made anew under this name has other offsets: make it and choose another `namespace`.",
        )
    if (then.name, then.topic_id) != (now.name, now.topic_id):
        raise LedgerError(
            f"{where} is about topic {then.name!r} with id {then.topic_id}, the topic {now.name!r} now has id "
            f"{now.topic_id}: it was deleted and made again, or another one is configured",
            "Offsets of the old topic mean nothing in the new one. Choose another `namespace`.",
        )
    if then.partitions != now.partitions:
        raise LedgerError(
            f"{where} was begun when topic {then.name!r} had {then.partitions} partitions, it has "
            f"{now.partitions} now: keys have moved, so labels would miss their predictions",
            "Choose another `namespace`; it starts from what both topics still hold.",
        )


class SourceWatch:
    """Asks while the topics are read whether they are still the same."""

    def __init__(self, log: Log, namespace: str, sources: Sources, now_ms: int) -> None:
        self._log, self._sources = log, sources
        self._where = f"the ledger of namespace {namespace!r}"
        self._next_ms = now_ms + LOOK_EVERY_MS

    def refuse_other_partitions(self, then: int) -> None:
        """Raise LedgerError unless the sources have as many partitions as the ledger has."""
        now = self._sources.predictions
        refuse_another(self._where, replace(now, partitions=then), now)

    def look(self, now_ms: int, *, at_once: bool = False) -> None:
        """Look if it is time to, or `at_once`. Raises LedgerError; a cluster that does not answer proves nothing."""
        if now_ms < self._next_ms and not at_once:
            return
        self._next_ms = now_ms + LOOK_EVERY_MS
        try:
            for then in (self._sources.predictions, self._sources.labels):
                if then is not None:
                    refuse_another(self._where, then, self._log.topic(then.name))
        except LogUnreachable as error:
            _log.warning("%s", error)
