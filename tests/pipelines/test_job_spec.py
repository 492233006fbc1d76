"""What a Job asks of a cluster, what its containers may see, and where a policy file says that steps are Jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import KubeConfig

from pipelines.cli.policies import load
from pipelines.directory import DirectoryStore
from pipelines.errors import CancelAsked, PolicyError
from pipelines.filesteps import FileSteps
from pipelines.job_cluster import LightkubeCluster
from pipelines.job_spec import KubernetesJobs
from pipelines.jobs import Jobs
from pipelines.policy import Train
from pipelines.ports import Artifact, Dataset, ModelFile, Serving
from pipelines.subprocesses import Processes
from pipelines.tables import write_rows
from tests.deploy.apiserver import ApiServer, apiserver, kubeconfig
from tests.pipelines.cluster import ROOT_OF_SOURCE, Flaky, MemoryCluster, Node
from tests.pipelines.memory import policy
from tests.pipelines.test_jobs import PLACE, Desk, awake, body, numbers, on_server, runs
from tests.pipelines.test_subprocesses import DATA, flights

__all__ = ["apiserver"]


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    cluster = MemoryCluster()
    store = DirectoryStore(tmp_path / "store")
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path, tmp_path), tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    (job,) = cluster.by_name.values()
    return job


def test_the_job_asks_for_what_keeps_it_to_one_pod_at_a_time(asked: Any) -> None:
    spec = asked["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"], spec["parallelism"]) == (0, "Failed", 1)
    assert spec["activeDeadlineSeconds"] == 2 * 3600 + 600
    assert spec["ttlSecondsAfterFinished"] == 24 * 3600
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert asked["metadata"]["name"].startswith("driftline-train-rrrrrrrrrrrr-")
    assert len(asked["metadata"]["name"]) <= 63


def test_the_users_code_has_no_token_no_store_and_no_rights(asked: Any) -> None:
    pod = asked["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "driftline-retrain-job")
    containers = {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}
    assert list(containers) == ["in", "step", "out"]
    for each in containers.values():
        security = each["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert each["resources"]["limits"] == each["resources"]["requests"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    mounts = {name: [mount["name"] for mount in each["volumeMounts"]] for name, each in containers.items()}
    assert mounts == {"in": ["scratch", "own", "store"], "step": ["scratch"], "out": ["scratch", "own", "store"]}


@pytest.mark.slow
def test_the_rights_that_are_shipped_are_the_rights_that_it_uses(apiserver: ApiServer, tmp_path: Path) -> None:
    namespace = f"jobs-{next(numbers)}"
    administrator, admin = on_server(apiserver, namespace)
    administrator.close()
    for name in ("role", "rolebinding", "serviceaccounts"):
        text = (ROOT_OF_SOURCE / f"deploy/kubernetes/components/retrain-jobs/{name}.yaml").read_text()
        for thing in yaml.safe_load_all(text):
            thing["metadata"]["namespace"] = namespace
            for subject in thing.get("subjects", []):
                subject["namespace"] = namespace
            assert apiserver.apply(thing).code in (200, 201)
    at = f"/api/v1/namespaces/{namespace}/serviceaccounts/driftline-retrain/token"
    token = apiserver.ask("POST", at, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    document = kubeconfig(apiserver)
    document["users"][0]["user"] = {"token": token.body["status"]["token"]}
    cluster = LightkubeCluster(namespace, KubeConfig.from_dict(document))
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    (tmp_path / "pods").mkdir()
    desk = Desk(store, Flaky(cluster), admin, Node(admin, tmp_path / "store", tmp_path / "pods"), tmp_path / "work")
    desk.acts = [runs(desk)]
    assert body(desk, desk.train()) == b"2"

    def cancelled() -> None:
        raise CancelAsked("r")

    with pytest.raises(CancelAsked):
        desk.train(cancelled, command=("true",))
    assert len(admin.all_jobs()) == 1, "the first one"
    cluster.close()


def test_a_function_runs_as_it_does_on_one_machine(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    store = DirectoryStore(tmp_path / "store")
    store.create_document("begun", b"{}")
    (tmp_path / "pods").mkdir()
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path / "store", tmp_path / "pods"), tmp_path / "work")
    rows = store.put_blob([write_rows(flights(300))]).digest
    executor = Jobs(desk.cluster, store, "/somewhere", PLACE, lambda: desk.now, desk.sleep)
    chosen = policy(data=DATA)
    desk.acts = [runs(desk)]
    dataset = Dataset("sha256:" + "1" * 64, rows, rows, 300, 300, 0)
    there = FileSteps(store, desk.work, executor).train(chosen, "r" * 32, 1, dataset, awake)
    here = FileSteps(store, desk.work, Processes(tmp_path)).train(chosen, "r" * 32, 1, dataset, awake)
    assert there.files == here.files
    cluster.drop(desk.node.the_job()["metadata"]["name"])
    desk.acts = [runs(desk)]
    serving = Serving(1, ("1",), there.files)
    scored = FileSteps(store, desk.work, executor).scored(chosen, rows, serving, awake).scores
    assert scored is not None
    assert scored.size == 300


def test_what_scoring_took_is_not_what_a_node_took_to_be_found(tmp_path: Path) -> None:
    store, cluster = DirectoryStore(tmp_path / "store"), MemoryCluster()
    store.create_document("begun", b"{}")
    (tmp_path / "pods").mkdir()
    desk = Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path / "store", tmp_path / "pods"), tmp_path / "work")
    rows = write_rows(flights(3))
    digest, model = store.put_blob([rows]).digest, store.put_blob([b"m"])
    command = ("sh", "-c", "echo [0.1,0.2,0.3] > out/scores.json")
    chosen = policy(data=DATA, train=Train(command=("x",), score_command=command))
    artifact = Artifact({"m": ModelFile(model.digest, model.size_bytes)}, {}, {})
    dataset = Dataset(digest, digest, digest, 3, 3, 0)
    desk.acts = [runs(desk)]
    there = FileSteps(store, desk.work, desk.executor()).losses(chosen, dataset, artifact, None, awake)
    assert there.scoring_ms is None, "the gate's report says that nobody took the time"
    here = FileSteps(store, desk.work, Processes(tmp_path)).losses(chosen, dataset, artifact, None, awake)
    assert here.scoring_ms is not None


def test_the_policy_file_says_where_the_steps_of_a_model_run(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    said = "models:\n  fraud:\n    data: {label: y, features: [a]}\n"
    path.write_text(said)
    (without,), files = load(path)
    assert files.executors == {}
    path.write_text(said + "    executor: {kubernetes: {image: 'train:1', claim: store, starting: 5m, keep: 2h}}\n")
    (policy_,), files = load(path)
    assert files.executors["fraud"].kubernetes == KubernetesJobs(
        image="train:1", claim="store", starting_ms=300_000, keep_ms=7_200_000
    )
    assert policy_.digest == without.digest, "where a step runs is no other decision"
    for more, why in (
        ("kubernetes: {imag: 'train:1'}", "unknown field `imag`, did you mean 'image'?"),
        ("kubernetes: {image: 'train 1'}", "image is 'train 1'; write"),
        ("kubernetes: {image: 't:1', memory: lots}", "memory is 'lots'; write a quantity"),
        ("kubernetes: {image: 't:1', claim_path: a}", "name the claim"),
        ("kuberntes: {image: 't:1'}", "unknown field `kuberntes`"),
    ):
        path.write_text(said + f"    executor: {{{more}}}\n")
        with pytest.raises(PolicyError) as caught:
            load(path)
        assert why in str(caught.value)
        assert "line 4, fraud.executor" in str(caught.value)
