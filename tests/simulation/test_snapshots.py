"""Snapshots of joins: the ledger goes on the same with them and without, and none that is wrong is believed."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from monitor.adapters import dead_letters
from monitor.adapters.snapshot_topic import SnapshotTopic
from monitor.adapters.snapshots import SnapshotDirectory
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import SnapshotStore
from tests.join.keeping import Store
from tests.oracle.join import Label, Prediction
from tests.simulation.world import CONFIG, World, finals, topics

START = 1_700_000_000_000


def config(namespace: str = "one", state: str = "", lateness: int = 60) -> Config:
    text = CONFIG.format(namespace=namespace, rows=7, lateness=lateness)
    return loads(text.replace("state: {", f"state: {{snapshots: /snapshots, snapshot_records: 5, {state}"))


def worker_of(log: World, settings: Config, store: SnapshotStore | None, *, until_end: bool = False) -> Worker:
    spill = Store() if settings.state.memory_rows else None
    options = WorkerOptions(until_end=until_end)
    made = Worker(log, settings, plan_of(settings), log.clock, dead_letters, options, segments=spill, snapshots=store)
    if made.shared.memory is not None:
        made.shared.memory.limit_rows = made.shared.memory._next = 3
    return made


def records(seed: int) -> tuple[list[Prediction], list[Label]]:
    rng = random.Random(seed)
    predictions = [
        Prediction(
            id=rng.choice("abcdefghijkl"), model="m", version=rng.choice("12"),
            at=START + 1_000 * (2 * i + rng.randint(0, 90)), score=rng.choice([0.25, 0.5]),
            prediction=rng.choice([0.0, 1.0]), withdrawn=rng.random() < 0.1, segments={"hue": "red"},
        )
        for i in range(60)
    ]  # fmt: skip
    labels = [
        Label(
            id=rng.choice("abcdefghijkl"),
            at=START + 1_000 * (2 * i + rng.randint(0, 90)),
            label=rng.choice([0.0, 1.0, None]),
        )
        for i in range(60)
    ]
    return predictions, labels


def lives(log: World, settings: Config, seed: int, store: SnapshotStore | None) -> None:
    """A few lives that end in a crash, and one to the end."""
    rng, tokens = random.Random(seed), count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda _: f"{next(tokens):016x}")
        for _ in range(4):
            worker = worker_of(log, settings, store)
            worker.start()
            for _ in range(rng.randint(4, 14)):
                log.paces = {"predictions": rng.randint(1, 6), "labels": rng.randint(1, 6)}
                worker.turn()
            worker._task_leases.close()
            worker._judge_leases.close()
        log.paces = {}
        worker_of(log, settings, store, until_end=True).run()


@pytest.mark.parametrize("state", ["", "memory_rows: 1000, directory: /scratch, "])
@pytest.mark.parametrize("seed", range(3))
def test_final_windows_and_what_is_held_are_the_same_with_snapshots(
    tmp_path: Path, seed: int, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logs = [topics([records(seed)[0]], [records(seed)[1]]) for _ in range(2)]
    lives(logs[0], config(), seed, None)
    lives(logs[1], config(state=state), seed, SnapshotDirectory(tmp_path, "one"))
    ledgers = [[stored.record.value for stored in log.records("one.ledger", 0)] for log in logs]
    assert len(ledgers[1]) == len(ledgers[0])
    assert finals(logs[1], "one") == finals(logs[0], "one")
    assert "goes on from snapshot" in caplog.text
    assert "cannot be used" not in caplog.text
    assert len(list(tmp_path.glob("one/0/*.snapshot"))) == 2, "older ones are removed"
    assert not list(tmp_path.glob("one/0/*.unfinished"))


@pytest.mark.parametrize("seed", range(3))
def test_final_windows_are_the_same_with_snapshots_in_a_topic(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logs = [topics([records(seed)[0]], [records(seed)[1]]) for _ in range(2)]
    lives(logs[0], config(), seed, None)
    lives(logs[1], config(), seed, SnapshotTopic(logs[1], "one"))
    ledgers = [[stored.record.value for stored in log.records("one.ledger", 0)] for log in logs]
    assert len(ledgers[1]) == len(ledgers[0])
    assert finals(logs[1], "one") == finals(logs[0], "one")
    assert "goes on from snapshot one.snapshots[0]/" in caplog.text
    assert "cannot be used" not in caplog.text
    assert len(SnapshotTopic(logs[1], "one").paths(0)) == 2


def opened(log: World, settings: Config, store: SnapshotDirectory) -> tuple[Worker, int]:
    """A worker with its partition open, and how many records it read again."""
    worker = worker_of(log, settings, store)
    worker.start()
    worker.turn()
    return worker, worker.tasks[0].rebuilt_rows


def begun(tmp_path: Path) -> tuple[World, SnapshotDirectory, list[Path], int]:
    """A partition with two snapshots, and how much a start without them reads again."""
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.5, prediction=1.0) for i in range(30)
    ]
    log = topics([predictions], [[]])
    store = SnapshotDirectory(tmp_path, "one")
    log.paces = {"predictions": 8, "labels": 8}
    worker = worker_of(log, config(), store)
    worker.start()
    for _ in range(9):
        worker.turn()
    worker.close()
    paths = [Path(path) for path in store.paths(0)]
    assert len(paths) == 2
    return log, store, paths, 30


def test_only_what_came_after_the_newest_is_read_again(tmp_path: Path) -> None:
    log, store, paths, everything = begun(tmp_path)
    worker, newest = opened(log, config(), store)
    worker.close()
    paths[0].unlink()
    worker, older = opened(log, config(), store)
    assert newest < older < everything
    assert worker.tasks[0].engine.join.held == (30, 0)


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (damaged, "its digest is not that of its contents"),
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "its digest is not that of its contents"),
        (lambda path: path.write_bytes(b"DRIFT"), "it is no snapshot, or cut off"),
        (lambda path: path.write_bytes(b""), "it cannot be read"),
    ],
)
def test_a_damaged_one_is_left_aside_with_the_reason(
    tmp_path: Path, act: Callable[[Path], object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    log, store, paths, everything = begun(tmp_path)
    for path in paths:
        act(path)
    worker, read = opened(log, config(), store)
    assert read == everything
    assert caplog.text.count(why) == 2
    assert worker.tasks[0].engine.join.held == (30, 0)


def test_one_of_another_namespace_or_ledger_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, _, paths, everything = begun(tmp_path)
    (tmp_path / "two" / "0").mkdir(parents=True)
    other = SnapshotDirectory(tmp_path, "two")
    worker = worker_of(log, config("two"), None)
    worker.start()
    log.paces = {}
    for _ in range(9):
        worker.turn()
    worker.close()
    paths[0].rename(tmp_path / "two" / "0" / paths[0].name)
    _, read = opened(log, config("two"), other)
    assert read == everything
    assert "it is of Identity(namespace='one'" in caplog.text

    caplog.clear()
    again, _, stale, _ = begun(tmp_path / "again")
    for path in stale:
        path.rename(tmp_path / "one" / "0" / path.name)
    del again
    fresh = topics([[Prediction(id="x", model="m", version="1", at=START, score=0.5, prediction=1.0)]], [[]])
    first = worker_of(fresh, config(), None)
    first.start()
    for _ in range(5):
        first.turn()
    first.close()
    worker, read = opened(fresh, config(), SnapshotDirectory(tmp_path, "one"))
    assert read == 1
    assert "cannot be used" in caplog.text
    assert worker.tasks[0].engine.join.held == (1, 0)


def test_a_directory_that_takes_nothing_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "one").write_text("a file in the place of the folder")
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.5, prediction=1.0) for i in range(30)
    ]
    log = topics([predictions], [[]])
    worker = worker_of(log, config(), SnapshotDirectory(tmp_path, "one"))
    worker.start()
    for _ in range(9):
        worker.turn()
    assert worker.tasks[0].engine.join.held == (30, 0)
    assert "it cannot be written: " in caplog.text
