"""With which code an error of the pipelines ends the process."""

from __future__ import annotations

from typing import Final

from pipelines.errors import ConfigError, PipelineError, PolicyError, Refused, Unanswered, Undecided

FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 69
NOT_YET: Final = 75
BAD_CONFIG: Final = 78


def code_of(error: PipelineError) -> int:
    """78 for a file of policies with mistakes, 2 for what cannot be meant, 3 for what a rule refuses, 69 for what does not
    answer, 75 for what is not decided yet, 1 for everything else."""
    if isinstance(error, PolicyError):
        return BAD_CONFIG
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, Unanswered):
        return UNREACHABLE
    if isinstance(error, Undecided):
        return NOT_YET
    return REFUSED if isinstance(error, Refused) else FAILED
