"""`executor` is another one while a step is at work: what was begun is ended where it was begun, before anything is begun."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.directory import DirectoryStore
from pipelines.errors import ConfigError, FormatError, StepFailed, StoreError
from pipelines.executors import Executors
from pipelines.filesteps import FileSteps
from pipelines.hook_spec import Webhook
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import SLACK_SECS
from pipelines.places import Begins, Entered, Execution, Left
from pipelines.policy import Policy, Train
from pipelines.ports import Alive, Dataset
from pipelines.references import of_entry
from tests.pipelines.cluster import Flaky, MemoryCluster, Node
from tests.pipelines.memory import MemoryStore, policy
from tests.pipelines.receiver import Receiver, cli, receiving, works
from tests.pipelines.test_hooks import BORN_SECS, ROWS, SECRET, TRAIN
from tests.pipelines.test_jobs import PLACE

JOBS = Execution(kubernetes=PLACE)
MORE = Execution(kubernetes=msgspec.structs.replace(PLACE, memory="8Gi"))
HERE = Execution()
GOLDEN = (
    (
        b'{"at_ms":1,"executor":{"webhook":{"answer_ms":15000,"ca_file":null,"secret_file":"hook.secret","starting_ms":3'
        b'600000,"url":"https://trainers.example/steps"}},"format":1,"kind":"entered","previous":null}'
    ),
    (
        b'{"at_ms":2,"format":1,"kind":"left","previous":"sha256:8791c372eae8e7dfcf7ee22c92a52c071a04376638af1192df8482b'
        b'09af592ff"}'
    ),
    (
        b'{"at_ms":3,"executor":{"kubernetes":{"account":"driftline-retrain-job","carrier":null,"claim":"c","claim_path"'
        b':null,"cpu":"1","disk":"4Gi","image":"i","keep_ms":86400000,"memory":"2Gi","namespace":null,"project":"/projec'
        b't","secret":null,"starting_ms":60000,"variables":null}},"format":1,"kind":"entered","previous":"sha256:7bdfd13'
        b'ada8ea751f1ea6450f54e1bd18845c64121331c4350d117a735e83922"}'
    ),
)
"""Append only: what any version wrote is read by every later one."""


@dataclass
class Desk:
    """A worker that is started with one configuration after the other, and all the places it could name."""

    store: DirectoryStore
    one: Receiver
    other: Receiver
    directory: Path
    admin: MemoryCluster = field(default_factory=MemoryCluster)
    act: Callable[[], object] | None = None  # what happens a second after another thing was begun
    now: float = BORN_SECS
    lost: bool = False  # whether there is no cluster to ask

    def __post_init__(self) -> None:
        self.cluster, self.before = Flaky(self.admin), tuple[int, ...]()
        (self.directory / "pods").mkdir()
        (self.directory / "outside").mkdir()
        self.secret.write_text(SECRET)
        self.node = Node(self.admin, self.directory / "store", self.directory / "pods")

    @property
    def secret(self) -> Path:
        return self.directory / "hook.secret"

    def begun(self) -> tuple[int, ...]:
        """How often something was."""
        return (self.admin.created, *(len(each.of("step.requested")) for each in (self.one, self.other)))

    def then(self, act: Callable[[], object]) -> None:
        self.act, self.before = act, self.begun()

    def hook(self, to: Receiver, **more: Any) -> Execution:
        return Execution(webhook=Webhook(to.url, **{"secret_file": str(self.secret), **more}))

    def sleep(self, secs: float) -> None:
        self.now += secs
        if self.act is not None and self.begun() != self.before:
            act, self.act = self.act, None
            act()

    def executor(self, place: Execution) -> Executors:
        def now() -> float:
            return self.now

        return Executors(
            self.store, "/somewhere", self.directory, {"fraud": place}, lambda _: self.found(), now, now, self.sleep
        )

    def found(self) -> Flaky:
        if self.lost:
            raise ConfigError("the cluster", "cannot be found", "Set KUBECONFIG.")
        return self.cluster

    def policy(self) -> Policy:
        return policy(train=Train(command=TRAIN, score_command=("x",)))

    def train(self, place: Execution, alive: Alive = lambda: None) -> bytes:
        rows = self.store.put_blob([ROWS]).digest
        steps = FileSteps(self.store, self.directory / "work", self.executor(place))
        made = steps.train(self.policy(), "r" * 32, 1, Dataset("sha256:" + "1" * 64, rows, rows, 2, 0, 0), alive)
        return b"".join(self.store.blob(made.files["rows.json"].digest)).strip()

    def leaves(self, place: Execution) -> None:
        """A worker begins the step there, and is killed when it has been told or made."""
        before, asked = self.begun(), itertools.count(1)

        def killed() -> None:
            if self.begun() != before or next(asked) > 9:  # or that waits for one that is there
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.train(place, killed)

    def delivers(self, to: Receiver) -> int:
        return works(
            to.of("step.requested")[-1], self.store.directory, self.directory / "outside", self.secret
        ).returncode

    def runs(self) -> None:
        self.node.succeed(self.node.start())

    def said(self) -> list[str]:
        return [*(f"one {each.type}" for each in self.one.heard), *(f"other {each.type}" for each in self.other.heard)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    with receiving() as one, receiving() as other:
        yield Desk(store, one, other, tmp_path)


def test_a_hand_off_is_withdrawn_where_it_was_made_before_another_system_is_asked(desk: Desk) -> None:
    desk.leaves(desk.hook(desk.one))
    desk.then(lambda: desk.delivers(desk.other))
    assert desk.train(desk.hook(desk.other)) == b"2"
    assert desk.said() == ["one step.requested", "one step.withdrawn", "other step.requested"]
    assert desk.one.of("step.withdrawn")[0].data["why"] == "executor is another one now"
    id_ = desk.one.heard[0].data["id"]
    late = cli(
        "deliver",
        id_,
        "--directory",
        desk.directory,
        "--failed",
        "x",
        "--secret-file",
        desk.secret,
        "--store",
        desk.store.directory,
    )
    assert (late.returncode, "took its place" in late.stderr) == (3, True), "it is told that its work is not used"


def test_a_job_is_gone_before_another_system_is_asked_and_a_hand_off_before_a_job_is_made(desk: Desk) -> None:
    desk.leaves(JOBS)
    desk.other.on_hear = lambda _: gone.append(desk.admin.all_jobs())
    gone: list[object] = []
    desk.leaves(desk.hook(desk.other))
    assert gone == [[]]
    made, told = desk.admin.create, list[list[str]]()

    def make(job: Mapping[str, Any]) -> bool:
        told.append(desk.said())
        return made(job)

    desk.admin.create = make  # type: ignore[method-assign]
    desk.then(desk.runs)
    assert desk.train(JOBS) == b"2"
    assert told == [["other step.requested", "other step.withdrawn"]]
    assert desk.node.ran == 1


def test_a_job_with_too_little_memory_does_not_run_on_beside_the_one_with_more(desk: Desk) -> None:
    desk.leaves(JOBS)
    desk.then(desk.runs)
    assert desk.train(MORE) == b"2"
    (job,) = desk.admin.all_jobs()
    assert desk.admin.created == 2
    assert "8Gi" in str(job["spec"]["template"]["spec"])


def test_steps_come_home_to_the_machine_of_the_worker(desk: Desk) -> None:
    desk.leaves(JOBS)
    assert desk.train(HERE) == b"2"
    assert (desk.admin.all_jobs(), desk.node.ran) == ([], 0)


def test_a_place_that_is_chosen_again_before_another_was_goes_on_with_what_was_begun(desk: Desk) -> None:
    desk.leaves(desk.hook(desk.one))
    desk.leaves(JOBS)
    desk.cluster.away = lambda: True
    with pytest.raises(StepFailed, match="does not answer"):
        desk.train(desk.hook(desk.one))
    desk.cluster.away = lambda: False
    desk.act, desk.before = desk.runs, ()
    assert desk.train(JOBS) == b"2", "it was left, and nothing was begun elsewhere since"
    assert desk.admin.created == 1
    assert desk.said() == ["one step.requested", "one step.withdrawn"]


def test_who_only_moves_the_file_of_a_secret_waits_for_the_same_hand_off(desk: Desk) -> None:
    desk.leaves(desk.hook(desk.one))
    moved = desk.secret.rename(desk.directory / "moved.secret")
    desk.act, desk.before = (
        lambda: works(desk.one.heard[-1], desk.store.directory, desk.directory / "outside", moved),
        (),
    )
    assert desk.train(desk.hook(desk.one, secret_file=str(moved), answer_ms=5000)) == b"2"
    assert desk.said().count("one step.withdrawn") == 0
    assert desk.store.last("places/fraud") == 1, "two workers may have it in two places, and take turns"


def test_nothing_is_begun_while_it_is_not_known_that_the_old_step_has_ended_nor_for_ever(desk: Desk) -> None:
    desk.leaves(JOBS)
    desk.cluster.away = lambda: True
    for _ in range(3):
        with pytest.raises(
            StepFailed, match=r"what was begun by Jobs with image 'train@.* is not known to have ended"
        ) as caught:
            desk.train(desk.hook(desk.one))
        assert caught.value.again
    assert desk.one.heard == []
    longest = desk.policy().train.timeout_ms / 1000 + PLACE.starting_ms / 1000 + SLACK_SECS
    desk.now += longest - 60
    with pytest.raises(StepFailed, match="It ends by itself in 1 min at the latest"):
        desk.executor(desk.hook(desk.one)).clear(desk.policy(), lambda: None)
    desk.now += 60
    desk.then(lambda: desk.delivers(desk.one))
    assert desk.train(desk.hook(desk.one)) == b"2"


def test_where_a_place_cannot_be_had_nothing_was_begun_and_nobody_waits_for_its_end(desk: Desk) -> None:
    desk.lost = True
    with pytest.raises(ConfigError, match="cannot be found"):
        desk.train(JOBS)
    assert desk.train(HERE) == b"2"
    assert desk.store.logs("places") == []


def test_a_store_that_no_pod_would_see_is_refused_before_anything_is_planned(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="Name the volume claim"):
        desk.executor(Execution(kubernetes=msgspec.structs.replace(PLACE, claim=None)))


def test_a_run_is_over_when_its_step_is_gone_where_it_was_begun(desk: Desk) -> None:
    desk.leaves(JOBS)
    desk.executor(desk.hook(desk.one)).clear(desk.policy(), lambda: None)
    assert desk.admin.all_jobs() == []
    desk.leaves(desk.hook(desk.one))
    desk.executor(HERE).clear(desk.policy(), lambda: None)
    assert desk.said() == ["one step.requested", "one step.withdrawn"]
    desk.leaves(JOBS)
    desk.executor(JOBS).clear(desk.policy(), lambda: None)
    assert desk.admin.all_jobs() == []


def test_who_runs_steps_on_this_machine_alone_writes_no_log_and_nobody_writes_one_for_each_step(desk: Desk) -> None:
    assert desk.train(HERE) == b"2"
    assert desk.store.logs("places") == []
    for place in (JOBS, JOBS, MORE, MORE):
        desk.leaves(place)
    assert desk.store.last("places/fraud") == 3


def test_two_who_enter_at_once_are_one_after_the_other() -> None:
    store = MemoryStore()
    one, other = Begins(store), Begins(store)
    empty = other.read("m")
    one.enter("m", one.read("m"), Entered(at_ms=1, executor=JOBS))
    assert other.enter("m", empty, Entered(at_ms=2, executor=HERE)).place == JOBS
    assert store.last("places/m") == 1


def test_the_log_is_written_as_it_always_was_and_is_a_chain() -> None:
    store = MemoryStore()
    begins = Begins(store)
    hook = Webhook("https://trainers.example/steps", "hook.secret")
    place = KubernetesJobs(image="i", claim="c", starting_ms=60_000)
    for record in (
        Entered(at_ms=1, executor=Execution(webhook=hook)),
        Left(at_ms=2),
        Entered(at_ms=3, executor=Execution(kubernetes=place)),
    ):
        begins.enter("m", begins.read("m"), record)
    assert tuple(store.entries["places/m", number] for number in (1, 2, 3)) == GOLDEN
    assert begins.read("m").place == Execution(kubernetes=place)
    for body in GOLDEN:
        assert of_entry("places/m", body, "here") == []
    store.create_entry("places/n", 1, GOLDEN[0].replace(b'"format":1', b'"format":2'))
    with pytest.raises(FormatError, match="has format 2, this version of Driftline reads up to 1"):
        begins.read("n")
    store.create_entry("places/o", 1, GOLDEN[1])
    with pytest.raises(StoreError, match="entry 1 of 'places/o' does not continue"):
        begins.read("o")
