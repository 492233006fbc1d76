"""Steps as Kubernetes Jobs: whatever becomes of Job, pod and worker there is one result or none."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.codec import digest_of
from pipelines.directory import DirectoryStore
from pipelines.errors import CancelAsked, ConfigError, Fenced, Halted, StepFailed
from pipelines.filesteps import FileSteps
from pipelines.job_cluster import LightkubeCluster
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import Jobs
from pipelines.policy import Policy, Train
from pipelines.ports import Alive, Artifact, Dataset
from tests.deploy.apiserver import ApiServer, apiserver, kubeconfig
from tests.pipelines.cluster import (
    Admin,
    Flaky,
    MemoryCluster,
    Node,
    ServerAdmin,
    condition,
    ended,
)
from tests.pipelines.memory import policy

__all__ = ["apiserver"]

PLACE = KubernetesJobs(image="train@sha256:" + "0" * 64, claim="driftline-store")
TRAIN = ("sh", "-c", "wc -l < in/rows.jsonl > out/model/rows.json")
ROWS = b'{"a":1}\n{"a":2}\n'
numbers = itertools.count(1)


@dataclass
class Desk:
    """A worker, a cluster, and what happens in the cluster from one second to the next."""

    store: DirectoryStore
    cluster: Flaky
    admin: Admin
    node: Node
    work: Path
    acts: list[Callable[[], object]] = field(default_factory=list)
    now: float = 0.0
    place: KubernetesJobs = PLACE

    def sleep(self, secs: float) -> None:
        self.now += secs
        if isinstance(self.admin, ServerAdmin):
            self.admin.collect()
        if self.acts and self.admin.all_jobs():
            self.acts.pop(0)()

    def train(self, alive: Alive | None = None, command: tuple[str, ...] = TRAIN, **more: Any) -> Artifact:
        executor = self.executor()
        rows = self.store.put_blob([ROWS]).digest
        dataset = Dataset("sha256:" + "1" * 64, rows, rows, 2, 0, 0)
        return FileSteps(self.store, self.work, executor).train(
            self.policy(command, **more), "r" * 32, next(numbers), dataset, alive or awake
        )

    def executor(self) -> Jobs:
        return Jobs(self.cluster, self.store, "/somewhere", self.place, lambda: self.now, self.sleep)

    def policy(self, command: tuple[str, ...] = TRAIN, **more: Any) -> Policy:
        return policy(train=Train(command=command, score_command=("x",), **more))

    def results(self) -> int:
        return len(list((self.store.directory / "documents/steps").glob("*")))


def awake() -> None:
    """Nobody wants anything."""


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.slow)])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    cluster: MemoryCluster | LightkubeCluster
    admin: Admin
    if request.param == "memory":
        cluster = admin = MemoryCluster()
    else:
        server: ApiServer = request.getfixturevalue("apiserver")
        cluster, admin = on_server(server, f"jobs-{next(numbers)}")
    (tmp_path / "pods").mkdir()
    yield Desk(store, Flaky(cluster), admin, Node(admin, tmp_path / "store", tmp_path / "pods"), tmp_path / "work")
    if isinstance(cluster, LightkubeCluster):
        cluster.close()


def on_server(server: ApiServer, namespace: str) -> tuple[LightkubeCluster, Admin]:
    """A namespace that admits restricted pods only."""
    from lightkube import KubeConfig

    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    for thing in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": PLACE.account, "namespace": namespace}},
    ):
        assert server.apply(thing).code in (200, 201)
    config = KubeConfig.from_dict(kubeconfig(server))
    return LightkubeCluster(namespace, config), ServerAdmin(server, namespace)


def runs(desk: Desk) -> Callable[[], None]:
    return lambda: desk.node.succeed(desk.node.start())


def body(desk: Desk, artifact: Artifact) -> bytes:
    return b"".join(desk.store.blob(artifact.files["rows.json"].digest)).strip()


def test_a_step_is_a_job_and_its_result_comes_by_the_store(desk: Desk) -> None:
    desk.acts = [runs(desk)]
    artifact = desk.train()
    assert body(desk, artifact) == b"2"
    assert (desk.node.ran, desk.results()) == (1, 1)
    assert len(desk.admin.all_jobs()) == 1, "it stays to be looked at until its time to live is over"


def test_a_worker_that_ends_leaves_its_job_to_the_next_one(desk: Desk) -> None:
    def ends() -> None:
        if desk.admin.all_jobs():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.train(ends)
    before = desk.node.the_job()["metadata"]
    desk.acts = [runs(desk)]
    assert body(desk, desk.train()) == b"2"
    assert desk.node.the_job()["metadata"].get("uid") == before.get("uid")
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_worker_that_was_fenced_leaves_the_job_to_the_other_one(desk: Desk) -> None:
    def fenced() -> None:
        if desk.admin.all_jobs():
            raise Fenced("r", "other")

    with pytest.raises(Fenced):
        desk.train(fenced)
    assert len(desk.admin.all_jobs()) == 1


def test_who_creates_the_same_job_at_the_same_time_attaches_to_it(desk: Desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert len(desk.admin.all_jobs()) == 1
    desk.cluster.blind = 1  # this one looks before the other creates, and is told 409
    desk.acts = [runs(desk)]
    assert body(desk, desk.train()) == b"2"
    assert len(desk.admin.all_jobs()) == 1
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_cluster_that_does_not_answer_for_a_while_loses_nothing(desk: Desk) -> None:
    asked = itertools.count()
    desk.cluster.away = lambda: next(asked) in {0, 2, 4, 5, 6, 8, 11, 12, 13}  # while it creates, looks, lists pods
    desk.acts = [awake, awake, runs(desk)]
    assert body(desk, desk.train()) == b"2"
    assert desk.cluster.lost > 3
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_pod_that_is_evicted_is_followed_by_another_one(desk: Desk) -> None:
    desk.acts = [lambda: desk.node.evict(desk.node.start()), awake, awake, runs(desk)]
    assert body(desk, desk.train()) == b"2"
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_pod_that_is_evicted_after_it_gave_its_result_is_the_one_that_counts(desk: Desk) -> None:
    def evicted_late() -> None:
        pod = desk.node.start()
        desk.node.run(pod)
        desk.node.evict(pod)

    unequal = ("sh", "-c", "date +%s%N > out/model/rows.json")
    kept: list[bytes] = []
    name = "documents/steps"

    def look() -> None:
        (document,) = (desk.store.directory / name).glob("*")
        kept.append(document.read_bytes())

    desk.acts = [evicted_late, look, runs(desk), look]
    artifact = desk.train(command=unequal)
    look()
    assert desk.node.ran == 2
    assert len(set(kept)) == 1
    assert artifact.files["rows.json"].digest.removeprefix("sha256:").encode() in kept[0]


@pytest.mark.parametrize("reason", ["DeadlineExceeded", "BackoffLimitExceeded"])
def test_a_job_that_failed_after_its_result_was_given_has_that_result(desk: Desk, reason: str) -> None:
    def fails_late() -> None:
        pod = desk.node.start()
        desk.node.fail(pod, reason, desk.node.run(pod), condition("DisruptionTarget", "TerminationByKubelet"))

    desk.acts = [fails_late]
    assert body(desk, desk.train()) == b"2"
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_job_that_lost_its_pod_is_gone_before_another_try_is_asked_for(desk: Desk) -> None:
    lost = condition("DisruptionTarget", "DeletionByTaintManager")
    desk.acts = [lambda: desk.node.fail(desk.node.start(), "BackoffLimitExceeded", [ended("step", 137)], lost)]
    with pytest.raises(StepFailed, match="was put off its node: DeletionByTaintManager") as caught:
        desk.train()
    assert caught.value.again
    assert desk.admin.all_jobs() == []
    desk.acts = [runs(desk)]
    assert body(desk, desk.train()) == b"2"
    assert desk.results() == 1


@pytest.mark.parametrize("asked", [CancelAsked("r"), Halted("r", "by hand")])
def test_a_step_that_is_cancelled_has_no_job_and_no_pod(desk: Desk, asked: Exception) -> None:
    begun: list[object] = []
    desk.acts = [lambda: begun.append(desk.node.start()["metadata"]["name"])]

    def cancelled() -> None:
        if begun:
            raise asked

    with pytest.raises(type(asked)):
        desk.train(cancelled)
    assert begun == ["pod-1"]
    assert desk.admin.all_jobs() == []
    assert desk.results() == 0 if (desk.store.directory / "documents/steps").exists() else True


def test_a_cluster_that_keeps_a_cancelled_job_is_not_believed_to_have_stopped_it(desk: Desk) -> None:
    def cancelled() -> None:
        if desk.admin.all_jobs():
            desk.cluster.away = lambda: True
            raise CancelAsked("r")

    with pytest.raises(StepFailed, match="was not gone 40 s after it was removed") as caught:
        desk.train(cancelled)
    assert caught.value.again


def test_a_job_whose_time_to_live_is_over_has_its_result_still(desk: Desk) -> None:
    def gone() -> None:
        runs(desk)()
        desk.admin.drop(desk.node.the_job()["metadata"]["name"])

    desk.acts = [awake, awake, gone]
    first = desk.train()
    assert desk.admin.all_jobs() == []
    assert desk.train() == first, "a worker that comes later asks the store, not the cluster"
    assert desk.admin.all_jobs() == []
    assert (desk.node.ran, desk.results()) == (1, 1)


def test_a_job_that_somebody_removed_before_its_result_is_tried_again(desk: Desk) -> None:
    desk.acts = [awake, awake, lambda: desk.admin.drop(desk.node.the_job()["metadata"]["name"])]
    with pytest.raises(StepFailed, match="was removed by somebody before it gave a result") as caught:
        desk.train()
    assert caught.value.again


def test_what_the_step_says_decides_whether_it_is_tried_again(desk: Desk) -> None:
    for code, again in ((75, True), (4, False)):
        command = ("sh", "-c", f"echo no such column >&2; exit {code}")

        def fails() -> None:
            pod = desk.node.start()
            desk.node.fail(pod, "PodFailurePolicy", desk.node.run(pod))

        desk.acts = [fails]
        with pytest.raises(StepFailed, match=f"ended with code {code}.*no such column") as caught:
            desk.train(command=command)
        assert caught.value.again is again
        assert len(desk.admin.all_jobs()) == (0 if again else 1), "what failed for good can be looked at"


def test_a_step_that_leaves_no_regular_file_is_refused_and_not_tried_again(desk: Desk) -> None:
    def fails() -> None:
        pod = desk.node.start()
        desk.node.fail(pod, "BackoffLimitExceeded", desk.node.run(pod))

    desk.acts = [fails]
    with pytest.raises(StepFailed, match=r"could not carry files out .*is no regular file") as caught:
        desk.train(command=("ln", "-s", "/etc/hostname", "out/model/m"))
    assert not caught.value.again


def test_memory_that_did_not_suffice_is_said(desk: Desk) -> None:
    killed = [ended("in", 0), ended("step", 137, reason="OOMKilled")]
    desk.acts = [lambda: desk.node.fail(desk.node.start(), "PodFailurePolicy", killed)]
    with pytest.raises(StepFailed, match="ran out of memory, of which it may have 2Gi"):
        desk.train()


def test_a_job_past_its_deadline_is_timed_out_and_gone(desk: Desk) -> None:
    desk.acts = [lambda: desk.node.fail(desk.node.start(), "DeadlineExceeded", [])]
    with pytest.raises(StepFailed, match="took longer than it may") as caught:
        desk.train()
    assert caught.value.timed_out
    assert desk.admin.all_jobs() == []


def test_a_cluster_without_controllers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    store = DirectoryStore(tmp_path / "store")
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path, tmp_path), tmp_path / "work")
    with pytest.raises(StepFailed, match="did not end in time") as caught:
        desk.train(timeout_ms=60_000)
    assert caught.value.timed_out
    assert 60 + 600 + 300 <= desk.now < 60 + 600 + 300 + 60


def test_a_result_whose_files_were_collected_since_is_made_again(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    (tmp_path / "pods").mkdir()
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path / "store", tmp_path / "pods"), tmp_path / "work")
    desk.acts = [runs(desk)]
    digest = digest_of(b"2\n")
    assert desk.train().files["rows.json"].digest == digest
    next((tmp_path / "store/blobs").glob(f"*/{digest.removeprefix('sha256:')}")).unlink()
    cluster.drop(desk.node.the_job()["metadata"]["name"])
    desk.acts = [runs(desk)]
    assert desk.train().files["rows.json"].digest == digest
    assert (desk.node.ran, desk.results()) == (2, 2)


def test_a_name_that_somebody_else_took_is_left_alone(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    store = DirectoryStore(tmp_path / "store")
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path, tmp_path), tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    (job,) = cluster.by_name.values()
    job["metadata"]["labels"] = {}
    with pytest.raises(StepFailed, match="is a Job of somebody else's of the same name"):
        desk.train()
    assert len(cluster.by_name) == 1


def test_variables_of_this_process_and_directories_of_this_machine_are_refused(tmp_path: Path) -> None:
    store, cluster = DirectoryStore(tmp_path / "store"), MemoryCluster()
    with pytest.raises(ConfigError, match="a directory of this machine"):
        Jobs(cluster, store, "/somewhere", KubernetesJobs(image="i:1"))
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path, tmp_path), tmp_path / "work")
    with pytest.raises(ConfigError, match="names variables of this process"):
        desk.train(environment=("TOKEN",))
    assert cluster.created == 0
