"""Clusters for the executor of Kubernetes Jobs: one in memory, and a real API server. In both the test is controller and kubelet.

`Node` runs what the pods say, as processes of this machine: the carriers by the command line, the step by its command.
"""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.job_spec import CARRIER_TEMPORARY, ROOT, STORE, over
from pipelines.jobs import Cluster, Unreachable
from tests.deploy.apiserver import ApiServer

Object = dict[str, Any]
NOW = "2026-11-01T12:00:{:02d}Z"
LABEL = "batch.kubernetes.io/job-name"
ROOT_OF_SOURCE = Path(__file__).parents[2]


class Admin(Protocol):
    """What controllers and kubelets may do."""

    def all_jobs(self) -> list[Object]: ...

    def add_pod(self, pod: Object) -> None: ...

    def set_pod(self, name: str, status: Object) -> None: ...

    def set_job(self, name: str, status: Object) -> None: ...

    def drop(self, name: str) -> None:
        """A Job and its pods, at once and for good."""


class MemoryCluster:
    """`pipelines.jobs.Cluster` and Admin in dictionaries. A Job that is removed goes when its pods have, as with a
    foreground deletion: at the next look."""

    def __init__(self) -> None:
        self.by_name: dict[str, Object] = {}
        self.of_pods: dict[str, Object] = {}
        self.created = 0

    def create(self, job: Mapping[str, Any]) -> bool:
        name = job["metadata"]["name"]
        if name in self.by_name:
            return False
        self.created += 1
        self.by_name[name] = copy.deepcopy(dict(job))
        return True

    def job(self, name: str) -> Object | None:
        found = self.by_name.get(name)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            for pod in [key for key, each in self.of_pods.items() if each["metadata"]["labels"][LABEL] == name]:
                del self.of_pods[pod]
            del self.by_name[name]
        return copy.deepcopy(found)

    def jobs(self, label: str, value: str) -> Sequence[Object]:
        return [job for job in self.all_jobs() if job["metadata"]["labels"].get(label) == value]

    def pods(self, name: str) -> Sequence[Object]:
        return [copy.deepcopy(p) for p in self.of_pods.values() if p["metadata"]["labels"][LABEL] == name]

    def remove(self, name: str) -> None:
        if name in self.by_name:
            self.by_name[name]["metadata"]["deletionTimestamp"] = NOW.format(0)

    def all_jobs(self) -> list[Object]:
        return [copy.deepcopy(each) for each in self.by_name.values()]

    def add_pod(self, pod: Object) -> None:
        self.of_pods[pod["metadata"]["name"]] = copy.deepcopy(pod)

    def set_pod(self, name: str, status: Object) -> None:
        self.of_pods[name]["status"] = status

    def set_job(self, name: str, status: Object) -> None:
        self.by_name[name]["status"] = {**self.by_name[name].get("status", {}), **status}

    def drop(self, name: str) -> None:
        self.remove(name)
        self.job(name)


class ServerAdmin:
    """Admin over a real API server, as its administrator; and the garbage collector that finishes a removal."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.at_jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.at_pods = f"/api/v1/namespaces/{namespace}/pods"

    def all_jobs(self) -> list[Object]:
        found: list[Object] = self._done("GET", self.at_jobs)["items"]
        return found

    def add_pod(self, pod: Object) -> None:
        self._done("POST", self.at_pods, pod)

    def set_pod(self, name: str, status: Object) -> None:
        self._merge(f"{self.at_pods}/{name}/status", {"status": status})

    def set_job(self, name: str, status: Object) -> None:
        self._merge(f"{self.at_jobs}/{name}/status", {"status": status})

    def drop(self, name: str) -> None:
        self.server.ask("DELETE", f"{self.at_jobs}/{name}?propagationPolicy=Foreground")
        self.collect()

    def collect(self) -> None:
        """Pods of Jobs that are to go, then those Jobs."""
        for job in self.all_jobs():
            if "deletionTimestamp" in job["metadata"]:
                name = job["metadata"]["name"]
                pods = self._done("GET", f"{self.at_pods}?labelSelector={LABEL}={name}")["items"]
                for pod in pods:
                    self._done("DELETE", f"{self.at_pods}/{pod['metadata']['name']}?gracePeriodSeconds=0")
                self._merge(f"{self.at_jobs}/{name}", {"metadata": {"finalizers": None}})

    def _merge(self, path: str, patch: Object) -> None:
        self._done("PATCH", path, patch, content_type="application/merge-patch+json")

    def _done(self, method: str, path: str, body: Object | None = None, **more: Any) -> Object:
        answer = self.server.ask(method, path, body, **more)
        assert answer.code in (200, 201), (path, answer.code, answer.body.get("message"))
        return answer.body


class Flaky:
    """A cluster that does not answer when `away` says so, and overlooks a Job as often as `blind` says."""

    def __init__(self, inner: Cluster) -> None:
        self.inner, self.blind, self.lost = inner, 0, 0
        self.after_secs: float | None = None
        self.away: Callable[[], bool] = lambda: False

    def _reach(self) -> None:
        if self.away():
            self.lost += 1
            raise Unreachable("connection reset", self.after_secs)

    def create(self, job: Mapping[str, Any]) -> bool:
        self._reach()
        return self.inner.create(job)

    def job(self, name: str) -> Object | None:
        self._reach()
        if self.blind:
            self.blind -= 1
            return None
        return self.inner.job(name)

    def jobs(self, label: str, value: str) -> Sequence[Object]:
        self._reach()
        return self.inner.jobs(label, value)

    def pods(self, name: str) -> Sequence[Object]:
        self._reach()
        return self.inner.pods(name)

    def remove(self, name: str) -> None:
        self._reach()
        self.inner.remove(name)


class Node:
    """Job controller and kubelet of one Job at a time."""

    def __init__(self, admin: Admin, store: Path, scratch: Path) -> None:
        self.admin, self.store, self.scratch = admin, store, scratch
        self._pods = itertools.count(1)
        self.ran = 0

    def the_job(self) -> Object:
        jobs = self.admin.all_jobs()
        (job,) = [job for job in jobs if not over(job)] or jobs
        return job

    def start(self) -> Object:
        """A pod for the Job, without a status yet."""
        job, number = self.the_job(), next(self._pods)
        name = job["metadata"]["name"]
        template = copy.deepcopy(job["spec"]["template"])
        labels = {**template["metadata"]["labels"], LABEL: name}
        metadata = {"name": f"pod-{number}", "labels": labels, "creationTimestamp": NOW.format(number)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        self.admin.add_pod(pod)
        if "startTime" not in job.get("status", {}):
            self.admin.set_job(name, {"startTime": NOW.format(1), "active": 1})
        return pod

    def run(self, pod: Object) -> list[Object]:
        """Run its containers in order; their statuses, up to the first that fails."""
        directory = self.scratch / pod["metadata"]["name"]
        directory.mkdir()
        said = []
        spec = pod["spec"]
        for container in (*spec["initContainers"], *spec["containers"]):
            code, message = self._run(container, directory)
            said.append(ended(container["name"], code, message))
            if code:
                break
        return said

    def succeed(self, pod: Object) -> None:
        """Pod and Job are done."""
        statuses = self.run(pod)
        assert [each["state"]["terminated"]["exitCode"] for each in statuses] == [0, 0, 0], statuses
        self.admin.set_pod(pod["metadata"]["name"], pod_status("Succeeded", statuses))
        self.complete()

    def complete(self) -> None:
        conditions = [
            condition("SuccessCriteriaMet", "CompletionsReached"),
            condition("Complete", "CompletionsReached"),
        ]
        self.admin.set_job(
            self.the_job()["metadata"]["name"],
            {"active": 0, "succeeded": 1, "completionTime": NOW.format(30), "conditions": conditions},
        )

    def fail(self, pod: Object, reason: str, statuses: list[Object], *conditions: Object) -> None:
        """Pod and Job have failed."""
        self.admin.set_pod(pod["metadata"]["name"], pod_status("Failed", statuses, *conditions))
        self.admin.set_job(
            self.the_job()["metadata"]["name"],
            {"active": 0, "failed": 1, "conditions": [condition("FailureTarget", reason), condition("Failed", reason)]},
        )

    def evict(self, pod: Object) -> None:
        """The pod is put off its node; the Job, which ignores that, still wants one."""
        conditions = [condition("DisruptionTarget", "EvictionByEvictionAPI")]
        self.admin.set_pod(pod["metadata"]["name"], pod_status("Failed", [ended("step", 137)], *conditions))

    def _run(self, container: Object, directory: Path) -> tuple[int, str]:
        own = self.scratch / f"{directory.name}-own"
        own.mkdir(exist_ok=True)

        def here(text: str) -> str:
            if text == STORE:
                return str(self.store)
            if text.startswith(CARRIER_TEMPORARY):
                return text.replace(CARRIER_TEMPORARY, str(own), 1)
            return text.replace(ROOT, str(directory), 1) if text.startswith(ROOT) else text

        first, *rest = container["command"]
        programs = {"driftline": [sys.executable, "-m", "pipelines"], "python": [sys.executable]}
        variables = {each["name"]: here(each["value"]) for each in container["env"] if "value" in each}
        if container["name"] == "step":
            self.ran += 1
            assert {mount["name"] for mount in container["volumeMounts"]} == {"scratch"}, (
                "the store is none of its business"
            )
        done = subprocess.run(
            [*programs.get(first, [first]), *map(here, rest)], cwd=here(container["workingDir"]),
            capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], **variables, "PYTHONPATH": str(ROOT_OF_SOURCE)},
        )  # fmt: skip
        return done.returncode, (done.stderr or done.stdout)[-2000:]


def condition(kind: str, reason: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": NOW.format(20)}


def ended(name: str, code: int, message: str = "", reason: str = "") -> Object:
    state = {"exitCode": code, "message": message, "reason": reason or ("Error" if code else "Completed")}
    return {
        "name": name, "state": {"terminated": state}, "image": "i", "imageID": "i", "ready": False, "restartCount": 0,
    }  # fmt: skip


def pod_status(phase: str, statuses: list[Object], *conditions: Object) -> Object:
    init = [each for each in statuses if each["name"] != "out"]
    rest = [each for each in statuses if each["name"] == "out"]
    return {
        "phase": phase, "conditions": list(conditions), "initContainerStatuses": init, "containerStatuses": rest,
    }  # fmt: skip
