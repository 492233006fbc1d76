"""A flood of bad records: one alert, one pointer per range, and the rest of the stream joined as ever."""

from __future__ import annotations

import orjson

from monitor.config import Config, loads
from monitor.ports import OutRecord, TopicSpec
from tests.simulation.world import CONFIG, World, worker

START = 1_700_000_000_000


def config() -> Config:
    text = CONFIG.format(namespace="one", rows=40, lateness=60)
    return loads(text + "dead_letters: {flood: {ratio: 0.2, min_records: 50}}\n")


def test_a_flood_is_an_alert_and_pointers_and_ends_by_itself() -> None:
    log = World()
    log.paces["predictions"] = 250  # a flood is told from batch to batch
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    appender = log.appender()
    for i in range(600):
        record = {"id": f"p{i}", "model": "m", "version": "1", "at": START + 500 * i, "score": 0.5, "prediction": 1}
        raw = orjson.dumps({**record, "features": {"hue": "red"}})
        appender.append("predictions", 0, OutRecord(raw[:20] if 100 <= i < 300 else raw, b"key"))
    run = worker(log, config())
    run.run()
    letters = log.records("predictions.dlq")
    pointers = [
        orjson.loads(s.record.value or b"{}") for s in letters if (s.record.value or b"").startswith(b'{"topic"')
    ]
    copies = len(letters) - len(pointers)
    assert pointers
    assert copies + sum(p["count"] for p in pointers) == 200
    assert copies < 200
    told = [orjson.loads(s.record.value or b"{}") for s in log.records("one.alerts")]
    states = [e["type"].split(".")[3] for e in told if e["data"].get("condition") == "dead-letter-flood"]
    assert states == ["firing", "resolved"]
    assert log.records("one.ledger")
