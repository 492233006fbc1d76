"""A flood of bad records: one alert, one pointer per range, and the rest of the stream joined as ever."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import UNSET

from monitor.config import Config, loads
from monitor.ledger.records import Commit, decode
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog
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
    assert {e["data"]["scope"] for e in told if "scope" in e["data"]} == {"predictions/partition/0"}
    assert log.records("one.ledger")


def test_a_flood_of_records_that_are_all_bad_has_the_time_of_the_log() -> None:
    log = MemoryLog(ManualClock(START))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    for _ in range(60):
        log.appender().append("labels", 0, OutRecord(b"no JSON", b"key"))
    worker(log, config()).run()
    told = [orjson.loads(s.record.value or b"{}") for s in log.records("one.alerts.state")]
    (fired,) = [each for each in told if each["data"]["condition"] == "dead-letter-flood"]
    assert fired["subject"] == "dead-letter-flood/labels%2Fpartition%2F0"
    assert (fired["data"]["state"], fired["data"]["fired_ms"]) == ("firing", START)


def test_a_flood_goes_on_under_the_next_owner_to_where_it_would_have_ended() -> None:
    """Bad records; an owner that leaves in the middle of the stretch that ends the flood; another one for the rest."""
    log = MemoryLog(ManualClock(START + 10_000_000))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    good = orjson.dumps({"id": "p", "at": START, "label": 1})

    def append(count: int, value: bytes) -> None:
        for _ in range(count):
            log.appender().append("labels", 0, OutRecord(value, b"key"))

    def own(*sent: tuple[int, bytes]) -> None:
        run = worker(log, config())
        run.options.until_end = False
        run.start()
        for count, value in sent:
            append(count, value)
            while not run.tasks or run.tasks[0].engine.next_offsets[1] < log.end_offsets("labels")[0]:
                run.turn()
            run._commit_all(force=True)
        run.close()

    own((60, b"no JSON"), (30, good))
    own((10, good))
    own((10, good))
    commits = [r for s in log.records("one.ledger") if isinstance(r := decode(s.record.value or b"", "it"), Commit)]
    found = [(c.labels[1], None if c.floods is UNSET else c.floods[0].records) for c in commits]
    assert found == [(60, 0), (90, 30), (100, 40), (110, None)]


def a_stream(log: World, values: list[bytes]) -> None:
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    for value in values:
        log.appender().append("predictions", 0, OutRecord(value, b"key"))


def prediction(i: int, **changes: object) -> bytes:
    record = {"id": f"p{i}", "model": "m", "version": "1", "at": START + 500 * i, "score": 0.5, "prediction": 1}
    return orjson.dumps({k: v for k, v in {**record, "features": {"hue": "red"}, **changes}.items() if v is not ...})


def unreadable(log: World) -> list[dict[str, Any]]:
    told = [orjson.loads(stored.record.value or b"{}") for stored in log.records("one.alerts")]
    once = {event["id"]: event["data"] for event in told}
    return [data for data in once.values() if data.get("condition") == "records-unreadable"]


def test_a_field_that_is_gone_pages_after_twenty_records_and_ends_with_the_first_that_can_be_used() -> None:
    log = World()
    log.paces["predictions"] = 3
    renamed = [prediction(i, score=..., proba=0.5, prediction=...) for i in range(40, 140)]
    a_stream(log, [*(prediction(i) for i in range(40)), *renamed, *(prediction(i) for i in range(140, 230))])
    worker(log, config()).run()
    fired, resolved = unreadable(log)
    assert (fired["state"], fired["severity"], resolved["state"]) == ("firing", "page", "resolved")
    assert (fired["scope"], fired["facts"]["reason"]) == ("predictions/partition/0", "missing")
    assert START + 39 * 500 <= fired["tick_ms"] < START + 140 * 500


def test_fewer_or_others_between_them_page_nobody() -> None:
    log = World()
    log.paces["predictions"] = 3
    bad = [prediction(i, score=..., prediction=...) for i in range(19)]
    a_stream(log, [*bad, prediction(50), *bad, prediction(51)])
    worker(log, config()).run()
    assert unreadable(log) == []


def test_models_that_are_not_listed_are_no_reason() -> None:
    log = World()
    a_stream(log, [prediction(i, model="another") for i in range(60)])
    worker(log, config()).run()
    assert unreadable(log) == []


def test_what_is_unreadable_outlives_its_owner_and_is_told_once() -> None:
    log = World()
    a_stream(log, [prediction(i, at=...) for i in range(30)])
    first = worker(log, config())
    first.options.until_end = False
    first.start()
    for _ in range(20):
        first.turn()
    first.close()
    assert [data["state"] for data in unreadable(log)] == ["firing"]
    for i in range(3):
        log.appender().append("predictions", 0, OutRecord(prediction(100 + i), b"key"))
    log.clock.advance(log.session_ms + 1)
    worker(log, config()).run()
    assert [data["state"] for data in unreadable(log)] == ["firing", "resolved"]
