"""A worker at state.max_rows: predictions wait, an alert says so, nothing is lost; it ends when there is room again."""

from __future__ import annotations

from typing import Any

import orjson

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.ledger.records import Commit, decode
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog
from tests.simulation.world import CONFIG

START = 1_700_000_000_000
LIMIT = 1_000
PARTITIONS = 2


def config() -> Config:
    text = CONFIG.format(namespace="one", rows=50, lateness=60)
    return loads(text.replace("state: {", f"state: {{max_rows: {LIMIT}, "))


def start(log: MemoryLog) -> Worker:
    worker = Worker(log, config(), plan_of(config()), log.clock, dead_letters, WorkerOptions())
    worker.start()
    return worker


def turns(worker: Worker, times: int = 60) -> None:
    for _ in range(times):
        worker.turn()


def held(worker: Worker) -> int:
    return sum(len(task.engine.join.predictions) for task in worker.tasks.values())


def test_a_full_join_is_an_alert_that_a_restart_does_not_end_and_room_does() -> None:
    log = MemoryLog(ManualClock(START + 10_000_000))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, PARTITIONS))
    appender = log.appender()

    def send(topic: str, record: dict[str, Any]) -> None:
        for partition in range(PARTITIONS):
            appender.append(topic, partition, OutRecord(orjson.dumps({**record, "id": f"{record['id']}-{partition}"})))

    def states() -> list[tuple[str, str]]:
        events = {e["id"]: e for e in (orjson.loads(s.record.value or b"{}") for s in log.records("one.alerts"))}
        return [
            (e["data"]["scope"], e["data"]["state"])
            for e in events.values()
            if e["data"].get("condition") == "join-full"
        ]

    for i in range(4 * LIMIT):
        send(
            "predictions",
            {"id": f"p{i}", "model": "m", "version": "1", "at": START + 1_000 * i, "score": 0.9, "prediction": 1},
        )
    worker = start(log)
    turns(worker)
    assert LIMIT <= held(worker) < LIMIT + 500 * PARTITIONS, "of both partitions together"
    firing = [("partition/0", "firing"), ("partition/1", "firing")]
    assert states() == firing
    at_first = held(worker)
    for _ in range(3):
        worker.close()
        worker = start(log)
        turns(worker)
        assert states() == firing
    assert held(worker) == at_first, "a start reads nothing that does not fit"
    send("labels", {"id": "late", "at": START + 9_000_000, "label": 1})  # settles what lies behind the horizon
    for i in range(3):  # the clock believes three
        send("labels", {"id": f"later{i}", "at": START + 9_000_000 + i, "label": 1})
    turns(worker, 400)
    assert sorted(states()) == sorted([*firing, ("partition/0", "resolved"), ("partition/1", "resolved")])
    read = [worker.tasks[partition].engine.next_offsets[0] for partition in range(PARTITIONS)]
    assert read == [4 * LIMIT] * PARTITIONS, "nothing that waited is lost"
    commits = [decode(s.record.value or b"", "a record") for s in log.records("one.ledger", 0)]
    flags = [commit.full is True for commit in commits if isinstance(commit, Commit)]
    assert flags[-1] is False
    assert any(flags)
