"""Dead letters of a worker: which rejected record becomes a letter, and when a flood is cut to pointers."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Protocol

import numpy as np

from monitor.config.types import Config
from monitor.events import RecordBatch, Rejected
from monitor.ingest.flood import UNREADABLE_RECORDS, Breaker, FloodState, Streak
from monitor.ledger.records import Flood, Unreadable
from monitor.partition import Flags
from monitor.ports import Appender, Log, OutRecord, TopicSpec

_logger = logging.getLogger("driftline.dead_letters")
_FLUSH_MS = 10_000
RETENTION_MS = 30 * 86_400_000
"""Dead letters are kept for thirty days."""

_Place = tuple[str, int]


class Post(Protocol):
    """How letters are written (`monitor.adapters.dead_letters` satisfies it)."""

    def topic_of(self, source: str) -> str:
        """The dead-letter topic of a source topic."""

    def letter(
        self, batch: RecordBatch, place: int, rejected: Sequence[Rejected], *, payload: bool, namespace: str
    ) -> OutRecord:
        """The letter of one record, with all that was rejected of it."""

    def pointer(
        self, topic: str, partition: int, first: int, next_offset: int, reasons: dict[str, int], *, namespace: str
    ) -> OutRecord:
        """One record for a range."""


@dataclass(slots=True)
class _Range:
    """A flooded range that has not been written down yet."""

    first: int
    next_offset: int
    reasons: Counter[str] = field(default_factory=Counter)


class DeadLetterOffice:
    """Takes every fed batch with what was rejected of it. Letters are acknowledged before the commit that counts them."""

    def __init__(self, post: Post, config: Config, log: Log, appender: Appender, partitions: int) -> None:
        """The dead-letter topic of a source topic is made, with as many partitions, when the first letter needs it."""
        self._post, self._settings = post, config.dead_letters
        self._log, self._appender, self._partitions = log, appender, partitions
        self._breaker = Breaker(self._settings.flood.ratio, self._settings.flood.min_records)
        self._namespace, self._topics = config.namespace, config.source_topics()
        self._floods: dict[_Place, FloodState] = {}
        self._since: dict[_Place, int] = {}
        self._streaks: dict[_Place, Streak] = {}
        self._ranges: dict[_Place, _Range] = {}
        self._made: set[str] = set()
        self._unflushed = False
        self.written: dict[str, Counter[str]] = defaultdict(Counter)

    def use(self, appender: Appender) -> None:
        """Write through another producer from now on."""
        self._appender, self._unflushed = appender, False

    def take(self, batch: RecordBatch, rejected: Sequence[Rejected], usable: int | None) -> None:
        """A batch was fed; `usable`: the offset of the newest row that could be used."""
        place = (batch.topic, batch.partition)
        if rejected or place in self._streaks:
            self._note_streak(place, batch, rejected, usable)
        before = self._floods.get(place)
        if not rejected and before is None:
            return
        bad = len(
            {each.offset for each in rejected}
        )  # records: a letter is about one, however many of its rows were bad
        state = self._breaker.step(before or FloodState(), len(batch), bad)
        self._note(place, before, state, int(batch.timestamps_ms.max()))
        if rejected and self._settings.enabled:
            self._made_sure(batch.topic)
            if state.flooding:
                self._point(place, rejected)
            else:
                self._copy(batch, rejected)

    def _note_streak(self, place: _Place, batch: RecordBatch, rejected: Sequence[Rejected], usable: int | None) -> None:
        before = self._streaks.get(place, Streak())
        state = self._streaks[place] = before.step(usable, rejected, int(batch.timestamps_ms.max()))
        if state.unreadable and not before.unreadable:
            _logger.error(
                "%s[%d]: none of the last records can be used (%s): %s", *place, state.reason, rejected[-1].detail
            )
        elif before.unreadable and not state.unreadable:
            _logger.info("%s[%d]: records can be used again", *place)

    def _note(self, place: _Place, before: FloodState | None, state: FloodState, at_ms: int) -> None:
        was = before is not None and before.flooding
        if state.flooding and not was:
            self._since[place] = at_ms
            if self._settings.enabled:
                _logger.error(
                    "%s[%d]: a flood of bad records; dead letters are cut to one pointer per range until it ends",
                    *place,
                )
            else:  # nobody wished for letters, or it is a replay: there is nothing that is cut
                _logger.warning("%s[%d]: a flood of bad records", *place)
        elif was and not state.flooding:
            _logger.info("%s[%d]: the flood of bad records is over", *place)
        self._floods[place] = state

    def _made_sure(self, topic: str) -> None:
        if topic not in self._made:
            self._log.ensure(TopicSpec(self._post.topic_of(topic), self._partitions, retention_ms=RETENTION_MS))
            self._made.add(topic)

    def _copy(self, batch: RecordBatch, rejected: Sequence[Rejected]) -> None:
        by_record = {offset: list(own) for offset, own in groupby(rejected, attrgetter("offset"))}
        places = np.searchsorted(batch.offsets, list(by_record)).tolist()
        topic = self._post.topic_of(batch.topic)
        for place, own in zip(places, by_record.values(), strict=True):
            payload, namespace = self._settings.payload, self._namespace
            letter = self._post.letter(batch, place, own, payload=payload, namespace=namespace)
            self._appender.send(topic, letter)
        self.written[batch.topic]["record"] += len(by_record)
        self._unflushed = True

    def _point(self, place: _Place, rejected: Sequence[Rejected]) -> None:
        known = self._ranges.setdefault(place, _Range(rejected[0].offset, rejected[0].offset))
        known.next_offset = rejected[-1].offset + 1
        known.reasons.update(str(r.reason) for r in rejected)

    def flush(self) -> None:
        """Wait until every letter is acknowledged. Raises UnknownOutcome."""
        for (topic, partition), known in self._ranges.items():
            span, reasons = (known.first, known.next_offset), dict(known.reasons)
            record = self._post.pointer(topic, partition, *span, reasons, namespace=self._namespace)
            self._appender.send(self._post.topic_of(topic), record)
            self.written[topic]["pointer"] += 1
            self._unflushed = True
        self._ranges.clear()
        if self._unflushed:
            self._appender.flush(_FLUSH_MS)
            self._unflushed = False

    def floods(self, partition: int) -> tuple[Flood, ...]:
        """The streams of a partition whose letters are cut to pointers now."""
        found = []
        for stream, topic in enumerate(self._topics):
            place = (topic, partition)
            state = self._floods.get(place)
            if state is not None and state.flooding:
                found.append(Flood(stream, state.records, state.bad, self._since[place]))
        return tuple(found)

    def unreadable(self, partition: int) -> tuple[Unreadable, ...]:
        """The streams of a partition of which nothing can be used now."""
        streaks = [(stream, self._streaks.get((topic, partition))) for stream, topic in enumerate(self._topics)]
        return tuple(
            Unreadable(stream, s.since_ms, s.reason) for stream, s in streaks if s is not None and s.unreadable
        )

    def take_over(self, partition: int, flags: Flags) -> None:
        """The partition is ours, and its last commit says that these go on: they outlive its owner."""
        for each in flags.unreadable:
            streak = Streak(UNREADABLE_RECORDS, each.since_ms, each.reason)
            self._streaks[self._topics[each.stream], partition] = streak
        floods = flags.floods
        for flood in floods:
            place = (self._topics[flood.stream], partition)
            self._floods[place] = FloodState(flood.records, flood.bad, flooding=True)
            self._since[place] = flood.since_ms

    def forget(self, partition: int) -> None:
        """The partition is not ours any more, or will be read again."""
        self._floods = {place: s for place, s in self._floods.items() if place[1] != partition}
        self._streaks = {place: s for place, s in self._streaks.items() if place[1] != partition}
        self._ranges = {place: r for place, r in self._ranges.items() if place[1] != partition}
