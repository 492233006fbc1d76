"""The internal topics of a namespace, as they are made at the first start."""

from __future__ import annotations

from monitor.config.types import Topics
from monitor.ports import TopicSpec

ALERTS_KEPT_MS = 30 * 86_400_000


def internal_topics(topics: Topics, partitions: int) -> tuple[TopicSpec, ...]:
    """All of them, the ledger first; `partitions` as the sources have."""
    return (
        TopicSpec(topics.ledger, partitions),
        TopicSpec(topics.evals, 1),
        TopicSpec(topics.tasks, partitions),
        TopicSpec(topics.windows, partitions, compacted=True),
        TopicSpec(topics.alerts, 1, retention_ms=ALERTS_KEPT_MS),
        TopicSpec(topics.alerts_state, 1, compacted=True),
        TopicSpec(topics.configs, 1, compacted=True),
        TopicSpec(topics.checkpoints, partitions + 1, compacted=True, trimmed=True),
    )
