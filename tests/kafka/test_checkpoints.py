"""Checkpoints and trimming on a real broker: workers are killed, the ledger is cut off below them, nothing shows."""

from __future__ import annotations

import time

from monitor.adapters.kafka_log import KafkaLog
from tests.checker import windows
from tests.checker.sources import flat
from tests.kafka.deployment import Deployment, differences, eventually, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import Deploy, deploy, january, produce

__all__ = ["deploy"]

OFTEN = ("state.max_batch_rows=300", "state.commit_interval=50ms", "state.checkpoint_records=8")


def test_killed_workers_go_on_from_checkpoints_of_a_trimmed_ledger(deploy: Deploy, fresh_topics: FreshTopics) -> None:
    saved, calm = fresh_topics("saved"), fresh_topics("calm")
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        arriving = produce(flights, secs=35)
        worker = flights.worker(saved, *OFTEN, "state.trim=true", until_end=False)
        eventually(lambda: begins(log, saved) > 0, 60, "the ledger is trimmed", worker)
        for _ in range(3):
            worker.kill()
            worker = flights.worker(saved, *OFTEN, "state.trim=true", until_end=False)
            time.sleep(4)
        succeed(*arriving, secs=120)
        worker.kill()
        last = flights.worker(saved, *OFTEN, "state.trim=true")
        succeed(last, flights.worker(calm), secs=180)
        assert "evaluator: goes on from checkpoint evals/" in last.said
        assert differences((flights.source, saved), (flights.source, calm)) == []
        assert january(flights, saved) == []
        assert windows.alerts_of(flat(flights.source.read(f"{saved}.alerts")))[0], "no alert was compared"
        assert log.begin_offsets(f"{saved}.evals")[0] > 0
        audit_holds(flights, saved)
        verify = flights.start("replay", "--verify", *flights.config(saved, *OFTEN, "state.trim=true"))
        assert verify.wait(120) == 0, verify.said
        assert "the ledger is trimmed: checkpoint evals/" in verify.said


def begins(log: KafkaLog, namespace: str) -> int:
    """How many records of the ledger were deleted."""
    if log.topic(f"{namespace}.ledger") is None:
        return 0
    return sum(log.begin_offsets(f"{namespace}.ledger"))


def audit_holds(flights: Deployment, namespace: str) -> None:
    audit = flights.start("ledger", "audit", *flights.config(namespace))
    assert audit.wait(60) == 0, audit.said
    assert "trimmed; read from the checkpoint at offset" in audit.said
