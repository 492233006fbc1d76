"""Versions and an alias in a store, where no registry is installed: enough for the pipelines to be used alone.

    retraining/MODEL/versions    entry n is version n; a run has one
    retraining/MODEL/alias       entry n is the n-th move; a run moves it once each way

A move is created as the next entry after those that were read, so it is decided on exactly what it changes: two workers cannot
both move, and a worker that was asleep while its run was rolled back finds that the run has moved the alias already.
What the registry adds (formats, probes, cards, approvals that its readers verify, publication) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pipelines import codec
from pipelines.errors import NotFound, StoreError
from pipelines.log import append, read_log
from pipelines.policy import Policy
from pipelines.ports import AliasMove, Draft, Move, Moving, Registered, Serving, Store

FORMAT: Final = 1
RACES_MAX: Final = 10_000


class LocalVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version."""

    format: int
    number: int
    draft: Draft
    registered_by: str
    at_ms: int


class LocalMove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One move of the alias."""

    format: int
    alias: str
    version: int
    replaces: int | None
    back: bool  # a rollback
    run: str
    approvers: dict[str, str]
    actor: str
    at_ms: int


class LocalModels:
    """`pipelines.ports.Models` over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def serving(self, policy: Policy) -> Serving | None:
        """See Models."""
        at = _points(self.moves(policy.model), policy.alias)
        return None if at is None else self.version(policy, at)

    def version(self, policy: Policy, number: int) -> Serving:
        """See Models."""
        versions = self.versions(policy.model)
        if not 1 <= number <= len(versions):
            raise NotFound(f"version {policy.model}@{number}", "is not here", f"There are {len(versions)}.")
        return Serving.of(policy.model, number, versions[number - 1].draft.artifact.files)

    def versions(self, model: str) -> list[LocalVersion]:
        """All versions, in order."""
        return [self._decode(LocalVersion, raw) for raw in read_log(self._store, _versions(model))]

    def moves(self, model: str) -> list[LocalMove]:
        """All moves, in order."""
        return [self._decode(LocalMove, raw) for raw in read_log(self._store, _moves(model))]

    def models(self) -> list[str]:
        """See Models."""
        return sorted(_with_versions(self._store, "retraining"))

    def registered(self, model: str) -> tuple[Registered, ...]:
        """See Models."""
        return tuple(
            Registered(
                model, each.number, Serving.of(model, each.number, {}).names, each.draft.run, each.draft.dataset,
                each.registered_by, each.at_ms,
            )
            for each in self.versions(model)
        )  # fmt: skip

    def moved(self, model: str) -> tuple[AliasMove, ...]:
        """See Models."""
        return tuple(
            AliasMove(m.at_ms, m.actor, f"{m.alias} moved {'back ' if m.back else ''}to {m.version}", f"run {m.run}")
            for m in self.moves(model)
        )

    def register(self, draft: Draft, by: str, at_ms: int) -> int:
        """See Models."""
        log = _versions(draft.model)
        for _ in range(RACES_MAX):
            bodies = read_log(self._store, log)
            known: list[LocalVersion] = [self._decode(LocalVersion, raw) for raw in bodies]
            for version in known:
                if version.draft.run == draft.run:
                    return version.number
            entry = LocalVersion(FORMAT, len(bodies) + 1, draft, by, at_ms)
            if append(self._store, log, bodies, codec.encode(entry)):
                return entry.number
        raise _races(log)

    def promote(
        self,
        policy: Policy,
        run: str,
        version: int,
        replaces: int | None,
        approvers: Mapping[str, str],
        by: str,
        at_ms: int,
    ) -> Moving:
        """See Models."""
        move = LocalMove(FORMAT, policy.alias, version, replaces, False, run, dict(approvers), by, at_ms)
        return self._move(policy.model, move)

    def rollback(self, policy: Policy, run: str, version: int, to: int, by: str, at_ms: int) -> Moving:
        """See Models."""
        return self._move(policy.model, LocalMove(FORMAT, policy.alias, to, version, True, run, {}, by, at_ms))

    def _move(self, model: str, move: LocalMove) -> Moving:
        log = _moves(model)
        for _ in range(RACES_MAX):
            bodies = read_log(self._store, log)
            known: list[LocalMove] = [self._decode(LocalMove, raw) for raw in bodies]
            if any(_same(m, move) for m in known):
                return Moving(Move.ALREADY)
            if (at := _points(known, move.alias)) != move.replaces:
                return Moving.conflict(move.alias, at, move.replaces)
            if append(self._store, log, bodies, codec.encode(move)):
                return Moving(Move.MOVED)
        raise _races(log)

    def _decode(self, kind: Callable[..., Any], raw: bytes) -> Any:
        return codec.decode(kind, raw, "an entry of the local models", FORMAT)


def known_models(store: Store) -> None:
    """Raises StoreError where a registry keeps models in the store that are not known here: their champion would be forgotten."""
    theirs, mine = _with_versions(store, "models"), _with_versions(store, "retraining")
    if unknown := sorted(theirs - mine):
        what = f"this store's models were kept by the registry: {', '.join(unknown)}"
        remedy = "Use `driftline retrain`, or name another --store."
        raise StoreError(what, "has no version or alias that is known without it", remedy)


def _with_versions(store: Store, top: str) -> set[str]:
    parts = (log.split("/") for log in store.logs(top))
    return {part[1] for part in parts if len(part) == 3 and part[2] == "versions"}


def _same(one: LocalMove, other: LocalMove) -> bool:
    """Whether a run made the one move already. It moves the champion once each way; the alias beside it to two versions."""
    return (one.run, one.back, one.alias, one.version) == (other.run, other.back, other.alias, other.version)


def _points(moves: list[LocalMove], alias: str) -> int | None:
    return next((move.version for move in reversed(moves) if move.alias == alias), None)


def _versions(model: str) -> str:
    return f"retraining/{model}/versions"


def _moves(model: str) -> str:
    return f"retraining/{model}/alias"


def _races(log: str) -> StoreError:
    return StoreError(f"log {log!r}", "was lost to others too often", "Try again.")
