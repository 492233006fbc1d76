"""What a real API server says to what we ship: it takes all of it, warns of nothing, and refuses what is laxer."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.deploy.apiserver import ApiServer
from tests.deploy.kustomize import OVERLAYS, KustomizeMissing, Object, name_of, overlay, pod_specs
from tests.deploy.schemas import SchemasUnavailable, operator_crds, strimzi_crds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(apiserver: ApiServer) -> ApiServer:
    """The server with the kinds of both operators and the namespaces of the overlays."""
    try:
        crds = [*operator_crds(), *strimzi_crds()]
    except SchemasUnavailable as e:
        pytest.skip(str(e))
    for crd in crds:
        apiserver.install(crd)
    apiserver.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kafka"}})
    for name in OVERLAYS:
        for thing in built(name):
            if thing["kind"] == "Namespace":
                assert apiserver.apply(thing).code in (200, 201)
    return apiserver


def built(name: str) -> list[Object]:
    try:
        return copy.deepcopy(overlay(name))
    except KustomizeMissing as e:
        pytest.skip(str(e))


@pytest.mark.parametrize("name", OVERLAYS)
def test_it_takes_every_object_and_warns_of_none(cluster: ApiServer, name: str) -> None:
    for thing in built(name):
        answer = cluster.apply(thing, dry_run=True)
        said = answer.body.get("message")
        assert (answer.code in (200, 201), answer.warnings) == (True, ()), f"{name_of(thing)}: {said} {answer.warnings}"


def test_it_warns_of_a_pod_that_is_laxer_and_refuses_it(cluster: ApiServer) -> None:
    (thing,) = (thing for thing in built("prod") if thing["kind"] == "Deployment")
    ((_, pod),) = pod_specs([thing])
    pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    (warning,) = cluster.apply(thing, dry_run=True).warnings
    assert "allowPrivilegeEscalation" in warning
    assert cluster.apply(account("driftline")).code in (200, 201)
    answer = cluster.apply(pod_of(pod), dry_run=True)
    assert answer.code == 403
    assert 'violates PodSecurity "restricted' in answer.body["message"]


def test_it_admits_the_pod_as_it_is_shipped(cluster: ApiServer) -> None:
    assert cluster.apply(account("driftline")).code in (200, 201)
    ((_, pod),) = pod_specs(built("prod"))
    answer = cluster.apply(pod_of(pod), dry_run=True)
    assert (answer.code, answer.warnings) == (201, ()), answer.body.get("message")


@pytest.mark.parametrize(
    ("kind", "field"), [("Deployment", "replica"), ("PodMonitor", "selectr"), ("PodDisruptionBudget", "maxUnavailabel")]
)
def test_it_refuses_a_misspelt_field(cluster: ApiServer, kind: str, field: str) -> None:
    (thing,) = (thing for thing in built("prod") if thing["kind"] == kind)
    thing["spec"][field] = 1
    answer = cluster.apply(thing, dry_run=True)
    assert answer.code >= 400
    assert field in answer.body["message"]


def test_who_retrains_may_start_follow_and_remove_jobs_and_nothing_else(cluster: ApiServer) -> None:
    for thing in built("prod"):
        if thing["kind"] in ("Role", "RoleBinding", "ServiceAccount"):
            assert cluster.apply(thing).code in (200, 201)
    who = "system:serviceaccount:driftline:driftline-retrain"
    jobs = "/apis/batch/v1/namespaces/driftline/jobs"
    created = cluster.ask("POST", jobs, job(), user=who)
    assert created.code == 201, created.body.get("message")
    assert created.warnings == ()
    assert cluster.ask("GET", jobs, user=who).code == 200
    assert cluster.ask("GET", f"{jobs}/train", user=who).body["metadata"]["name"] == "train"
    assert cluster.ask("DELETE", f"{jobs}/train?propagationPolicy=Background", user=who).code == 200
    refused = {
        "another namespace": cluster.ask(
            "POST", jobs.replace("namespaces/driftline", "namespaces/kafka"), job(), user=who
        ),
        "secrets": cluster.ask("GET", "/api/v1/namespaces/driftline/secrets", user=who),
        "config maps": cluster.ask("GET", "/api/v1/namespaces/driftline/configmaps", user=who),
        "pods": cluster.ask("POST", "/api/v1/namespaces/driftline/pods", {}, user=who),
        "roles": cluster.ask("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/driftline/roles", user=who),
        "the job's own account": cluster.ask("GET", jobs, user=f"{who}-job"),
        "the daemon's account": cluster.ask("GET", jobs, user="system:serviceaccount:driftline:driftline"),
    }
    assert {what: answer.code for what, answer in refused.items()} == dict.fromkeys(refused, 403)


def account(name: str) -> Object:
    metadata = {"name": name, "namespace": "driftline"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def pod_of(spec: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "driftline"}, "spec": spec}


def job() -> Object:
    """A Job that the namespace admits, under the account that may do nothing."""
    container = {
        "name": "train",
        "image": "train:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": "driftline-retrain-job",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, "spec": spec}
