"""Which predictions a partition counts: by the roster that its owner had when it read them, record by record in offset order.

Decoders know every model that the namespace ever listed. What is counted of them depends on the record and on what the owner
recorded (`roster.Adopted`) alone, so a rebuild admits what was admitted, whoever makes it and however far rosters went on.
"""

from __future__ import annotations

import numpy as np
from msgspec import UNSET, UnsetType

from monitor.events import Bools, Int64s, PredictionColumns, Reason, Rejected
from monitor.ingest.clocks import NEVER
from monitor.ingest.interner import Interner
from monitor.ledger.records import Commit
from monitor.ledger.roster import Adopted, Roster, since

_NOT_YET = "model: added to `models`, not when its record was read"
_GONE = "model: taken out of `models`"


class Admission:
    """The rosters of one partition. `adopted` says which counts from where on; before the first, the one of the beginning.

    `unlisted_ms` is the newest event time of what was rejected for its model since the ledger began, NEVER where nothing was;
    None where an earlier version counted rejections and did not say.
    """

    def __init__(self, roster: Roster | None, models: Interner) -> None:
        self._roster, self._models = roster, models
        self.adopted: tuple[Adopted, ...] = ()
        self.said: tuple[Adopted, ...] = ()
        """What the last commit said of them."""
        self.unlisted_ms: int | None = NEVER
        self._tables: dict[int, Int64s] = {}

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
        assert self._roster is not None
        assert self._roster.number > self.number, "rosters are taken over in their order"
        self.adopted = (*self.adopted, Adopted(offset, self._roster.number, newest_ms))

    def take(self, columns: PredictionColumns) -> PredictionColumns:
        """The columns of a batch without what is not counted, which is rejected."""
        if columns.unlisted is not None:
            self._reject(int(columns.unlisted[:, 1].max()))
        if self._roster is None or not self._roster.number or not len(columns):
            return columns
        until = self._until(columns)
        if (out := columns.at_ms >= until).any():
            return self._without(columns, out, until)
        return columns

    def _until(self, columns: PredictionColumns) -> Int64s:
        """Up to which event time a prediction of its model counts where it lies in the log, by row."""
        place = np.searchsorted([one.offset for one in self.adopted], columns.offsets, side="right")
        numbers = [0, *(one.number for one in self.adopted)]
        found = np.zeros(len(columns), np.int64)
        for each in np.unique(place).tolist():
            rows = place == each
            found[rows] = self._table(numbers[each])[columns.model[rows]]
        return found

    def _table(self, number: int) -> Int64s:
        known = self._tables.get(number)
        if known is None:
            assert self._roster is not None
            most = dict.fromkeys(self._models.values, NEVER)
            for one in self._roster.models:
                most[one.name] = max(most.get(one.name, NEVER), one.counts_until(number))
            known = self._tables[number] = np.array([most[name] for name in self._models.values], np.int64)
        return known

    def _without(self, columns: PredictionColumns, out: Bools, until: Int64s) -> PredictionColumns:
        self._reject(int(columns.at_ms[out].max()))
        rows = np.flatnonzero(out).tolist()
        more = [
            Rejected(int(columns.offsets[row]), Reason.UNKNOWN_MODEL, _NOT_YET if until[row] == NEVER else _GONE)
            for row in rows
        ]
        kept = columns.only(np.flatnonzero(~out))
        kept.rejected = tuple(sorted((*columns.rejected, *more), key=lambda one: one.offset))
        return kept

    def _reject(self, at_ms: int) -> None:
        if self.unlisted_ms is not None:
            self.unlisted_ms = max(self.unlisted_ms, at_ms)

    def to_say(self, floor: int) -> tuple[Adopted, ...]:
        """What a commit says of rosters, where a rebuild begins at offset `floor`: from then on it is what was said."""
        self.said = self.adopted = since(self.adopted, floor)
        return self.said

    def newest_rejected(self, rejected: int) -> int | UnsetType:
        """What a commit says of `unlisted_ms`, beside so many rejections since the ledger began."""
        return UNSET if self.unlisted_ms is None or not rejected else self.unlisted_ms

    def follow(self, commit: Commit) -> None:
        """Count what comes before a commit as its owner did."""
        self.adopted = () if commit.rosters is UNSET else commit.rosters

    def resume(self, commit: Commit) -> None:
        """Go on after a commit. Where it counts rejections and says nothing of models, what was rejected is not known."""
        self.follow(commit)
        self.said = self.adopted
        unlisted_ms = None if commit.prediction_outcomes["rejected"] else NEVER
        self.unlisted_ms = unlisted_ms if commit.unlisted_ms is UNSET else commit.unlisted_ms
