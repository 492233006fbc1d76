"""With which code an error of the registry ends the process."""

from __future__ import annotations

from typing import Final

from registry.errors import (
    BadName,
    BundleRefused,
    MoveRefused,
    RegistryError,
    SigningError,
    StoreUnreachable,
    TopicUnreachable,
    Untrusted,
)

FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 69


def code_of(error: RegistryError) -> int:
    """2 for a name that is none, 3 for what a rule refuses, 69 for a broker or store that does not answer, 1 for all else."""
    if isinstance(error, TopicUnreachable | StoreUnreachable):
        return UNREACHABLE
    if isinstance(error, BadName | SigningError):
        return USAGE
    return REFUSED if isinstance(error, BundleRefused | MoveRefused | Untrusted) else FAILED
