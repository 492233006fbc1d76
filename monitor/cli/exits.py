"""Exit codes, and what is said on the way out."""

from __future__ import annotations

import sys

from monitor.errors import ConfigError, LogUnreachable, MonitorError
from pipelines.errors import PipelineError
from pipelines.exits import code_of as code_of_pipelines
from registry.cli.exits import code_of as code_of_registry
from registry.errors import RegistryError

FAILED = 1
USAGE = 2
GATE = 3
UNREACHABLE = 69
BAD_CONFIG = 78
INTERRUPTED = 130


def code_of(error: BaseException) -> int:
    """The exit code that an error of this project ends the process with."""
    if isinstance(error, ConfigError):
        return BAD_CONFIG
    if isinstance(error, LogUnreachable):
        return UNREACHABLE
    return FAILED


def report(error: Exception) -> int:
    """Print an error of this project as its sentences and give its code; raise anything else, it is a bug."""
    if isinstance(error, BrokenPipeError):
        return FAILED
    if isinstance(error, RegistryError):
        print(f"driftline: {error}", file=sys.stderr)
        return code_of_registry(error)
    if isinstance(error, PipelineError):
        print(f"driftline: {error}", file=sys.stderr)
        return code_of_pipelines(error)
    if not isinstance(error, MonitorError):
        raise error
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        print("\n".join(error.problems), file=sys.stderr)
        print(f"driftline: {len(error.problems)} problems in the configuration", file=sys.stderr)
    else:
        print(f"driftline: {error}", file=sys.stderr)
    return code_of(error)
