"""Copying a topic so that its records are where the other stream has their ids: what `driftline rekey` does.

    lease -> where did the copy get to? -> read -> place -> send -> flush -> progress

Every record is copied exactly once, whoever crashes when: a copy carries where it is from, and who begins reads the end of the
copy before it sends anything. How far back
that is, the compacted topic `COPY.progress` says: positions in the source, all of which was acknowledged below them, and where
the copy ended then. One process copies at a time; others stand
by, and whoever takes over shuts out who was before (`ports.Fences`), so that nothing of it comes later.

Value, headers, time and the order of each id within its source partition stay; partitions are copied abreast, by the log's own
times (`merge`). What no id can be read of is copied too, into
the partition with the number of its own: whoever reads the copy then puts it aside with its reason.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol

import msgspec

from monitor.config.streams import LabelStream, PredictionStream, progress_topic
from monitor.daemon.merge import Due, Merge
from monitor.daemon.outage import Outage
from monitor.daemon.rekey_progress import FORMAT, Progress, RekeyError, progress_of, read
from monitor.daemon.timers import Every
from monitor.errors import LogError, LogUnreachable, OffsetLost, UnknownOutcome
from monitor.events import RecordBatch
from monitor.ingest.id_texts import IdTexts
from monitor.ingest.routing import FROM, Place, mark_of, origin_of, routed
from monitor.ports import Appender, Fences, Leases, Log, OutRecord, Reader, TopicInfo, TopicSpec, WallClock

_log = logging.getLogger("driftline.rekey")

FLUSH_RECORDS: Final = 10_000
"""Copies that are sent before all must be acknowledged: what a crash has to be asked about."""
FLUSH_MS: Final = 1_000
PROGRESS_MS: Final = 5_000
LOOK_MS: Final = 5_000
"""How often it is asked whether the topics are what they were, and where they end."""
_CHUNK: Final = 1_000
_WAIT_MS: Final = 100
_FLUSH_WAIT_MS: Final = 30_000
_AGAIN_MS: Final = 500


_There = dict[tuple[int, int], set[int]]
"""By partition of the copy and of the source: offsets of the source whose copies are there."""
_NONE: Final[set[int]] = set()


class Telling(Protocol):
    """Is told how far it is, now and then."""

    def __call__(self, standing: Standing) -> None:
        """Called once a turn."""


@dataclass(slots=True)
class Standing:
    """What was done since the start, and what is left to do."""

    active: bool = False
    copied: int = 0
    read: int = 0
    unplaced: int = 0  # records without an id that can be read
    known: int = 0  # copies that were there already
    lag: dict[int, int] = field(default_factory=dict)  # records that are not copied yet, by partition of the source
    newest_ms: int = 0  # the log's own time of the newest record that was copied
    unanswered: str | None = None
    finished: bool = False


class Rekeying:
    """One copy. `run` returns when it was stopped or, `until_end`, when the source as it was at the start is copied."""

    def __init__(
        self,
        log: Log,
        namespace: str,
        stream: PredictionStream | LabelStream,
        partitions: int | None,
        place: Place,
        clock: WallClock,
        *,
        until_end: bool = False,
        accept_loss: bool = False,
        tell: Telling = lambda _: None,
    ) -> None:
        """`partitions`: of the other stream's topic; None: as many as the source has. `accept_loss`: go on where the source
        begins now when it has forgotten what was not copied yet."""
        assert stream.rekey is not None
        self.log, self.clock, self.tell = log, clock, tell
        self._namespace, self._stream, self._rekey, self._partitions = namespace, stream, stream.rekey, partitions
        self._until_end, self._accept_loss = until_end, accept_loss
        self._ids = IdTexts(stream, stream.rekey.by)
        self._place = place
        self.standing = Standing()
        self.heartbeat_ms = clock.monotonic_ms()
        self.stopping = False
        self._source: TopicInfo
        self._copy: TopicInfo
        self._leases: Leases
        self._reader: Reader | None = None
        self._appender: Appender | None = None
        self._noting: Appender | None = None
        self._positions: list[int] = []
        self._there: _There = {}
        self._first: tuple[int, ...] = ()
        self._unflushed = 0
        self._merge, self._ends, self._full = Merge([]), list[int](), list[int]()
        self._finish: list[int] = []
        self._again_ms, self._outage = 0, Outage()
        self._flush, self._save, self._look = Every(FLUSH_MS), Every(PROGRESS_MS), Every(LOOK_MS)

    def stop(self) -> None:
        """Ask the loop to finish what is in hand; may be called from a signal handler."""
        self.stopping = True

    def run(self) -> None:
        """Raises RekeyError, OffsetLost or LogError."""
        self.start()
        try:
            while not self.stopping and not self.standing.finished:
                self.turn()
        finally:
            self.close()

    def start(self) -> None:
        """Look the topics up, make the copy and its progress, join the group."""
        self._source = self._needed(self._rekey.source)
        partitions = self._partitions or self._source.partitions
        kept = self._source.config.get("retention.ms", "-1")
        retention_ms = int(kept) if kept.isdigit() else None
        self._copy = self.log.ensure(TopicSpec(self._stream.topic, partitions, retention_ms=retention_ms))
        if self._copy.partitions != partitions:
            raise RekeyError(
                self._copy.name,
                f"it has {self._copy.partitions} partitions and {partitions} are needed",
                "Choose another name for it (streams.*.topic), or delete it and its progress so that it is made anew.",
            )
        self.log.ensure(TopicSpec(progress_topic(self._copy.name), 1, compacted=True))
        self._finish = self.log.end_offsets(self._source.name)
        self._leases = self.log.leases(progress_topic(self._copy.name), f"{self._namespace}.rekey.{self._copy.name}")

    def _needed(self, name: str) -> TopicInfo:
        info = self.log.topic(name)
        if info is None:
            raise RekeyError(
                self._stream.topic, f"there is no topic {name!r} to copy", "Create it, or correct `rekey.from`."
            )
        return info

    def turn(self) -> None:
        """Once around. An append without an answer, or a log without one, drops everything: the copy itself tells how far it
        got."""
        now = self.heartbeat_ms = self.clock.monotonic_ms()
        try:
            self._turn(now)
            self.standing.unanswered = None
            if self._reader is not None and (said := self._outage.answered(now)):
                _log.info("%s", said)
        except (UnknownOutcome, LogUnreachable) as error:
            if said := self._outage.failed(str(error), now):
                _log.warning("%s", said)
            self.standing.unanswered = str(error)
            self._drop()
            self._again_ms = now + _AGAIN_MS
            self.clock.sleep_ms(_AGAIN_MS)
        self.tell(self.standing)

    def _turn(self, now: int) -> None:
        held = 0 in self._leases.poll(0)
        if not held and self._reader is not None:
            _log.info("copy %s: another process goes on with it", self._copy.name)
            self._drop()
        if held and self._reader is None and now >= self._again_ms:
            self._resume()
        if self._reader is None:
            self.clock.sleep_ms(_WAIT_MS)
            return
        for batch in self._reader.poll(_CHUNK, _WAIT_MS):
            self._merge.add(batch.partition, self._routed(batch), batch.next_offset)
        for due in self._merge.due(self._ends):
            self._take(due)
            if self._unflushed >= FLUSH_RECORDS:
                self._positions = self._merge.positions()
                self._flushed()
        self._positions = self._merge.positions()
        if (full := self._merge.full()) != self._full:
            self._full = full
            self._reader.pause([(self._source.name, p) for p in full])
        if self._flush.due(now):
            self._flushed()
            if self._save.due(now):
                self._keep()
        if self._look.due(now):
            self._see()
        if self._until_end and all(at >= end for at, end in zip(self._positions, self._finish, strict=False)):
            self._flushed()
            self._keep()
            self._see()
            self.standing.finished = True

    # -- where it got to -------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Shut out who copied before, ask the copy how far it got, and read on from there."""
        source, copy = self._source.name, self._copy.name
        name = f"{self._namespace}.rekey.{copy}"
        self._appender = self.log.fenced_appender(name) if isinstance(self.log, Fences) else self.log.appender()
        progress = self._progress()
        begins, ends = self.log.begin_offsets(source), self.log.end_offsets(copy)
        known = () if progress is None else progress.positions
        positions = [known[p] if p < len(known) else begin for p, begin in enumerate(begins)]
        for partition, (at, begin) in enumerate(zip(positions, begins, strict=True)):
            if at < begin:
                if not self._accept_loss:
                    raise OffsetLost(source, partition, at, begin, self.log.end_offsets(source)[partition])
                _log.warning(
                    "%s[%d]: %d records left it uncopied; going on at %d", source, partition, begin - at, begin
                )
                positions[partition] = begin
        first = progress.ends if progress is not None else self.log.begin_offsets(copy)
        self._there, self._first = self._found(positions, first, ends), tuple(first)
        self._positions, self._unflushed = positions, 0
        self._merge, self._full = Merge(positions), []
        self._reader = self.log.reader(keys=True, headers=True)
        self._reader.assign({(source, p): at for p, at in enumerate(positions)})
        self.standing.active = True
        self._see()
        _log.info("copy %s: goes on, %d records behind", copy, sum(self.standing.lag.values()))

    def _progress(self) -> Progress | None:
        """The newest that is kept. Raises RekeyError when it is about other topics, or of a newer version."""
        topic, found = progress_topic(self._copy.name), None
        (begin,), (end,) = self.log.begin_offsets(topic), self.log.end_offsets(topic)
        for batch in read(self.log, topic, {0: (begin, end)}):
            for value in batch.values:
                found = value or found
        return None if found is None else progress_of(found, self._source, self._copy)

    def _found(self, positions: list[int], first: Sequence[int], ends: list[int]) -> _There:
        """What the end of the copy holds of the source from `positions` on: it is not made again. A set, and not the newest of
        each: between what is there something may be missing that the brokers never acknowledged."""
        begins = self.log.begin_offsets(self._copy.name)
        spans = {p: (max(first[p], begins[p]), end) for p, end in enumerate(ends) if first[p] < end}
        found: _There = defaultdict(set)
        for batch in read(self.log, self._copy.name, spans):
            for headers in batch.headers or ():
                origin = origin_of(headers or (), self._source.name)
                if origin is not None and origin[0] < len(positions) and origin[1] >= positions[origin[0]]:
                    found[batch.partition, origin[0]].add(origin[1])
        return found

    # -- copying ---------------------------------------------------------------------------------------------------

    def _routed(self, batch: RecordBatch) -> Iterator[Due]:
        """The records of a batch with their copies."""
        times, offsets = batch.timestamps_ms.tolist(), batch.offsets.tolist()
        copies = routed(batch, self._ids, self._place, self._copy.partitions)
        for place, own in groupby(copies, attrgetter("place")):
            offset, at_ms = offsets[place], times[place]
            headers = [*((batch.headers or ())[place] or ()), (FROM, mark_of(batch, offset))]
            made, unplaced = [], False
            for copy in own:
                made.append((copy.partition, OutRecord(copy.value, copy.key, headers, at_ms if at_ms > 0 else None)))
                unplaced = unplaced or copy.unplaced
            yield Due(batch.partition, offset, at_ms, made, unplaced)

    def _take(self, due: Due) -> None:
        assert self._appender is not None
        for partition, record in due.copies:
            there = self._there.get((partition, due.partition), _NONE)
            if due.offset in there:
                there.discard(due.offset)
                self.standing.known += 1
                continue
            self._appender.send(self._copy.name, record, partition)
            self._unflushed += 1
            self.standing.copied += 1
        self.standing.unplaced += due.unplaced
        self.standing.read += 1
        self.standing.newest_ms = max(self.standing.newest_ms, due.at_ms)

    def _flushed(self) -> None:
        """Wait until everything that was sent is acknowledged."""
        assert self._appender is not None
        self._appender.flush(_FLUSH_WAIT_MS)
        self._unflushed = 0

    def _keep(self) -> None:
        """Say how far it is; everything that was sent is acknowledged. One that comes late, from who was shut out, only has
        the next one look further back."""
        if not self._is_ahead():
            self._first = tuple(self.log.end_offsets(self._copy.name))
        names = ((self._source.name, self._source.topic_id), (self._copy.name, self._copy.topic_id))
        record = Progress(FORMAT, *names, tuple(self._positions), self._first)
        noting = self._noting = self._noting or self.log.appender()
        noting.append(
            progress_topic(self._copy.name), 0, OutRecord(msgspec.json.encode(record), self._source.name.encode())
        )

    def _is_ahead(self) -> bool:
        """Whether the copy holds records that are still to be met in the source, from who was here before: they lie where it
        was looked for them, and there the next one has to look too."""
        pairs = ((origin, max(offsets)) for (_, origin), offsets in self._there.items() if offsets)
        return any(newest >= self._positions[origin] for origin, newest in pairs)

    def _see(self) -> None:
        """How much is left, for lag tools and for people; whether the topics are what they were."""
        self._ends = ends = self.log.end_offsets(self._source.name)
        if len(ends) > len(self._positions):
            _log.info("%s has %d partitions now", self._source.name, len(ends))
            self._source = self._needed(self._source.name)
            self._flushed()
            self._keep()
            self._drop()
            return
        self.standing.lag = {p: max(0, end - self._positions[p]) for p, end in enumerate(ends)}
        self._leases.report({(self._source.name, p): at for p, at in enumerate(self._positions)})

    def _drop(self) -> None:
        """Forget everything; what was sent and not acknowledged is found in the copy, or is not."""
        for client in (self._reader, self._appender, self._noting):
            if client is not None:
                try:
                    client.close()
                except LogError as error:
                    _log.debug("%s", error)
        self._reader = self._appender = self._noting = None
        self.standing.active = False

    def close(self) -> None:
        """Finish what was sent, say how far it is, give the lease back."""
        try:
            if self.standing.active:  # else it does not know how far it is
                self._flushed()
                self._keep()
        except LogError as error:
            _log.warning("%s: whoever goes on will see", error)
        self._drop()
        self._leases.close()
