"""Moving aliases: read the log, let the rule judge, create the next entry; when somebody else was first, decide again.

A promotion is a compare-and-swap: it counts only while the alias points where the mover believed. Whoever loses a race
to an entry that does not concern him tries the next number; whoever finds the alias moved is told (`Conflict`) and has to
decide anew, because what he compared his model with is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from registry import chained, codec
from registry.catalog import Catalog, Sign, Version
from registry.errors import Conflict, Damaged, NotFound
from registry.fold import BROKEN, AliasState, MovesState, Verdict, fold
from registry.moves import (
    FORMAT,
    Approve,
    Freeze,
    Move,
    Promote,
    Protect,
    Retire,
    Rollback,
    Unfreeze,
    decode_move,
    moves_log,
)
from registry.refusals import refusal
from registry.signing import Entry, Kind

RACES_MAX: Final = 10_000
"""Races lost in a row before giving up; each one means that somebody else got on."""


@dataclass(frozen=True, slots=True)
class By:
    """Who moves, why and when. `automatic`: no person decided this one; `cause`: the run or alert that led to it."""

    actor: str
    reason: str
    at_ms: int
    automatic: bool = False
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One record of the log with what the rule says of it, and the state after it."""

    move: Move
    verdict: Verdict
    state: MovesState


class Unset:
    """Nobody said what the alias is believed to point at: what is read first is believed."""


UNSET: Final = Unset()

_Make = Callable[[MovesState, dict[str, Any]], Move]


class Aliases:
    """The aliases of the models in a store."""

    def __init__(self, catalog: Catalog, sign: Sign | None = None) -> None:
        """`sign`: what signs each move that is made here."""
        self._catalog, self._store, self._sign = catalog, catalog.store, sign

    # ------------------------------------------------------------------------------------------------------ reading

    def history(self, model: str) -> list[Step]:
        """Every record of a model's log, in order. Raises Damaged when it is no chain."""
        return list(steps(model, chained.read_log(self._store, moves_log(model))))

    def state(self, model: str, at_ms: int | None = None) -> MovesState:
        """Where the aliases of a model stand, or stood at the end of a millisecond."""
        state = MovesState()
        for step in self.history(model):
            if at_ms is not None and step.verdict is Verdict.ACCEPTED and step.move.at_ms > at_ms:
                break
            state = step.state
        return state

    def resolve(self, model: str, what: str) -> Version:
        """The version that a number or an alias names. Raises NotFound."""
        if what.isdecimal():
            return self._catalog.version(model, int(what))
        state = self.state(model)
        version = state.alias(what).version
        if version is None:
            self._catalog.versions(model)  # whether there is such a model is said first
            known = ", ".join(sorted(state.aliases)) or "none"
            raise NotFound(
                f"alias {model}@{what}", f"points at nothing; known aliases: {known}", "Promote a version to it."
            )
        return self._catalog.version(model, version)

    # ------------------------------------------------------------------------------------------------------- moving

    def promote(
        self, model: str, alias: str, version: int, by: By, *, replaces: int | Unset | None = UNSET, required: int = 0
    ) -> Step:
        """Let the alias point at a version. `replaces` is what the caller believes it points at now (None: nothing), and
        `required` how many approvals the caller's policy asks for; the alias may ask for more.

        Raises Conflict when the belief is wrong, MoveRefused when the rules do not allow it.
        """
        target = self._catalog.version(model, version)
        believed = replaces

        def make(state: MovesState, head: dict[str, Any]) -> Move:
            nonlocal believed
            if isinstance(believed, Unset):
                believed = state.alias(alias).version
            return Promote(
                **head, alias=alias, version=version, manifest=target.digest, replaces=believed, required=required
            )

        return self._move(model, by, make)

    def rollback(self, model: str, alias: str, by: By, to: int | None = None) -> Step:
        """Let the alias point again at a version that it pointed at before: `to`, or else the last one that was not
        retired. Raises NotFound when there is none."""
        believed: AliasState | None = None

        def make(state: MovesState, head: dict[str, Any]) -> Move:
            nonlocal believed
            believed = believed or state.alias(alias)
            version = to or next((v for v in reversed(believed.trail[:-1]) if v not in state.retired), None)
            if version is None:
                why = (
                    "points at nothing"
                    if believed.version is None
                    else "has pointed at no other version that may be served"
                )
                raise NotFound(f"alias {model}@{alias}", why, "Promote a version instead.")
            target = self._catalog.version(model, version)
            return Rollback(**head, alias=alias, version=version, manifest=target.digest, replaces=believed.version)

        return self._move(model, by, make)

    def approve(self, model: str, alias: str, version: int, by: By) -> Step:
        """Agree that a version takes the place of what the alias points at. Void as soon as the alias moves."""
        target = self._catalog.version(model, version)
        believed: int | Unset | None = UNSET

        def make(state: MovesState, head: dict[str, Any]) -> Move:
            nonlocal believed
            if isinstance(believed, Unset):
                believed = state.alias(alias).version
            requester = target.entry.registered_by
            return Approve(
                **head, alias=alias, version=version, manifest=target.digest, replaces=believed, requester=requester
            )

        return self._move(model, by, make)

    def freeze(self, model: str, alias: str, by: By) -> Step:
        """Stop automatic moves of the alias."""
        return self._move(model, by, lambda _, head: Freeze(**head, alias=alias))

    def unfreeze(self, model: str, alias: str, by: By) -> Step:
        """Allow automatic moves again."""
        return self._move(model, by, lambda _, head: Unfreeze(**head, alias=alias))

    def protect(self, model: str, alias: str, approvals: int, by: By) -> Step:
        """Ask for so many approvals of every promotion from here on."""
        return self._move(model, by, lambda _, head: Protect(**head, alias=alias, approvals=approvals))

    def retire(self, model: str, version: int, by: By) -> Step:
        """Never serve this version again, under any alias."""
        target = self._catalog.version(model, version)
        return self._move(model, by, lambda _, head: Retire(**head, version=version, manifest=target.digest))

    def signed(self, entry: Entry) -> None:
        """Sign a move that was made, where there is something to sign with. Doing so again changes nothing."""
        if self._sign is not None:
            self._sign(self._store, entry)

    # ------------------------------------------------------------------------------------------------------ the loop

    def _move(self, model: str, by: By, make: _Make) -> Step:
        self._catalog.versions(model)  # Raises NotFound: nothing of a model that does not exist can be moved.
        log = moves_log(model)
        for _ in range(RACES_MAX):
            bodies = chained.read_log(self._store, log)
            state = MovesState()
            for step in steps(model, bodies):
                state = step.state
            move = make(state, _head(state, by))
            body = codec.encode(move)
            after, verdict = fold(state, move, body)
            if verdict is not Verdict.ACCEPTED:
                raise refusal(model, state, move, verdict)
            if chained.append(self._store, log, bodies, body):
                self.signed(Entry(model, Kind.MOVE, move.sequence, body))
                return Step(move, verdict, after)
        raise Conflict(f"a move of model {model!r}", "races_lost", f"lost {RACES_MAX:,} races in a row", "Try again.")


def steps(model: str, bodies: list[bytes]) -> Iterator[Step]:
    """The records of a log with what the rule says of them. Raises Damaged when they are no chain."""
    state = MovesState()
    for number, body in enumerate(bodies, 1):
        where = f"entry {number} of {moves_log(model)!r}"
        move = decode_move(body, where)
        state, verdict = fold(state, move, body)
        if verdict in BROKEN:
            raise Damaged(where, f"it does not continue entry {number - 1} ({verdict})")
        yield Step(move, verdict, state)


def _head(state: MovesState, by: By) -> dict[str, Any]:
    """What every record has. Times never go back: a clock that is behind the last writer's writes that one's time."""
    return {
        "format": FORMAT,
        "sequence": state.length + 1,
        "previous": state.chain,
        "actor": by.actor,
        "automatic": by.automatic,
        "reason": by.reason,
        "cause": by.cause,
        "at_ms": max(by.at_ms, state.at_ms),
    }
