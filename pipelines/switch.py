"""The kill switch: `retraining/brakes`, one log for all models, in which people stop, start and reset.

Stopped means: no run begins, no step works on, nothing is promoted; a step at work is given back within a second or so. A
version on probation is still watched, and still rolled back when it is worse: that is the way back to what people agreed to.
Whoever wants no automatic move at all freezes the alias in the registry.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from pipelines import codec
from pipelines.errors import StoreError
from pipelines.log import append, read_log
from pipelines.ports import Store

FORMAT: Final = 1
LOG: Final = "retraining/brakes"
RACES_MAX: Final = 10_000


class Turn(StrEnum):
    """What somebody does."""

    STOP = "stop"
    START = "start"
    RESET = "reset"  # the breaker: rollbacks until now do not count any more


class Turned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry. `model` None: every model."""

    format: int
    previous: str | None  # digest of the entry before
    turn: Turn
    model: str | None
    actor: str
    reason: str
    at_ms: int


class Switch:
    """The switch in a store. Entries are read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: list[tuple[Turned, bytes]] = []

    def entries(self) -> list[Turned]:
        """All of them, in order. Raises StoreError when they are no chain."""
        for number, body in enumerate(read_log(self._store, LOG, len(self._known)), len(self._known) + 1):
            where = f"entry {number} of {LOG!r}"
            turned: Turned = codec.decode(Turned, body, where, FORMAT)
            if turned.previous != (codec.digest_of(self._known[-1][1]) if self._known else None):
                raise StoreError(where, f"does not continue entry {number - 1}", "Restore it from a copy.")
            self._known.append((turned, body))
        return [turned for turned, _ in self._known]

    def stopped(self, model: str) -> str | None:
        """Who stopped the model or all, why, and what ends it. A start of all starts each; one of a model starts that one."""
        said: Turned | None = None
        for turned in self.entries():
            if turned.turn is not Turn.RESET and turned.model in (None, model):
                said = turned if turned.turn is Turn.STOP else None
        if said is None:
            return None
        what = said.model or "all models"
        return f"{said.actor} stopped {what}: {said.reason}; `driftline retrain start` lets it go on"

    def reset_ms(self, model: str) -> int:
        """When somebody last reset the breaker of the model; 0 for never."""
        found = (t.at_ms for t in self.entries() if t.turn is Turn.RESET and t.model in (None, model))
        return max(found, default=0)

    def turn(self, turn: Turn, model: str | None, actor: str, reason: str, at_ms: int) -> None:
        """Enter it."""
        for _ in range(RACES_MAX):
            self.entries()
            bodies = [body for _, body in self._known]
            previous = codec.digest_of(bodies[-1]) if bodies else None
            entry = codec.encode(Turned(FORMAT, previous, turn, model, actor, reason, at_ms))
            if append(self._store, LOG, bodies, entry):
                return
        raise StoreError(f"log {LOG!r}", "was lost to others too often", "Try again.")
