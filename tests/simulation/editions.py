"""A later release, made up: its edition counts how many labelled rows the model was sure of, and windows carry their share."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import NEWEST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics.binary import BINARY, LAYOUT, Binary
from monitor.metrics.estimates import Estimates
from monitor.plan import Plan, plan_of
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from tests.adapters.memory import MemoryLog
from tests.simulation.world import CONFIG, LATENESS_S

SECOND: Final = NEWEST + 1
"""One that this code does not know yet."""
SURE: Final = 0.8


class Surer(Binary):
    """The task `binary` as that edition has it."""

    cells: CellLayout = LAYOUT + CellLayout((CellSlice("sure"),))

    def __init__(self) -> None:
        super().__init__()
        self.metrics = MappingProxyType({**self.metrics, "sureness": _sureness})

    def of_edition(self, number: int) -> Binary:
        return self if number == SECOND else BINARY.of_edition(number)

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        cell, amount = super().contribute(score, predicted, label, positive)
        sure = np.full(len(score), self.cells.index("sure"), np.int32)
        return np.column_stack((cell, sure)), np.column_stack((amount, (score >= SURE).astype(np.int64)))


def _sureness(cells: Cells) -> Estimates:
    """Taken from the accuracy, with the rows that the model was sure of in place of those that it had right."""
    own = cells.layout.zeros(len(cells))
    own.array[:, own.layout.index("labelled")] = cells.count("labelled")
    own.array[:, own.layout.index("tp")] = cells.count("sure")
    return BINARY.metrics["accuracy"](own)


def next_plan(config: Config) -> Plan:
    """The plan of a configuration as the later release compiles it."""
    plan = plan_of(config)
    return replace(
        plan, edition=SECOND, models={name: replace(model, task=Surer()) for name, model in plan.models.items()}
    )


def settings_of(
    namespace: str, *, every: int = 10_000, trim: bool = False, rows: int = 9, after: str = "10ms"
) -> Config:
    """The deployment of the other simulations, which goes over so soon."""
    state = f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}, upgrade_after: {after}"
    text = CONFIG.replace("commit_interval: 1ms", state)
    return loads(text.format(namespace=namespace, rows=rows, lateness=LATENESS_S))


def process_of(log: MemoryLog, config: Config, edition: int, *, until_end: bool = True) -> Worker:
    """A worker of the release that knows editions up to this one."""
    plan = next_plan(config).of_edition(edition)
    made = Worker(log, config, plan, log.clock, dead_letters, WorkerOptions(until_end=until_end))
    made.start()
    return made
