"""What was decided by a clock of the wall or by how records were read is replayed as it was recorded, and told apart."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import orjson
from msgspec import UNSET

from monitor.config import Config
from monitor.daemon.owners import UNOWNED_AFTER_MS
from monitor.ledger.records import Commit, EvalCommit, decode, digest_of, encode
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog
from tests.replay.proving import prove, run_again, sentences
from tests.simulation import quality, test_flood, test_silent_feed, test_unowned
from tests.simulation.test_label_feed import Deployment
from tests.simulation.world import config, worker

START = 1_700_000_000_000


def operational(log: MemoryLog, namespace: str = "one") -> set[str]:
    """The conditions that were told."""
    events = [orjson.loads(s.record.value or b"{}") for s in log.records(f"{namespace}.alerts")]
    return {event["data"]["condition"] for event in events if "condition" in event["data"]}


def commits(log: MemoryLog) -> list[Commit]:
    told = [decode(s.record.value or b"", "ledger") for s in log.records("one.ledger")]
    return [record for record in told if isinstance(record, Commit)]


def assert_identical(log: MemoryLog, settings: Config) -> None:
    assert sentences(prove(log, settings).differences) == []
    assert sentences(run_again(log, settings)[1]) == []


def a_flood() -> MemoryLog:
    log = MemoryLog(ManualClock(START + 10_000_000))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    appender = log.appender()
    for i in range(600):
        record = {"id": f"p{i}", "model": "m", "version": "1", "at": START + 500 * i, "score": 0.5, "prediction": 1}
        raw = orjson.dumps({**record, "features": {"hue": "red"}})
        appender.append("predictions", 0, OutRecord(raw[:20] if 100 <= i < 300 else raw, b"key"))
    worker(log, test_flood.config()).run()
    assert operational(log) == {"dead-letter-flood"}
    return log


def test_a_flood() -> None:
    log = a_flood()
    assert any(commit.flooding for commit in commits(log))
    assert_identical(log, test_flood.config())


def test_a_flood_that_an_earlier_version_recorded_without_its_stream() -> None:
    log = a_flood()
    records = log._of("one.ledger").partitions[0].records
    chain = b""
    for place, stored in enumerate(records):
        record = decode(stored.record.value or b"", "ledger")
        if isinstance(record, Commit):
            record = msgspec.structs.replace(record, floods=UNSET, previous=chain)
        raw = encode(record)
        chain = digest_of(raw)
        records[place] = replace(stored, record=replace(stored.record, value=raw))
    done = prove(log, test_flood.config())
    assert done.commits == len(commits(log))
    assert [d for d in done.differences if d.what == "commit"] == []


def test_a_partition_without_an_owner() -> None:
    log = test_unowned.history()
    log.withheld = frozenset({1})
    run = test_unowned.worker(log)
    test_unowned.go_on(log, run, UNOWNED_AFTER_MS + 60_000)
    log.withheld = frozenset()
    test_unowned.go_on(log, run, 60_000)
    run.close()
    assert operational(log) == {"partition-unowned"}
    told = [decode(s.record.value or b"", "evals") for s in log.records("one.evals")]
    assert sum(isinstance(e, EvalCommit) and e.unowned is not UNSET for e in told) == 2
    assert_identical(log, config("one"))


def test_silence_of_predictions_and_of_partitions() -> None:
    d = Deployment(test_silent_feed.config())
    d.step(0, 1, times=5)
    d.step(predictions=False, times=10)
    d.restart()
    d.step(0, 1, times=4)
    assert operational(d.log) == {"predictions-silent"}
    assert any(commit.silent is True for commit in commits(d.log))
    assert any(commit.idle for commit in commits(d.log))
    assert sentences(prove(d.log, test_silent_feed.config()).differences) == []
    live = run_again(d.log, test_silent_feed.config())[0]._live
    assert min(live.decisions[name] for name in ("idle", "silent")) > 0


def test_alerts_about_traffic_are_made_again_without_decisions_too() -> None:
    """They are operational, but decided by ticks of event time."""
    chance = random.Random(3)
    log = MemoryLog(ManualClock(START + 10_000_000))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    appender = log.appender()
    for i in range(300):
        model = "n" if 100 <= i < 200 or chance.random() < 0.5 else "m"
        record = {"id": f"p{i}", "model": model, "version": "1", "at": START + 2_000 * i, "score": 0.5}
        record["features"] = {"distance": chance.choice([100, 9_000]), "carrier": chance.choice(["AA", "XX", None])}
        appender.append("predictions", 0, OutRecord(orjson.dumps(record)))
    worker(log, quality.config()).run()
    assert operational(log) >= {"model-silent"}
    again, found = run_again(log, quality.config())
    assert (sentences(found), again.alerts > 3) == ([], True)
    assert_identical(log, quality.config())
    lost = next(s for s in log.records("one.alerts") if b"model-silent" in (s.record.value or b""))
    records = log._of("one.alerts").partitions[0].records
    other = next(s for s in records if s.record.value != lost.record.value)
    for place, stored in enumerate(records):
        if stored.record.value == lost.record.value:
            records[place] = replace(stored, record=other.record)
    (first,) = run_again(log, quality.config())[1]
    assert first.where["subject"].startswith("model-silent/")
