"""Where every record ended up: the terms of the conservation promise (P2), each counted where it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class PredictionOutcomes:
    """Predictions read = the sum of all these. `pending` moves on to matched, expired or withdrawn."""

    pending: int = 0
    matched: int = 0
    expired: int = 0
    duplicate: int = 0
    withdrawn: int = 0
    late: int = 0
    shed: int = 0
    rejected: int = 0

    def total(self) -> int:
        """Every record accounted for."""
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(slots=True)
class LabelOutcomes:
    """Label records read = the sum of all these. `waiting` moves on to applied, outside, withdrawal or orphaned."""

    waiting: int = 0
    applied: int = 0
    superseded: int = 0
    outside: int = 0
    withdrawal: int = 0
    orphaned: int = 0
    duplicate: int = 0
    late: int = 0
    rejected: int = 0

    def total(self) -> int:
        """Every record accounted for."""
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Conservation:
    """Records read against records accounted for, per stream. Both differences are 0 or something is broken."""

    predictions_read: int
    predictions_accounted: int
    labels_read: int
    labels_accounted: int

    @property
    def holds(self) -> bool:
        """Whether nothing was lost or counted twice."""
        return self.predictions_read == self.predictions_accounted and self.labels_read == self.labels_accounted

    def sentence(self) -> str:
        """The finding for people."""
        return (
            f"predictions: {self.predictions_read} read, {self.predictions_accounted} accounted for; "
            f"labels: {self.labels_read} read, {self.labels_accounted} accounted for"
        )


class Read:
    """Records and rows read since the ledger began, of predictions and of labels. A record is a row, unless the stream says
    that it may hold several, or none: then only rows are accounted for."""

    def __init__(self, records: Sequence[int] = (0, 0), rows: Sequence[int] | None = None) -> None:
        self.records = list(records)
        self.rows = list(self.records if rows is None else rows)

    def take(self, stream: int, records: int, rows: int) -> None:
        """A batch of a stream (0 predictions, 1 labels)."""
        self.records[stream] += records
        self.rows[stream] += rows


def as_counts(outcomes: PredictionOutcomes | LabelOutcomes) -> dict[str, int]:
    """The terms by name."""
    return asdict(outcomes)


def as_they_wait(recorded: Mapping[str, int], waiting: int) -> dict[str, int]:
    """Outcomes of labels with as many waiting as the rebuilt join holds.

    Versions before MET counted a label that met only predictions it is not valid for as outside at once, though it may
    still meet another one, and an orphan as waiting until the clocks moved on. What they recorded is put right here.
    """
    moved = waiting - recorded["waiting"]
    counts = {**recorded, "waiting": waiting}
    counts["outside" if moved > 0 else "orphaned"] -= moved
    return counts
