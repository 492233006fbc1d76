"""The life of a run: its states, and which may follow which.

    requested -> collecting -> validating -> training -> evaluating -> registered -> shadowing -> awaiting_approval
              -> promoting -> probation -> settled

`shadowing` is where a policy asks for it, `awaiting_approval` where a person has to agree.

A run ends in settled, or in rejected (a check or a person said no), rolled_back, failed, timed_out, cancelled, superseded (the
champion it was compared with is gone) or skipped (by the time it was taken up there was nothing to do). What is promoted
cannot be cancelled: from `promoting` on the way back is a rollback, and it is logged as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a run stands."""

    REQUESTED = "requested"
    COLLECTING = "collecting"
    VALIDATING = "validating"
    TRAINING = "training"
    EVALUATING = "evaluating"
    REGISTERED = "registered"
    SHADOWING = "shadowing"
    AWAITING_APPROVAL = "awaiting_approval"
    PROMOTING = "promoting"
    PROBATION = "probation"
    SETTLED = "settled"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"


S = State

_FAULTS: Final = frozenset({S.FAILED, S.TIMED_OUT})
_BEFORE: Final = _FAULTS | {S.CANCELLED}

SUCCESSORS: Final[Mapping[State, frozenset[State]]] = {
    S.REQUESTED: _BEFORE | {S.COLLECTING, S.SKIPPED},
    S.COLLECTING: _BEFORE | {S.VALIDATING, S.REJECTED},
    S.VALIDATING: _BEFORE | {S.TRAINING, S.REJECTED},
    S.TRAINING: _BEFORE | {S.EVALUATING},
    S.EVALUATING: _BEFORE | {S.REGISTERED, S.REJECTED},
    S.REGISTERED: _BEFORE | {S.SHADOWING, S.AWAITING_APPROVAL, S.PROMOTING, S.SETTLED},
    S.SHADOWING: _BEFORE | {S.AWAITING_APPROVAL, S.PROMOTING, S.REJECTED, S.SUPERSEDED},
    S.AWAITING_APPROVAL: _BEFORE | {S.PROMOTING, S.REJECTED, S.SUPERSEDED},
    S.PROMOTING: _FAULTS | {S.PROBATION, S.REJECTED, S.SUPERSEDED},
    S.PROBATION: _FAULTS | {S.SETTLED, S.ROLLED_BACK, S.SUPERSEDED},
    S.SETTLED: frozenset(),
    S.REJECTED: frozenset(),
    S.ROLLED_BACK: frozenset(),
    S.FAILED: frozenset(),
    S.TIMED_OUT: frozenset(),
    S.CANCELLED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.SKIPPED: frozenset(),
}
"""Every state with those that may come directly after it."""

WAITING: Final = frozenset({S.SHADOWING, S.AWAITING_APPROVAL, S.PROBATION})
"""States in which a run waits for people or time: no worker holds it."""


def terminal(state: State) -> bool:
    """Whether a run ends there."""
    return not SUCCESSORS[state]


def legal(before: State, after: State) -> bool:
    """Whether `after` may come directly after `before`."""
    return after in SUCCESSORS[before]


def cancellable(state: State) -> bool:
    """Whether a run that stands there can be cancelled."""
    return S.CANCELLED in SUCCESSORS[state]
