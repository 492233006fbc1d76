"""The life of a task: one source partition, from its lease to its release.

    lease -> fold the ledger -> fence -> rebuild the join -> live -> release

1. Fold the ledger partition to its end; write the genesis if there is none.
2. Append a fence with a higher epoch and fold up to it: still ours? From here on no older owner's record can count.
3. Rebuild the join from the sources, from the recorded floors up to the committed offsets; its digest must be the one in
   the last commit.
4. Live: feed, commit. One commit in flight.
5. Release: nothing is flushed; what was not committed is read again by the next owner.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import UNSET

from monitor.config.types import Config
from monitor.daemon import snapshots
from monitor.daemon.begun import ANOTHER_MEANING, begun, what_differs
from monitor.daemon.checkpoints import follow, manifest_of, of_ledger, timestamp_at
from monitor.daemon.counted import OlderRoster
from monitor.daemon.genesis import genesis_of, recognise
from monitor.daemon.newest import newest_taken_ms
from monitor.daemon.recovery import rows_to_read_again
from monitor.daemon.sources import Sources
from monitor.daemon.tail import Stored, follow_from_start
from monitor.daemon.writer import LedgerWriter, LostOwnership
from monitor.editions import number_of, owner_of, refuse_newer
from monitor.errors import LedgerError, OffsetLost
from monitor.events import RecordBatch, Rejected
from monitor.ingest.clocks import NEVER, ClockState
from monitor.ledger.checkpoints import ledger_of
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Commit, Genesis
from monitor.partition import Flags, Partition, Shared
from monitor.ports import Appender, Log

_log = logging.getLogger("driftline.task")

CHECKPOINT_RECORDS = 1_000
"""Of the ledger partition, between two of its checkpoints, which are small: folding so many takes a tenth of a second."""
_REBUILD_CHUNK = 5_000
_WAIT_MS = 200
COMMIT_CELLS = 60_000
"""A commit is made before it carries more: about half a megabyte, well under the broker's limit of 8 MiB."""


class Task:
    """One owned partition."""

    def __init__(self, log: Log, appender: Appender, config: Config, shared: Shared, sources: Sources, n: int) -> None:
        self.partition = n
        self._log, self._config, self._shared, self._sources = log, config, shared, sources
        self._checkpoints = of_ledger(log, config.topics().checkpoints, n)
        self._every = min(CHECKPOINT_RECORDS, config.state.checkpoint_records)
        follower = follow_from_start(log, config.topics().ledger, n)
        known = shared.plan.edition
        self.writer = LedgerWriter(log, appender, follower, owner_of(secrets.token_hex(8), known))
        self.engine: Partition
        self.flags = Flags()
        self.rebuilt_rows = self._snapshot_at = 0
        self._committed_at: list[int | None] = [None, None]  # offsets of what this task committed itself, likewise
        self.committed_ms: list[int | None] = [None, None]
        """When the last commit with predictions, and with labels, was taken by the log before this opening (wall clock);
        before there was one, when the ledger began."""

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Everything up to going live. `progress` is told rows done and rows to do of the rebuild.

        Raises LostOwnership when another process fenced us off meanwhile, or trimmed what we were about to read,
        LedgerError when the ledger is not about these topics, OffsetLost when records that the rebuild needs are gone.
        """
        topic = self.writer.follower.topic
        try:
            follower, saved = follow(self._log, topic, self.partition, self._checkpoints)
            self.writer.follower, self._saved_at = follower, follower.next_offset
            if saved is not None:
                self.committed_ms = list(saved.committed_ms)
            follower.catch_up(self._log, self._log.end_offsets(topic)[self.partition], self._remember)
        except OffsetLost as lost:
            raise LostOwnership(topic, self.partition, Verdict.NOT_OWNER) from lost
        if follower.state.genesis is None:
            self._begin()
        self._edition()  # who does not know it fences nobody off
        self._recognise()
        self._need_its_roster()
        self.writer.fence()
        self._need_its_roster()
        edition = self._edition()
        try:
            self._rebuild(progress)
            self.engine.go_on_by(edition)
            self.take_roster_over()
            self._checkpoint()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Not used any more: what its join keeps beside memory is given back."""
        engine = getattr(self, "engine", None)
        if engine is not None:
            engine.close()

    def _remember(self, stored: Stored, verdict: Verdict) -> None:
        record = stored.record
        if verdict is not Verdict.ACCEPTED:
            return
        if isinstance(record, Genesis):
            self.committed_ms = [stored.timestamp_ms] * 2
        elif isinstance(record, Commit):
            for stream, (start, end) in enumerate((record.predictions, record.labels)):
                if end > start:
                    self.committed_ms[stream] = stored.timestamp_ms

    def _begin(self) -> None:
        digest, first = self._shared.plan.config_digest, begun(self._log, self._config.topics())
        edition = self._shared.plan.edition if first is None else number_of(first.edition)
        genesis = genesis_of(self._log, self._sources, self.partition, digest, edition)
        self.writer.offer(genesis)  # if another genesis came first it counts, and is checked like any other

    def _recognise(self) -> None:
        genesis = self.writer.follower.state.genesis
        assert genesis is not None
        where = recognise(self._log, self._config.namespace, self._sources, genesis)
        commit = self.writer.follower.state.commit
        digest = commit.config if commit else genesis.config
        if digest != self._shared.plan.config_digest:
            raise LedgerError(
                f"{where} counts under configuration {digest[:19]}, this one is {self._shared.plan.config_digest[:19]}. "
                f"What a row means was changed by: {what_differs(self._log, self._config)}",
                ANOTHER_MEANING,
            )

    def _edition(self) -> int:
        """By which the owner before counted. Raises NewerVersion where this process does not know it."""
        state = self.writer.follower.state
        last = state.commit or state.genesis
        assert last is not None
        return refuse_newer(last.edition, self._shared.plan.edition, f"{self.writer.follower.topic}[{self.partition}]")

    def _need_its_roster(self) -> None:
        """Raise OlderRoster where the owner before counted by a newer roster than this process has."""
        commit, ours = self.writer.follower.state.commit, self._shared.roster.number if self._shared.roster else 0
        if commit is not None and commit.rosters is not UNSET and commit.rosters[-1].number > ours:
            raise OlderRoster(f"partition {self.partition}", commit.rosters[-1].number, ours)

    def take_roster_over(self) -> None:
        """Count by the roster of this process from here on; the next commit says so."""
        admission, state, roster = self.engine.admission, self.writer.follower.state, self._shared.roster
        admission.roster = roster
        if roster is None or roster.number <= admission.number or state.ended:
            return
        clock, near_ms = self.engine.clocks[0], NEVER if self.committed_ms[0] is None else self.committed_ms[0]
        newest_ms = admission.unlisted_ms
        if (
            newest_ms is None
        ):  # an earlier version rejected records and did not say of when: none was of the future then
            name, end = self._sources.predictions.name, state.next_prediction
            taken_ms = newest_taken_ms(self._log, name, self.partition, end, near_ms)
            newest_ms = max(clock.maximum_ms, taken_ms + self._config.time.skew_ms)
        newest_ms = admission.newest_near_ms(newest_ms, clock, near_ms, self._shared.plan.max_jump_ms)
        admission.adopt(self.engine.next_offsets[0], newest_ms)

    def _rebuild(self, progress: Callable[[int, int], None] | None) -> None:
        state = self.writer.follower.state
        commit = state.commit
        if commit is None:
            self._begin_at((state.next_prediction, ClockState()), (state.next_label, ClockState()))
            self._check_held(state.next_prediction, state.next_label)
            return
        floors = (commit.prediction_floor, commit.label_floor)
        starts = [(floor.offset, floor.clock.state()) for floor in floors]
        self._begin_at(*starts)
        if commit.ended:
            self.flags = Flags(ended=True)
            return
        ends = (commit.predictions[1], commit.labels[1])
        try:
            self._check_held(
                *(floor.offset if floor.offset < end else None for floor, end in zip(floors, ends, strict=True))
            )
        except OffsetLost as lost:
            if not state.gap:
                raise
            self._give_up(commit, lost)
            return
        self._check_held(state.next_prediction, state.next_label)
        if not self._from_snapshot(commit, progress):
            self._begin_at(*starts)
            self.engine.remember(commit)
            self._read_again(commit, rows_to_read_again(commit), progress)
        floods = () if commit.floods is UNSET else commit.floods
        full, silent = commit.full is True, commit.silent is True
        unreadable = () if commit.unreadable is UNSET else commit.unreadable
        gone_by = (0, 0) if commit.gone_by is UNSET else commit.gone_by
        # These outlive their owner.
        self.flags = Flags(
            stalled=commit.stalled, full=full, silent=silent, floods=floods, unreadable=unreadable, gone_by=gone_by
        )  # fmt: skip

    def _from_snapshot(self, commit: Commit, progress: Callable[[int, int], None] | None) -> bool:
        """Whether a snapshot gave the state of the commit, with what came after it read again."""
        store = self._shared.snapshots
        if store is None:
            return False
        found = snapshots.usable(store, self._log, self.writer.follower.topic, self._identity(), self._shared, commit)
        for engine, where in found:
            self.close()
            self.engine = engine
            ends = commit.predictions[1], commit.labels[1]
            total = sum(end - offset for end, offset in zip(ends, engine.next_offsets, strict=True))
            try:
                self._read_again(commit, total, progress)
            except (LedgerError, OffsetLost) as error:
                _log.warning("snapshot %s cannot be used: %s", where, error)
                continue
            _log.info("partition %d: goes on from snapshot %s", self.partition, where)
            return True
        return False

    def _identity(self) -> snapshots.Identity:
        digest, roster = self._shared.plan.config_digest, self._shared.roster
        if roster is not None and roster.number:  # rows are as wide as the widest model
            digest = f"{digest}/{roster.number}"
        return snapshots.Identity(self._config.namespace, self._log.cluster_id(), self.partition, digest)

    def _read_again(self, commit: Commit, total: int, progress: Callable[[int, int], None] | None) -> None:
        """Feed what lies between where the engine is and the commit, and take the commit's totals over."""
        if progress is not None:
            progress(0, total)
        self.rebuilt_rows, engine = 0, self.engine
        engine.admission.follow(commit)
        ends = commit.predictions[1], commit.labels[1]
        for stream, feed in enumerate((engine.feed_predictions, engine.feed_labels)):
            if stream < len(self._sources.names):
                self._refeed(stream, engine.next_offsets[stream], ends[stream], feed, total, progress)
        state = self.writer.follower.state
        engine.resume(commit, (state.next_prediction, state.next_label))
        engine.take_fed()  # what was read again is no news
        self._snapshot_at = sum(ends)

    def _begin_at(self, predictions: tuple[int, ClockState], labels: tuple[int, ClockState]) -> None:
        """An empty join that reads on from these offsets and clocks."""
        self.close()
        self.engine = Partition(self._shared, self.partition, predictions, labels)

    def _give_up(self, commit: Commit, lost: OffsetLost) -> None:
        """Go on without the rows that were held, as an operator recorded."""
        state, clocks = self.writer.follower.state, (commit.prediction_clock.state(), commit.label_clock.state())
        starts = list(zip((state.next_prediction, state.next_label), clocks, strict=True))
        self._check_held(*(start[0] for start in starts))
        self._begin_at(*starts)
        self.engine.give_up(commit)
        _log.warning(
            "partition %d: a gap is recorded and topic %r begins at offset %d: %d predictions that waited and %d labels are "
            "given up",
            self.partition,
            lost.topic,
            lost.begin,
            commit.prediction_outcomes["pending"],
            commit.label_outcomes["waiting"],
        )

    def _check_held(self, *wanted: int | None) -> None:
        for name, offset in zip(self._sources.names, wanted, strict=False):
            if offset is None:
                continue
            begin, end = self._log.begin_offsets(name)[self.partition], self._log.end_offsets(name)[self.partition]
            if not begin <= offset <= end:
                raise OffsetLost(name, self.partition, offset, begin, end)

    def _refeed(
        self,
        stream: int,
        start: int,
        end: int,
        feed: Callable[[RecordBatch], Sequence[Rejected]],
        total: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        if start >= end:
            return
        decoder = self._shared.predictions if stream == 0 else self._shared.labels
        assert decoder is not None
        reader = self._log.reader(keys=decoder.needs_keys, headers=decoder.needs_headers)
        name = self._sources.names[stream]
        try:
            reader.assign({(name, self.partition): start})
            position = start
            while position < end:
                for batch in reader.poll(min(_REBUILD_CHUNK, end - position), _WAIT_MS):
                    part = before(batch, end)
                    if len(part):
                        feed(part)
                    self.rebuilt_rows += len(part)
                    position = batch.next_offset
                    if progress is not None:
                        progress(self.rebuilt_rows, total)
            self.engine.skip_to(stream, end)
        finally:
            reader.close()

    # -- living --------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the end of input is recorded: nothing more will be read."""
        return self.writer.follower.state.ended

    def reached(self, ends: Sequence[Sequence[int]]) -> bool:
        """Whether everything below these offsets, by stream and partition, was fed."""
        next_offsets = zip(self.engine.next_offsets, ends, strict=False)
        return all(next_offset >= end[self.partition] for next_offset, end in next_offsets)

    def adopt(self, edition: int) -> None:
        """Count by an edition that was announced, if this process knows it; the next commit says so."""
        if not self.ended and edition <= self._shared.plan.edition:
            self.engine.adopt(edition)

    def large(self, most_rows: int) -> bool:
        """Whether what was fed since the last commit must not wait for more."""
        rows = self.engine.uncommitted_rows
        return rows >= most_rows or (rows > 0 and self.engine.commit_cells >= COMMIT_CELLS)

    def commit(self, flags: Flags) -> None:
        """Append what was fed since the last commit. Raises LostOwnership or UnknownOutcome; then drop the task."""
        commit = self.engine.commit(self.writer.chain, flags)
        self.writer.append(commit)
        for stream, (start, end) in enumerate((commit.predictions, commit.labels)):
            if end > start:
                self._committed_at[stream] = self.writer.follower.counted_at
        self.flags = flags
        self._checkpoint()
        self._snapshot()

    def _snapshot(self) -> None:
        """Save the join, when enough was read since the last time."""
        store, read = self._shared.snapshots, sum(self.engine.next_offsets)
        if store is None or self.ended or read - self._snapshot_at < self._config.state.snapshot_records:
            return
        self._snapshot_at = read
        snapshots.write(store, self._identity(), self.engine, self.writer.follower)

    def _checkpoint(self) -> None:
        """Save what the ledger partition adds up to, when it has grown by enough."""
        follower = self.writer.follower
        if follower.next_offset - self._saved_at < self._every:
            return
        self._saved_at = follower.next_offset
        try:
            predictions, labels = (
                was if at is None else timestamp_at(self._log, follower.topic, self.partition, at)
                for was, at in zip(self.committed_ms, self._committed_at, strict=True)
            )
        except OffsetLost as lost:  # trimmed below a checkpoint that is not ours
            raise LostOwnership(follower.topic, self.partition, Verdict.NOT_OWNER) from lost
        # Of a stream that is silent from here on, this is what stays known: its last commit is going to be trimmed.
        self.committed_ms, self._committed_at = [predictions, labels], [None, None]
        self._checkpoints.write(manifest_of(ledger_of(self.partition), follower, (predictions, labels)), b"")


def before(batch: RecordBatch, end: int) -> RecordBatch:
    """The records of a batch below offset `end`."""
    return batch if batch.next_offset <= end else batch.rows(0, int(np.searchsorted(batch.offsets, end)), end)


def tell_of_opening(task: Task) -> None:
    """Say that a partition is live."""
    epoch = task.writer.chain.epoch
    _log.info("partition %d: open, epoch %d, %d records read again", task.partition, epoch, task.rebuilt_rows)
