"""Whether a namespace that has begun could go on: its ledger against the topics that it is about, as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.adapters.findings import Finding
    from monitor.config.types import Config
    from monitor.ports import Log


def findings(log: Log, config: Config) -> list[Finding]:
    """An error for what `driftline run` would refuse: topics made again or with other partitions, records gone that are needed.

    Nothing where the namespace has not begun, or a source topic is not there: that is told by who looks at topics.
    """
    from monitor.adapters.findings import Finding, Level
    from monitor.cli.ledger_gap import sentence
    from monitor.daemon.gaps import missing
    from monitor.errors import LedgerError, MonitorError

    try:
        if any(log.topic(name) is None for name in (config.topics().ledger, *config.source_topics())):
            return []
        gone = list(missing(log, config))
    except LedgerError as error:
        return [Finding(Level.ERROR, "ledger", str(error))]
    except MonitorError:  # a right that is missing, topics that do not fit each other: the other findings say so
        return []
    hint = "`driftline run` refuses; `driftline ledger gap` shows it, and records that you go on without them"
    found = [Finding(Level.ERROR, "ledger", sentence(one), hint) for one in gone]
    return found or [Finding(Level.OK, "ledger", "every record that is needed is in its topic")]
