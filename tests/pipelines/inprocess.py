"""A loop of its own with real rows, the real trainer and the real gate, whose steps run within the process: for simulations."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.book import Book
from pipelines.filesteps import FileSteps, Work
from pipelines.firing import Firing
from pipelines.local import Wired
from pipelines.local_data import FileAnchors, FileData
from pipelines.local_models import LocalModels
from pipelines.orchestrator import Orchestrator
from pipelines.policy import Policy
from pipelines.ports import Alive
from pipelines.runner import read_job, run
from pipelines.states import State
from pipelines.tables import Row, write_rows
from tests.pipelines.memory import Clock, MemoryStore, alert


class InProcess:
    """`pipelines.filesteps.Executor` without a process."""

    def execute(self, work: Work, alive: Alive) -> None:
        assert work.function is not None
        module, _, name = work.function.partition(":")
        run(read_job(work.directory), getattr(importlib.import_module(module), name), work.directory)
        alive()

    def clear(self, policy: Policy, alive: Alive) -> None:
        """Nothing of it outlives the call."""


class Alerts:
    def __init__(self) -> None:
        self.fires: list[Firing] = []

    def firing(self) -> tuple[Firing, ...]:
        return tuple(self.fires)


class Loop:
    """A store, a clock, and a file of rows for each model that a test writes as time goes by."""

    def __init__(self, directory: Path, policy: Policy, anchors: Mapping[str, Path] | None = None) -> None:
        self.directory, self.policy = directory, policy
        self.store, self.clock, self.alerts = MemoryStore(), Clock(), Alerts()
        self.path = directory / "rows.jsonl"
        self.path.write_bytes(b"")
        self.anchors = anchors or {}
        self.incidents = 0
        self.wire()

    def wire(self) -> None:
        steps = FileSteps(self.store, self.directory / "work", InProcess())
        data, models = FileData(self.store, {self.policy.model: self.path}), LocalModels(self.store)
        anchors = FileAnchors(self.store, self.anchors)
        self.ports = Wired(self.store, self.clock, self.alerts, data, steps, steps, anchors, models)
        self.book = Book(self.store)

    def under(self, policy: Policy, anchors: Mapping[str, Path] | None = None) -> Loop:
        """The same world up to now, with another policy from here on."""
        other = copy.copy(self)
        other.store, other.clock, other.alerts = copy.deepcopy((self.store, self.clock, self.alerts))
        other.policy, other.anchors = policy, anchors or {}
        other.wire()
        return other

    def write(self, rows: list[Row]) -> None:
        self.path.write_bytes(write_rows(rows))

    def fire(self, **more: Any) -> None:
        self.incidents += 1
        self.alerts.fires = [alert(episode=f"{self.incidents:032x}", fired_ms=self.clock.ms, **more)]

    def round(self) -> State | None:
        """One round; where the newest run stands after it."""
        Orchestrator(self.ports, [self.policy], "w1").round()
        admissions = self.book.admissions(self.policy.model)
        return self.book.journal(admissions[-1].run).view.state if admissions else None

    def first(self) -> None:
        """The first version, which a person agrees to."""
        self.fire()
        assert self.round() is State.AWAITING_APPROVAL
        self.book.approve(self.book.active()[0], "eve", "the first one", self.clock.ms)
        assert self.round() is State.PROBATION
        self.clock.ms += 2 * self.policy.probation.least_ms
        assert self.round() is State.SETTLED

    @property
    def champion(self) -> int | None:
        serving = self.ports.models.serving(self.policy)
        return None if serving is None else serving.version
