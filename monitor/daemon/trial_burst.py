"""What a process that catches up takes beside rows and windows, found out by trying: what a partition gathers before its commit,
and what the commit itself takes. Memory that was taken once is not given back to the system, so it counts ever after.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np

from monitor.config.types import Config
from monitor.daemon.task import COMMIT_CELLS
from monitor.daemon.trial import SEED, START_MS, Dealt, Traffic
from monitor.ledger.fold import Chain
from monitor.partition import ROWS_PER_UPDATE, Flags
from monitor.plan import Plan


@dataclass(frozen=True, slots=True)
class Burst:
    """Bytes that each partition gathers, and those that the one that commits takes on top for a moment."""

    gathered: float
    committing: float

    def of(self, partitions: int) -> float:
        """Bytes of a process that owns so many."""
        return self.gathered * partitions + self.committing


def burst(config: Config, plan: Plan, traffic: Traffic) -> Burst:
    """Feed a partition, as fast as it goes, until its commit is due."""
    rng = np.random.default_rng(SEED)
    labelled = traffic.labelled if plan.has_labels else 0.0
    n = round(config.state.max_batch_rows / (1 + labelled))
    span_ms = round(1_000 * n / (traffic.rate / traffic.partitions))
    at = START_MS + np.sort(rng.integers(0, max(1, span_ms), n))
    some = np.flatnonzero(rng.random(n) < labelled)
    known = at[some] + min(traffic.delay_ms, config.time.horizon_ms)
    dealt = Dealt(config, plan, traffic.versions, rng)
    partition = dealt.partition()
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, n, ROWS_PER_UPDATE):
            until_ms = int(at[min(start + ROWS_PER_UPDATE, n) - 1]) + 1
            dealt.feed(partition, at, np.arange(n), (known, some), until_ms)
            if partition.commit_cells >= COMMIT_CELLS:
                break
        gathered = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.reset_peak()
        partition.commit(Chain(1, "0" * 32, 0, bytes(16)), Flags())
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()
    return Burst(gathered, peak - gathered)
