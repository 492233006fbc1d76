"""What a process counted since it started, for telemetry only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.events import RecordBatch, Rejected
from monitor.ingest.fed import Fed
from monitor.view import Durations


@dataclass(slots=True)
class Statistics:
    """What the process counted since it started, for telemetry only."""

    consumed: Counter[str] = field(default_factory=Counter)  # by topic
    rejected: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by topic, reason
    faults: Counter[str] = field(default_factory=Counter)  # by feature
    skipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by topic, reason
    unplaced: int = 0  # windows that were final when something came for them
    commit_durations: Durations = field(default_factory=Durations)

    def take(self, batch: RecordBatch, rejected: Sequence[Rejected], fed: Fed) -> None:
        """A batch was fed."""
        self.consumed[batch.topic] += len(batch)
        for record in rejected:
            self.rejected[batch.topic][record.reason] += 1
        self.faults.update(fed.faults)
        if fed.skipped:
            self.skipped[batch.topic].update(fed.skipped)

    def committed(self, took_ms: int) -> None:
        """A commit was acknowledged."""
        self.commit_durations = self.commit_durations.observe(1_000 * took_ms)
