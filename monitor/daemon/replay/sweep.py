"""A run judged by other rules than its own: while it runs, or once more from its settled ledger."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.event import AlertEvent
from monitor.alerts.operational import OperationalWatch
from monitor.backtest.variants import Sweep
from monitor.config.types import Config
from monitor.daemon.begun import begun
from monitor.daemon.editions_in_force import begin_with, follow
from monitor.daemon.replay.redecide import feeder
from monitor.daemon.rules_in_force import evaluations
from monitor.daemon.tail import follow_from_start
from monitor.evaluator import Evaluator, TickOutput
from monitor.plan import Plan
from monitor.ports import Log
from monitor.windows.view import Kind


class Alongside:
    """Judges by the rules of `settings` (name -> a configuration of the same meaning) what the evaluator of a run closes."""

    def __init__(self, config: Config, plan: Plan, settings: Mapping[str, Config]) -> None:
        self._settings = settings
        self._tick_ms = plan.join.tick_ms
        self._sweep = Sweep(config, plan, settings)
        self._last_ms = dict.fromkeys(Kind, -1)
        self.whole = True
        """False once a tick was seen again: the evaluator was opened anew, and the run must be judged from its ledger."""

    def observe(self, output: TickOutput) -> None:
        """A tick closed; the windows are as they are at its end."""
        self._sweep.note(output.events)
        basis = output.basis
        if basis is None:
            return
        self.whole = self.whole and output.tick_ms > self._last_ms[output.kind]
        self._last_ms[output.kind] = output.tick_ms
        if self.whole:
            given = (basis.changed, basis.active, basis.lookup, basis.outage_of)
            self._sweep.step(output.tick_ms, self._tick_ms, output.kind, *given)

    def told(self) -> dict[str, list[AlertEvent]]:
        """The events under each of the settings."""
        assert self.whole, "what was judged twice is told by nobody"
        return {name: self._sweep.told(name) for name in self._settings}


def sweep(
    log: Log, config: Config, plan: Plan, partitions: int, settings: Mapping[str, Config]
) -> dict[str, list[AlertEvent]]:
    """The events of each of `settings`, over the ledger that `config` left on `log`. The windows are computed again, once."""
    topics = config.topics()
    judged = Alongside(config, plan, settings)
    watch = OperationalWatch(config.namespace, config.labels, config.source_topics(), partitions)
    budget = BudgetWatch.of(config, plan)
    evaluator = Evaluator(plan, config.windows, RuleBook.of(config, plan), watch, partitions, budget)
    followers = [follow_from_start(log, topics.ledger, p) for p in range(partitions)]
    begin_with(evaluator, begun(log, topics), config.namespace)
    for evaluation in evaluations(log, topics.evals, log.end_offsets(topics.evals)[0]):
        for partition, end in enumerate(evaluation.ledger):
            followers[partition].catch_up(log, end, feeder(evaluator, partition))
        follow(evaluator, evaluation, config.namespace)
        if evaluation.unowned is not UNSET:
            evaluator.owners(evaluation.unowned)
        for output in evaluator.close():
            judged.observe(output)
    return judged.told()
