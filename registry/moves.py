"""The moves of a model's aliases: records of its one log, `models/NAME/moves`, and their codec.

All aliases of a model share a log, so that retiring a version holds for each of them at once, present and future.
Every record says who did it, why and when, and holds the digest of the record before it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from registry import codec
from registry.digest import checked_digest
from registry.errors import BadName
from registry.names import checked_actor, checked_alias, checked_model, checked_reason

FORMAT: Final = 1
"""Version of every record in this file."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every record has. `automatic`: no person decided this one."""

    format: int
    sequence: int
    previous: str | None  # digest of the record before
    actor: str
    automatic: bool
    reason: str
    cause: str | None  # id of the run or alert that led to it
    at_ms: int

    def __post_init__(self) -> None:
        """Raises BadName."""
        checked_actor(self.actor)
        checked_reason(self.reason)
        if (alias := getattr(self, "alias", None)) is not None:
            checked_alias(alias)
        if (manifest := getattr(self, "manifest", None)) is not None:
            checked_digest(manifest)
        if getattr(self, "version", 1) < 1:
            raise BadName("version", str(getattr(self, "version", 1)), "Versions are numbered from 1.")


class Promote(_Record, frozen=True, tag="promote"):
    """The alias shall point at `version`. Counts only while it points at `replaces` (None: at nothing yet).

    `required` is how many approvals the mover's own policy asks for; the alias may ask for more.
    """

    alias: str
    version: int
    manifest: str
    replaces: int | None
    required: int


class Rollback(_Record, frozen=True, tag="rollback"):
    """The alias shall point again at a version that it pointed at before `replaces`."""

    alias: str
    version: int
    manifest: str
    replaces: int | None


class Freeze(_Record, frozen=True, tag="freeze"):
    """Automatic moves of the alias stop. People may still move it."""

    alias: str


class Unfreeze(_Record, frozen=True, tag="unfreeze"):
    """Automatic moves of the alias are allowed again."""

    alias: str


class Protect(_Record, frozen=True, tag="protect"):
    """Promotions of the alias need `approvals` from here on."""

    alias: str
    approvals: int


class Approve(_Record, frozen=True, tag="approve"):
    """A person agrees that `version` takes the place of `replaces`. Void as soon as the alias moves.

    `requester` is who registered the version: nobody approves their own.
    """

    alias: str
    version: int
    manifest: str
    replaces: int | None
    requester: str


class Retire(_Record, frozen=True, tag="retire"):
    """The version is never to be served again, under any alias."""

    version: int
    manifest: str


Move = Promote | Rollback | Freeze | Unfreeze | Protect | Approve | Retire


def moves_log(model: str) -> str:
    """Where the moves of a model's aliases are entered."""
    return f"models/{checked_model(model)}/moves"


def decode_move(raw: bytes, where: str) -> Move:
    """Raises FormatError."""
    found: Move = codec.decode(Move, raw, where, FORMAT)
    return found
