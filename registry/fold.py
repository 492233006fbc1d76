"""The reading rule of a model's moves: which records count, and where the aliases stand.

Folding the log in order gives the state. Whoever moves an alias, serves it, or audits it applies the same rule, so
they agree without talking to each other, and a writer cannot make a promotion count that the rule does not allow. The
log is a chain: a record that does not hold the digest of the one before it belongs to another history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from registry.digest import digest_of
from registry.moves import Approve, Freeze, Move, Promote, Protect, Retire, Rollback, Unfreeze
from registry.names import same_actor

TRAIL_MAX: Final = 100
"""How far back a rollback can reach: versions remembered per alias."""


class Verdict(StrEnum):
    """Whether a move counts, and if not, why."""

    ACCEPTED = "accepted"
    WRONG_NUMBER = "wrong_number"
    BROKEN_CHAIN = "broken_chain"
    TIME_WENT_BACK = "time_went_back"
    NO_CHANGE = "no_change"
    MOVED_MEANWHILE = "moved_meanwhile"
    FROZEN = "frozen"
    RETIRED = "retired"
    NOT_APPROVED = "not_approved"
    OWN_APPROVAL = "own_approval"
    NEVER_HELD = "never_held"
    IN_USE = "in_use"
    NOT_A_PERSON = "not_a_person"


BROKEN: Final = frozenset({Verdict.WRONG_NUMBER, Verdict.BROKEN_CHAIN})
"""Verdicts that mean that the log itself is damaged: nothing after them can be trusted."""


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where one alias stands. `trail` holds the versions it pointed at, the current one last."""

    trail: tuple[int, ...] = ()
    manifest: str | None = None
    frozen: bool = False
    required: int = 0
    approvals: tuple[Approve, ...] = ()  # given since it last moved
    changed_sequence: int = 0  # the last record that counts and concerns it
    changed_digest: str = ""
    changed_ms: int = 0
    moved: Promote | Rollback | None = None  # the last one that moved it

    @property
    def version(self) -> int | None:
        """The version it points at, None before the first promotion."""
        return self.trail[-1] if self.trail else None


@dataclass(frozen=True, slots=True)
class MovesState:
    """Where a model's log stands. `chain` is the digest of the last record, counted or not."""

    length: int = 0
    chain: str | None = None
    at_ms: int = 0
    aliases: Mapping[str, AliasState] = field(default_factory=dict)
    retired: Mapping[int, Retire] = field(default_factory=dict)

    def alias(self, name: str) -> AliasState:
        """The alias; one that nobody has moved stands nowhere."""
        return self.aliases.get(name, AliasState())


def fold(state: MovesState, move: Move, raw: bytes) -> tuple[MovesState, Verdict]:
    """Apply one record (with the bytes it came in). One that does not count changes nothing but length and chain."""
    if move.sequence != state.length + 1:
        return state, Verdict.WRONG_NUMBER
    if move.previous != state.chain:
        return state, Verdict.BROKEN_CHAIN
    verdict = judge(state, move)
    after = replace(state, length=move.sequence, chain=digest_of(raw))
    if verdict is not Verdict.ACCEPTED:
        return after, verdict
    return _applied(replace(after, at_ms=move.at_ms), move), verdict


def judge(state: MovesState, move: Move) -> Verdict:
    """Whether the rules allow a move, apart from its place in the log."""
    if move.at_ms < state.at_ms:
        return Verdict.TIME_WENT_BACK
    if move.automatic and isinstance(move, Unfreeze | Protect | Approve | Retire):
        return Verdict.NOT_A_PERSON
    if isinstance(move, Retire):
        return _retirable(state, move)
    alias = state.alias(move.alias)
    match move:
        case Freeze() | Unfreeze():
            return Verdict.NO_CHANGE if alias.frozen is isinstance(move, Freeze) else Verdict.ACCEPTED
        case Protect():
            return Verdict.NO_CHANGE if alias.required == move.approvals else Verdict.ACCEPTED
        case Promote() | Rollback() | Approve():
            if move.replaces != alias.version:
                return Verdict.MOVED_MEANWHILE
            if move.version == alias.version:
                return Verdict.NO_CHANGE
            if move.version in state.retired:
                return Verdict.RETIRED
            return _pointable(alias, move)


def _pointable(alias: AliasState, move: Promote | Rollback | Approve) -> Verdict:
    if isinstance(move, Approve):
        if same_actor(move.actor, move.requester):
            return Verdict.OWN_APPROVAL
        given = any(same_actor(a.actor, move.actor) and a.manifest == move.manifest for a in alias.approvals)
        return Verdict.NO_CHANGE if given else Verdict.ACCEPTED
    if move.automatic and alias.frozen:
        return Verdict.FROZEN
    if isinstance(move, Rollback):
        return Verdict.ACCEPTED if move.version in alias.trail[:-1] else Verdict.NEVER_HELD
    if len(approvers(alias, move)) < max(alias.required, move.required):
        return Verdict.NOT_APPROVED
    return Verdict.ACCEPTED


def approvers(alias: AliasState, move: Promote) -> tuple[str, ...]:
    """Whose approvals count for a promotion: of this very manifest, and not the mover's own."""
    return tuple(
        a.actor
        for a in alias.approvals
        if (a.version, a.manifest) == (move.version, move.manifest) and not same_actor(a.actor, move.actor)
    )


def _retirable(state: MovesState, move: Retire) -> Verdict:
    if move.version in state.retired:
        return Verdict.NO_CHANGE
    in_use = any(alias.version == move.version for alias in state.aliases.values())
    return Verdict.IN_USE if in_use else Verdict.ACCEPTED


def _applied(state: MovesState, move: Move) -> MovesState:
    assert state.chain is not None
    if isinstance(move, Retire):
        # Every alias is told: a reader of any of them must learn what it may never serve again.
        touched = {name: _touched(alias, move, state.chain) for name, alias in state.aliases.items()}
        return replace(state, aliases=touched, retired={**state.retired, move.version: move})
    alias = _touched(state.alias(move.alias), move, state.chain)
    match move:
        case Freeze() | Unfreeze():
            alias = replace(alias, frozen=isinstance(move, Freeze))
        case Protect():
            alias = replace(alias, required=move.approvals)
        case Approve():
            alias = replace(alias, approvals=(*alias.approvals, move))
        case Promote():
            trail = (*alias.trail, move.version)[-TRAIL_MAX:]
            alias = replace(alias, trail=trail, manifest=move.manifest, approvals=(), moved=move)
        case Rollback():
            before = alias.trail[:-1]
            place = max(i for i, version in enumerate(before) if version == move.version)
            alias = replace(alias, trail=before[: place + 1], manifest=move.manifest, approvals=(), moved=move)
    return replace(state, aliases={**state.aliases, move.alias: alias})


def _touched(alias: AliasState, move: Move, digest: str) -> AliasState:
    return replace(alias, changed_sequence=move.sequence, changed_digest=digest, changed_ms=move.at_ms)
