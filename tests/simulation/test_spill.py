"""A worker that keeps a few rows in memory writes the ledger of one that keeps all, byte for byte."""

from __future__ import annotations

import itertools
import random
import secrets
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import OutRecord, SegmentStore
from tests.join.keeping import Store
from tests.oracle.join import Label, Prediction
from tests.simulation.world import CONFIG, World, finals, topics

START = 1_700_000_000_000
DISK = "memory_rows: 1000, directory: /scratch, "


def config(state: str = "", absent: bool = False, rows: int = 7) -> Config:
    text = CONFIG.format(namespace="one", rows=rows, lateness=60).replace("state: {", f"state: {{{state}")
    if absent:
        text = text.replace("label: $.label}", "label: $.label}\n    absent: {value: 0, after: 50s}")
    return loads(text)


def worker_of(log: World, settings_: Config, store: SegmentStore | None, budget: int, *, until_end: bool) -> Worker:
    options = WorkerOptions(until_end=until_end)
    made = Worker(log, settings_, plan_of(settings_), log.clock, dead_letters, options, segments=store)
    if made.shared.memory is not None:
        made.shared.memory.limit_rows = made.shared.memory._next = budget
    return made


def run(log: World, settings_: Config, rng: random.Random, store: Store | None, budget: int) -> None:
    """Turns at changing paces, a crash now and then, and at last to the end."""
    tokens = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda _: f"{next(tokens):016x}")
        while rng.random() < 0.6:
            worker = worker_of(log, settings_, store, budget, until_end=False)
            worker.start()
            for _ in range(rng.randint(1, 12)):
                log.paces = {"predictions": rng.randint(1, 6), "labels": rng.randint(1, 6)}
                worker.turn()
            worker._task_leases.close()  # killed: whoever comes next finds only what the logs hold
            worker._judge_leases.close()
            if store is not None:
                store.close()
        log.paces = {"predictions": rng.randint(1, 9), "labels": rng.randint(1, 9)}
        worker_of(log, settings_, store, budget, until_end=True).run()


def ledger(log: World, partitions: int) -> list[list[bytes | None]]:
    return [[s.record.value for s in log.records("one.ledger", p)] for p in range(partitions)]


moments = st.integers(0, 400)
ids = st.sampled_from("abcdefgh")
predictions = st.lists(
    st.builds(
        lambda at, i, y, v, w: Prediction(
            id=i,
            model="m",
            version=v,
            at=START + 1_000 * at,
            score=0.5,
            prediction=y,
            withdrawn=w,
            segments={"hue": "red"},
        ),
        moments,
        ids,
        st.sampled_from([0.0, 1.0]),
        st.sampled_from("12"),
        st.sampled_from([False] * 9 + [True]),
    ),
    max_size=30,
)
labels = st.lists(
    st.builds(
        lambda at, i, y: Label(id=i, at=START + 1_000 * at, label=y),
        moments,
        ids,
        st.sampled_from([0.0, 1.0, 1.0, None]),
    ),
    max_size=30,
)


@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(predictions, predictions, labels, labels, st.booleans(), st.sampled_from([0, 2, 6]), st.integers(0, 1 << 30))
def test_the_ledger_is_the_same_byte_for_byte(
    p0: list[Prediction], p1: list[Prediction], q0: list[Label], q1: list[Label], absent: bool, budget: int, seed: int
) -> None:
    logs = [topics([p0, p1], [q0, q1]) for _ in range(2)]
    store = Store()
    run(logs[0], config("", absent), random.Random(seed), None, budget)
    run(logs[1], config(DISK, absent), random.Random(seed), store, budget)
    assert ledger(logs[1], 2) == ledger(logs[0], 2)
    assert finals(logs[1], "one") == finals(logs[0], "one")
    assert not store.kept, "nothing is left when everything has settled"


def test_a_full_disk_is_an_alert_and_predictions_wait_until_there_is_room() -> None:
    log = topics([[]], [[]])
    appender = log.appender()

    def send(topic: str, record: dict[str, Any]) -> None:
        appender.append(topic, 0, OutRecord(orjson.dumps(record)))

    def states() -> list[str]:
        events = [orjson.loads(s.record.value or b"{}") for s in log.records("one.alerts")]
        return [e["data"]["state"] for e in events if e["data"].get("condition") == "join-full"]

    def predict(i: int) -> None:
        said = {"id": f"p{i}", "model": "m", "version": "1", "at": START + 10 * i, "score": 0.9, "prediction": 1}
        send("predictions", said)

    for i in range(1_500):
        predict(i)
    store = Store()
    store.full = True
    worker = worker_of(log, config(DISK, rows=50), store, 1_000, until_end=False)
    worker.start()
    log.paces = {"predictions": 100}
    for _ in range(60):
        worker.turn()
    engine = worker.tasks[0].engine
    assert 1_000 <= engine.join.held[0] < 1_500, "reading stopped at the budget, not at the end"
    assert states() == ["firing"]
    assert worker.capacity.full == {0}
    send("labels", {"id": "p3", "at": START + 60_000, "label": 1})
    for _ in range(20):
        worker.turn()
    assert engine.join.prediction_outcomes.matched == 1, "labels go on"
    store.full = False
    log.clock.advance(10_000)
    for _ in range(60):
        worker.turn()
    assert engine.join.held[0] == 1_500, "nothing that waited is lost"
    assert store.kept
    assert not worker.capacity.full
    for i in range(1_500, 1_510):
        predict(i + 10_000)
    for i in range(3):
        send("labels", {"id": f"q{i}", "at": START + 120_000 + i, "label": 1})
    for _ in range(60):
        worker.turn()
    assert states() == ["firing", "resolved"]


def test_a_partition_that_is_given_back_leaves_no_files() -> None:
    log = topics(
        [[Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0) for i in range(90)]],
        [[]],
    )
    store = Store()
    worker = worker_of(log, config(DISK), store, 10, until_end=False)
    worker.start()
    log.paces = {"predictions": 20}
    for _ in range(20):
        worker.turn()
    assert store.kept
    worker._drop(0)
    assert not store.kept
