"""Every overlay keeps every policy; every policy is shown a pod that breaks it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import load
from pipelines.job_spec import LABELS as JOB_LABELS
from tests.deploy import policies
from tests.deploy.kustomize import KUBERNETES, OVERLAYS, KustomizeMissing, Object, build, name_of, overlay, pod_specs

STOP_SECONDS = 20


def built(name: str) -> list[Object]:
    try:
        return overlay(name)
    except KustomizeMissing as e:
        pytest.skip(str(e))


@pytest.fixture
def prod() -> list[Object]:
    return copy.deepcopy(built("prod"))


def only(objects: list[Object], kind: str) -> Object:
    (found,) = (
        thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"] != "driftline-dashboard"
    )
    return found


@pytest.mark.parametrize("policy", policies.ALL)
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_keeps_every_policy(name: str, policy: str) -> None:
    assert list(policies.ALL[policy](built(name))) == []


def test_an_overlay_has_what_it_is_for() -> None:
    kinds = {name: sorted({thing["kind"] for thing in built(name)}) for name in OVERLAYS}
    daemon = {"ConfigMap", "Deployment", "Namespace", "PodDisruptionBudget", "Service", "ServiceAccount"}
    more = {"NetworkPolicy", "PodMonitor", "PrometheusRule", "Role", "RoleBinding"}
    assert kinds == {
        "dev": sorted(daemon),
        "prod": sorted(daemon | more),
        "prod-kafka": ["KafkaTopic", "KafkaUser"],
    }


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_namespace_refuses_pods_that_are_laxer(name: str) -> None:
    objects = built(name)
    namespace = only(objects, "Namespace")["metadata"]
    assert {namespace["labels"][f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
        "restricted"
    }
    own = {thing["metadata"].get("namespace") for thing in objects if thing["kind"] != "Namespace"}
    assert own == {namespace["name"]}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_files_that_a_pod_is_given_are_a_configuration(name: str, tmp_path: Any, monkeypatch: Any) -> None:
    objects = built(name)
    ((_, pod),) = pod_specs(objects)
    (container,) = pod["containers"]
    arguments = container["args"]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "config")
    files = only(objects, "ConfigMap")["data"]
    given = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-c"]
    assert [path.rpartition("/")[0] for path in given] == [mount["mountPath"]] * len(given)
    paths = []
    for path in given:
        text = files[path.rpartition("/")[2]]
        secrets = tmp_path / "secrets"
        secrets.mkdir(exist_ok=True)
        (secrets / "password").write_text("secret\n")
        paths.append(tmp_path / path.rpartition("/")[2])
        paths[-1].write_text(text.replace("/run/secrets/kafka/", f"{secrets}/"))
    overrides = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
    config = load(paths, overrides)
    rows_bytes = config.state.max_rows * 64
    assert rows_bytes < 0.5 * _bytes(container["resources"]["limits"]["memory"])
    assert config.http.host == "0.0.0.0", "the kubelet does not ask from the loopback"


def _bytes(text: str) -> int:
    return int(text[:-2]) << {"Mi": 20, "Gi": 30}[text[-2:]]


def test_every_secret_file_of_the_configuration_is_mounted_and_nothing_else(prod: list[Object]) -> None:
    ((_, pod),) = pod_specs(prod)
    (container,) = pod["containers"]
    where = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    mounted = {
        f"{where[v['name']]}/{item['path']}" for v in pod["volumes"] if "secret" in v for item in v["secret"]["items"]
    }
    layer = yaml.safe_load((KUBERNETES / "components" / "kafka-auth" / "kafka.yaml").read_text())
    properties = layer["kafka"]["properties"]
    assert mounted == {properties["ssl.ca.location"], properties["sasl.password_file"]}
    assert all(v["secret"]["defaultMode"] == 0o440 for v in pod["volumes"] if "secret" in v)
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_there_is_time_to_stop(prod: list[Object]) -> None:
    ((_, pod),) = pod_specs(prod)
    assert STOP_SECONDS + 5 <= pod["terminationGracePeriodSeconds"] <= 2 * STOP_SECONDS


def test_pods_are_scraped_under_the_job_that_the_rules_expect(prod: list[Object]) -> None:
    monitor, deployment = only(prod, "PodMonitor")["spec"], only(prod, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "driftline"
    (endpoint,) = monitor["podMetricsEndpoints"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert endpoint["port"] in [port["name"] for port in container["ports"]]


def test_the_wall_lets_scrapes_in_and_names_and_brokers_out(prod: list[Object]) -> None:
    spec = wall(prod, "driftline")
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule.get("from") for rule in spec["ingress"]), "an empty `from` lets everybody in"
    assert all(rule.get("to") for rule in spec["egress"]), "an empty `to` lets everything out"
    ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    layer = yaml.safe_load((KUBERNETES / "components" / "kafka-auth" / "kafka.yaml").read_text())
    assert ports == {53, 9092, int(layer["kafka"]["bootstrap_servers"].rpartition(":")[2])}


def wall(objects: list[Object], name: str) -> dict[str, Any]:
    (found,) = (o["spec"] for o in objects if name_of(o) == f"NetworkPolicy/{name}")
    return dict(found)


def test_training_code_reaches_nobody_and_is_reached_by_nobody(prod: list[Object]) -> None:
    spec = wall(prod, "driftline-retrain-job")
    assert spec["podSelector"]["matchLabels"] == JOB_LABELS
    assert (spec["policyTypes"], spec.get("ingress", [])) == (["Ingress", "Egress"], [])
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53}
    daemon = wall(prod, "driftline")["podSelector"]["matchLabels"]
    assert not daemon.items() <= JOB_LABELS.items(), "walls add up: the daemon's would let it out to the brokers"


@pytest.mark.parametrize("name", ["driftline", "driftline-retrain-job"])
def test_what_the_documentation_opens_is_open_then(name: str, tmp_path: Path) -> None:
    page = (KUBERNETES.parents[1] / "docs" / "kubernetes.md").read_text()
    blocks = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    patches = next(block["patches"] for block in blocks if "patches" in block)
    document = {"resources": [os.path.relpath(KUBERNETES / "overlays" / "prod", tmp_path)], "patches": patches}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(document))
    try:
        opened, shipped = (wall(objects, name)["egress"] for objects in (build(tmp_path), built("prod")))
    except KustomizeMissing as e:
        pytest.skip(str(e))
    assert opened[: len(shipped)] == shipped
    new = opened[len(shipped) :]
    assert new
    assert all(rule["to"] and rule["ports"] for rule in new)


Break = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("policy", "broken"),
    [
        ("restricted", lambda pod: pod.update(hostNetwork=True)),
        ("restricted", lambda pod: pod["securityContext"].pop("seccompProfile")),
        ("restricted", lambda pod: pod["securityContext"].update(runAsNonRoot=False)),
        ("restricted", lambda pod: pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}})),
        ("restricted", lambda pod: pod["containers"][0]["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
        ("restricted", lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation")),
        ("read_only", lambda pod: pod["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False)),
        ("read_only", lambda pod: pod["volumes"].append({"name": "scratch", "emptyDir": {}})),
        ("resources", lambda pod: pod["containers"][0]["resources"].pop("limits")),
        ("resources", lambda pod: pod["containers"][0]["resources"]["limits"].update(cpu="1")),
        ("images", lambda pod: pod["containers"][0].update(image="driftline:latest")),
        ("images", lambda pod: pod["containers"][0].update(image="driftline")),
        ("tokens", lambda pod: pod.pop("automountServiceAccountToken")),
        ("probes", lambda pod: pod["containers"][0]["livenessProbe"]["httpGet"].update(path="/readyz")),
        ("references", lambda pod: pod.update(serviceAccountName="nobody")),
    ],
)
def test_a_policy_finds_a_pod_that_breaks_it(prod: list[Object], policy: str, broken: Break) -> None:
    ((_, pod),) = pod_specs(prod)
    broken(pod)
    assert list(policies.ALL[policy](prod)) != []


def test_a_role_that_may_read_secrets_is_found(prod: list[Object]) -> None:
    only(prod, "Role")["rules"][0]["resources"].append("secrets")
    assert list(policies.tokens(prod)) == [f"{name_of(only(prod, 'Role'))}: may do too much"]
