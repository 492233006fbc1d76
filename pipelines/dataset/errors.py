"""The exceptions of data versions, drawn as a tree.

    DatasetError             anything this package raises on purpose; a PipelineError: what, why, remedy
    ├── BadDataset           a name is outside its grammar (exit 2)
    ├── UnknownDataset       no such version
    ├── NameTaken            the name was given to another version (exit 3)
    ├── UnreadableDataset    a manifest or a segment is newer than this code, or not what it claims to be
    └── ExtraMissing         an optional library is needed

Each keeps its parts as fields; `str(error)` is the finished sentence.
"""

from __future__ import annotations

from pipelines.errors import ConfigError, PipelineError, Refused


class DatasetError(PipelineError):
    """Anything raised on purpose here."""


class BadDataset(DatasetError, ConfigError):
    """A name or a range that no dataset can have."""


class UnknownDataset(DatasetError):
    """No version has this name or digest."""


class NameTaken(DatasetError, Refused):
    """The name says another version already; names do not move."""


class UnreadableDataset(DatasetError):
    """A document or segment cannot be read by this version of the code."""


class ExtraMissing(DatasetError):
    """An optional library is needed. `extra` is the part of the distribution that brings it."""

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(what, f"needs {library}, which is not installed", f"Run: pip install 'driftline[{extra}]'.")
        self.library, self.extra = library, extra
