"""The journal of one run: what each record is, and what the records together say.

A worker claims a run (the number of its claim is its *fence*), works, and enters what came of it. Every entry is created as
the next number after those that were read, so of two workers one is told that the other was first, and reads again. A record of
a worker counts only while its fence is the newest claim: a worker that slept past its lease finds the run taken over and can
enter nothing more. Time decides patience only (when a claim may be taken over), never truth.

People's records (cancel, approve, decline) carry no fence: they may come in between at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import msgspec

from pipelines.codec import decode, digest_of
from pipelines.states import WAITING, State, cancellable, legal, terminal

FORMAT: Final = 2
"""1: without shadowing. A record has the lowest format that can say what it says: older code goes on with what it understands."""


class Reason(StrEnum):
    """Why a run moved, or ended."""

    BEGUN = "begun"
    DONE = "done"  # the step did its work
    ALERT_OVER = "alert_over"
    FEW_LABELS = "few_labels"
    DATA_QUALITY = "data_quality"
    GATE_FAILED = "gate_failed"
    GATE_INCONCLUSIVE = "gate_inconclusive"
    GATE_ERROR = "gate_error"
    CANDIDATE_ONLY = "candidate_only"
    APPROVAL_NEEDED = "approval_needed"
    APPROVED = "approved"
    AUTOMATIC = "automatic"
    DECLINED = "declined"
    APPROVAL_EXPIRED = "approval_expired"
    CHAMPION_MOVED = "champion_moved"
    MOVE_REFUSED = "move_refused"
    PROMOTED = "promoted"
    NOT_WORSE = "not_worse"
    WORSE = "worse"
    NOTHING_REPLACED = "nothing_replaced"  # the first version of a model has nothing to be compared with
    UNDECIDED = "undecided"  # probation ended without enough labels to tell
    STEP_FAILED = "step_failed"
    STEP_TIMED_OUT = "step_timed_out"
    RUN_TIMED_OUT = "run_timed_out"
    ASKED = "asked"  # somebody cancelled
    SHADOW = "shadow"  # it passed the gate, and is compared on what comes in
    SHADOW_PASSED = "shadow_passed"
    SHADOW_FAILED = "shadow_failed"
    SHADOW_UNDECIDED = "shadow_undecided"


_SINCE_2: Final = frozenset({Reason.SHADOW, Reason.SHADOW_PASSED, Reason.SHADOW_FAILED, Reason.SHADOW_UNDECIDED})


def record_format(reason: Reason | None = None) -> int:
    """The format of a record, which moves a run for a reason if any."""
    return FORMAT if reason in _SINCE_2 else 1


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What all records have."""

    format: int
    previous: str | None  # digest of the record before
    actor: str  # the worker, or a person
    at_ms: int


class Claimed(_Record, frozen=True, tag="claimed"):
    """A worker takes the run up. Its fence is the number of this entry."""

    until_ms: int


class Renewed(_Record, frozen=True, tag="renewed"):
    """The worker is alive and wants more time."""

    fence: int
    until_ms: int


class Noted(_Record, frozen=True, tag="noted"):
    """What came of a part of a step: it will not be done again."""

    fence: int
    facts: dict[str, Any]


class Tried(_Record, frozen=True, tag="tried"):
    """A step did not work; it may be tried again from `not_before_ms` on."""

    fence: int
    why: str
    not_before_ms: int


class Moved(_Record, frozen=True, tag="moved"):
    """The run is in another state. A move to a state of waiting, or to an end, gives the lease back."""

    fence: int
    to: State
    reason: Reason
    detail: str
    facts: dict[str, Any]


class Cancel(_Record, frozen=True, tag="cancel"):
    """Somebody wants the run to end."""

    reason: str


class Approved(_Record, frozen=True, tag="approved"):
    """A person agrees to the promotion of this version."""

    version: int
    reason: str


class Declined(_Record, frozen=True, tag="declined"):
    """A person does not."""

    version: int
    reason: str


Record = Claimed | Renewed | Noted | Tried | Moved | Cancel | Approved | Declined
Fenced = (Renewed, Noted, Tried, Moved)


class Verdict(StrEnum):
    """Whether a record may stand where it stands."""

    FINE = "fine"
    BROKEN_CHAIN = "broken_chain"
    ENDED = "ended"  # nothing comes after the end
    NOT_OWNER = "not_owner"
    ILLEGAL = "illegal"  # no such transition, or nothing to cancel or approve


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds the run, since which entry, and until when nobody else tries."""

    owner: str
    fence: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class RunView:
    """What a journal says. `facts` are those of all records, later ones over earlier ones."""

    length: int = 0
    chain: str | None = None
    state: State = State.REQUESTED
    reason: Reason | None = None
    detail: str = ""
    since_ms: int = 0
    at_ms: int = 0
    lease: Lease | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 0  # of the step that the run stands at
    tried: str = ""  # why the last of them did not work
    not_before_ms: int = 0
    cancel: Cancel | None = None
    approvals: tuple[Approved, ...] = ()
    declined: Declined | None = None
    entered: tuple[tuple[State, int], ...] = ()  # every state it came to, and when

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return terminal(self.state)


def fold(view: RunView, record: Record, raw: bytes) -> tuple[RunView, Verdict]:
    """Apply one record, with the bytes it came in. One that may not stand there changes nothing."""
    if (wrong := _misplaced(view, record)) is not None:
        return view, wrong
    after = replace(view, length=view.length + 1, chain=digest_of(raw), at_ms=max(view.at_ms, record.at_ms))
    match record:
        case Claimed():
            return replace(after, lease=Lease(record.actor, after.length, record.until_ms)), Verdict.FINE
        case Renewed():
            return replace(after, lease=Lease(record.actor, record.fence, record.until_ms)), Verdict.FINE
        case Noted():
            return replace(after, facts={**view.facts, **record.facts}), Verdict.FINE
        case Tried():
            tried = replace(
                after, tries=view.tries + 1, tried=record.why, not_before_ms=record.not_before_ms, lease=None
            )
            return tried, Verdict.FINE
        case Moved():
            return (_moved(after, record), Verdict.FINE) if legal(view.state, record.to) else (view, Verdict.ILLEGAL)
        case Cancel():
            return (replace(after, cancel=record), Verdict.FINE) if cancellable(view.state) else (view, Verdict.ILLEGAL)
        case Approved() | Declined():
            if view.state is not State.AWAITING_APPROVAL or record.version != view.facts.get("version"):
                return view, Verdict.ILLEGAL
            return _answered(after, record), Verdict.FINE


def _misplaced(view: RunView, record: Record) -> Verdict | None:
    if record.previous != view.chain:
        return Verdict.BROKEN_CHAIN
    if view.ended:
        return Verdict.ENDED
    if isinstance(record, Fenced) and (
        view.lease is None or (view.lease.fence, view.lease.owner) != (record.fence, record.actor)
    ):
        return Verdict.NOT_OWNER
    return None


def _answered(after: RunView, record: Approved | Declined) -> RunView:
    if isinstance(record, Declined):
        return replace(after, declined=record)
    return replace(after, approvals=(*after.approvals, record))


def _moved(after: RunView, record: Moved) -> RunView:
    keeps = after.lease if record.to not in WAITING and not terminal(record.to) else None
    return replace(
        after,
        state=record.to,
        reason=record.reason,
        detail=record.detail,
        since_ms=record.at_ms,
        lease=keeps,
        facts={**after.facts, **record.facts},
        tries=0,
        tried="",
        not_before_ms=0,
        entered=(*after.entered, (record.to, record.at_ms)),
    )


def journal_log(run: str) -> str:
    """Where the records of a run are entered."""
    return f"runs/{run}"


def decode_record(raw: bytes, where: str) -> Record:
    """Raises FormatError."""
    found: Record = decode(Record, raw, where, FORMAT)
    return found
