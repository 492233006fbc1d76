"""The exceptions of the pipelines, drawn as a tree.

    PipelineError                anything this package raises on purpose: what, why, remedy
    ├── ConfigError              what was asked for cannot be meant (exit 2)
    │   └── PolicyError          a file of policies with mistakes in it, all of them (exit 78)
    ├── NotFound                 no such run, model, file or column
    ├── FormatError              a durable document is newer than this code, or not what it claims to be
    ├── StoreError               the store refused, or what is in it is not what was written
    ├── Refused                  a rule of the life cycle does not allow it (exit 3)
    ├── Undecided                somebody else decides, and has not yet: asking again tells (exit 75)
    ├── StepFailed               a step did not do its work; `again` says whether another try may help
    ├── Unanswered               a service that was asked for does not answer (exit 69)
    ├── Fenced                   another worker took the run over: whoever gets this has nothing more to do with it
    ├── Halted                   retraining was stopped while a step was at work: the run is given back
    ├── CancelAsked              somebody asked for the run to end while a step was at work
    └── NotInstalled             an optional library is needed

Each keeps its parts as fields; `str(error)` is the finished sentence.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Anything the pipelines raise on purpose: `what` thing, `why` it is refused, `remedy` to try next."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what} {why}. {remedy}")
        self.what, self.why, self.remedy = what, why, remedy


class ConfigError(PipelineError):
    """What was asked for cannot be meant."""


class PolicyError(ConfigError):
    """A file of policies cannot be used. `problems`: each mistake with its line and the path to its key."""

    def __init__(self, path: str, why: str, remedy: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(f"file {path!r}", "".join((why, *(f"\n  {problem}" for problem in problems))), remedy)
        self.problems = problems


class NotFound(PipelineError):
    """No such run, model, file or column."""


class FormatError(PipelineError):
    """A durable document cannot be read by this version of the code: too new, or not what it claims to be."""


class StoreError(PipelineError):
    """The store refused, or what is in it is not what was written."""


class Refused(PipelineError):
    """A rule of the life cycle does not allow it."""


class Undecided(PipelineError):
    """What was asked for was done, and somebody else decides whether it counts. The same command again tells."""


class StepFailed(PipelineError):
    """A step did not do its work. `again`: the fault lies outside the step, another try may help."""

    def __init__(self, what: str, why: str, remedy: str, *, again: bool = False, timed_out: bool = False) -> None:
        super().__init__(what, why, remedy)
        self.again, self.timed_out = again, timed_out


class Unanswered(PipelineError):
    """A service that was asked for does not answer. Trying again later may help."""


class Fenced(PipelineError):
    """Another worker took the run over."""

    def __init__(self, run: str, owner: str) -> None:
        super().__init__(
            f"run {run}", f"was taken over from {owner!r}", "Nothing is to be done: the other one goes on."
        )
        self.run, self.owner = run, owner


class Halted(PipelineError):
    """Retraining of the model was stopped."""

    def __init__(self, run: str, why: str) -> None:
        super().__init__(f"run {run}", f"stands still: {why}", "It goes on from where it is.")
        self.run = run


class CancelAsked(PipelineError):
    """Somebody asked for the run to end while a step was at work."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run}", "is to be cancelled", "The step was stopped.")
        self.run = run


class NotInstalled(PipelineError):
    """An optional library is needed."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(what, f"needs {library}, which is not installed", f"pip install 'driftline[{extra}]'")
        self.library = library
