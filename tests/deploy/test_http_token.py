"""With `components/http-token`: what the pods mount is the token, the scrape sends it, and the probes go on without."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import yaml

from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import Snapshot
from monitor.adapters.http_token import TokenFile
from monitor.config import load
from monitor.readiness import Check
from tests.deploy import policies
from tests.deploy.conftest import Run
from tests.deploy.kustomize import KUBERNETES, ROOT, KustomizeMissing, Object, build, pod_specs
from tests.deploy.test_overlays import only
from tests.deploy.test_schemas import found
from tests.http.test_http import ask

TOKEN = "7f3a9c51d2e84b60a1"
READY = Snapshot(checks=(Check("group", True, "joined"),))


def overlay(folder: Path, *components: str) -> list[Object]:
    """The base with components, as somebody's own overlay has them."""
    paths = [os.path.relpath(KUBERNETES / "components" / name, folder) for name in components]
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "driftline",
        "resources": [os.path.relpath(KUBERNETES / "base", folder)],
        "components": paths,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    try:
        return copy.deepcopy(build(folder))
    except KustomizeMissing as e:
        pytest.skip(str(e))


def test_it_keeps_the_policies_and_the_definitions_with_and_without_an_operator(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    for objects in (
        overlay(tmp_path, "kafka-auth", "monitoring", "network-policy", "http-token"),
        overlay(tmp_path / "alone", "http-token"),
    ):
        assert {name: list(policy(objects)) for name, policy in policies.ALL.items() if list(policy(objects))} == {}
        assert [sentence for thing in objects for sentence in found(thing)] == []


def test_the_probes_need_no_token_and_the_scrape_has_it(tmp_path: Path) -> None:
    objects = overlay(tmp_path, "monitoring", "http-token")
    ((_, pod),) = pod_specs(objects)
    (container,) = pod["containers"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "http-token")
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "http-token")
    assert "subPath" not in mount, "such a mount is never updated"
    (item,) = volume["secret"]["items"]
    (tmp_path / item["path"]).write_text(TOKEN)
    files, given = only(objects, "ConfigMap")["data"], container["args"]
    paths = []
    for name in (given[i + 1].rpartition("/")[2] for i, word in enumerate(given) if word == "-c"):
        paths.append(tmp_path / name)
        paths[-1].write_text(files[name].replace(mount["mountPath"], str(tmp_path)))
    config = load(paths, [given[i + 1] for i, word in enumerate(given) if word == "--set"])
    assert config.http.token_path == str(tmp_path / item["path"])

    server = HttpServer(config.http.host, 0, lambda: READY, lambda: 0, token=TokenFile(config.http.token_path))
    server.start()
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert ask(server, container[probe]["httpGet"]["path"], {"Host": "10.1.2.3:9187"}).status == 200
        (endpoint,) = only(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
        sent = endpoint["authorization"]
        assert sent["credentials"] == {"name": volume["secret"]["secretName"], "key": item["key"]}
        assert ask(server, endpoint["path"]).status == 401
        assert ask(server, endpoint["path"], {"Authorization": f"{sent['type']} {TOKEN}"}).status == 200
    finally:
        server.stop()


def test_the_scrape_configuration_says_how_to_send_it(tmp_path: Path, promtool: Run) -> None:
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    with_token = text.replace("    # authorization:", "    authorization:")
    assert with_token != text
    (tmp_path / "driftline-token").write_text(TOKEN)
    (tmp_path / "driftline.rules.yml").write_text("groups: []\n")
    (tmp_path / "prometheus.yml").write_text(with_token)
    (job,) = yaml.safe_load(with_token)["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "driftline-token"}
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr
