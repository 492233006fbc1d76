"""Deployments of this release and of a later one, made up, in one world."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import NEWEST
from monitor.plan import Plan, plan_of
from tests.adapters.memory import MemoryLog
from tests.simulation.world import CONFIG, LATENESS_S
from tests.upgrade.made_up import Surer

THIS: Final = NEWEST
LATER: Final = NEWEST + 1


def next_plan(config: Config) -> Plan:
    """The plan of a configuration as the later release compiles it."""
    plan = plan_of(config)
    models = {name: replace(model, task=Surer(model.task, LATER)) for name, model in plan.models.items()}
    return replace(plan, edition=LATER, models=models)


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
