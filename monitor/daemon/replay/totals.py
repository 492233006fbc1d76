"""The totals of a settled run, read from its ledger."""

from __future__ import annotations

from monitor.backtest.totals import Adding, Totals
from monitor.config.types import Config
from monitor.daemon.tail import Stored, follow_from_start
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Commit
from monitor.plan import Plan
from monitor.ports import Log


def totals(log: Log, config: Config, plan: Plan, partitions: int) -> Totals:
    """What the ledger on `log` adds up to; it must be there from its beginning."""
    ledger = config.topics().ledger
    adding = Adding(plan)
    lost = {"predictions": 0, "labels": 0}
    for partition in range(partitions):

        def feed(stored: Stored, verdict: Verdict, partition: int = partition) -> None:
            if verdict is Verdict.ACCEPTED and isinstance(stored.record, Commit):
                adding.feed(partition, stored.record)

        follower = follow_from_start(log, ledger, partition)
        follower.catch_up(log, log.end_offsets(ledger)[partition], feed)
        lost["predictions"] += follower.state.lost_predictions
        lost["labels"] += follower.state.lost_labels
    return adding.totals(lost)
