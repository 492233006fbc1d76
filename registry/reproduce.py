"""How far a version that was trained again is the one that was registered.

    files       the same files, bit for bit
    probe       other bytes, the same outputs for the probe set to the bit
    tolerance   outputs within the tolerance that the probe set states
    metrics     another model, of whose loss on the held-out rows no difference can be shown
    different   another model, and it shows
    not_run     it could not be trained again, and why

Each level is looked at only where the one above it was not reached. What is different about code and environment is told
beside the level, never counted against it: the outcome is what counts. Who trains is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from registry.manifest import Manifest
from registry.probe import Agreement


class Level(StrEnum):
    """From the best to the worst."""

    FILES = "files"
    PROBE = "probe"
    TOLERANCE = "tolerance"
    METRICS = "metrics"
    DIFFERENT = "different"
    NOT_RUN = "not_run"

    def reaches(self, other: Level) -> bool:
        """Whether this one is as good."""
        order = list(Level)
        return order.index(self) <= order.index(other)


class Obstacle(StrEnum):
    """Why a version cannot be trained again."""

    NO_RUN = "no_run"  # it was added from outside: how it was trained is not recorded
    RUN_MISSING = "run_missing"  # the run that made it is not in this store
    DATASET_MISSING = "dataset_missing"
    TRAINING_FAILED = "training_failed"


@dataclass(frozen=True, slots=True)
class Change:
    """A fact of code or environment, then and now. None: not recorded, or not known."""

    name: str
    then: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of the registered version minus that of the one trained again, on held-out rows, and bounds of its mean."""

    rows: int
    difference: float
    lower: float
    upper: float

    @property
    def none_shown(self) -> bool:
        """Whether no difference can be shown. Few rows show little: the bounds say how little."""
        return self.lower <= 0 <= self.upper


@dataclass(frozen=True, slots=True)
class Reproduced:
    """The level that was reached, why no better one was, and what changed meanwhile."""

    level: Level
    detail: str
    changed: tuple[Change, ...] = ()
    files: tuple[str, ...] = ()  # paths that differ, are new or are gone
    agreement: Agreement | None = None  # None: the probe set was not looked at
    loss: Loss | None = None
    obstacle: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """What training again gave: digests of files by path; the rest only where it was looked at."""

    files: Mapping[str, str]
    agreement: Agreement | None = None
    unprobed: str = ""  # why the probe set was not looked at
    loss: Loss | None = None
    unjudged: str = ""  # why the loss is not known
    changed: tuple[Change, ...] = field(default=())


_UNCHECKED: Final = "its behaviour could not be compared"


def differing(manifest: Manifest, files: Mapping[str, str]) -> tuple[str, ...]:
    """Paths whose bytes differ, or which are in one of both only."""
    then = {file.path: file.digest for file in manifest.files}
    return tuple(sorted(path for path in then.keys() | files.keys() if then.get(path) != files.get(path)))


def changes(manifest: Manifest, environment: Mapping[str, str], code_revision: str | None) -> tuple[Change, ...]:
    """What is not as it was: the revision of the code, and each fact of the environment."""
    found = []
    if manifest.code_revision != code_revision:
        found.append(Change("code revision", manifest.code_revision, code_revision))
    for name in sorted(manifest.environment.keys() | environment.keys()):
        then, now = manifest.environment.get(name), environment.get(name)
        if then != now:
            found.append(Change(name, then, now))
    return tuple(found)


def judged(manifest: Manifest, again: Again) -> Reproduced:
    """The level that was reached."""
    different = differing(manifest, again.files)

    def reached(level: Level, detail: str) -> Reproduced:
        return Reproduced(level, detail, again.changed, different, again.agreement, again.loss)

    if not different:
        return reached(Level.FILES, "every file is the same, bit for bit")
    named = f"{', '.join(different)} differ{'s' if len(different) == 1 else ''}"
    if again.agreement is Agreement.BITS:
        return reached(Level.PROBE, f"{named}, and the outputs for the probe set are the same to the bit")
    if again.agreement is Agreement.TOLERANCE:
        return reached(Level.TOLERANCE, f"{named}, and the outputs for the probe set are within its tolerance")
    probed = again.unprobed or "the outputs for the probe set differ"
    if again.loss is None:
        return reached(Level.DIFFERENT, f"{named}; {probed}; {again.unjudged or _UNCHECKED}")
    loss = again.loss
    told = (
        f"on {loss.rows:,} held-out rows the loss differs by {loss.difference:+.4g}, within {loss.lower:+.4g} and "
        f"{loss.upper:+.4g}"
    )
    return reached(Level.METRICS if loss.none_shown else Level.DIFFERENT, f"{named}; {probed}; {told}")


def not_run(obstacle: Obstacle, detail: str, changed: tuple[Change, ...] = ()) -> Reproduced:
    """It could not be trained again."""
    return Reproduced(Level.NOT_RUN, detail, changed, obstacle=obstacle)
