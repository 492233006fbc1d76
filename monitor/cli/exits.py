"""Exit codes, and what is said on the way out."""

from __future__ import annotations

import sys

from monitor.errors import ConfigError, LogUnreachable, MonitorError, NewerVersion, NotAllowed, SpillRefused

FAILED = 1
USAGE = 2
GATE = 3
UNREACHABLE = 69
NOT_YET = 75
BAD_CONFIG = 78
INTERRUPTED = 130


def code_of(error: BaseException) -> int:
    """The exit code that an error of this project ends the process with."""
    if isinstance(error, ConfigError | NewerVersion | NotAllowed):
        return BAD_CONFIG
    if (
        isinstance(error, SpillRefused) and error.at_start
    ):  # no start will find it otherwise until somebody changes something
        return BAD_CONFIG
    if isinstance(error, LogUnreachable):
        return UNREACHABLE
    return FAILED


def report(error: Exception) -> int:
    """Print an error of this project as its sentences and give its code; raise anything else, it is a bug."""
    if isinstance(error, BrokenPipeError):
        return FAILED
    if (code := _of_others(error)) is not None:
        print(f"driftline: {error}", file=sys.stderr)
        return code
    if not isinstance(error, MonitorError):
        raise error
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        print("\n".join(error.problems), file=sys.stderr)
        print(f"driftline: {len(error.problems)} problems in the configuration", file=sys.stderr)
    else:
        print(f"driftline: {error}", file=sys.stderr)
    return code_of(error)


def _of_others(error: Exception) -> int | None:
    """The code of an error of the registry or of the pipelines. Neither needs to be installed: who raised is loaded."""
    if "registry.errors" in sys.modules:
        from registry.errors import RegistryError

        if isinstance(error, RegistryError):
            from registry.cli.exits import code_of as code_of_registry

            return code_of_registry(error)
    if "pipelines.errors" in sys.modules:
        from pipelines.errors import PipelineError

        if isinstance(error, PipelineError):
            from pipelines.exits import code_of as code_of_pipelines

            return code_of_pipelines(error)
    return None
