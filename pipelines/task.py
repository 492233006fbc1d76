"""A run at hand, as its steps see it, and what a step gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipelines.journal import Reason, RunView
from pipelines.policy import Policy
from pipelines.ports import Alive, Artifact, Dataset, Ports
from pipelines.runs import Admission
from pipelines.states import State


@dataclass(frozen=True, slots=True)
class Next:
    """Where the run goes, why, and what is known from here on."""

    to: State
    reason: Reason
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A run at hand. `note` enters facts in the middle of a step; `alive` is for steps that take long."""

    ports: Ports
    admission: Admission
    view: RunView
    owner: str
    alive: Alive
    note: Callable[[dict[str, Any]], None]

    @property
    def policy(self) -> Policy:
        """The policy that the run began under."""
        return self.admission.policy

    @property
    def now_ms(self) -> int:
        """Now."""
        return self.ports.clock.now_ms()

    @property
    def dataset(self) -> Dataset:
        """What `collect` fixed."""
        return msgspec.convert(self.view.facts["dataset"], Dataset)

    @property
    def artifact(self) -> Artifact:
        """What training gave."""
        return msgspec.convert(self.view.facts["artifact"], Artifact)
