"""The internal topics of a namespace, as they are made at the first start."""

from __future__ import annotations

from monitor.config.types import Topics
from monitor.daemon.sources import SourceWatch
from monitor.ports import Log, TopicSpec

ALERTS_KEPT_MS = 30 * 86_400_000


def internal_topics(topics: Topics, partitions: int) -> tuple[TopicSpec, ...]:
    """All of them, the ledger first; `partitions` as the sources have."""
    return (
        TopicSpec(topics.ledger, partitions, large=True),
        TopicSpec(topics.evals, 1),
        TopicSpec(topics.tasks, partitions),
        TopicSpec(topics.windows, partitions, compacted=True),
        TopicSpec(topics.alerts, 1, retention_ms=ALERTS_KEPT_MS),
        TopicSpec(topics.alerts_state, 1, compacted=True),
        TopicSpec(topics.configs, 1, compacted=True),
        TopicSpec(topics.checkpoints, partitions + 1, compacted=True, trimmed=True),
    )


def ensure_topics(log: Log, topics: Topics, partitions: int, watch: SourceWatch) -> None:
    """Create those that do not exist. Raises LedgerError when the ledger has other partitions than the sources."""
    ledger, *others = internal_topics(topics, partitions)
    watch.refuse_other_partitions(log.ensure(ledger).partitions)
    for spec in others:
        log.ensure(spec)
