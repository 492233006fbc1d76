"""What takes long is waited for with the run kept, and left when the run is to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import pytest

from pipelines.carrying import give, keep
from pipelines.errors import Fenced, StepFailed
from pipelines.filesteps import FileSteps, Work
from pipelines.handoffs import Delivered, HandOffs, signed
from pipelines.hook_spec import Webhook, secrets_of
from pipelines.hooks import Hooks
from pipelines.jobs import Jobs
from pipelines.local_data import FileData
from pipelines.meanwhile import meanwhile
from pipelines.ports import Serving
from pipelines.tables import write_rows
from tests.pipelines.cluster import MemoryCluster
from tests.pipelines.inprocess import InProcess
from tests.pipelines.memory import Blob, MemoryStore
from tests.pipelines.test_filesteps import ASKED, rows
from tests.pipelines.test_hooks import SECRET
from tests.pipelines.test_jobs import PLACE

TICK = 0.001


def test_what_it_gives_is_given_and_what_it_raises_is_raised() -> None:
    assert meanwhile(lambda: 7, lambda: None) == 7

    def failing() -> None:
        raise StepFailed("the store", "is full", "Make room.")

    with pytest.raises(StepFailed, match="is full"):
        meanwhile(failing, lambda: None)


def test_the_run_is_kept_until_it_is_done() -> None:
    kept, enough = [], Event()

    def alive() -> None:
        kept.append(1)
        if len(kept) == 3:
            enough.set()

    assert meanwhile(lambda: enough.wait(30), alive, TICK)
    assert len(kept) >= 3


def test_who_lost_the_run_waits_no_longer() -> None:
    forever = Event()

    def alive() -> None:
        raise Fenced("r", "w1")

    with pytest.raises(Fenced):
        meanwhile(lambda: forever.wait(30), alive, TICK)
    assert not forever.is_set()
    forever.set()


class Slow(MemoryStore):
    """No object is read or put before somebody keeps the run, where `stuck`."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.waited, self.kept = False, 0, Event()

    def alive(self) -> None:
        self.kept.set()

    def _wait(self) -> None:
        if self.stuck:
            self.kept.clear()
            assert self.kept.wait(20), "nobody kept the run"
            self.waited += 1

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        self._wait()
        return super().put_blob(chunks, expected)

    def blob(self, digest: str) -> Iterator[bytes]:
        self._wait()
        return super().blob(digest)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(meanwhile, "__defaults__", (TICK,))
    return Slow()


def test_rows_and_models_travel_between_store_and_step_with_the_run_kept(store: Slow, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(write_rows(rows(600)))
    data = FileData(store, {"fraud": tmp_path / "rows.jsonl"})
    steps = FileSteps(store, tmp_path / "work", InProcess())
    store.stuck = True
    dataset = data.collect(ASKED, 2**40, store.alive)
    assert data.watched(ASKED, ("1",), 0, 2**40, store.alive) is not None
    assert data.compared(ASKED, ("1",), ("2",), 0, 2**40, store.alive) is not None
    assert store.waited == 9, "rows to train on, rows to judge by, what names both: three times"
    made = steps.train(ASKED, "r" * 32, 1, dataset, store.alive)
    champion = Serving(1, ("1",), made.files)
    paired = steps.losses(ASKED, dataset, made, champion, store.alive)
    steps.explained(ASKED, dataset, paired, made, champion, store.alive)
    steps.losses(ASKED, dataset, made, None, store.alive)
    steps.scored(ASKED, dataset.train, champion, store.alive)
    assert store.waited > 20


class Outside(BaseHTTPRequestHandler):
    """Takes everything and does nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    (tmp_path / "secret").write_text(SECRET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield Webhook(f"http://127.0.0.1:{server.server_port}/x", str(tmp_path / "secret"))
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("place", ["jobs", "webhook"])
def test_files_travel_to_a_step_elsewhere_and_back_with_the_run_kept(
    place: str, store: Slow, webhook: Webhook, tmp_path: Path
) -> None:
    cluster, now = MemoryCluster(), [1.79e9]

    def sleep(secs: float) -> None:
        now[0] += secs
        if place == "jobs" and cluster.by_name:
            (name,) = cluster.by_name
            store.stuck = False
            give(store, name, tmp_path / "theirs")
            store.stuck = True
        for found in HandOffs(store, None).all():
            store.stuck = False
            listing = keep(store, tmp_path / "theirs").removeprefix("sha256:")
            store.stuck = True
            done = Delivered(attempt=1, at_ms=int(now[0] * 1000), actor="they", listing=listing)
            signed_ = signed(done, found.name, secrets_of(SECRET, ""))
            HandOffs(store, lambda: secrets_of(SECRET, "")).end(found, signed_)

    executor: Any = Hooks(store, webhook, lambda: now[0], sleep)
    if place == "jobs":
        there = msgspec.structs.replace(PLACE, claim=None)
        executor = Jobs(cluster, store, "s3://b", there, lambda: now[0], sleep)
    for folder in ("theirs/out/model", "ours/in/model", "ours/out/model"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "theirs/out/model/m.json").write_text("7")
    (tmp_path / "ours/in/rows.jsonl").write_bytes(b"{}")
    store.stuck = True
    work = Work("train-1", ASKED, tmp_path / "ours", "m:train", ())
    executor.execute(work, store.alive)
    assert (tmp_path / "ours/out/model/m.json").read_text() == "7"
    before = store.waited
    (tmp_path / "ours/out/model/m.json").unlink()
    executor.execute(work, store.alive)  # by somebody who comes upon a result
    assert (tmp_path / "ours/out/model/m.json").read_text() == "7"
    assert before >= 3
    assert store.waited >= before + 3
