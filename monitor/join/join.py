"""The join: predictions and labels of one partition meet by id, in any order, each record counted once.

Everything is done on batches of columns. What is rare (a correction, a better duplicate, a withdrawal, a key with a
history) leaves the fast path for `revise`, which takes back what the key contributed and adds what it contributes now,
both by `timeline.changes`. The result is a function of the two logs up to the offsets read: neither the cuts between
batches nor the order in which the topics were read can be seen in it.

Retention. A prediction is kept until neither a label (label finality clock past time + horizon) nor a record that
could still revise such a label (prediction clock past time + horizon + skew) can come; a label as much longer as a
prediction it belongs to may be kept. So what is kept can always be rebuilt from the records that are kept.
"""

from __future__ import annotations

import numpy as np

from monitor.events import Int64s, UInt64s
from monitor.groups import Groups
from monitor.ingest.clocks import NEVER
from monitor.join import tables as t
from monitor.join.absence import absence_first
from monitor.join.index import Rows
from monitor.join.inputs import JoinParams, LabelBatch, PredictionBatch, Sink
from monitor.join.memory import Memory
from monitor.join.order import one_by_one
from monitor.join.outcomes import LabelOutcomes, PredictionOutcomes
from monitor.join.restamped import Repeat, repeats_of
from monitor.join.revise import Reviser
from monitor.join.rows import place_of
from monitor.join.settle import Settler
from monitor.join.spilled import Spilled
from monitor.join.tables import LabelRows, PredictionRows
from monitor.join.timeline import Absent
from monitor.join.weigh import weigh_contents, weigh_labels, weigh_predictions


class Join:
    """The join state of one partition and the counters of its outcomes."""

    def __init__(
        self,
        params: JoinParams,
        features: int,
        groups: Groups,
        sink: Sink,
        scores: int = 0,
        memory: Memory | None = None,
    ) -> None:
        """`features`: bytes of bins a prediction; `scores`: how many probabilities of classes are in them. With `memory`
        the join is closed when it is not needed any more."""
        self.params, self.groups, self.sink = params, groups, sink
        self.predictions = PredictionRows(features, scores)
        self.labels = LabelRows()
        self.prediction_outcomes = PredictionOutcomes()
        self.label_outcomes = LabelOutcomes()
        self.repeats: list[Repeat] = []  # drained by who keeps the floors
        # The tick of an absence is a function of the record alone, so it cannot depend on when somebody looked; and late
        # enough (lateness and a settle step) that the finality clock has passed when the label tick clock reaches it.
        self.absent: Absent | None = None
        if params.absent is not None:
            value, after_ms = params.absent
            self.absent = Absent(value, after_ms + params.lateness_ms + params.settle_ms, params.tick_ms)
        self.digests = [0, 0]  # of predictions and labels; what nothing is held of weighs 0
        self.revise = Reviser(self)
        self.settler = Settler(self)
        self.spilled = Spilled(self)
        self._memory = memory
        if memory is not None:
            memory.enter(self)

    # -- predictions ---------------------------------------------------------------------------------------------

    def add_predictions(self, batch: PredictionBatch) -> None:
        """Count each prediction once: late, duplicate, withdrawn, or a row that waits for its label."""
        self.make_room()
        self.spilled.recall(batch.ids)
        late = batch.at_ms < batch.before_ms - self.params.lateness_ms
        aside = late | batch.withdrawn
        if not aside.any():
            self._insert(batch)
            return
        self.prediction_outcomes.late += int(np.count_nonzero(late))
        withdrawals = np.flatnonzero(batch.withdrawn & ~late)
        regular = np.flatnonzero(~aside)
        if not withdrawals.size:
            self._insert(batch.take(regular))
            return
        # A withdrawal is put between the others only where its id is among them; elsewhere order cannot matter.
        mixed = np.isin(batch.ids[withdrawals, 0], batch.ids[regular, 0])
        done = 0
        for i in withdrawals[mixed].tolist():
            upto = int(np.searchsorted(regular, i))
            self._insert(batch.take(regular[done:upto]))
            self.revise.withdraw(batch, i)
            done = upto
        self._insert(batch.take(regular[done:]))
        for i in withdrawals[~mixed].tolist():
            self.revise.withdraw(batch, i)

    def _insert(self, batch: PredictionBatch) -> None:
        if len(batch) and self.revise.cancelled:
            # What a withdrawal waits for changes the time its key is remembered by: one record after the other.
            alone = np.isin(batch.ids[:, 0], np.array(list(self.revise.cancelled.values()), np.uint64))
            for i in np.flatnonzero(alone).tolist():
                self._insert_rows(batch.take(np.array([i])))
            batch = batch.take(np.flatnonzero(~alone))
        self._insert_rows(batch)

    def _insert_rows(self, batch: PredictionBatch) -> None:
        if not len(batch):
            return
        table, params = self.predictions, self.params
        rows = table.allocate(len(batch))
        place = place_of(rows)
        at, before = batch.at_ms, batch.before_ms
        ticks = np.maximum(at, before - params.disorder_ms)
        ticks //= params.tick_ms
        late = ticks - at // params.tick_ms
        table.ids[place] = batch.ids
        table.fill(rows, at, late, batch.group, batch.score, batch.predicted, batch.bins)
        table.flags[place] = t.PENDING | t.LIVE
        heads = table.index.claim(table.ids, rows, batch.ids)
        if (heads == rows).all():
            self._count_seen(rows, batch, ticks, late, distinct=True)
            return
        alone = one_by_one(rows, heads, at, table.at_ms(heads), table.next_row[heads])
        rest = np.delete(np.arange(len(rows)), alone)
        table.flags[rows[alone]] = 0
        table.give_back(rows[alone])
        self._insert_linked(rows[rest], heads[rest], batch.take(rest), ticks[rest], late[rest])
        for i in alone.tolist():
            self._insert_rows(batch.take(np.array([i])))

    def _insert_linked(self, rows: Rows, heads: Rows, batch: PredictionBatch, ticks: Int64s, late: Int64s) -> None:
        existing = self._link(rows, heads, batch.before_ms)
        keep = np.flatnonzero(existing == 0)
        self._count_seen(rows[keep], batch.take(keep), ticks[keep], late[keep], distinct=False)
        again = np.flatnonzero(existing != 0)
        oldest = batch.before_ms[again] - self.params.lateness_ms
        self._repeated(rows[again], existing[again], batch.at_ms[again], oldest)

    def _link(self, rows: Rows, heads: Rows, before: Int64s) -> Rows:
        """Hang rows into the chains of their heads; returns per row the earlier row of the same key, 0 for a new key.

        A key is remembered by its own topic's finality clock: an older row of the key is another prediction.
        """
        table = self.predictions
        existing: Rows = np.zeros(len(rows), np.uint32)
        on = np.flatnonzero(heads != rows)
        cursor = heads[on]
        keys = self.groups.key_codes
        oldest = before - self.params.lateness_ms
        while on.size:
            mine = rows[on]
            same = (keys[table.group[cursor]] == keys[table.group[mine]]) & (table.at_ms(cursor) >= oldest[on])
            existing[on[same]] = cursor[same]
            tail = np.flatnonzero(~same & (table.next_row[cursor] == 0))
            # Backwards, so that of several rows for one tail the earlier record is linked first.
            table.next_row[cursor[tail][::-1]] = mine[tail][::-1]
            following = table.next_row[cursor]
            walk = np.flatnonzero(~same & (following != mine))
            on, cursor = on[walk], following[walk]
        return existing

    def _count_seen(self, rows: Rows, batch: PredictionBatch, ticks: Int64s, late: Int64s, *, distinct: bool) -> None:
        """New rows, whose contents are `batch`: count them, and let them meet the labels that are here already.
        `distinct`: no two have one id."""
        self.prediction_outcomes.pending += len(rows)
        contents = batch.ids[:, 0], batch.at_ms, batch.group, batch.score, batch.predicted
        self.digests[0] += weigh_contents(self.groups, *contents, late)
        ones = np.ones(len(rows), np.int64)
        self.sink.seen(batch.group, batch.at_ms, ticks, batch.score, batch.predicted, batch.bins, ones)
        self.settler.notice(batch.at_ms)
        self._meet_labels(rows, batch.ids, batch.at_ms, ticks, distinct=distinct)

    def _repeated(self, rows: Rows, existing: Rows, at: Int64s, oldest: Int64s) -> None:
        """Records of a key that is already held: nearly always the same record again."""
        table = self.predictions
        theirs = table.at_ms(existing)
        equal = (
            (table.group[rows] == table.group[existing])
            & ((table.score[rows] == table.score[existing]) | np.isnan(table.score[rows]))
            & (table.predicted[rows] == table.predicted[existing])
            & (table.bins(rows) == table.bins(existing)).all(axis=1)
        )
        plain = (table.flags[existing] & t.OUTCOME) != t.WITHDRAWN
        loses = plain & ((at > theirs) | ((at == theirs) & equal))
        if not loses.all():
            # Where a key gets a better content, the rest of its records in this batch are taken one by one.
            loses &= ~np.isin(existing, existing[~loses])
        self.prediction_outcomes.duplicate += int(np.count_nonzero(loses))
        if (at > theirs).any():
            self.repeats += repeats_of(table, existing, at, loses & (at > theirs))
        unused = loses.copy()
        for i in np.flatnonzero(~loses).tolist():
            unused[i] = self._again(int(rows[i]), int(oldest[i]))
        table.flags[rows[unused]] = 0
        table.give_back(rows[unused])

    def _again(self, row: int, oldest: int) -> bool:
        """One record whose key was held when the batch began; True when it did not become a row."""
        table, keys = self.predictions, self.groups.key_codes
        tail = 0
        for other in table.chain(int(table.head(table.ids[row : row + 1])[0])):
            tail = other
            one = np.array([other], np.uint32)
            if keys[table.group[other]] == keys[table.group[row]] and int(table.at_ms(one)[0]) >= oldest:
                self.revise.replace(other, row)
                return True
        fresh = np.array([row], np.uint32)
        table.next_row[tail] = row
        late = table.ticks_late(fresh)
        content = table.contents(fresh)
        self._count_seen(fresh, content, content.at_ms // self.params.tick_ms + late, late, distinct=True)
        return False

    def _meet_labels(self, rows: Rows, ids: UInt64s, at: Int64s, ticks: Int64s, *, distinct: bool) -> None:
        """New predictions whose label was read first."""
        if not len(self.labels):
            return
        heads = self.labels.head(ids)
        met = np.flatnonzero(heads != 0)
        if not met.size:
            return
        several = self.labels.next_row[heads[met]] != 0
        if self.absent is not None:
            several |= absence_first(self, at[met], ticks[met], heads[met])
        self.revise.arrive(rows[met[several]].tolist())
        met = met[~several]
        self._pair(rows[met], at[met], ticks[met], heads[met], distinct=distinct)

    # -- labels --------------------------------------------------------------------------------------------------

    def add_labels(self, batch: LabelBatch) -> None:
        """Count each label once: late, duplicate, waiting, or applied to every prediction of its id it is valid for."""
        self.make_room()
        self.spilled.recall(batch.ids)
        params, table = self.params, self.labels
        late = batch.at_ms < batch.before_ms - params.lateness_ms
        self.label_outcomes.late += int(np.count_nonzero(late))
        if late.any():
            batch = batch.take(np.flatnonzero(~late))
        if not len(batch):
            return
        rows = table.allocate(len(batch))
        place, at = place_of(rows), batch.at_ms
        known = np.maximum(at, batch.before_ms - params.disorder_ms) // params.tick_ms
        table.ids[place] = batch.ids
        table.at_ms[place] = at
        table.value[place] = batch.value
        table.known[place] = known
        table.status[place] = t.WAITING
        heads = table.index.claim(table.ids, rows, batch.ids)
        first = heads == rows
        self._first_labels(rows[first], batch.ids[first])
        self.settler.labels(rows[first])
        if not first.all():
            self.settler.labels(self.revise.relabel(rows[~first], heads[~first]))

    def _first_labels(self, rows: Rows, ids: UInt64s) -> None:
        """Labels of ids that have none yet."""
        self.label_outcomes.waiting += len(rows)
        self.reweigh_labels(rows)
        self._meet_predictions(rows, ids)

    def _meet_predictions(self, labels: Rows, ids: UInt64s) -> None:
        table = self.predictions
        heads = table.head(ids)
        on = np.flatnonzero(heads != 0)
        cursor, labels = heads[on], labels[on]
        slow: dict[int, set[int]] = {}
        while cursor.size:
            at = table.at_ms(cursor)
            ticks = at // self.params.tick_ms + table.ticks_late(cursor)
            odd = (table.flags[cursor] & (t.ABSENT | t.SHADOWED)) != 0
            if self.absent is not None:
                odd |= absence_first(self, at, ticks, labels)
            if odd.any():
                for label, row in zip(labels[odd].tolist(), cursor[odd].tolist(), strict=True):
                    slow.setdefault(label, set()).add(row)
                plain = np.flatnonzero(~odd)
                self._pair(cursor[plain], at[plain], ticks[plain], labels[plain], distinct=True)
            else:
                self._pair(cursor, at, ticks, labels, distinct=True)
            cursor = table.next_row[cursor]
            on = np.flatnonzero(cursor != 0)
            cursor, labels = cursor[on], labels[on]
        self.revise.meet_odd(slow)

    def _pair(self, rows: Rows, at: Int64s, ticks: Int64s, labels: Rows, *, distinct: bool) -> None:
        """Rows without a label meet the only label of their id. `distinct`: no two meet the same."""
        table, label = self.predictions, self.labels
        delay = label.at_ms[labels] - at
        bounds = self.params.bounds
        valid = (delay >= -bounds.skew_ms) & (delay <= bounds.horizon_ms)
        value = label.value[labels]
        null = np.isnan(value)
        if null.any() or not valid.all():
            self.set_status(np.unique(labels[~valid & (label.status[labels] == t.WAITING)]), t.MET)
            self.set_status(np.unique(labels[valid & null]), t.WITHDRAWING)
            use = np.flatnonzero(valid & ~null)
            rows, labels, at, ticks, value = rows[use], labels[use], at[use], ticks[use], value[use]
        if not len(rows):
            return
        self.set_status(labels if distinct else np.unique(labels), t.APPLIED)
        self.set_outcome(rows, t.MATCHED)
        known = np.maximum(ticks, label.known[labels])
        contents = table.group[rows], at, known, table.score[rows], table.predicted[rows], value
        self.sink.labelled(*contents, np.ones(len(rows), np.int64), table.scores(rows))

    # -- memory --------------------------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[int, int]:
        """Predictions and labels held, wherever they are."""
        predictions, labels = self.spilled.rows
        return len(self.predictions) + predictions, len(self.labels) + labels

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.predictions.nbytes + self.labels.nbytes + self.spilled.nbytes

    def close(self) -> None:
        """Give the room back that its rows take beside memory. Nothing may be asked of it afterwards."""
        self.spilled.close()
        if self._memory is not None:
            self._memory.leave(self)

    def make_room(self) -> None:
        """Keep to the budget of memory, if there is one."""
        if self._memory is not None:
            self._memory.make_room()

    # -- outcomes ------------------------------------------------------------------------------------------------

    def set_outcome(self, rows: Rows, outcome: int) -> None:
        """Move prediction rows (each named once) to an outcome; the counters follow."""
        flags = self.predictions.flags[rows]
        old = np.bincount(flags & t.OUTCOME, minlength=4).tolist()
        counts = self.prediction_outcomes
        counts.pending -= old[t.PENDING]
        counts.matched -= old[t.MATCHED]
        counts.expired -= old[t.EXPIRED]
        counts.withdrawn -= old[t.WITHDRAWN]
        name = ("pending", "matched", "expired", "withdrawn")[outcome]
        setattr(counts, name, getattr(counts, name) + len(rows))
        self.predictions.flags[rows] = (flags & ~np.uint8(t.OUTCOME)) | np.uint8(outcome)

    def set_status(self, labels: Rows, status: int) -> None:
        """Move label rows (each named once) to a status; the counters follow."""
        if not len(labels):
            return
        names = ("waiting", "applied", "superseded", "outside", "withdrawal", "orphaned", "waiting")
        counts = self.label_outcomes
        for name, n in zip(names, np.bincount(self.labels.status[labels], minlength=7).tolist(), strict=True):
            setattr(counts, name, getattr(counts, name) - n)
        setattr(counts, names[status], getattr(counts, names[status]) + len(labels))
        self.labels.status[labels] = status

    def settle(self, prediction_clock_ms: int, label_clock_ms: int) -> None:
        """Settle outcomes and drop rows by the finality clocks that follow from the two running maxima."""
        lateness = self.params.lateness_ms
        if NEVER not in {prediction_clock_ms, label_clock_ms}:
            self.settler.run(prediction_clock_ms - lateness, label_clock_ms - lateness)

    # -- identity of the state -----------------------------------------------------------------------------------

    @property
    def digest(self) -> int:
        """Order-free 64-bit digest of the rows held: equal logs give equal digests, however they were read."""
        return sum(self.digests) & 0xFFFF_FFFF_FFFF_FFFF

    def forget_predictions(self, rows: Rows) -> None:
        """Drop prediction rows whose identity nobody needs any more."""
        if len(rows) == self.held[0]:
            self.digests[0] = 0
        else:
            self.reweigh(rows, -1)
        self.revise.forget(rows)
        self.predictions.remove(rows)
        self.predictions.flags[rows] = 0

    def forget_labels(self, rows: Rows) -> None:
        """Drop label rows whose identity nobody needs any more."""
        if len(rows) == self.held[1]:
            self.digests[1] = 0
        else:
            self.digests[1] -= weigh_labels(self.labels, rows)
        self.labels.remove(rows)

    def reweigh(self, rows: Rows, sign: int) -> None:
        """Add (1) or take out (-1) prediction rows whose content is about to change from the digest."""
        self.digests[0] += sign * weigh_predictions(self.predictions, self.groups, rows)

    def reweigh_labels(self, rows: Rows) -> None:
        """Add label rows to the digest."""
        self.digests[1] += weigh_labels(self.labels, rows)
