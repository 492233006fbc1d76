"""A step as a Kubernetes Job: what is asked of the cluster, and what is made of what the cluster says. Pure.

A pod does three things in order, each in a container of its own over one scratch volume:

    in      brings what the step reads from the store
    step    the user's code: no credentials, no store, no token; it sees the scratch volume and nothing else that lasts
    out     brings what the step wrote to the store, under a name that is created once

So whatever becomes of Job, pod and worker, a Job has one result or none, and it is in the store: the words of a pod decide
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from pipelines.codec import PREFIX, canonical_bytes, digest_of
from pipelines.policy import Policy
from pipelines.sense import Wrong, refuse

MINUTE_MS: Final = 60_000
ACCEPTED_NOT: Final = 3
"""Exit code of the container `out` for what no other try would make better."""
AGAIN: Final = 75
ROOT: Final = "/job"
STORE: Final = "/store"
SCRATCH: Final = "scratch"
TEMPORARY: Final = f"{ROOT}/tmp"  # noqa: S108  # a volume of the pod's own
OWN: Final = "own"
CARRIER_TEMPORARY: Final = "/own"
"""Where a carrier begins and keeps what is temporary: nothing of it was written by the step, or is a link that the step made."""
GRACE_SECS: Final = 5
"""Between SIGTERM and SIGKILL: what a step that is stopped has done so far is worth nothing."""
USER: Final = 65532
LABELS: Final = {"app.kubernetes.io/managed-by": "driftline", "app.kubernetes.io/component": "retrain-job"}
"""Of every Job and its pods: what a network policy chooses them by."""
LABEL: Final = "driftline/work"
GROUP_LABEL: Final = "driftline/group"
"""Of all Jobs of one model that keep their results in one store: what is looked for when none of them may be at work any more."""
_GROUP_HEX_DIGITS: Final = 16
_IN, _STEP, _OUT = "in", "step", "out"
_IMAGE: Final = re.compile(r"\S+")
_QUANTITY: Final = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_PLAIN: Final = {
    "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8",
    "HOME": ROOT, "TMPDIR": TEMPORARY, "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
_LIMITED: Final = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip


class KubernetesJobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the steps of a model become Jobs. It decides nothing about a model, so it is no part of its policy."""

    image: str  # has the user's code, and Python with Driftline where it is a function
    carrier: str | None = None  # image with Driftline that carries files from and to the store; `image` unless said
    namespace: str | None = None  # that of the account or of the kubeconfig unless said
    account: str = "driftline-retrain-job"
    claim: str | None = None  # volume claim with the store, when the store is a directory
    claim_path: str | None = None  # where in the volume the store is
    secret: str | None = None  # Secret whose keys are the carriers' variables: credentials of an object store
    variables: str | None = None  # Secret with the variables that `train.environment` names
    project: str = "/project"  # where the image has the user's modules and commands
    cpu: str = "1"
    memory: str = "2Gi"
    disk: str = "4Gi"  # of the scratch volume
    starting_ms: int = 10 * MINUTE_MS  # for a place on a node, images and files, beside `train.timeout`
    keep_ms: int = 24 * 60 * MINUTE_MS  # how long a Job that ended is kept to be looked at

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not _IMAGE.fullmatch(self.image):
            yield Wrong("image", f"image is {self.image!r}; write REGISTRY/NAME@sha256:..., or a name and tag")
        for name, said in (("cpu", self.cpu), ("memory", self.memory), ("disk", self.disk)):
            if not _QUANTITY.fullmatch(said):
                yield Wrong(name, f"{name} is {said!r}; write a quantity of Kubernetes, as 500m, 2 or 4Gi")
        if self.claim_path is not None and self.claim is None:
            why = "claim_path says where in a claim the store is: name the claim"
            yield Wrong("claim_path", why, ("claim", "claim_path"))


@dataclass(frozen=True, slots=True)
class Errand:
    """One step as its Job knows it. `name`: of the Job and of its result; `brought`: digest of the list of what it reads."""

    name: str
    brought: str
    function: str | None
    command: Sequence[str]


def limit_secs(policy: Policy, place: KubernetesJobs) -> int:
    """How long a Job may take, with all that comes before and after the step."""
    return -(-(policy.train.timeout_ms + place.starting_ms) // 1000)


def group_of(model: str, place: KubernetesJobs, store: str) -> str:
    """See GROUP_LABEL. A store on a claim is known by the claim: each worker may have mounted it somewhere else."""
    at = [store] if place.claim is None else [place.claim, place.claim_path]
    return digest_of(canonical_bytes([model, *at])).removeprefix(PREFIX)[:_GROUP_HEX_DIGITS]


def job_of(errand: Errand, policy: Policy, place: KubernetesJobs, store: str) -> dict[str, Any]:
    """The Job. `store`: an address of an object store; a directory where the place has a claim, which is mounted then."""
    labels = {
        **LABELS,
        GROUP_LABEL: group_of(policy.model, place, store),
        LABEL: errand.name,
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": place.account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECS,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            _carrier(_IN, errand.brought, place, store),
            _step(errand, policy, place),
        ],
        "containers": [_carrier(_OUT, errand.name, place, store)],
        "volumes": [
            {"name": SCRATCH, "emptyDir": {"sizeLimit": place.disk}},
            {"name": OWN, "emptyDir": {"sizeLimit": place.disk}},
            *_claim(place),
        ],
    }  # fmt: skip
    rules = [  # the first that fits counts: a pod that was put off its node is none that failed
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": _STEP, "operator": "NotIn", "values": [0]}},
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": errand.name, "labels": labels, "annotations": {"driftline/model": policy.model}},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": limit_secs(policy, place),
            "ttlSecondsAfterFinished": place.keep_ms // 1000,
            "podFailurePolicy": {"rules": rules},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _step(errand: Errand, policy: Policy, place: KubernetesJobs) -> dict[str, Any]:
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in _PLAIN.items()]
    variables.append({"name": "DRIFTLINE_PROJECT", "value": place.project})
    if errand.function is not None:
        variables.append({"name": "PYTHONPATH", "value": place.project})
        command = ["python", "-W", "ignore::FutureWarning", "-m", "pipelines.runner", errand.function]
    else:
        first = errand.command[0]
        relative = "/" in first and not first.startswith("/")
        command = [f"{place.project}/{first.removeprefix('./')}" if relative else first, *errand.command[1:]]
    variables += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": place.variables, "key": name, "optional": True}}}
        for name in policy.train.environment
    ]
    sizes = {"cpu": place.cpu, "memory": place.memory}
    return _container(_STEP, place.image, command, variables, sizes, [])


def _carrier(name: str, what: str, place: KubernetesJobs, store: str) -> dict[str, Any]:
    at = STORE if place.claim is not None else store
    command = ["driftline", "retrain", "carry", name, what, "--directory", ROOT, "--store", at]
    mounts: list[dict[str, Any]] = [{"name": OWN, "mountPath": CARRIER_TEMPORARY}]
    if place.claim is not None:
        within = {} if place.claim_path is None else {"subPath": place.claim_path}
        mounts.append({"name": "store", "mountPath": STORE, **within})
    made = _container(
        name, place.carrier or place.image, command, [{"name": "TMPDIR", "value": CARRIER_TEMPORARY}],
        {"cpu": "250m", "memory": "512Mi"}, mounts, CARRIER_TEMPORARY,
    )  # fmt: skip
    return made if place.secret is None else {**made, "envFrom": [{"secretRef": {"name": place.secret}}]}


def _container(
    name: str,
    image: str,
    command: Sequence[str],
    variables: Sequence[Mapping[str, Any]],
    sizes: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]],
    at: str = ROOT,
) -> dict[str, Any]:
    return {
        "name": name, "image": image, "command": [*command], "workingDir": at, "env": [*variables],
        "resources": {"requests": {**sizes}, "limits": {**sizes}}, "securityContext": dict(_LIMITED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": SCRATCH, "mountPath": ROOT}, *mounts],
    }  # fmt: skip


def _claim(place: KubernetesJobs) -> list[dict[str, Any]]:
    if place.claim is None:
        return []
    return [{"name": "store", "persistentVolumeClaim": {"claimName": place.claim}}]


# ------------------------------------------------------------------------------------------- what the cluster says


class End(StrEnum):
    """How a Job stands."""

    UNDER_WAY = "under_way"
    DONE = "done"
    TIMED_OUT = "timed_out"
    AGAIN = "again"  # the step asks for another try
    LOST = "lost"  # the fault lies outside the step
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a Job stands, and why in words that follow its name."""

    end: End
    why: str = ""


def ending(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], place: KubernetesJobs) -> Ending:
    """What became of a Job, by its conditions; why it failed, by the newest of its pods."""
    said = {each["type"]: each for each in _of(job, "status").get("conditions") or () if each.get("status") == "True"}
    if "Complete" in said:
        return Ending(End.DONE)
    if (failed := said.get("Failed")) is None:
        return Ending(End.UNDER_WAY, _waiting(pods))
    if failed.get("reason") == "DeadlineExceeded":
        return Ending(End.TIMED_OUT, "took longer than it may")
    newest = max(pods, key=lambda pod: str(_of(pod, "metadata").get("creationTimestamp", "")), default=None)
    if newest is None:
        return Ending(End.LOST, f"failed ({failed.get('reason', 'no reason')}), and its pod is gone")
    return _of_pod(newest, place)


def over(job: Mapping[str, Any]) -> bool:
    """Whether a Job has ended, well or badly."""
    said = _of(job, "status").get("conditions") or ()
    return any(each.get("type") in ("Complete", "Failed") and each.get("status") == "True" for each in said)


def _of_pod(pod: Mapping[str, Any], place: KubernetesJobs) -> Ending:
    status = _of(pod, "status")
    disrupted = (c for c in status.get("conditions") or () if c.get("type") == "DisruptionTarget")
    for each in disrupted:
        if each.get("status") == "True":
            return Ending(End.LOST, f"was put off its node: {each.get('reason', 'no reason')}")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        ended = _of(_of(container, "state"), "terminated")
        if (code := ended.get("exitCode")) is None or code == 0:
            continue
        name, tail = str(container.get("name")), str(ended.get("message") or "").strip().splitlines()
        last = tail[-1] if tail else "no output"
        if name == _STEP:
            if ended.get("reason") == "OOMKilled":
                return Ending(End.FAILED, f"ran out of memory, of which it may have {place.memory}")
            meant = ", which asks for another try" if code == AGAIN else ""
            return Ending(End.AGAIN if code == AGAIN else End.FAILED, f"ended with code {code}{meant}: {last}")
        refused = name == _OUT and code == ACCEPTED_NOT
        return Ending(End.FAILED if refused else End.LOST, f"could not carry files {name} (code {code}): {last}")
    return Ending(End.LOST, f"failed without a word: {status.get('reason') or status.get('phase') or 'no status'}")


def _waiting(pods: Sequence[Mapping[str, Any]]) -> str:
    """Why a container does not start, for who wonders later why it took so long."""
    for pod in pods:
        status = _of(pod, "status")
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waits = _of(_of(container, "state"), "waiting")
            if (reason := waits.get("reason")) not in (None, "PodInitializing", "ContainerCreating"):
                return f"container {container.get('name')} waits: {reason}"
        for each in status.get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                return f"its pod has no node: {each.get('message') or each.get('reason')}"
    return ""


def _of(thing: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = thing.get(key)
    return found if isinstance(found, Mapping) else {}
