"""Snapshots in a compacted topic of a real broker: whoever takes over goes on from them, and nothing shows."""

from __future__ import annotations

import numpy as np

from monitor.adapters.kafka_log import KafkaLog
from monitor.adapters.snapshot_topic import PART_BYTES, SnapshotTopic
from monitor.ports import TopicSpec
from tests.kafka.deployment import differences, eventually, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import Deploy, deploy, january, produce

__all__ = ["deploy"]

OFTEN = (
    "state.max_batch_rows=300",
    "state.commit_interval=50ms",
    "state.snapshots=topic",
    "state.snapshot_records=500",
)


def test_a_killed_worker_is_succeeded_from_a_snapshot_in_the_topic(deploy: Deploy, fresh_topics: FreshTopics) -> None:
    saved, calm = fresh_topics("saved"), fresh_topics("calm")
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        arriving = produce(flights, secs=15)
        worker = flights.worker(saved, *OFTEN, until_end=False)
        eventually(lambda: snapshots(log, saved) > 2, 60, "snapshots are written", worker)
        worker.kill()
        succeed(*arriving, secs=120)
        last = flights.worker(saved, *OFTEN)
        succeed(last, flights.worker(calm), secs=180)
        assert f"goes on from snapshot {saved}.snapshots[" in last.said
        assert "cannot be used" not in last.said
        assert "cannot be written" not in last.said
        assert differences((flights.source, saved), (flights.source, calm)) == []
        assert january(flights, saved) == []
        info = log.topic(f"{saved}.snapshots")
        assert info is not None
        assert set(info.config["cleanup.policy"].split(",")) == {"compact", "delete"}
        log.close()


def test_more_than_one_record_takes_is_cut_and_older_ones_are_deleted(
    deploy: Deploy, fresh_topics: FreshTopics
) -> None:
    namespace, columns = fresh_topics("large"), [np.arange(2_000_000)]
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        log.ensure(TopicSpec(f"{namespace}.ledger", 1))
        store = SnapshotTopic(log, namespace)
        for name in ("01-a", "02-b", "03-c"):
            assert store.write(0, name, b"header", columns) == 16_000_014
        again = SnapshotTopic(log, namespace)
        assert again.paths(0) == [f"{namespace}.snapshots[0]/{name}" for name in ("03-c", "02-b")]
        for where in again.paths(0):
            np.testing.assert_array_equal(again.open(where).column("<i8", (2_000_000,)), columns[0])
        assert log.begin_offsets(f"{namespace}.snapshots")[0] >= 16_000_014 // PART_BYTES
        log.close()


def snapshots(log: KafkaLog, namespace: str) -> int:
    """How many records the topic has taken."""
    name = f"{namespace}.snapshots"
    return sum(log.end_offsets(name)) if log.topic(name) is not None else 0
