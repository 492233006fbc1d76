"""Stage 1 for one partition: records in, commits out. Pure: the shell reads and appends, this decides.

    decode -> clocks -> join -> summarise -> commit

A commit describes everything since the one before. The state it leaves behind is valid only once that commit is in
the ledger: if the append fails, the partition is dropped and rebuilt from the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET

from monitor.admission import Admission
from monitor.coding import Coder
from monitor.editions import Edition
from monitor.errors import LedgerError
from monitor.events import LabelColumns, PredictionColumns, RecordBatch, Rejected
from monitor.groups import Groups
from monitor.ingest.clocks import ENDED, ClockState, advance
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder
from monitor.ingest.fed import Fed
from monitor.ingest.rows import portions
from monitor.join.inputs import LabelBatch, PredictionBatch
from monitor.join.join import Join
from monitor.join.memory import Memory
from monitor.join.outcomes import Conservation, LabelOutcomes, PredictionOutcomes, Read, as_counts
from monitor.join.restamped import Known, Restamped, batch_of
from monitor.join.tables import SCORE_BYTES, with_scores
from monitor.ledger.floors import Floors
from monitor.ledger.fold import Chain
from monitor.ledger.rebuilt import refuse_another_state
from monitor.ledger.records import Clock, Commit, Flood, Floor, GroupName, Unreadable, format_of_commit
from monitor.ledger.remembered import KNOWN_MAX, known_of, packed
from monitor.ledger.roster import Roster
from monitor.plan import Plan
from monitor.ports import SnapshotStore
from monitor.summary import Summariser

ROWS_PER_UPDATE = 8192
"""Rows joined at once: NumPy's cost per call is spread thin, and the columns still fit the cache."""


@dataclass(slots=True)
class Shared:
    """What all partitions of a process share: decoders and interners, which only grow."""

    plan: Plan
    predictions: PredictionDecoder
    labels: LabelDecoder | None
    groups: Groups
    coder: Coder
    memory: Memory | None = None
    snapshots: SnapshotStore | None = None
    roster: Roster | None = None
    """The models of the plan, and since when they count; None where they always were the same."""

    @property
    def opens(self) -> bool:
        """Whether a record of either stream may hold several rows, or none."""
        return self.predictions.opens or (self.labels is not None and self.labels.opens)


@dataclass(frozen=True, slots=True)
class Flags:
    """The owner's recorded decisions that go with a commit."""

    idle: bool = False
    stalled: bool = False
    floods: tuple[Flood, ...] = ()
    ended: bool = False
    full: bool = False
    quiet: bool = False
    silent: bool = False
    unreadable: tuple[Unreadable, ...] = ()
    gone_by: tuple[int, int] = (0, 0)


class Partition:
    """The engine of one source partition from given offsets and clocks on."""

    def __init__(
        self,
        shared: Shared,
        partition: int,
        predictions: tuple[int, ClockState],
        labels: tuple[int, ClockState],
    ) -> None:
        """`predictions`, `labels`: first offset to be read of each stream, and the clock before it."""
        self.shared, self.partition = shared, partition
        self._summary = Summariser(shared.plan, shared.groups)
        self.edition = self._summary.edition  # that the next commit is of
        scores = len(shared.plan.scored)
        width = shared.plan.width + SCORE_BYTES * scores
        self.join = Join(shared.plan.join, width, shared.groups, self._summary, scores, shared.memory)
        self._next = [predictions[0], labels[0]]
        self._from = [predictions[0], labels[0]]
        self.clocks = [predictions[1], labels[1]]
        self.floors = [Floors(), Floors()]
        self.restamped = Restamped(shared.plan.join.lateness_ms)
        self._read = Read()
        self._waiting: tuple[list[PredictionColumns], list[LabelColumns]] = ([], [])
        self._waiting_rows = [0, 0]
        self._mark_from = [predictions[0], labels[0]]
        self._fed = Fed()
        self.admission = Admission(shared.roster, shared.predictions.models)

    def close(self) -> None:
        """Give back the room that rows take beside memory; the partition is not used any more."""
        self.join.close()

    # -- editions ------------------------------------------------------------------------------------------------

    def go_on_by(self, number: int) -> None:
        """Count by this edition from here on, as the commit before did; nothing was fed since then."""
        self.edition = number
        self._summary.use(number)

    def adopt(self, number: int) -> None:
        """Count by a later edition: from the next commit on where something was fed since the last."""
        self._summary.adopt(number, at_once=not self.uncommitted_rows)

    @property
    def has_to_say(self) -> bool:
        """Whether an edition or a roster was taken over and no commit says so yet."""
        return self._summary.edition != self.edition or self.admission.has_to_say

    # -- input ---------------------------------------------------------------------------------------------------

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The next offset to read of predictions and labels."""
        return self._next[0], self._next[1]

    @property
    def records(self) -> int:
        """Records read since the ledger began, predictions and labels."""
        return sum(self._read.records)

    @property
    def uncommitted_rows(self) -> int:
        """Offsets read since the last commit."""
        return self._next[0] - self._from[0] + self._next[1] - self._from[1]

    @property
    def commit_cells(self) -> int:
        """Cells the next commit would carry: what its size in bytes grows with."""
        return self._summary.cells

    @property
    def held_rows(self) -> int:
        """Predictions in the join, wherever they are kept, and those that wait to be joined."""
        return self.join.held[0] + self._waiting_rows[0]

    def feed_predictions(self, batch: RecordBatch) -> Sequence[Rejected]:
        """Take predictions; returns what was rejected, for the dead letters."""
        if self.shared.predictions.opens and len(parts := list(portions(batch))) > 1:
            return [each for part in parts for each in self.feed_predictions(part)]
        columns = self.admission.take(self.shared.predictions.decode(batch))
        self._advance(0, batch, columns)
        self.join.prediction_outcomes.rejected += len(columns.rejected)
        self._waiting[0].append(columns)
        self._waiting_rows[0] += len(columns)
        if self._waiting_rows[0] >= ROWS_PER_UPDATE:
            self._join_predictions()
        return columns.rejected

    def take_fed(self) -> Fed:
        """What was fed since the last call."""
        fed, self._fed = self._fed, Fed()
        return fed

    def feed_labels(self, batch: RecordBatch) -> Sequence[Rejected]:
        """Take labels; returns what was rejected, for the dead letters."""
        decoder = self.shared.labels
        assert decoder is not None, "labels are fed in predictions-only mode"
        if decoder.opens and len(parts := list(portions(batch))) > 1:
            return [each for part in parts for each in self.feed_labels(part)]
        columns = decoder.decode(batch)
        self._advance(1, batch, columns)
        self.join.label_outcomes.rejected += len(columns.rejected)
        self._waiting[1].append(columns)
        self._waiting_rows[1] += len(columns)
        if self._waiting_rows[1] >= ROWS_PER_UPDATE:
            self._join_labels()
        return columns.rejected

    def _advance(self, stream: int, batch: RecordBatch, columns: PredictionColumns | LabelColumns) -> None:
        if int(batch.offsets[0]) < self._next[stream]:
            raise LedgerError(
                f"partition {self.partition} of {batch.topic!r}: offset {int(batch.offsets[0])} was read after "
                f"{self._next[stream] - 1}",
                "The reader went back; reopen the partition.",
            )
        self._next[stream] = batch.next_offset
        self._read.take(stream, len(batch), len(columns) + len(columns.rejected))
        self._fed.take(columns)

    def skip_to(self, stream: int, offset: int) -> None:
        """The log holds nothing more below `offset` of a stream (0 predictions, 1 labels)."""
        self._next[stream] = max(self._next[stream], offset)

    def pass_over(self, stream: int, offset: int) -> None:
        """A gap was accepted: the next commit starts at `offset` of a stream, without what was before it."""
        self.skip_to(stream, offset)
        self._from[stream] = self._next[stream]

    def _join_predictions(self) -> None:
        parts = self._waiting[0]
        batches = [c for c in parts if len(c)]
        clock = self.clocks[0]
        self.admission.advance(clock, parts, self.shared.plan.max_jump_ms)
        parts.clear()
        self._waiting_rows[0] = 0
        if batches:
            rows = PredictionColumns.joined(batches)
            ids, at = rows.ids, rows.at_ms
            self.clocks[0], before = advance(clock, at, ids, self.shared.plan.max_jump_ms)
            group, bins = self.shared.coder.code(rows, self.admission.numbers(rows))
            bins = with_scores(bins, rows.scores)
            # A withdrawal need not say a class.
            predicted = np.where(np.isnan(rows.predicted), 0.0, rows.predicted).astype(np.uint8)
            self.join.add_predictions(
                PredictionBatch(ids, at, before, group, rows.score, predicted, bins, rows.withdrawn)
            )
            self.floors[0].mark(self._mark_from[0], clock, int(at.max()))
            self.restamped.follow(ids, at, before)
            if self.join.repeats:
                self._note_repeats(self._mark_from[0])
                self.restamped.follow(ids, at, before)  # in this batch, too, some came after them
        self._mark_from[0] = self._next[0]

    def _note_repeats(self, start: int) -> None:
        repeats = self.join.repeats
        times = ((repeat.row.at_ms, repeat.at_ms) for repeat in repeats)
        held = [self.floors[0].hold(min(both), max(both)) for both in times]
        self.restamped.note(repeats, held, self.shared.groups.key_codes, start)
        self.join.repeats.clear()

    def _join_labels(self) -> None:
        parts = self._waiting[1]
        batches = [c for c in parts if len(c)]
        parts.clear()
        self._waiting_rows[1] = 0
        clock = self.clocks[1]
        if batches:
            ids = np.concatenate([c.ids for c in batches])
            at = np.concatenate([c.at_ms for c in batches])
            self.clocks[1], before = advance(clock, at, ids, self.shared.plan.max_jump_ms)
            value = np.concatenate([c.value for c in batches])
            self.join.add_labels(LabelBatch(ids=ids, at_ms=at, before_ms=before, value=value))
            self.floors[1].mark(self._mark_from[1], clock, int(at.max()))
        self._mark_from[1] = self._next[1]

    # -- commits -------------------------------------------------------------------------------------------------

    def commit(self, chain: Chain, flags: Flags) -> Commit:
        """Everything since the last commit, as the record that makes it count."""
        self._settle(flags.ended)
        groups: dict[int, int] = {}
        self.edition = self._summary.edition
        sums = self._summary.flush()
        inputs, performance = sums[0].delta(groups), sums[1].delta(groups)
        names = tuple(self._group_name(code) for code in groups)
        *floors, known = self._released_floors()
        rosters = self.admission.to_say(floors[0].offset)
        edition = Edition.of(self.edition)
        commit = Commit(
            format=format_of_commit(edition, opens=self.shared.opens, rosters=self.admission.format_of(rosters)),
            epoch=chain.epoch,
            owner=chain.owner,
            sequence=chain.sequence + 1,
            previous=chain.previous,
            predictions=(self._from[0], self._next[0]),
            labels=(self._from[1], self._next[1]),
            prediction_clock=Clock.of(self.clocks[0]),
            label_clock=Clock.of(self.clocks[1]),
            prediction_floor=floors[0],
            label_floor=floors[1],
            config=self.shared.plan.config_digest,
            prediction_outcomes=as_counts(self.join.prediction_outcomes),
            label_outcomes=as_counts(self.join.label_outcomes),
            records=(self._read.records[0], self._read.records[1]),
            rows=(self._read.rows[0], self._read.rows[1]) if self.shared.opens else UNSET,
            held=self.join.held,
            state=self.join.digest,
            groups=names,
            inputs=inputs,
            performance=performance,
            idle=flags.idle,
            stalled=flags.stalled,
            flooding=bool(flags.floods),
            ended=flags.ended,
            full=flags.full or UNSET,
            quiet=flags.quiet or UNSET,
            floods=flags.floods or UNSET,
            silent=flags.silent or UNSET,
            unreadable=flags.unreadable or UNSET,
            remembered=packed(known, self.shared.groups),
            unlisted_ms=self.admission.newest_rejected(self.join.prediction_outcomes.rejected),
            unlisted_clock=self.admission.clock_to_say(),
            unlisted_ahead=self.admission.ahead_to_say(),
            rosters=rosters or UNSET,
            edition=edition,
            gone_by=flags.gone_by if any(flags.gone_by) else UNSET,
        )
        self._from = list(self._next)
        return commit

    def _settle(self, ended: bool) -> None:
        self._join_predictions()
        self._join_labels()
        if ended:
            self.clocks = [ENDED, ENDED]
        label_clock = self.clocks[1] if self.shared.plan.has_labels else self.clocks[0]
        self.join.settle(self.clocks[0].maximum_ms, label_clock.maximum_ms)

    def _released_floors(self) -> tuple[Floor, Floor, list[Known]]:
        below = self.join.settler.dropped_below()
        offset, clock = self.floors[0].floor_after(below[0], self._next[0], self.clocks[0])
        known = self.restamped.known(offset, clock.maximum_ms, below[0])
        if len(known) <= KNOWN_MAX:
            self.floors[0].release(below[0])
        else:  # a commit has no room for so many: the floor stays where fewer do
            offset, clock = self.floors[0].floor(self._next[0], self.clocks[0])
            known = self.restamped.known(offset, clock.maximum_ms, below[0])
        self.restamped.prune(clock.maximum_ms, self.clocks[0].maximum_ms)
        self.floors[1].release(below[1])
        label = self.floors[1].floor(self._next[1], self.clocks[1])
        return Floor(offset, Clock.of(clock)), Floor(label[0], Clock.of(label[1])), known

    def _group_name(self, code: int) -> GroupName:
        group = self.shared.groups.items[code]
        return GroupName(group.model, group.version, group.segments)

    def conservation(self) -> Conservation:
        """Records read against records accounted for (P2). Those that were read and wait to be joined, at the next commit at
        the latest, have no outcome yet and are in neither."""
        waiting = self._waiting_rows
        return Conservation(
            self._read.rows[0] - waiting[0],
            self.join.prediction_outcomes.total(),
            self._read.rows[1] - waiting[1],
            self.join.label_outcomes.total(),
        )

    # -- rebuilding ----------------------------------------------------------------------------------------------

    def give_up(self, commit: Commit) -> None:
        """Go on after `commit` without the rows it held: an operator recorded that they cannot be read again.

        Predictions that waited count as shed, labels that waited as orphaned: every record stays accounted for.
        """
        predictions, labels = dict(commit.prediction_outcomes), dict(commit.label_outcomes)
        predictions["shed"] += predictions["pending"]
        labels["orphaned"] += labels["waiting"]
        self.join.prediction_outcomes = PredictionOutcomes(**{**predictions, "pending": 0})
        self.join.label_outcomes = LabelOutcomes(**{**labels, "waiting": 0})
        self._read = Read(commit.records, commit.rows_read)
        self.admission.resume(commit, self.shared.plan.max_jump_ms)

    def remember(self, commit: Commit) -> None:
        """Before the records from the floors on are fed again: know the keys whose predictions came before them."""
        self.admission.resume(commit, self.shared.plan.max_jump_ms)
        if known := known_of(commit, self.shared.groups):
            self.join.add_predictions(batch_of(known, self.clocks[0].maximum_ms, self.join.predictions.features))
            self.join.repeats.clear()
            self.restamped.remember(known, self.shared.groups.key_codes)

    def resume(self, commit: Commit, lost_up_to: tuple[int, int]) -> None:
        """The records from the floors up to `commit` were fed again: drop their deltas, take over its totals.

        `lost_up_to`: where both streams go on when gaps were accepted after the commit, else where the commit ended.

        Raises LedgerError when the state is not the one the commit was made with.
        """
        self._settle(commit.ended)
        self._summary.flush()
        rebuilt = {
            "offsets": self.next_offsets,
            "rows held": self.join.held,
            "state digest": self.join.digest,
            "prediction clock": self.clocks[0],
            "label clock": self.clocks[1],
            "pending": self.join.prediction_outcomes.pending,
        }
        labels = refuse_another_state(self.partition, commit, rebuilt, self.join.label_outcomes.waiting)
        self.skip_to(0, lost_up_to[0])
        self.skip_to(1, lost_up_to[1])
        self.join.prediction_outcomes = PredictionOutcomes(**commit.prediction_outcomes)
        self.join.label_outcomes = LabelOutcomes(**labels)
        self._read = Read(commit.records, commit.rows_read)
        self._from = list(self._next)
        self.admission.resume(commit, self.shared.plan.max_jump_ms)
