"""The reading rule of the ledger: which records count.

Folding a partition in offset order gives the state (epoch, owner, sequence, next offsets). Writers, the evaluator,
audits and replays apply the same rule, so they agree on what was counted without talking to each other. Accepted
ranges tile the source topics exactly: loss, double counting and zombies are excluded by the rule, not by the writers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from monitor.ledger.records import GAP_FORMAT, Commit, EvalCommit, Fence, Gap, Genesis, Record, digest_of


class Verdict(StrEnum):
    """Whether a record counts, and if not, why."""

    ACCEPTED = "accepted"
    SECOND_GENESIS = "second_genesis"
    NO_GENESIS = "no_genesis"
    OLD_EPOCH = "old_epoch"
    NOT_OWNER = "not_owner"
    WRONG_SEQUENCE = "wrong_sequence"
    WRONG_RANGE = "wrong_range"
    BROKEN_CHAIN = "broken_chain"
    AFTER_END = "after_end"


@dataclass(frozen=True, slots=True)
class FoldState:
    """Where a ledger partition stands. `chain` is the digest of the last accepted record, `commit` the last commit."""

    genesis: Genesis | None = None
    epoch: int = 0
    owner: str = ""
    sequence: int = 0
    next_prediction: int = 0
    next_label: int = 0
    chain: bytes = b""
    commit: Commit | None = None
    evaluation: EvalCommit | None = None
    lost_predictions: int = 0
    lost_labels: int = 0
    gap: bool = False
    """An operator recorded a gap after the last commit: what a rebuild cannot read any more is given up."""

    @property
    def ended(self) -> bool:
        """Whether the end of input was recorded."""
        return self.commit is not None and self.commit.ended


@dataclass(frozen=True, slots=True)
class Chain:
    """What the next commit must continue."""

    epoch: int
    owner: str
    sequence: int  # of the last accepted commit
    previous: bytes


def fold(state: FoldState, record: Record, raw: bytes) -> tuple[FoldState, Verdict]:
    """Apply one record (with the bytes it came in); a record that does not count leaves the state as it is."""
    match record:
        case Genesis():
            if state.genesis is not None:
                return state, Verdict.SECOND_GENESIS
            begun = FoldState(record, next_prediction=record.prediction_start, next_label=record.label_start)
            return replace(begun, chain=digest_of(raw)), Verdict.ACCEPTED
        case Fence():
            if record.epoch <= state.epoch:
                return state, Verdict.OLD_EPOCH
            return replace(state, epoch=record.epoch, owner=record.owner, chain=digest_of(raw)), Verdict.ACCEPTED
        case Commit():
            verdict = _continues(state, record)
            if verdict is not Verdict.ACCEPTED:
                return state, verdict
            return (
                replace(
                    state,
                    sequence=record.sequence,
                    next_prediction=record.predictions[1],
                    next_label=record.labels[1],
                    chain=digest_of(raw),
                    commit=record,
                    gap=False,
                ),
                verdict,
            )
        case EvalCommit():
            verdict = _owns(state, record.epoch, record.owner, record.sequence, record.previous)
            if verdict is not Verdict.ACCEPTED:
                return state, verdict
            return replace(state, sequence=record.sequence, chain=digest_of(raw), evaluation=record), verdict
        case Gap():
            return _gap(state, record, raw)


def _owns(state: FoldState, epoch: int, owner: str, sequence: int, previous: bytes) -> Verdict:
    if epoch < state.epoch:
        return Verdict.OLD_EPOCH
    if epoch != state.epoch or owner != state.owner:
        return Verdict.NOT_OWNER
    if sequence != state.sequence + 1:
        return Verdict.WRONG_SEQUENCE
    return Verdict.ACCEPTED if previous == state.chain else Verdict.BROKEN_CHAIN


def _continues(state: FoldState, record: Commit) -> Verdict:
    if state.genesis is None:
        return Verdict.NO_GENESIS
    if state.ended:
        return Verdict.AFTER_END
    verdict = _owns(state, record.epoch, record.owner, record.sequence, record.previous)
    if verdict not in (Verdict.ACCEPTED, Verdict.BROKEN_CHAIN):
        return verdict
    if record.predictions[0] != state.next_prediction or record.labels[0] != state.next_label:
        return Verdict.WRONG_RANGE
    if record.predictions[1] < record.predictions[0] or record.labels[1] < record.labels[0]:
        return Verdict.WRONG_RANGE
    return verdict


def _gap(state: FoldState, record: Gap, raw: bytes) -> tuple[FoldState, Verdict]:
    if state.genesis is None:
        return state, Verdict.NO_GENESIS
    if state.ended:
        return state, Verdict.AFTER_END
    if record.previous != state.chain:
        return state, Verdict.BROKEN_CHAIN
    start, end = record.lost
    here = state.next_prediction if record.stream == "predictions" else state.next_label
    empty = end == start and record.format >= GAP_FORMAT
    if start != here or (end <= start and not empty):
        return state, Verdict.WRONG_RANGE
    if record.stream == "predictions":
        moved = replace(state, next_prediction=end, lost_predictions=state.lost_predictions + end - start)
    else:
        moved = replace(state, next_label=end, lost_labels=state.lost_labels + end - start)
    return replace(moved, chain=digest_of(raw), gap=True), Verdict.ACCEPTED
