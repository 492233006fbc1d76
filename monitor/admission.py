"""Which predictions a partition counts: by the roster that its owner had when it read them, record by record in offset order.

Decoders know every model that the namespace ever listed. What is counted of them depends on the record and on what the owner
recorded (`roster.Adopted`) alone, so a rebuild admits what was admitted, whoever makes it and however far rosters went on.

Windows of a model that is added begin after what was rejected for it. A record that lies far ahead is rejected like any other and
moves that moment as it would move the clock: not, until distinct ids agree (`ingest.clocks`), or until the clock has come within
reach of it. The clock forgets such a one; here it is kept in mind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from monitor.events import Bools, Int64s, PredictionColumns, Reason, Rejected, Unlisted
from monitor.ingest.clocks import FOREVER, NEVER, ClockState, advance
from monitor.ingest.interner import Interner
from monitor.ledger.records import FORMAT, Clock, Commit, format_of_roster
from monitor.ledger.roster import Adopted, Roster, since

FAR_MAX = 32
"""Times that are kept in mind of what was rejected far ahead: the nearest. A day in years is reached by nobody."""
_NOT_YET = "model: added to `models`, not when its record was read"
_GONE = "model: taken out of `models`"


class Admission:
    """The rosters of one partition. `adopted` says which counts from where on; before the first, the one of the beginning.

    `unlisted_ms` is the newest event time of what was rejected for its model since the ledger began, NEVER where nothing was;
    None where an earlier version counted rejections and did not say.
    """

    def __init__(self, roster: Roster | None, models: Interner) -> None:
        self.roster, self._models = roster, models
        self.adopted: tuple[Adopted, ...] = ()
        self.said: tuple[Adopted, ...] = ()
        """What the last commit said of them."""
        self.unlisted_ms: int | None = NEVER
        self.clock: ClockState | None = None
        """The clock over what counts and what was rejected for its model alone; None where it is that over what counts."""
        self._near_ms, self._far = (
            NEVER,
            tuple[int, ...](),
        )  # times of what was rejected: the newest in reach, those beyond
        self._tables: dict[int, Int64s] = {}
        self._several = roster is not None and bool(roster.several)

    @property
    def has_to_say(self) -> bool:
        """Whether a roster was taken over and no commit says so yet."""
        return self.adopted != self.said

    @property
    def number(self) -> int:
        """Of the roster that counts now."""
        return self.adopted[-1].number if self.adopted else 0

    def adopt(self, offset: int, newest_ms: int) -> None:
        """Count by the newest roster from an offset on. `newest_ms`: no record below it that was rejected for its model has a
        later event time."""
        assert self.roster is not None
        assert self.roster.number > self.number, "rosters are taken over in their order"
        self.adopted = (*self.adopted, Adopted(offset, self.roster.number, newest_ms))

    def take(self, columns: PredictionColumns) -> PredictionColumns:
        """The columns of a batch without what is not counted, which is rejected."""
        if columns.unlisted is not None:
            self._reject(columns.unlisted)
        if self.roster is None or not self.roster.number or not len(columns):
            return columns
        until = self._until(columns)
        if (out := columns.at_ms >= until).any():
            return self._without(columns, out, until)
        return columns

    def _until(self, columns: PredictionColumns) -> Int64s:
        """Up to which event time a prediction of its model counts where it lies in the log, by row."""
        numbers, found = self._numbers(columns), np.zeros(len(columns), np.int64)
        for each in np.unique(numbers).tolist():
            rows = numbers == each
            found[rows] = self._table(each)[columns.model[rows]]
        return found

    def _numbers(self, columns: PredictionColumns) -> Int64s:
        place = np.searchsorted([one.offset for one in self.adopted], columns.offsets, side="right")
        return np.array([0, *(one.number for one in self.adopted)], np.int64)[place]

    def numbers(self, columns: PredictionColumns) -> Int64s | None:
        """The roster by which each prediction counts; None where no model has more than one sense."""
        return self._numbers(columns) if self._several else None

    def _table(self, number: int) -> Int64s:
        known = self._tables.get(number)
        if known is None or len(known) < len(self._models):
            assert self.roster is not None
            most = dict[str, int]()
            for one in self.roster.models:
                most[one.name] = max(most.get(one.name, NEVER), one.counts_until(number))
            # Others that were decoded count by a template.
            known = np.array([most.get(name, FOREVER) for name in self._models.values], np.int64)
            self._tables[number] = known
        return known

    def _without(self, columns: PredictionColumns, out: Bools, until: Int64s) -> PredictionColumns:
        own = Unlisted(columns.offsets[out], columns.ids[out], columns.at_ms[out])
        self._reject(own)
        rows = np.flatnonzero(out).tolist()
        more = [
            Rejected(int(columns.offsets[row]), Reason.UNKNOWN_MODEL, _NOT_YET if until[row] == NEVER else _GONE)
            for row in rows
        ]
        kept = columns.only(np.flatnonzero(~out))
        kept.unlisted = own if columns.unlisted is None else Unlisted.joined([columns.unlisted, own])
        kept.rejected = tuple(sorted((*columns.rejected, *more), key=lambda one: one.offset))
        return kept

    def _reject(self, unlisted: Unlisted) -> None:
        if self.unlisted_ms is not None:
            self.unlisted_ms = max(self.unlisted_ms, int(unlisted.at_ms.max()))

    def advance(self, clock: ClockState, parts: Sequence[PredictionColumns], max_jump_ms: int) -> None:
        """Move the clock over what was taken, in its order. `clock`: that over what counts, before it."""
        unlisted = [part.unlisted for part in parts if part.unlisted is not None]
        if not parts or (self.clock is None and not unlisted):
            return
        rows = Unlisted.joined([*(Unlisted(part.offsets, part.ids, part.at_ms) for part in parts), *unlisted])
        order = np.argsort(rows.offsets, kind="stable")  # rows of one record: those that count first
        at_ms, ids = rows.at_ms[order], rows.ids[order]
        self.clock, _ = advance(self.clock or clock, at_ms, ids, max_jump_ms)
        self._keep_in_mind([*self._far, *(at for part in unlisted for at in part.at_ms.tolist())], max_jump_ms)

    def _keep_in_mind(self, times: Sequence[int], max_jump_ms: int) -> None:
        """Tell the times of rejections that the clock is within reach of from the others."""
        assert self.clock is not None
        reach = self.clock.maximum_ms + max_jump_ms if self.clock.maximum_ms != NEVER else NEVER
        self._near_ms = max([self._near_ms, *(at for at in times if at <= reach)])
        self._far = tuple(sorted({at for at in times if at > reach})[:FAR_MAX])

    def newest_near_ms(self, newest_ms: int, clock: ClockState, near_ms: int, max_jump_ms: int) -> int:
        """The newest event time of what was rejected for its model, without what lies more than `max_jump_ms` ahead of all else.
        `newest_ms`: that with it; `clock`: that over what counts; `near_ms`: when all of it had been read (wall clock), NEVER
        where that is not known."""
        own = self.clock or clock
        known = max(clock.maximum_ms, own.maximum_ms)
        reach = (near_ms if known == NEVER else known) + max_jump_ms
        if known == near_ms == NEVER:
            return newest_ms
        # Without a clock of its own an earlier version rejected them, and what came after what counts is nowhere said.
        if self.clock is not None and newest_ms > reach:
            ahead = (*(at for at, _ in own.ahead), *self._far)
            newest_ms = max([known, self._near_ms, *(at for at in ahead if at <= reach)])
        near = max(clock.maximum_ms, near_ms)  # however many agree on a day in years, nothing waits for years
        return newest_ms if near == NEVER else min(newest_ms, near + max_jump_ms)

    def to_say(self, floor: int) -> tuple[Adopted, ...]:
        """What a commit says of rosters, where a rebuild begins at offset `floor`: from then on it is what was said."""
        self.said = self.adopted = since(self.adopted, floor)
        return self.said

    def format_of(self, rosters: tuple[Adopted, ...]) -> int:
        """The least that a commit needs that says these."""
        return format_of_roster(self.roster, rosters[-1].number) if rosters and self.roster is not None else FORMAT

    def newest_rejected(self, rejected: int) -> int | UnsetType:
        """What a commit says of `unlisted_ms`, beside so many rejections since the ledger began."""
        return UNSET if self.unlisted_ms is None or not rejected else self.unlisted_ms

    def clock_to_say(self) -> Clock | UnsetType:
        """What a commit says of `clock`."""
        return UNSET if self.unlisted_ms is None or self.clock is None else Clock.of(self.clock)

    def ahead_to_say(self) -> tuple[int, ...] | UnsetType:
        """What a commit says of rejections far ahead: the newest time in reach of the clock, then those that are not."""
        return (self._near_ms, *self._far) if self._far else UNSET

    def follow(self, commit: Commit) -> None:
        """Count what comes before a commit as its owner did."""
        self.adopted = () if commit.rosters is UNSET else commit.rosters

    def resume(self, commit: Commit, max_jump_ms: int) -> None:
        """Go on after a commit. Where it counts rejections and says nothing of models, what was rejected is not known."""
        self.follow(commit)
        self.said = self.adopted
        unlisted_ms = None if commit.prediction_outcomes["rejected"] else NEVER
        self.unlisted_ms = unlisted_ms if commit.unlisted_ms is UNSET else commit.unlisted_ms
        self.clock = None if commit.unlisted_clock is UNSET else commit.unlisted_clock.state()
        said = (NEVER,) if commit.unlisted_ahead is UNSET else commit.unlisted_ahead
        self._near_ms, self._far = said[0], tuple(said[1:])
        if commit.unlisted_ahead is UNSET and self.clock is not None and self.unlisted_ms is not None:
            self._keep_in_mind([self.unlisted_ms], max_jump_ms)
            if self._far:  # an earlier version did not say, but what its clock knows
                self._keep_in_mind([*self._far, *(at for at, _ in self.clock.ahead)], max_jump_ms)
