"""A partition that nobody works on: the evaluator tells it, once, and when somebody does again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.daemon.owners import UNOWNED_AFTER_MS
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.adapters.memory import MemoryLeases
from tests.oracle.join import Label, Prediction
from tests.simulation.world import World, config, topics

START = 1_700_000_000_000
MINUTE_MS = 60_000


class Withholding(World):
    """A log whose group gives some partitions to nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.withheld: frozenset[int] = frozenset()

    def leases(self, topic: str, group: str) -> MemoryLeases:
        made, log = super().leases(topic, group), self

        class Some(MemoryLeases):
            def poll(self, timeout_ms: int) -> frozenset[int]:
                return super().poll(timeout_ms) - (log.withheld if topic.endswith(".tasks") else frozenset())

        return Some(self, made._group, made._member, made._partitions)


def worker(log: World) -> Worker:
    settings = config("one")
    made = Worker(log, settings, plan_of(settings), log.clock, dead_letters, WorkerOptions())
    made.start()
    return made


def go_on(log: World, run: Worker, ms: int) -> None:
    for _ in range(ms // 10_000):
        log.clock.advance(10_000)
        for _ in range(3):
            run.turn()


def told(log: World) -> list[dict[str, Any]]:
    events = [orjson.loads(s.record.value or b"{}") for s in log.records("one.alerts")]
    unique = {event["id"]: event for event in events}
    return [
        e["data"] | {"time": e["time"]} for e in unique.values() if e["data"].get("condition") == "partition-unowned"
    ]


def history(*, second: int = 20) -> Withholding:
    def predictions(count: int) -> list[Prediction]:
        return [
            Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0)
            for i in range(count)
        ]

    labels = [Label(id=f"p{i}", at=START + i, label=1.0) for i in range(20)]
    return topics([predictions(20), predictions(second)], [labels, labels if second else []], Withholding())


def test_a_partition_without_an_owner_is_an_alert_until_somebody_works_on_it() -> None:
    log = history()
    log.withheld = frozenset({1})
    run = worker(log)
    go_on(log, run, UNOWNED_AFTER_MS - MINUTE_MS)
    assert told(log) == []
    go_on(log, run, 2 * MINUTE_MS)
    (fired,) = told(log)
    assert (fired["scope"], fired["state"], fired["severity"]) == ("partition/1", "firing", "page")
    assert abs(fired["fired_ms"] - log.clock.now_ms()) < 2 * MINUTE_MS, "its time is that of the wall"
    log.withheld = frozenset()
    go_on(log, run, MINUTE_MS)
    assert [data["state"] for data in told(log)] == ["firing", "resolved"]
    run.close()


def test_the_next_evaluator_goes_on_from_what_was_recorded() -> None:
    log = history()
    log.withheld = frozenset({1})
    first = worker(log)
    go_on(log, first, UNOWNED_AFTER_MS + MINUTE_MS)
    first.close()
    second = worker(log)
    go_on(log, second, UNOWNED_AFTER_MS + MINUTE_MS)
    assert [data["state"] for data in told(log)] == ["firing"], "it is not told again, nor taken back"
    log.withheld = frozenset()
    go_on(log, second, MINUTE_MS)
    second.close()
    third = worker(log)
    go_on(log, third, MINUTE_MS)
    third.close()
    assert [data["state"] for data in told(log)] == ["firing", "resolved"]


@pytest.mark.parametrize("second", [0, 20])
def test_a_partition_with_nothing_to_read_is_nobodys_worry(second: int) -> None:
    log = history(second=second)
    run = worker(log)
    go_on(log, run, MINUTE_MS)
    log.withheld = frozenset({1})  # its owner goes when everything is read
    go_on(log, run, 2 * UNOWNED_AFTER_MS)
    assert told(log) == []
    run.close()
