"""The rare paths of the join: corrections, better duplicates, withdrawals, keys with a history.

Each takes back everything the key contributed and adds what it contributes now, both computed by `timeline.changes`;
what did not change cancels before it is ever written.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monitor.join import tables as t
from monitor.join.index import Rows
from monitor.join.restamped import Repeat, Stand
from monitor.join.timeline import Change, LabelFact, PredictionFact, changes, columns, content_of, winner

if TYPE_CHECKING:
    from monitor.join.inputs import PredictionBatch
    from monitor.join.join import Join

UInt32s = NDArray[np.uint32]
UInt8s = NDArray[np.uint8]


@dataclass(slots=True)
class History:
    """Earlier contents of a key that some tick saw, and the tick its withdrawal was known in."""

    facts: list[PredictionFact] = field(default_factory=list)
    withdrawn_tick: int | None = None


class Reviser:
    """Histories by prediction row, and the paths that need them."""

    __slots__ = ("_histories", "_join", "cancelled")

    def __init__(self, join: Join) -> None:
        self._join = join
        self._histories: dict[int, History] = {}
        self.cancelled: dict[int, int] = {}
        """Withdrawals whose prediction has not been read: row -> first word of the id."""

    # -- predictions ---------------------------------------------------------------------------------------------

    def replace(self, row: int, candidate: int) -> None:
        """A record of a key already held that is not simply its duplicate: the better content wins."""
        join = self._join
        flags = int(join.predictions.flags[row])
        history = self._histories.setdefault(row, History())
        new = self._fact(candidate)
        stand = self._stand(row)
        self._better(row, flags, history, new)
        self._repeated(row, stand, new.at_ms)

    def _better(self, row: int, flags: int, history: History, new: PredictionFact) -> None:
        join = self._join
        if flags & t.CANCELLED_FIRST:
            join.prediction_outcomes.withdrawn += 1  # the prediction that the withdrawal spoke of
            self._recount(row, lambda: self._take_over(row, new, keep=None))
            return
        join.prediction_outcomes.duplicate += 1
        old = self._fact(row)
        if (new.at_ms, new.content) >= (old.at_ms, old.content):
            self._tidy(row, history)
            return
        self._recount(row, lambda: self._take_over(row, new, keep=old))
        self._tidy(row, history)

    def _stand(self, row: int) -> Stand:
        table = self._join.predictions
        at = int(table.at_ms(np.array([row], np.uint32))[0])
        return Stand(at, unseen=bool(table.flags[row] & t.CANCELLED_FIRST))

    def _repeated(self, row: int, stand: Stand, at_ms: int) -> None:
        """A record of this row's key, which was remembered by `stand` before it."""
        join, table = self._join, self._join.predictions
        if at_ms != stand.at_ms or stand.unseen:
            first, second = table.ids[row].tolist()
            join.repeats.append(Repeat((first, second), int(table.group[row]), stand, at_ms, self._stand(row)))

    def withdraw(self, batch: PredictionBatch, i: int) -> None:
        """A withdrawal record: the key counts nowhere from the tick it is known in, whenever its prediction comes."""
        join = self._join
        table, params = join.predictions, join.params
        at, before = int(batch.at_ms[i]), int(batch.before_ms[i])
        # Not its own time: that may lie beyond the tick in which the prediction's window becomes final.
        tick = (before - params.disorder_ms) // params.tick_ms
        key = join.groups.key_codes[batch.group[i]]
        for row in table.chain(int(table.head(batch.ids[i : i + 1])[0])):
            same = join.groups.key_codes[table.group[row]] == key
            stand = self._stand(row)
            if same and stand.at_ms >= before - params.lateness_ms:
                self._withdraw_row(row, tick)
                self._repeated(row, stand, at)
                return
        self._cancel_unseen(batch, i, tick)

    def _withdraw_row(self, row: int, tick: int) -> None:
        join = self._join
        history = self._histories.setdefault(row, History())
        if history.withdrawn_tick is not None:
            join.prediction_outcomes.duplicate += 1
            if tick < history.withdrawn_tick:
                self._recount(row, lambda: _withdraw(history, tick))
            return

        def act() -> None:
            history.withdrawn_tick = tick
            join.set_outcome(np.array([row], np.uint32), t.WITHDRAWN)

        join.prediction_outcomes.withdrawn += 1
        self._recount(row, act)
        join.predictions.flags[row] |= t.SHADOWED

    def _cancel_unseen(self, batch: PredictionBatch, i: int, tick: int) -> None:
        join = self._join
        table = join.predictions
        row = table.allocate(1)
        one = slice(i, i + 1)
        table.ids[row] = batch.ids[one]
        table.fill(
            row,
            batch.at_ms[one],
            np.zeros(1, np.int64),
            batch.group[one],
            batch.score[one],
            batch.predicted[one],
            batch.bins[one],
        )
        table.flags[row] = t.WITHDRAWN | t.LIVE | t.SHADOWED | t.CANCELLED_FIRST
        head = int(table.index.claim(table.ids, row, batch.ids[one])[0])
        if head != int(row[0]):
            *_, tail = table.chain(head)
            table.next_row[tail] = row[0]
        join.reweigh(row, 1)
        join.prediction_outcomes.withdrawn += 1
        self._histories[int(row[0])] = History(withdrawn_tick=tick)
        self.cancelled[int(row[0])] = int(batch.ids[i, 0])

    def arrive(self, rows: Iterable[int]) -> None:
        """New predictions whose ids have several labels already. They were counted as seen; their labels are counted here."""
        now: list[Change] = []
        for row in rows:
            labels = self._labels_of(row)
            self._note_absent(row, labels)
            now += [change for change in self._changes(row, labels) if change.label is not None]
            self._refresh(row)
        self._emit(now, 1)

    # -- labels --------------------------------------------------------------------------------------------------

    def relabel(self, rows: Rows, heads: Rows) -> Rows:
        """Further labels of ids that have one: each is a duplicate, or a correction of every key of its id. Returns those
        that are held."""
        join = self._join
        table = join.labels
        by_head: dict[int, list[int]] = defaultdict(list)
        drop: list[int] = []
        for row, head in zip(rows.tolist(), heads.tolist(), strict=True):
            tail = head
            for other in table.chain(head):
                if table.at_ms[other] == table.at_ms[row] and _same(table.value[other], table.value[row]):
                    drop.append(row)
                    break
                tail = other
            else:
                table.next_row[tail] = row
                by_head[head].append(row)
        join.label_outcomes.duplicate += len(drop)
        table.give_back(np.array(drop, np.uint32))
        held = np.array([row for added in by_head.values() for row in added], np.uint32)
        join.label_outcomes.waiting += len(held)
        join.reweigh_labels(held)
        self._corrected([(head, set(added), None) for head, added in by_head.items()])
        return held

    def meet_odd(self, met: Mapping[int, set[int]]) -> None:
        """The first labels of ids that meet rows which were settled as absent or have a history: label -> rows."""
        self._corrected([(label, {label}, rows) for label, rows in met.items()])

    def _corrected(self, ids: Sequence[tuple[int, set[int], set[int] | None]]) -> None:
        """Labels were added to ids: by its first label, those that are new, and the rows that are asked (None: all).

        What all of them contributed is taken back at once, and what they contribute now is added at once: no two of them
        share a row, and a flood of corrections written row by row costs thirty times as much.
        """
        if not ids:
            return
        table, labels = self._join.predictions, self._join.labels
        then: list[Change] = []
        now: list[Change] = []
        firsts = table.head(labels.ids[[head for head, *_ in ids]])
        for (head, added, only), first in zip(ids, firsts.tolist(), strict=True):
            chain = list(labels.chain(head))
            before = [row for row in chain if row not in added]
            for row in table.chain(first):
                if only is not None and row not in only:
                    continue
                then += self._changes(row, before)
                self._note_absent(row, chain)
                now += self._changes(row, chain)
                self._refresh_row(row, chain)
            self._refresh_labels(head, first)
        self._emit(then, -1)
        self._emit(now, 1)

    # -- shared --------------------------------------------------------------------------------------------------

    def settle_absent(self, row: int) -> None:
        """A row with a history whose missing label is settled."""
        labels = self._labels_of(row)
        self._emit(self._changes(row, labels), -1)
        self._join.predictions.flags[row] |= t.ABSENT
        self._emit(self._changes(row, labels), 1)

    def forget(self, rows: Rows) -> None:
        """Drop the histories of rows that go."""
        if self._histories:
            for row in rows.tolist():
                self._histories.pop(row, None)
                self.cancelled.pop(row, None)

    def rows_with_history(self) -> list[int]:
        """Prediction rows that something is remembered of."""
        return [*self._histories, *self.cancelled]

    def histories(self) -> list[tuple[int, History]]:
        """What is remembered, by row."""
        return sorted(self._histories.items())

    def remember(self, row: int, history: History, *, cancelled: bool) -> None:
        """Take over what was remembered of a row of the table."""
        self._histories[row] = history
        if cancelled:
            self.cancelled[row] = int(self._join.predictions.ids[row, 0])

    def _recount(self, row: int, act: Callable[[], None]) -> None:
        """Take back what the row contributed, act, add what it contributes now."""
        labels = self._labels_of(row)
        self._emit(self._changes(row, labels), -1)
        act()
        self._note_absent(row, labels)
        self._emit(self._changes(row, labels), 1)
        self._refresh(row)

    def _note_absent(self, row: int, labels: list[int]) -> None:
        """Something became known later than an absence was: the ticks between count it as absent, whoever settles when."""
        absent = self._join.absent
        if absent is None:
            return
        facts, withdrawn = self._facts(row)
        latest = max([f.known for f in facts] + [int(self._join.labels.known[x]) for x in labels] + [withdrawn or 0])
        if any(absent.tick(fact.at_ms) < latest for fact in facts):
            self._join.predictions.flags[row] |= t.ABSENT

    def _take_over(self, row: int, new: PredictionFact, keep: PredictionFact | None) -> None:
        join = self._join
        table = join.predictions
        one = np.array([row], np.uint32)
        if keep is not None:
            self._histories[row].facts.append(keep)
        join.reweigh(one, -1)
        own = new.at_ms // join.params.tick_ms
        table.fill(
            one,
            np.array([new.at_ms], np.int64),
            np.array([new.known - own], np.int64),
            np.array([new.group], np.uint32),
            np.array([new.score], np.float64),
            np.array([new.predicted], np.uint8),
            np.frombuffer(new.bins, np.uint8).reshape(1, -1),
        )
        join.settler.notice(table.at_ms(one))  # it may be earlier now than what was settled already
        table.flags[row] = (table.flags[row] | np.uint8(t.SHADOWED)) & ~np.uint8(t.CANCELLED_FIRST)
        self.cancelled.pop(row, None)
        join.reweigh(one, 1)

    def _tidy(self, row: int, history: History) -> None:
        """Forget contents that no tick ever showed: a better one was known as early."""
        flags = self._join.predictions.flags
        current = self._fact(row)
        history.facts = [f for f in history.facts if f.known < current.known]
        if not history.facts and history.withdrawn_tick is None:
            self._histories.pop(row, None)
            flags[row] &= ~np.uint8(t.SHADOWED)

    def _fact(self, row: int) -> PredictionFact:
        join = self._join
        table = join.predictions
        one = np.array([row], np.uint32)
        at = int(table.at_ms(one)[0])
        group = int(table.group[row])
        score, predicted = float(table.score[row]), int(table.predicted[row])
        bins = table.bins(one).tobytes()
        known = at // join.params.tick_ms + int(table.ticks_late(one)[0])
        content = content_of(score, predicted, join.groups.items[group], bins)
        return PredictionFact(at, known, score, predicted, group, bins, content)

    def _labels_of(self, row: int) -> list[int]:
        labels = self._join.labels
        ids = self._join.predictions.ids
        return list(labels.chain(int(labels.head(ids[row : row + 1])[0])))

    def _label_facts(self, rows: list[int]) -> list[LabelFact]:
        table = self._join.labels
        return [LabelFact(int(table.at_ms[r]), int(table.known[r]), float(table.value[r])) for r in rows]

    def _facts(self, row: int) -> tuple[list[PredictionFact], int | None]:
        """Every content of a key that some tick may show, and the tick of its withdrawal."""
        history = self._histories.get(row)
        facts = list(history.facts) if history else []
        if not int(self._join.predictions.flags[row]) & t.CANCELLED_FIRST:
            facts.append(self._fact(row))
        return facts, history.withdrawn_tick if history else None

    def _changes(self, row: int, labels: list[int]) -> list[Change]:
        join = self._join
        facts, withdrawn = self._facts(row)
        absent = join.absent if int(join.predictions.flags[row]) & t.ABSENT else None
        return list(changes(facts, withdrawn, self._label_facts(labels), join.params.bounds, absent))

    def _emit(self, batch: list[Change], sign: int) -> None:
        sink = self._join.sink
        seen = [c for c in batch if c.label is None]
        labelled = [c for c in batch if c.label is not None]
        if seen:
            width = self._join.predictions.features
            bins = np.frombuffer(b"".join(c.fact.bins for c in seen), np.uint8).reshape(len(seen), width)
            group, at, ticks, score, predicted, signs = columns(seen, sign)
            sink.seen(group, at, ticks, score, predicted, bins, signs)
        if labelled:
            group, at, ticks, score, predicted, signs = columns(labelled, sign)
            values = np.array([c.label for c in labelled], np.float64)
            width = self._join.predictions.features
            bins = np.frombuffer(b"".join(c.fact.bins for c in labelled), np.uint8).reshape(len(labelled), width)
            scores = self._join.predictions.scores_in(bins)
            sink.labelled(group, at, ticks, score, predicted, values, signs, scores)

    def _refresh(self, row: int) -> None:
        labels = self._labels_of(row)
        self._refresh_row(row, labels)
        if labels:
            table = self._join.predictions
            self._refresh_labels(labels[0], int(table.head(table.ids[row : row + 1])[0]))

    def _refresh_row(self, row: int, labels: list[int]) -> None:
        """The outcome of a row, from its labels."""
        join = self._join
        outcome = int(join.predictions.flags[row]) & t.OUTCOME
        if outcome == t.WITHDRAWN:
            return
        one = np.array([row], np.uint32)
        best = winner(self._label_facts(labels), int(join.predictions.at_ms(one)[0]), join.params.bounds)
        if best is not None and not math.isnan(best.value):
            join.set_outcome(one, t.MATCHED)
        elif outcome == t.MATCHED:
            join.set_outcome(one, t.PENDING)
            join.settler.overdue()

    def _refresh_labels(self, head: int, first: int) -> None:
        """The status of every label of an id, from the predictions held of that id; `head` and `first` begin their chains."""
        join = self._join
        table, labels = join.predictions, join.labels
        # A withdrawn prediction is asked like any other: whether it was withdrawn before or after its label came must
        # not be seen in the label's outcome.
        rows = [row for row in table.chain(first) if not int(table.flags[row]) & t.CANCELLED_FIRST]
        times = table.at_ms(np.array(rows, np.uint32)).tolist()
        chain = list(labels.chain(head))
        facts = self._label_facts(chain)
        best = [winner(facts, at, join.params.bounds) for at in times]
        for label, fact in zip(chain, facts, strict=True):
            status = int(labels.status[label])
            if any(fact is b for b in best):
                status = t.WITHDRAWING if math.isnan(fact.value) else t.APPLIED
            elif any(join.params.bounds.hold(at, fact.at_ms) for at in times):
                status = t.SUPERSEDED
            elif times and join.settler.open_label(fact.at_ms):
                status = t.MET  # what is settled stays as it was: the prediction it was settled by may be gone
            if status != int(labels.status[label]):
                join.set_status(np.array([label], np.uint32), status)


def _withdraw(history: History, tick: int) -> None:
    history.withdrawn_tick = tick


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
