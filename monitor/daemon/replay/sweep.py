"""A settled run's ledger judged once more, by other rules than its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.event import AlertEvent, BudgetAlert, OperationalAlert, RuleAlert
from monitor.alerts.operational import OperationalWatch
from monitor.alerts.traffic import BY_TICKS
from monitor.backtest.variants import Variant, VariantBook
from monitor.config.types import Config
from monitor.daemon.replay.redecide import feeder
from monitor.daemon.rules_in_force import evaluations
from monitor.daemon.tail import follow_from_start
from monitor.evaluator import Evaluator
from monitor.plan import Plan
from monitor.ports import Log


def sweep(
    log: Log, config: Config, plan: Plan, partitions: int, rules: Mapping[str, Config]
) -> dict[str, list[AlertEvent]]:
    """The events of each of `rules` (name -> a configuration of the same meaning), over the ledger that `config` left on
    `log`. The windows are computed once. Alerts about traffic and those
    of the budget, which rules do not decide, are in all of them."""
    topics = config.topics()
    book = VariantBook.of(config, plan)
    assert isinstance(book, VariantBook)
    book.variants = [Variant(name, RuleBook.of(other, plan)) for name, other in rules.items()]
    watch = OperationalWatch(config.namespace, config.labels, config.source_topics(), partitions)
    budget = BudgetWatch.of(config, plan)
    evaluator = Evaluator(plan, config.windows, book, watch, partitions, budget)
    followers = [follow_from_start(log, topics.ledger, p) for p in range(partitions)]
    shared: list[AlertEvent] = []
    for evaluation in evaluations(log, topics.evals, log.end_offsets(topics.evals)[0]):
        for partition, end in enumerate(evaluation.ledger):
            followers[partition].catch_up(log, end, feeder(evaluator, partition))
        if evaluation.unowned is not UNSET:
            evaluator.owners(evaluation.unowned)
        shared += _beside_rules([event for output in evaluator.close() for event in output.events])
    return {variant.name: [*variant.events, *shared] for variant in book.variants}


def _beside_rules(events: Sequence[AlertEvent]) -> list[AlertEvent]:
    return [e for e in events if not isinstance(e.data, RuleAlert) and _is_kept(e.data)]


def _is_kept(data: OperationalAlert | BudgetAlert) -> bool:
    return isinstance(data, BudgetAlert) or data.condition in BY_TICKS
