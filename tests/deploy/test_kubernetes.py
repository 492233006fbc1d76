from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import load

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes" / "base"
STOP_SECONDS = 20
"""Within which the daemon says it stops after SIGTERM."""


def manifest(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((BASE / name).read_text())
    return document


@pytest.fixture
def deployment() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("deployment.yaml")["spec"]
    return spec


@pytest.fixture
def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def test_a_rollout_never_has_a_pod_too_many(deployment: dict[str, Any]) -> None:
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_the_pod_meets_the_restricted_standard(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 1_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) - {"name"} <= {"configMap", "emptyDir"} for volume in pod["volumes"])
    assert all("hostPort" not in port for port in container["ports"])


def test_nobody_gets_a_token(pod: dict[str, Any]) -> None:
    account = manifest("serviceaccount.yaml")
    assert pod["automountServiceAccountToken"] is False
    assert account["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == account["metadata"]["name"]


def test_there_is_time_to_stop(pod: dict[str, Any]) -> None:
    assert STOP_SECONDS + 5 <= pod["terminationGracePeriodSeconds"] <= 2 * STOP_SECONDS


def test_probes_ask_the_paths_that_are_served_on_the_port_that_is_configured(container: dict[str, Any]) -> None:
    (port,) = container["ports"]
    arguments = container["args"]
    overrides = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"]
    config = load([BASE / "config.yaml"], overrides)
    assert port["containerPort"] == config.http.port
    assert config.http.host == "0.0.0.0", "the kubelet does not ask from the loopback"
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    assert container["livenessProbe"]["failureThreshold"] * container["livenessProbe"]["periodSeconds"] >= 60


def test_a_configuration_that_listens_elsewhere_is_asked_all_the_same(
    container: dict[str, Any], tmp_path: Path
) -> None:
    """As that of `driftline init` does, once it has replaced config.yaml."""
    tried = tmp_path / "config.yaml"
    tried.write_text((BASE / "config.yaml").read_text() + "http: {host: 127.0.0.1, port: 9999}\n")
    arguments = container["args"]
    config = load([tried], [arguments[i + 1] for i, word in enumerate(arguments) if word == "--set"])
    assert (config.http.host, config.http.port) == ("0.0.0.0", container["ports"][0]["containerPort"])


def test_memory_is_limited_to_what_is_requested_and_enough_for_the_join(container: dict[str, Any]) -> None:
    resources = container["resources"]
    assert resources["limits"] == {"memory": resources["requests"]["memory"]}
    mebibytes = int(resources["limits"]["memory"].removesuffix("Gi")) * 1_024
    config = load([BASE / "config.yaml"])
    assert config.state.max_rows * 64 / 2**20 < 0.5 * mebibytes


def test_the_files_fit_together(pod: dict[str, Any], container: dict[str, Any]) -> None:
    kustomization = manifest("kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(
        path.name for path in BASE.glob("*.yaml") if path.name not in ("kustomization.yaml", "config.yaml")
    )
    (generated,) = kustomization["configMapGenerator"]
    mounted = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounted["config"]["configMap"]["name"] == generated["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(mounted)
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "config")
    assert container["args"][:3] == ["run", "-c", f"{mount['mountPath']}/{generated['files'][0]}"]
    assert "subPath" not in mount, "such a mount is never updated"
    (port,) = manifest("service.yaml")["spec"]["ports"]
    assert port["targetPort"] == container["ports"][0]["name"]


def test_the_image_has_no_registry_and_the_version_of_the_project() -> None:
    (image,) = manifest("kustomization.yaml")["images"]
    assert "/" not in image["newName"]
    assert f'version = "{image["newTag"]}"' in (ROOT / "pyproject.toml").read_text()


def test_kustomize_builds_it() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl (1.21 or newer) is missing; it is not a Debian package. The other tests read the files.")
    built = subprocess.run([kubectl, "kustomize", str(BASE)], capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stderr
    objects = {document["kind"]: document for document in yaml.safe_load_all(built.stdout)}
    assert set(objects) == {"ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"}
    deployment = objects["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert objects["Service"]["spec"]["selector"].items() <= labels.items()
    (volume,) = (v for v in deployment["template"]["spec"]["volumes"] if v["name"] == "config")
    assert volume["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"] != "driftline-config"
    assert deployment["template"]["spec"]["containers"][0]["image"] == "driftline:0.1.0"
    assert objects["ConfigMap"]["data"]["config.yaml"] == (BASE / "config.yaml").read_text()
