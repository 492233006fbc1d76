"""Steps that are handed to an outside system: whatever is lost, repeated or forged, one result or none."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from pipelines.directory import DirectoryStore
from pipelines.errors import CancelAsked, Halted, StepFailed
from pipelines.filesteps import FileSteps
from pipelines.hook_spec import Webhook, secrets_of
from pipelines.hooks import Hooks
from pipelines.policy import Policy, Train
from pipelines.ports import Alive, Artifact, Dataset
from pipelines.post import post
from tests.pipelines.cluster import ROOT_OF_SOURCE
from tests.pipelines.memory import policy
from tests.pipelines.receiver import DROPPED, Heard, Receiver, cli, receiving, works

SECRET, OTHER = "whsec_" + "QUFB" * 11, "whsec_" + "QkJC" * 11
ROWS = b'{"a":1}\n{"a":2}\n'
TRAIN = ("sh", "-c", "wc -l < in/rows.jsonl > out/model/rows.json")
BORN_SECS = 1_790_000_000.0


@dataclass
class Desk:
    """A worker, an outside system, and what happens there from one second to the next."""

    store: DirectoryStore
    outside: Receiver
    directory: Path
    acts: list[Callable[[], object]] = field(default_factory=list)
    now: float = BORN_SECS

    @property
    def secret(self) -> Path:
        return self.directory / "hook.secret"

    def sleep(self, secs: float) -> None:
        self.now += secs
        if self.acts and self.outside.heard:
            self.acts.pop(0)()

    def executor(self) -> Hooks:
        return Hooks(self.store, Webhook(self.outside.url, str(self.secret)), lambda: self.now, self.sleep)

    def policy(self, **more: Any) -> Policy:
        return policy(train=Train(**{"command": TRAIN, "score_command": ("x",), **more}))

    def train(self, alive: Alive = lambda: None, **more: Any) -> Artifact:
        rows = self.store.put_blob([ROWS]).digest
        dataset = Dataset("sha256:" + "1" * 64, rows, rows, 2, 0, 0)
        steps = FileSteps(self.store, self.directory / "work", self.executor())
        return steps.train(self.policy(**more), "r" * 32, 1, dataset, alive)

    def works(self, which: int = -1, secret: Path | None = None) -> int:
        heard = self.outside.of("step.requested")[which]
        return works(heard, self.store.directory, self.directory / "outside", secret or self.secret).returncode

    def fails(self, why: str, *more: str) -> int:
        id_ = self.outside.of("step.requested")[-1].data["id"]
        where = ("--directory", self.directory, "--secret-file", self.secret, "--store", self.store.directory)
        return cli("deliver", id_, "--failed", why, *more, *where).returncode

    def listed(self, *more: object) -> list[dict[str, Any]]:
        out = cli("handoffs", "--store", self.store.directory, "-o", "json", *more).stdout
        return [json.loads(line) for line in out.splitlines()]

    def results(self) -> int:
        return len(list((self.store.directory / "documents/steps").glob("*")))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    (tmp_path / "outside").mkdir()
    with receiving() as outside:
        found = Desk(store, outside, tmp_path)
        found.secret.write_text(SECRET + "\n")
        yield found


def body(desk: Desk, artifact: Artifact) -> bytes:
    return b"".join(desk.store.blob(artifact.files["rows.json"].digest)).strip()


def test_a_step_is_announced_signed_done_elsewhere_and_its_result_taken(desk: Desk) -> None:
    desk.acts = [desk.works]
    assert body(desk, desk.train(environment=("TOKEN",))) == b"2"
    (heard,) = desk.outside.heard
    assert heard.signed_by(SECRET)
    assert not heard.signed_by(OTHER)
    assert abs(heard.timestamp - BORN_SECS) < 60
    assert heard.id == heard.data["id"]
    said = {key: heard.data[key] for key in ("model", "step", "attempt", "command", "function", "environment")}
    assert said == {
        "model": "fraud", "step": "train", "attempt": 1, "command": [*TRAIN], "function": None, "environment": ["TOKEN"],
    }  # fmt: skip
    assert desk.results() == 1
    (listed,) = desk.listed("--secret-file", desk.secret)
    assert (listed["state"], listed["handoff"], listed["refused"]) == ("delivered", heard.id, 0)


def test_what_cannot_be_taken_now_is_said_again_later_in_the_same_words(desk: Desk) -> None:
    desk.outside.answers = [503, 429, DROPPED]
    at: list[float] = []
    desk.outside.on_hear = lambda _: at.append(desk.now)
    desk.acts = [lambda: len(desk.outside.heard) == 4 and desk.works()] * 100
    assert body(desk, desk.train()) == b"2"
    assert len(desk.outside.heard) == 4
    assert len({(each.id, each.body) for each in desk.outside.heard}) == 1
    assert all(each.signed_by(SECRET) for each in desk.outside.heard)
    waits = [later - before for before, later in itertools.pairwise(at)]
    assert all(later > before for before, later in itertools.pairwise(waits)), waits
    assert desk.results() == 1


def test_who_asks_to_be_asked_later_is_asked_later(desk: Desk) -> None:
    desk.outside.answers, desk.outside.headers = [503], {"retry-after": "600"}
    at: list[float] = []
    desk.outside.on_hear = lambda _: at.append(desk.now)
    done: list[int] = []  # once: its three processes take long where much else runs

    def act() -> None:
        if len(desk.outside.heard) == 2 and not done:
            done.append(desk.works())

    desk.acts = [act] * 1000
    desk.train()
    assert done == [0]
    assert 600 <= at[1] - at[0] < 640


def test_a_result_that_comes_before_the_answer_to_the_message_counts(desk: Desk) -> None:
    desk.outside.answers = [DROPPED]
    desk.outside.on_hear = lambda _: desk.works()
    assert body(desk, desk.train()) == b"2"
    assert len(desk.outside.heard) == 1, "it has its result: nothing is to be said again"


def test_a_result_that_is_brought_twice_counts_once(desk: Desk) -> None:
    done: list[int] = []
    desk.acts = [lambda: done.extend((desk.works(), desk.works()))]
    assert body(desk, desk.train()) == b"2"
    assert done == [0, 0], "saying the same again is no mistake: the first answer may have been lost"
    (heard,) = desk.outside.heard
    other = desk.directory / "other"
    (other / "out/model").mkdir(parents=True)
    (other / "out/model/rows.json").write_text("3")
    refused = cli(
        "deliver", heard.id, "--directory", other, "--secret-file", desk.secret, "--store", desk.store.directory
    )
    assert refused.returncode == 3
    assert "One result counts, the first" in refused.stderr
    assert body(desk, desk.train()) == b"2"
    assert (desk.results(), len(desk.outside.heard)) == (1, 1)


def test_a_worker_that_ends_leaves_the_hand_off_to_the_next_one(desk: Desk) -> None:
    def ends() -> None:
        if desk.listed()[0]["state"] == "accepted":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.train(ends)
    desk.acts = [lambda: None, desk.works]
    assert body(desk, desk.train()) == b"2"
    assert len(desk.outside.heard) == 1, "it was accepted: the next worker waits, and says nothing"


def test_who_is_told_again_and_knows_the_id_already_may_say_so(desk: Desk) -> None:
    desk.outside.answers = [DROPPED, 409]
    desk.acts = [lambda: len(desk.outside.heard) == 2 and desk.works()] * 100
    assert body(desk, desk.train()) == b"2"
    assert len(desk.outside.heard) == 2


@pytest.mark.parametrize("code", [301, 307, 400, 401, 404, 410])
def test_who_says_no_is_quoted_and_not_asked_again(desk: Desk, code: int) -> None:
    desk.outside.answers, desk.outside.said = [code], b"no such\nmodel"
    desk.outside.headers = {"location": desk.outside.url}
    with pytest.raises(StepFailed, match=f"answered {code}: no such model") as caught:
        desk.train()
    assert not caught.value.again
    assert len(desk.outside.heard) == 1
    assert desk.listed()[0]["state"] == "withdrawn"


@pytest.mark.parametrize("asked", [CancelAsked("r"), Halted("r", "by hand")])
def test_a_step_that_is_cancelled_is_withdrawn_and_what_comes_later_does_not_count(
    desk: Desk, asked: Exception
) -> None:
    def cancelled() -> None:
        if desk.outside.heard:
            raise asked

    with pytest.raises(type(asked)):
        desk.train(cancelled)
    requested, withdrawn = desk.outside.heard
    assert (withdrawn.type, withdrawn.id) == ("step.withdrawn", f"{requested.id}-withdrawn")
    assert withdrawn.data["id"] == requested.id
    assert withdrawn.signed_by(SECRET)
    assert desk.works() == 3
    assert not (desk.store.directory / "documents/steps").exists()


def test_a_hand_off_whose_worker_left_is_withdrawn_before_its_run_is_said_to_be_over(desk: Desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    desk.executor().clear(desk.policy(), lambda: None)
    (listed,) = desk.listed()
    assert (listed["state"], listed["detail"]) == ("withdrawn", "the run has ended")
    desk.executor().clear(desk.policy(), lambda: None)
    assert len(desk.outside.of("step.withdrawn")) == 1


def test_one_that_takes_too_long_is_withdrawn_and_timed_out(desk: Desk) -> None:
    with pytest.raises(StepFailed, match=r"took longer than it may \(it was accepted\)") as caught:
        desk.train(timeout_ms=60_000)
    assert caught.value.timed_out
    assert 60 + 3600 <= desk.now - BORN_SECS < 60 + 3600 + 60
    assert desk.works() == 3


def test_one_that_nobody_answers_says_so_in_the_end(desk: Desk) -> None:
    desk.outside.answers = [DROPPED] * 1000
    with pytest.raises(StepFailed, match=r"took longer than it may \(no answer from http:") as caught:
        desk.train(timeout_ms=60_000)
    assert caught.value.timed_out
    assert 10 < len(desk.outside.of("step.requested")) < 25, "later and later"


def test_a_step_that_failed_there_is_asked_for_again_under_a_new_id(desk: Desk) -> None:
    desk.acts = [lambda: desk.fails("a node went away", "--again")]
    with pytest.raises(StepFailed, match="failed: a node went away") as caught:
        desk.train()
    assert caught.value.again
    desk.acts = [desk.works]
    assert body(desk, desk.train()) == b"2"
    first, second = (each.id for each in desk.outside.heard)
    assert first.removesuffix("-1") == second.removesuffix("-2")
    where = ("--directory", desk.directory, "--store", desk.store.directory)
    for late in (
        ("fetch", first, *where),
        ("deliver", first, *where, "--failed", "late", "--secret-file", desk.secret),
    ):
        done = cli(*late)
        assert (done.returncode, f"{second!r} took its place" in done.stderr) == (3, True)


def test_a_step_that_failed_for_good_is_not_tried_again(desk: Desk) -> None:
    desk.acts = [lambda: desk.fails("no such column")]
    with pytest.raises(StepFailed, match="failed: no such column") as caught:
        desk.train()
    assert not caught.value.again


def test_the_receiver_of_the_guide_does_a_step(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    secret = tmp_path / "hook.secret"
    secret.write_text(SECRET)
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    guide = [sys.executable, ROOT_OF_SOURCE / "docs/examples/receiver.py", store.directory, secret, port]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen([*map(str, guide)], env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)
    try:
        place = Webhook(f"http://127.0.0.1:{port}", str(secret))
        rows = store.put_blob([ROWS]).digest
        dataset = Dataset("sha256:" + "1" * 64, rows, rows, 2, 0, 0)
        chosen = policy(train=Train(command=TRAIN, score_command=("x",)))
        made = FileSteps(store, tmp_path / "work", Hooks(store, place)).train(
            chosen, "r" * 32, 1, dataset, lambda: None
        )
        assert b"".join(store.blob(made.files["rows.json"].digest)).strip() == b"2"
        forged = post(
            place.url, b"{}", {"webhook-id": "i", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}, 10
        )
        assert forged.code == 401
    finally:
        process.terminate()
        process.wait()


def test_the_command_line_refuses_what_it_cannot_mean(desk: Desk) -> None:
    def says(*args: object) -> tuple[int, str]:
        done = cli(*args, "--store", desk.store.directory)
        return done.returncode, done.stderr

    where = ("--directory", desk.directory, "--secret-file", desk.secret)
    assert says("deliver", "nobody-1", *where)[0] == 1
    assert "is not in this store" in says("deliver", "nobody-1", *where)[1]
    assert says("deliver", "nobody-1", "--again", *where)[0] == 2
    printed = cli("secret").stdout
    assert len(secrets_of(printed, "here")) == 1
    assert printed != cli("secret").stdout

    def twice(heard: Heard) -> None:
        id_ = heard.data["id"]
        assert cli("fetch", id_, "--directory", desk.directory / "at", "--store", desk.store.directory).returncode == 0
        code, said = says("fetch", id_, "--directory", desk.directory / "at")
        assert (code, "is not empty" in said) == (2, True)

    desk.outside.on_hear = twice
    desk.acts = [desk.works]
    desk.train()
