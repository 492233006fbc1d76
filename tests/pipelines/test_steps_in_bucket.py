"""Steps that run elsewhere, over an object store that fails at any request: one result, or none yet, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from monitor.cli.registry_others import PipelineThings
from pipelines.carrying import fetch, give, keep
from pipelines.codec import PREFIX
from pipelines.errors import PipelineError, Refused, StepFailed
from pipelines.executors import Executors
from pipelines.filesteps import FileSteps
from pipelines.handoffs import Delivered, Failed, HandOffs, deliver, signed
from pipelines.hook_spec import Webhook, secrets_of
from pipelines.job_spec import over
from pipelines.places import Execution
from pipelines.policy import Train
from pipelines.ports import Dataset
from registry.errors import RegistryError
from registry.fsck import Fault as Finding
from registry.fsck import fsck
from registry.object_store import ObjectStore
from tests.pipelines.cluster import MemoryCluster, Node, Object
from tests.pipelines.memory import policy
from tests.pipelines.receiver import Receiver, receiving
from tests.pipelines.test_hooks import BORN_SECS, ROWS, SECRET, TRAIN
from tests.pipelines.test_jobs import PLACE
from tests.registry.contract.worlds import client
from tests.registry.s3 import S3, Fault

FAULTS = [Fault.REFUSED, Fault.LOST, Fault.UNANSWERED, Fault.STALE]
BURST = 4
"""Requests that fail in a row: one more than the client asks."""
WORKERS_MOST = 20


def opened(s3: S3) -> ObjectStore:
    return ObjectStore("s3://bucket/prefix", client(s3))


def once(number: int, fault: Fault) -> Callable[[int], Fault]:
    return lambda at: fault if at == number else Fault.NONE


def burst(number: int, fault: Fault) -> Callable[[int], Fault]:
    return lambda at: fault if number <= at < number + BURST else Fault.NONE


class BucketNode(Node):
    """Carriers with the store in the bucket. One that meets an error of the store ends with 1, as the program does."""

    def __init__(self, admin: MemoryCluster, s3: S3, scratch: Path) -> None:
        super().__init__(admin, scratch, scratch)
        self.s3 = s3

    def _run(self, container: Object, directory: Path) -> tuple[int, str]:
        if container["name"] == "step":
            self.ran += 1
            return subprocess.run(container["command"], cwd=directory, check=False).returncode, ""
        _, _, _, way, what, *_ = container["command"]
        try:
            store = opened(self.s3)
            if way == "in":
                fetch(store, what, directory)
            else:
                give(store, what, directory)
        except RegistryError as error:
            return 1, str(error)
        return 0, ""

    def work(self) -> None:
        """What a cluster does with the Job that wants to run, if there is one."""
        if not [job for job in self.admin.all_jobs() if not over(job)]:
            return
        pod = self.start()
        statuses = self.run(pod)
        if all(each["state"]["terminated"]["exitCode"] == 0 for each in statuses):
            self.admin.set_pod(pod["metadata"]["name"], {"phase": "Succeeded", "containerStatuses": statuses[2:]})
            self.complete()
        else:
            self.fail(pod, "BackoffLimitExceeded", statuses)


@dataclass
class Desk:
    """Workers one after the other, an outside system and a cluster, all of them over one bucket."""

    s3: S3
    outside: Receiver
    directory: Path
    now: float = BORN_SECS
    done: int = 0  # by the outside system
    workers: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster()
        self.node = BucketNode(self.cluster, self.s3, self.directory)
        self.secret = self.directory / "hook.secret"
        self.secret.write_text(SECRET)

    @property
    def hook(self) -> Execution:
        return Execution(webhook=Webhook(self.outside.url, str(self.secret)))

    def sleep(self, secs: float) -> None:
        self.now += secs
        self.node.work()
        if self.outside.heard:
            self.works()

    def works(self) -> None:
        """The outside system fetches, trains and delivers what it was last asked for; where the store fails, anew later."""
        id_ = self.outside.of("step.requested")[-1].data["id"]
        secrets = secrets_of(SECRET, "here")
        at = self.directory / f"outside-{self.done}"
        self.done += 1
        try:
            store = opened(self.s3)
            found = HandOffs(store, lambda: secrets).find(id_)
            if found.ending is not None or found.asked is None:
                return
            fetch(store, PREFIX + found.asked.brought, at)
            subprocess.run(TRAIN, cwd=at, check=True)
            listing = keep(store, at).removeprefix(PREFIX)

            def record(attempt: int) -> Delivered | Failed:
                made = Delivered(attempt=attempt, at_ms=int(self.now * 1000), actor="outside", listing=listing)
                return signed(made, id_.rpartition("-")[0], secrets)

            deliver(HandOffs(store, lambda: secrets), id_, record)
        except (RegistryError, PipelineError) as error:
            self.failures.append(str(error))
            if isinstance(error, Refused):
                raise AssertionError("what it did is not used") from error

    def train(self, place: Execution) -> bytes:
        """As workers do that end with a sentence where the store fails, and are started anew."""

        def now() -> float:
            return self.now

        while True:
            self.workers += 1
            assert self.workers <= WORKERS_MOST, self.failures
            self.now += 60
            try:
                store = opened(self.s3)
                rows = store.put_blob([ROWS]).digest
                executor = Executors(
                    store, "s3://bucket/prefix", self.directory, {"fraud": place}, lambda _: self.cluster, now, now,
                    self.sleep,
                )  # fmt: skip
                steps = FileSteps(store, self.directory / "work", executor)
                data = Dataset("sha256:" + "1" * 64, rows, rows, 2, 0, 0)
                chosen = policy(train=Train(command=TRAIN, score_command=("x",)))
                made = steps.train(chosen, "r" * 32, 1, data, lambda: None)
                return b"".join(store.blob(made.files["rows.json"].digest)).strip()
            except RegistryError as error:
                self.failures.append(str(error))
            except StepFailed as error:
                self.failures.append(str(error))
                if not error.again:
                    raise

    def check(self) -> None:
        """One result, in a store that is whole."""
        store = opened(self.s3)
        assert len([name for name in store.documents("steps") if not name.endswith(".failed")]) == 1
        found = {each.fault for each in fsck(store, others=PipelineThings())}
        assert found <= {Finding.UNREACHABLE, Finding.LEFTOVER}, found
        assert all(found.ending is not None for found in HandOffs(store, None).all())
        assert len({each.id for each in self.outside.heard}) <= 1, "one hand-off, however often it is said"


@contextmanager
def desks(directory: Path) -> Iterator[Desk]:
    directory.mkdir()
    with S3() as s3, receiving() as outside:
        opened(s3).put_blob([ROWS])
        yield Desk(s3, outside, directory)


def place(desk: Desk, kind: str) -> Execution:
    import msgspec

    jobs = Execution(kubernetes=msgspec.structs.replace(PLACE, claim=None))
    return {"webhook": desk.hook, "jobs": jobs}[kind]


def requests(kind: str, directory: Path) -> tuple[int, int]:
    """From which request to which a step that goes well takes."""
    with desks(directory) as desk:
        first = len(desk.s3.bucket.requests)
        assert desk.train(place(desk, kind)) == b"2"
        desk.check()
        assert desk.workers == 1
        return first + 1, len(desk.s3.bucket.requests)


def at_requests(
    kind: str, fault: Fault, how: Callable[[int, Fault], Callable[[int], Fault]], every: int, tmp: Path
) -> None:
    first, last = requests(kind, tmp / "well")
    begin = first + FAULTS.index(fault) * 3 % every
    assert begin < last
    for number in range(begin, last, every):
        with desks(tmp / str(number)) as desk:
            desk.s3.bucket.fault = how(number, fault)
            assert desk.train(place(desk, kind)) == b"2", number
            desk.s3.bucket.fault = lambda _: Fault.NONE
            desk.check()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("how", [once, burst])
@pytest.mark.parametrize("kind", ["webhook", "jobs"])
def test_a_step_elsewhere_has_one_result_whenever_the_store_fails(
    kind: str, fault: Fault, how: Callable[[int, Fault], Callable[[int], Fault]], tmp_path: Path
) -> None:
    at_requests(kind, fault, how, 31, tmp_path)  # a sample; the next test takes all


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("how", [once, burst])
@pytest.mark.parametrize("kind", ["webhook", "jobs"])
def test_a_step_elsewhere_has_one_result_at_whichever_request_the_store_fails(
    kind: str, fault: Fault, how: Callable[[int, Fault], Callable[[int], Fault]], tmp_path: Path
) -> None:
    at_requests(kind, fault, how, 1, tmp_path)
