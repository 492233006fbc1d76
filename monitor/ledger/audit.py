"""The audit: does a ledger partition, read alone, prove that nothing was lost or counted twice?

It folds the records by the reading rule and checks, at every accepted commit, what the rule does not: that the totals
account for every record read (P2), that they never shrink, that clocks never go back, that no more records were read
than the ranges are long.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from monitor.join.outcomes import Conservation, LabelOutcomes, PredictionOutcomes
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import Commit, Record


@dataclass(slots=True)
class Audit:
    """One partition's audit as far as it was fed. `violations` are sentences, in ledger order; none means it holds."""

    partition: int
    state: FoldState = field(default_factory=FoldState)
    begun_at: int = 0
    """The first record that is folded here; what stood before it was trimmed, and `state` is what a checkpoint says."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def feed(self, offset: int, record: Record, raw: bytes) -> Verdict:
        """Take the next record of the partition."""
        before = self.state
        self.state, verdict = fold(before, record, raw)
        self.verdicts[verdict] += 1
        self.records[type(record).__name__.lower()] += 1
        if verdict is Verdict.ACCEPTED and isinstance(record, Commit):
            for sentence in _violations(before, record):
                self.violations.append(f"offset {offset}, commit {record.sequence}: {sentence}")
        elif (lost := _lost_records(before, record, verdict)) is not None:
            self.violations.append(f"offset {offset}: {lost}")
        return verdict

    @property
    def read(self) -> tuple[int, int]:
        """Predictions and labels read, by the last commit."""
        return self.state.commit.rows_read if self.state.commit else (0, 0)


def _lost_records(before: FoldState, record: Record, verdict: Verdict) -> str | None:
    """What a record that does not count says about records that are not here any more."""
    if verdict is Verdict.BROKEN_CHAIN:
        return "a record continues another history than this partition holds; the log lost records"
    if verdict is Verdict.NO_GENESIS:
        return "a record stands before any genesis; the log lost its beginning"
    # An owner stops at the first append that it does not know to count, so it never leaves a number out.
    if verdict is Verdict.WRONG_SEQUENCE and isinstance(record, Commit) and record.sequence > before.sequence + 1:
        return f"commit {record.sequence} of the owner follows commit {before.sequence}; the log lost records"
    return None


def _violations(before: FoldState, commit: Commit) -> list[str]:
    found: list[str] = []
    conservation = Conservation(
        commit.rows_read[0],
        PredictionOutcomes(**commit.prediction_outcomes).total(),
        commit.rows_read[1],
        LabelOutcomes(**commit.label_outcomes).total(),
    )
    if not conservation.holds:
        found.append(f"not every record is accounted for: {conservation.sentence()}")
    genesis = before.genesis
    assert genesis is not None
    spans = (
        commit.predictions[1] - genesis.prediction_start - before.lost_predictions,
        commit.labels[1] - genesis.label_start - before.lost_labels,
    )
    for stream, read, span in zip(("predictions", "labels"), commit.records, spans, strict=True):
        if read > span:
            found.append(f"{read} {stream} were read of ranges that are {span} offsets long")
    if min([*commit.prediction_outcomes.values(), *commit.label_outcomes.values()]) < 0:
        found.append("an outcome is counted below zero")
    last = before.commit
    if last is not None:
        found.extend(_backward(last, commit))
    return found


def _backward(last: Commit, commit: Commit) -> list[str]:
    found: list[str] = []
    pairs = (
        ("prediction clock", last.prediction_clock.maximum_ms, commit.prediction_clock.maximum_ms),
        ("label clock", last.label_clock.maximum_ms, commit.label_clock.maximum_ms),
        ("predictions read", last.records[0], commit.records[0]),
        ("labels read", last.records[1], commit.records[1]),
        ("prediction rows read", last.rows_read[0], commit.rows_read[0]),
        ("label rows read", last.rows_read[1], commit.rows_read[1]),
        ("prediction floor", last.prediction_floor.offset, commit.prediction_floor.offset),
        ("label floor", last.label_floor.offset, commit.label_floor.offset),
    )
    for name, old, new in pairs:
        if new < old:
            found.append(f"the {name} went back from {old} to {new}")
    return found
