"""Rules may change at a restart: what was decided stays decided, alerts of rules that are gone end."""

from __future__ import annotations

import orjson

from monitor.adapters import dead_letters
from monitor.config import loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.adapters.memory import MemoryLog
from tests.oracle.join import Label, Prediction
from tests.simulation.world import CONFIG, topics

START = 1_700_000_000_000
EDITED = CONFIG.replace("{name: bad,", "{name: worse,")


def events(log: MemoryLog) -> list[tuple[str, str, str]]:
    """(rule, change, reason) of every alert published, each once, in order."""
    by_id: dict[str, tuple[str, str, str]] = {}
    for stored in log.records("one.alerts"):
        event = orjson.loads(stored.record.value or b"{}")
        by_id.setdefault(event["id"], (event["data"]["rule"], event["type"].split(".")[3], event["data"]["reason"]))
    return list(by_id.values())


def run(log: MemoryLog, text: str, *, until_end: bool) -> None:
    config = loads(text.format(namespace="one", rows=1_000, lateness=60))
    worker = Worker(log, config, plan_of(config), log.clock, dead_letters, WorkerOptions(until_end=until_end))
    if not until_end:
        turns = 0

        def count(_: Worker) -> None:
            nonlocal turns
            turns += 1
            if turns > 60:
                worker.stop()

        worker._tell = count
    worker.run()


def test_an_alert_of_a_rule_that_is_gone_ends_and_the_new_rule_goes_on() -> None:
    at = [START + 1_000 * s for s in range(0, 200, 2)]
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=t, score=0.9, prediction=1.0, segments={"hue": "red"})
        for i, t in enumerate(at)
    ]
    labels = [Label(id=f"p{i}", at=t + 1_000, label=0.0) for i, t in enumerate(at)]
    log = topics([predictions], [labels])
    run(log, CONFIG, until_end=False)
    assert ("bad", "firing", "sustained") in events(log)
    said = len(events(log))
    run(log, EDITED, until_end=False)
    assert events(log)[said] == ("bad", "resolved", "rule_gone")
    run(log, EDITED, until_end=True)
    assert ("worse", "firing", "sustained") in events(log)
