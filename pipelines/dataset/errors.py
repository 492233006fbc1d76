"""The exceptions of data versions, drawn as a tree.

    DatasetError             anything this package raises on purpose; a PipelineError: what, why, remedy
    ├── BadDataset           a name is outside its grammar (exit 2)
    ├── UnknownDataset       no such version
    ├── NameTaken            the name was given to another version (exit 3)
    ├── ArchiveEnded         an archive was said to be complete, and its topics hold more since (exit 3)
    ├── UnreadableDataset    a manifest or a segment is newer than this code, or not what it claims to be
    ├── Overtaken            ids were erased each time that the rows had been read; trying again later helps
    └── ExtraMissing         an optional library is needed

Each keeps its parts as fields; `str(error)` is the finished sentence.
"""

from __future__ import annotations

from typing import Final

from pipelines.errors import ConfigError, PipelineError, Refused, StepFailed

READINGS_MAX: Final = 10
"""How often rows are read for one dataset, or one partition of an archive: each erasure that comes meanwhile costs a reading,
and who erases without pause is told of, not waited for."""


class DatasetError(PipelineError):
    """Anything raised on purpose here."""


class BadDataset(DatasetError, ConfigError):
    """A name or a range that no dataset can have."""


class UnknownDataset(DatasetError):
    """No version has this name or digest."""


class NameTaken(DatasetError, Refused):
    """The name says another version already; names do not move."""


class ArchiveEnded(DatasetError, Refused):
    """An archive was closed as complete (`--until-end`), and its topics hold more since."""

    def __init__(self, name: str, partition: int, records: tuple[int, int]) -> None:
        predictions, labels = records
        super().__init__(
            f"partition {partition} of the archive {name!r}",
            f"was closed by --until-end, and {predictions:,} predictions and {labels:,} labels came after that",
            "Its panes are final. Write the topics into another archive (--name), without --until-end while more may come.",
        )


class UnreadableDataset(DatasetError):
    """A document or segment cannot be read by this version of the code."""


class Overtaken(DatasetError, StepFailed):
    """Ids were erased, or others wrote, whenever the rows had been read."""

    def __init__(self, what: str, they: str) -> None:
        super().__init__(
            what,
            f"was begun {READINGS_MAX} times, and each time {they} meanwhile",
            "Try again later; put ids that are to be erased into one request (`driftline redact --ids-from FILE`).",
            again=True,
        )


class ExtraMissing(DatasetError):
    """An optional library is needed. `extra` is the part of the distribution that brings it."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(what, f"needs {library}, which is not installed", f"Run: pip install 'driftline[{extra}]'.")
        self.library, self.extra = library, extra
