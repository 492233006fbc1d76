"""Both proofs over a log in memory, as `driftline replay --verify` makes them."""

from __future__ import annotations

from monitor.adapters import dead_letters
from monitor.adapters.comparison import DiskDecisions
from monitor.config import Config
from monitor.daemon.counted import as_begun, counted
from monitor.daemon.replay.compare import Again, live_run
from monitor.daemon.replay.differences import Difference
from monitor.daemon.replay.rerun import rerun
from monitor.daemon.replay.verify import Verified, verify
from monitor.daemon.sources import source_topics
from monitor.plan import Plan, plan_of
from tests.adapters.memory import MemoryLog


def prove(log: MemoryLog, config: Config, *, held: bool = False, from_ms: int = 0) -> Verified:
    """With the recorded decisions."""
    decisions = DiskDecisions()
    try:
        return verify(log, config, counted(log, config, plan_of(config)), decisions, held=held, from_ms=from_ms)
    finally:
        decisions.close()


def run_again(log: MemoryLog, config: Config, plan: Plan | None = None) -> tuple[Again, list[Difference]]:
    """Without them; `plan`: where it is not that of the configuration."""
    decisions, plan = DiskDecisions(), plan or as_begun(log, config, plan_of(config))
    try:
        live = live_run(log, config, plan, source_topics(log, config))
        again = Again(config, live, decisions)
        own = MemoryLog(log.clock)
        before = {name: log.end_offsets(name) for name in log._topics}
        worker = rerun(
            log, own, config, plan.of_edition(live.edition), live.spans, own.clock, dead_letters, again.observe
        )
        worker.run()
        assert worker.finished
        assert {name: log.end_offsets(name) for name in log._topics} == before, "a replay wrote to the log it reads"
        return again, [each.difference for each in again.compare(log) if each.difference is not None]
    finally:
        decisions.close()


def sentences(found: list[Difference]) -> list[str]:
    """What people are told."""
    return [difference.sentence() for difference in found]
