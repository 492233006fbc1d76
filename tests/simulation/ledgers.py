"""Ledgers that a simulated run left."""

from __future__ import annotations

from monitor.ledger.audit import Audit
from monitor.ledger.records import Commit, decode
from tests.adapters.memory import MemoryLog
from tests.checker import audit


def last_commits(log: MemoryLog, namespace: str, partitions: int) -> list[Commit]:
    """The last commit of each partition, from a ledger that both audits find whole: the checker's and the product's."""
    found = []
    for partition in range(partitions):
        values = [stored.record.value for stored in log.records(f"{namespace}.ledger", partition)]
        assert audit.violations(audit.walk(partition, values)) == []
        ours = Audit(partition)
        for offset, value in enumerate(values):
            assert value is not None
            ours.feed(offset, decode(value, "ledger"), value)
        assert ours.violations == []
        assert ours.state.commit is not None
        found.append(ours.state.commit)
    return found
