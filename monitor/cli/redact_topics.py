"""Ids in topics: told, with what an operator can do about them. Nothing but dead letters is Driftline's to delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.adapters.absence import Finding, Found
from monitor.adapters.dead_letters import topic_of
from monitor.adapters.recording_redact import Matcher, all_bytes
from monitor.cli.redact_places import Line
from monitor.cli.scan import Scan, ScanProgress

if TYPE_CHECKING:
    import numpy as np

    from monitor.config.types import Config
    from monitor.events import RecordBatch
    from monitor.ports import Log, TopicInfo


@dataclass(slots=True)
class _Held:
    """What a partition holds: records of the ids, and the offset behind the last of them; the first offset that it has;
    records of others that hold one of the ids somewhere. In topics without ids of their own all are `records`."""

    begin: int
    records: int = 0
    end: int = 0
    mentions: int = 0


class TopicsPlace:
    """The source topics of a configuration, their dead letters, and the namespace's own topics."""

    def __init__(self, log: Log, config: Config, matcher: Matcher, *, trim: bool) -> None:
        self.where = "topics"
        self._log, self._config, self._matcher, self._trim = log, config, matcher, trim

    def _infos(self) -> dict[str, TopicInfo]:
        """The topics that exist: those with ids, then their dead letters, then the namespace's own."""
        sources = self._matcher.topics
        topics = self._config.topics()
        roles = ("ledger", "evals", "windows", "alerts", "alerts_state", "configs")
        names = [*sources, *map(topic_of, sources), *(getattr(topics, role) for role in roles)]
        found = {name: self._log.topic(name) for name in dict.fromkeys(names)}
        return {name: info for name, info in found.items() if info is not None}

    def found(self) -> list[Line]:
        """See Place."""
        return [line for each in self._held() for line in self._lines(*each, done=False)]

    def take_out(self) -> list[Line]:
        """See Place."""
        lines: list[Line] = []
        for info, partition, held in self._held():
            if self._trim and self._is_letters(info.name):
                self._log.delete_records(info.name, partition, held.end)
            lines += self._lines(info, partition, held, done=True)
        return lines

    def search(self) -> Iterator[Finding]:
        """See Place."""
        for info in self._infos().values():
            for batch in self._batches(info.name):
                for place, ids in sorted(self._matcher.needles.each(all_bytes(batch)).items()):
                    yield Found(f"topic {info.name}[{batch.partition}]", frozenset(ids), int(batch.offsets[place]))

    def _is_letters(self, topic: str) -> bool:
        return topic in map(topic_of, self._matcher.topics)

    def _held(self) -> Iterator[tuple[TopicInfo, int, _Held]]:
        for info in self._infos().values():
            found = {partition: _Held(begin) for partition, begin in enumerate(self._log.begin_offsets(info.name))}
            for batch in self._batches(info.name):
                held = found[batch.partition]
                own, mentions = self._places(batch)
                held.records += len(own)
                held.mentions += len(mentions)
                held.end = max(held.end, *(int(batch.offsets[place]) + 1 for place in own), 0)
            for partition, held in sorted(found.items()):
                if held.records or held.mentions:
                    yield info, partition, held

    def _places(self, batch: RecordBatch) -> tuple[list[int], list[int]]:
        """Places of records of the ids, and of others that hold one."""
        if batch.topic in self._matcher.topics:
            hits = self._matcher.hits(batch)
            return [*_ints(hits.own), *_ints(hits.unread)], _ints(hits.mentions)
        return sorted(self._matcher.needles.each(all_bytes(batch))), []

    def _batches(self, topic: str) -> Iterator[RecordBatch]:
        scan = Scan.of(self._log, topic)
        with ScanProgress(scan, f"reading {topic}") as progress:
            for batch in scan.batches(self._log):
                progress.show()
                if len(batch):
                    yield batch

    def _lines(self, info: TopicInfo, partition: int, held: _Held, *, done: bool) -> Iterator[Line]:
        where = f"topic {info.name}[{partition}]"
        if held.records:
            what = f"records that hold the ids, the last below offset {held.end:,}"
            yield Line(where, what, held.records, self._then(info, held, done=done))
        if held.mentions:
            what = "records of other ids that hold one of these somewhere"
            then = "left: they are somebody else's. An id that is a common word or number is in many: look at some"
            yield Line(where, what, held.mentions, then)

    def _then(self, info: TopicInfo, held: _Held, *, done: bool) -> str:
        count = held.end - held.begin
        below = f"{count:,} offset{'s' * (count > 1)} below {held.end:,}, whoever they are of"
        if self._is_letters(info.name):
            if self._trim:
                return f"{'deleted' if done else 'will be deleted'}, with all {below}"
            return f"left: --trim-dead-letters deletes the {below}; or they go with retention"
        if info.name not in self._matcher.topics:
            return "left: the namespace's own; it goes with its retention, or with the namespace"
        if "compact" in info.config.get("cleanup.policy", ""):
            return "yours: write a null value under each of their keys, and wait for the compaction"
        kept = info.config.get("retention.ms", "")
        days = f" ({int(kept) / 86_400_000:g} days)" if kept.isdecimal() else ""
        return f"yours: they go with retention{days}; sooner only with the {below}: kafka-delete-records"


def _ints(places: np.ndarray) -> list[int]:
    return [int(place) for place in places]
