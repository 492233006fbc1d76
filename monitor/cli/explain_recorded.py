"""An alert as the recorded evaluations decide it: made again from the ledger, each under what was in force at its step.

A run over the topics goes by one configuration from the first record on. An alert whose rule changed while it fired, that began
with a rule or ended with one, comes out of no such run, only out of the sequence of configurations as it came into force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent
    from monitor.cli.explain_numbers import Kept
    from monitor.config.types import Config
    from monitor.plan import Plan
    from monitor.ports import Log


def decided_again(
    source: Log, config: Config, plan: Plan, event: AlertEvent, *, quiet: bool
) -> tuple[Kept, str] | None:
    """What the evaluations up to the event were given, with the digest of the configuration in force at the one that told it.

    None where none tells it, or where one of them comes out otherwise than it was recorded. Raises LedgerError where what they
    were made of is gone.
    """
    from monitor.cli.explain_numbers import Kept
    from monitor.cli.progress import StepProgress
    from monitor.daemon.replay.beginning import of_evaluations
    from monitor.daemon.replay.redecide import redecide

    topics, kept = config.topics(), Kept(event)
    if any(source.topic(name) is None for name in (topics.ledger, topics.evals, topics.checkpoints)):
        return None
    partitions, end = len(source.end_offsets(topics.ledger)), source.end_offsets(topics.evals)[0]
    begin = of_evaluations(source, topics, partitions, end)
    total = sum(source.end_offsets(topics.ledger))
    with StepProgress(quiet=quiet) as progress:
        for again in redecide(source, config, plan, partitions, end, begin, kept.observe):
            if again.difference is not None:
                return None
            if kept.told is not None:
                return kept, again.evaluation.rules
            progress.show("records of the ledger", sum(again.evaluation.ledger), total)
    return None
