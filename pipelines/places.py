"""Where the steps of a model run, and where they were begun: a log of each model in the store, `places/MODEL`.

Where steps run is configuration, which may change while a step is at work. Whoever goes on has to know who began it: Jobs and
hand-offs outlive their worker. So whoever is about to begin a step enters the place first, unless it is the last one entered, and
whoever finds another one there enters that it is left, ends what was begun there, and only then enters its own. A log grows by
two entries for each change, not for each step. What is entered is what is configured: no secret, only names of files with some.

Processes of a worker's own machine end with it, so a log begins with the first place that is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.codec import decode, digest_of, encode
from pipelines.errors import StoreError
from pipelines.hook_spec import Webhook
from pipelines.job_spec import KubernetesJobs
from pipelines.log import append, read_log
from pipelines.ports import Store
from pipelines.sense import Wrong, refuse

FORMAT: Final = 1
ROOT: Final = "places"


class Execution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`executor` of a model. Where steps run decides nothing about a model, so this is no part of its policy or its digest."""

    kubernetes: KubernetesJobs | UnsetType = UNSET
    webhook: Webhook | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if self.kubernetes is not UNSET and self.webhook is not UNSET:
            yield Wrong(
                "", "a step runs in one place: write kubernetes or webhook, not both", ("kubernetes", "webhook")
            )

    def __str__(self) -> str:
        if self.webhook is not UNSET:
            return self.webhook.url
        return "processes of a worker" if self.kubernetes is UNSET else f"Jobs with image {self.kubernetes.image!r}"

    @property
    def starting_ms(self) -> int:
        """How long a step may wait there before it begins."""
        chosen = self.kubernetes if self.webhook is UNSET else self.webhook
        return 0 if chosen is UNSET else chosen.starting_ms

    def reaches(self, begun: Execution) -> bool:
        """Whether who runs steps here finds what was begun there, and goes on with it: the same Jobs to the letter, or the same
        outside system, whichever file the secret is in now."""
        if self.webhook is not UNSET and begun.webhook is not UNSET:
            return self.webhook.url == begun.webhook.url
        return self == begun


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    format: int = FORMAT
    previous: str | None = None  # digest of the record before
    at_ms: int


class Entered(_Record, frozen=True, tag="entered"):
    """Steps are begun here from now on."""

    executor: Execution


class Left(_Record, frozen=True, tag="left"):
    """No step is begun any more where they were."""


Record = Entered | Left


@dataclass(frozen=True, slots=True)
class Begun:
    """Where steps of a model were begun last. `left_ms`: since when none is; None: they still are."""

    bodies: tuple[bytes, ...] = ()
    place: Execution | None = None
    left_ms: int | None = None


class Begins:
    """The logs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, model: str) -> Begun:
        """Raises FormatError, StoreError."""
        log, found = f"{ROOT}/{model}", Begun()
        for number, body in enumerate(read_log(self._store, log), 1):
            record: Record = decode(Record, body, f"entry {number} of {log!r}", FORMAT)
            if record.previous != (digest_of(found.bodies[-1]) if found.bodies else None):
                raise StoreError(f"entry {number} of {log!r}", "does not continue the one before", "Run fsck.")
            found = _with(found, record, body)
        return found

    def enter(self, model: str, before: Begun, record: Record) -> Begun:
        """What is known with a record after those that were read, or with that of somebody who was first."""
        previous = digest_of(before.bodies[-1]) if before.bodies else None
        record = msgspec.structs.replace(record, previous=previous)
        body = encode(record)
        if append(self._store, f"{ROOT}/{model}", before.bodies, body):
            return _with(before, record, body)
        return self.read(model)


def _with(found: Begun, record: Record, body: bytes) -> Begun:
    bodies = (*found.bodies, body)
    if isinstance(record, Entered):
        return Begun(bodies, record.executor)
    return Begun(bodies, found.place, record.at_ms)
