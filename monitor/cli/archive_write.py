"""From topics to an archive: the closed panes of each partition, read once and committed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from monitor.cli.dataset_join import Joined, join, state_of
from monitor.cli.dataset_make import rules_of, without_erased
from monitor.cli.dataset_read import Read, Span, Stream, Topics
from monitor.cli.scan import ScanProgress
from monitor.ingest.clocks import NEVER, ClockState
from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset.errors import READINGS_MAX, ArchiveEnded, Overtaken
from pipelines.dataset.redaction import Erased, Erasures
from pipelines.dataset.table import Schema

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.ports import Log

ENDED: Final = 1 << 62
"""Later than any pane."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one partition gave. `lost`: offsets that had left the topics unread. `crossed`: ids were erased meanwhile, and
    blobs of this writer that nothing names may hold rows of them."""

    partition: int
    segments: tuple[a.Segment, ...]
    lost: tuple[int, int]
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What an archive is written with. `ended`: the topics get nothing more, so every pane is closed and final."""

    pane_ms: int
    ids: bool
    ended: bool
    actor: str
    now_ms: int


def write(config: Config, log: Log, archive: a.Archive, store: a.LogStore, asked: Asked) -> Iterator[Written]:
    """Archive what has closed since the last time, partition by partition. Raises BadDataset for an archive of something else.

    An erasure keeps its ids first and then adds a commit to every archive. So the erased ids are asked for after the log was
    folded: of an erasure that is not among them the commit is still to come, and either is ours before it, and seen by it, or
    loses against it. Raises Overtaken, and ArchiveEnded for records that came after `ended`; what was committed stays."""
    topics = Topics(config, log, ids=asked.ids)
    state = archive.begin(_begun(topics, asked))
    erasures = Erasures(store)
    for partition in range(topics.predictions.partitions):
        crossed = False
        for _ in range(READINGS_MAX):
            forgotten = erasures.now()
            commit = _Partition(topics, state, partition, asked).commit(archive, forgotten)
            if erasures.now() == forgotten and (commit is None or archive.commit(state, commit)):
                break
            crossed |= erasures.now() != forgotten
            state = archive.state()  # another writer, or an erasure, was first: what it did is not done again
        else:
            raise Overtaken(
                f"partition {partition} of the archive {archive.name!r}", "ids were erased, or others wrote,"
            )
        if commit is not None or crossed:
            written = ((), (0, 0)) if commit is None else (commit.segments, commit.lost)
            yield Written(partition, *written, crossed)


def _begun(topics: Topics, asked: Asked) -> a.Begun:
    labels = topics.labels
    return a.Begun(
        a.FORMAT,
        asked.actor,
        asked.now_ms,
        asked.pane_ms,
        topics.cluster,
        m.Topic(topics.predictions.name, topics.predictions.topic_id),
        None if labels is None else m.Topic(labels.name, labels.topic_id),
        topics.plan.join.bounds.horizon_ms,
        rules_of(topics.config),
        asked.ids,
    )


class _Partition:
    """One partition: what is read of it, and what of that is written."""

    def __init__(self, topics: Topics, state: a.State, partition: int, asked: Asked) -> None:
        self._topics, self._state, self._partition, self._asked = topics, state, partition, asked
        self._reached = state.reached.get(partition)
        predictions, labels = topics.held()
        self._held = predictions[partition]
        self._held_labels = None if labels is None else labels[partition]

    def commit(self, archive: a.Archive, forgotten: Erased) -> a.Commit | None:
        """What is to be committed; None where nothing has closed or changed."""
        reached = self._reached
        needed = (0, 0) if reached is None else reached.needed
        span = _span(None if reached is None else reached.predictions, self._held)
        labels = None
        if self._held_labels is not None:
            labels = _span(None if reached is None else reached.labels, self._held_labels)
        lost = (0, 0)
        if reached is not None:
            begins = self._held[0], 0 if self._held_labels is None else self._held_labels[0]
            lost = max(0, begins[0] - needed[0]), max(0, begins[1] - needed[1])
        scan = self._topics.scan([(self._partition, span, labels)])
        with ScanProgress(scan, f"reading partition {self._partition}") as progress:
            read = self._topics.read(scan, self._partition, span, labels, progress.show)
        if reached is not None and reached.open_ms == ENDED:
            since = _records(read.predictions, needed[0]), _records(read.labels, needed[1])
            if any(since):
                raise ArchiveEnded(archive.name, self._partition, since)
        open_ms, closed_ms, final_ms = self._limits(read)
        first_ms = min((int(part.at_ms.min()) for part in read.predictions.parts if len(part)), default=NEVER)
        plan = self._topics.plan.join
        from_ms = self._known_from(read.predictions, open_ms), open_ms - plan.bounds.skew_ms
        places = self._place(read.predictions, from_ms[0]), self._place(read.labels, from_ms[1])
        touched = _first(read.predictions, open_ms), _first(read.labels, from_ms[1])
        whole = lost == (0, 0)
        joined = join(self._topics, read, m.Selection(ids=self._asked.ids, ended=self._asked.ended))
        # The pane in which the topics begin may lack what they held before.
        partial_ms = first_ms if reached is None and span.start > 0 else NEVER
        segments = tuple(self._segments(archive, joined, forgotten, closed_ms, final_ms, whole, partial_ms))
        # The first reading is kept without any: it says what must not be lost from then on. So is the end, once.
        told = reached is not None and (reached.open_ms == ENDED or not self._asked.ended)
        if not segments and whole and told:
            return None
        return a.Commit(
            a.FORMAT,
            self._asked.now_ms,
            self._partition,
            self._schema(joined),
            segments,
            open_ms,
            *places,
            touched,
            lost,
        )

    def _schema(self, joined: Joined) -> Schema:
        return (*joined.table.schema, a.OFFSET_FIELD)

    def _limits(self, read: Read) -> tuple[int, int, int]:
        """Beginning of the oldest pane that can still change, and the ends of those that are closed and those that are final."""
        pane, join_ = self._asked.pane_ms, self._topics.plan.join
        if self._asked.ended:
            return ENDED, ENDED, ENDED
        maximum = read.predictions.clock.maximum_ms
        closed = NEVER if maximum == NEVER else (maximum - join_.lateness_ms) // pane * pane
        final = closed
        if read.labels is not None:
            newest = read.labels.clock.maximum_ms
            final = NEVER
            if newest != NEVER:
                final = min(closed, (newest - join_.lateness_ms - join_.bounds.horizon_ms - 1) // pane * pane)
        before = NEVER if self._reached is None or self._reached.open_ms is None else self._reached.open_ms
        return max(final, before), closed, final

    def _known_from(self, stream: Stream[Any], open_ms: int) -> int:
        """Event time from which on a record may still be known when one of a pane that can change is read: the later one is a
        duplicate then."""
        before = [ms[part.at_ms >= open_ms] for part, ms in zip(stream.parts, stream.before, strict=True)]
        oldest = min((int(ms.min()) for ms in before if len(ms)), default=open_ms)
        return min(open_ms, oldest - self._topics.plan.join.lateness_ms)

    def _place(self, stream: Stream[Any] | None, from_ms: int) -> a.Position | None:
        """The first record at or after an event time, with the clock before it: the next reading begins there."""
        if stream is None:
            return None
        parts, jump = [part for part in stream.parts if len(part)], self._topics.plan.max_jump_ms
        if not parts:
            return a.Position(stream.span.end, _clock(stream.clock))
        at, offsets, ids = (np.concatenate([getattr(part, n) for part in parts]) for n in ("at_ms", "offsets", "ids"))
        offset = stream.calm(_first(stream, from_ms), offsets, at, ids, jump)
        return a.Position(offset, _clock(stream.clock_at(offset, offsets, at, ids, jump)))

    def _segments(
        self,
        archive: a.Archive,
        joined: Joined,
        forgotten: Erased,
        closed_ms: int,
        final_ms: int,
        whole: bool,
        partial_ms: int,
    ) -> Iterator[a.Segment]:
        """The panes that are new or differ from what is archived."""
        table, offsets, _ = without_erased(joined, forgotten)
        table = a.with_offsets(table, offsets)
        at, pane = table.ints("at_ms").values, self._asked.pane_ms
        starts = at // pane * pane
        held = {f: each for (p, f), each in self._state.current.items() if p == self._partition}
        since = NEVER if self._reached is None or self._reached.open_ms is None else self._reached.open_ms
        wanted = {int(s) for s in np.unique(starts)} | {f for f, (_, _, each) in held.items() if not each.final}
        for start in sorted(s for s in wanted if since <= s < closed_ms):
            now = held.get(start)
            if now is not None and not whole:
                continue  # what it was made of is no longer there as a whole
            rows = table.take(np.flatnonzero(starts == start))
            digest, final = a.digest_of_rows(rows), start + pane <= final_ms
            if now is None and not len(rows):
                continue
            if now is not None and (now[2].rows_digest, now[2].final) == (digest, final):
                continue
            blob, size = archive.put(rows)
            unlabelled = int((~rows.known("label")).sum())
            why = a.Why.CLOSED if now is None else a.Why.REVISED
            if now is not None and now[2].rows_digest == digest:
                why = a.Why.FINAL
            partial = not whole or start <= partial_ms
            assert joined.source is not None
            yield a.Segment(
                start, start + pane, why, len(rows), unlabelled, digest, blob, size, final, partial, joined.source
            )


def _span(before: a.Position | None, held: tuple[int, int]) -> Span:
    """What is read of one stream. Where retention was faster than the archive, the clock is that before the records that are
    gone."""
    begin, end = held
    if before is None:
        return Span(begin, end)
    start = max(begin, before.offset)
    return Span(start, max(start, end), state_of(before.clock))


def _first(stream: Stream[Any] | None, from_ms: int) -> int:
    """Offset of the first record at or after an event time; the end of what was read where there is none."""
    if stream is None:
        return 0
    for part in stream.parts:
        if len(later := np.flatnonzero(part.at_ms >= from_ms)):
            return int(part.offsets[later[0]])
    return stream.span.end


def _records(stream: Stream[Any] | None, offset: int) -> int:
    """How many records there are from an offset on."""
    return 0 if stream is None else sum(int((part.offsets >= offset).sum()) for part in stream.parts)


def _clock(state: ClockState) -> m.Clock:
    maximum = None if state.maximum_ms == NEVER else state.maximum_ms
    return m.Clock(maximum, tuple((at, f"{word:016x}") for at, word in state.ahead))
