"""What must hold of every object we ship for Kubernetes. A policy is a function from objects to sentences; none means fine.

The first is the restricted level of the Pod Security Standards, as far as it can be broken by what is written in a pod.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.job_spec import LABELS as JOB_LABELS
from tests.deploy.kustomize import Object, name_of, pod_specs

Policy = Callable[[list[Object]], Iterator[str]]

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
OPEN_VERBS = {"*", "bind", "escalate", "impersonate"}


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of a pod's, those that only begin it too."""
    return [c for key in ("initContainers", "containers", "ephemeralContainers") for c in pod.get(key, [])]


def restricted(objects: list[Object]) -> Iterator[str]:
    """The restricted Pod Security Standard."""
    for name, pod in pod_specs(objects):
        context = pod.get("securityContext", {})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield f"{name}: {key}"
        for volume in pod.get("volumes", []):
            if not set(volume) - {"name"} <= VOLUMES:
                yield f"{name}: volume {volume['name']} is of a kind that is not allowed"
        for container in containers(pod):
            yield from _container(f"{name}: {container['name']}", container, context)


def _container(name: str, container: dict[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**pod, **own}
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: may run as root"
    if both.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{name}: has no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: may gain privileges"
    if own.get("privileged"):
        yield f"{name}: is privileged"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"{name}: takes a port of its node"


def read_only(objects: list[Object]) -> Iterator[str]:
    """Nothing is written but into volumes that say how much they take."""
    for name, pod in pod_specs(objects):
        for container in containers(pod):
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield f"{name}: {container['name']} may write to its root"
        for volume in pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{name}: volume {volume['name']} has no limit"


def resources(objects: list[Object]) -> Iterator[str]:
    """Memory is limited to what is requested; processor is requested and not limited: throttling looks like lag."""
    for name, pod in pod_specs(objects):
        for container in containers(pod):
            found = container.get("resources", {})
            requests, limits = found.get("requests", {}), found.get("limits", {})
            if "cpu" not in requests or "memory" not in requests:
                yield f"{name}: {container['name']} requests no processor or no memory"
            if limits != {"memory": requests.get("memory")}:
                yield f"{name}: {container['name']} must be limited to the memory it requests, and in nothing else"


def images(objects: list[Object]) -> Iterator[str]:
    """An image has a tag or a digest, and no registry: that is the deployer's."""
    for name, pod in pod_specs(objects):
        for container in containers(pod):
            image = container["image"]
            if not re.fullmatch(r"[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})", image) or image.endswith(":latest"):
                yield f"{name}: image {image} is not a certain one"
            if "/" in image:
                yield f"{name}: image {image} names a registry"


def tokens(objects: list[Object]) -> Iterator[str]:
    """Nobody gets a token of the API unasked, and no role can make itself greater."""
    for thing in objects:
        if thing["kind"] == "ServiceAccount" and thing.get("automountServiceAccountToken") is not False:
            yield f"{name_of(thing)}: hands out its token"
        if thing["kind"] in ("ClusterRole", "ClusterRoleBinding"):
            yield f"{name_of(thing)}: reaches beyond its namespace"
        for rule in thing.get("rules", []) if thing["kind"] == "Role" else []:
            wide = OPEN_VERBS & set(rule["verbs"]) or "*" in rule["resources"] or "secrets" in rule["resources"]
            if wide or "*" in rule["apiGroups"]:
                yield f"{name_of(thing)}: may do too much"
    for name, pod in pod_specs(objects):
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name}: gets a token"


def probes(objects: list[Object]) -> Iterator[str]:
    """Each container says whether it lives and whether it is ready; that it lives depends on nothing outside of it."""
    for name, pod in pod_specs(objects):
        if name.startswith(("Job/", "CronJob/")):
            continue
        for container in pod["containers"]:
            paths = {
                k: container.get(f"{k}Probe", {}).get("httpGet", {}).get("path") for k in ("liveness", "readiness")
            }
            if paths != {"liveness": "/livez", "readiness": "/readyz"}:
                yield f"{name}: {container['name']} is probed at {paths}"


def references(objects: list[Object]) -> Iterator[str]:
    """What an object names is there: config maps, accounts, roles, labels that selectors look for."""
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    labels = [thing["spec"]["template"]["metadata"]["labels"] for thing in objects if thing["kind"] == "Deployment"]
    labels.append(JOB_LABELS)  # of pods that come while `driftline retrain run` works
    for name, pod in pod_specs(objects):
        account = ("ServiceAccount", pod.get("serviceAccountName"))
        if account not in there:
            yield f"{name}: there is no account {account[1]}"
        for volume in pod.get("volumes", []):
            if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in there:
                yield f"{name}: there is no config map {volume['configMap']['name']}"
    for thing in objects:
        selector = _selector(thing)
        if selector is not None and not any(selector.items() <= found.items() for found in labels):
            yield f"{name_of(thing)}: selects no pod"
        if thing["kind"] == "RoleBinding":
            wanted = {(s["kind"], s["name"]) for s in thing["subjects"]} | {("Role", thing["roleRef"]["name"])}
            yield from (f"{name_of(thing)}: there is no {kind} {name}" for kind, name in sorted(wanted - there))


def _selector(thing: Object) -> dict[str, str] | None:
    spec, kind = thing.get("spec", {}), thing["kind"]
    if kind == "Service":
        return dict(spec["selector"])
    if kind == "NetworkPolicy":
        return dict(spec["podSelector"]["matchLabels"])
    if kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        return dict(spec["selector"]["matchLabels"])
    return None


ALL: dict[str, Policy] = {
    policy.__name__: policy for policy in (restricted, read_only, resources, images, tokens, probes, references)
}
