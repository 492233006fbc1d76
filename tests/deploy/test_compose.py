"""The compose file is valid, its commands and configurations are, and what it mounts and names is there.

No container engine is asked: commands are read by the command line that they are for, configurations by who reads them.
"""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from monitor.cli.app import cli
from monitor.config import load
from tests.deploy.conftest import Run
from tests.deploy.schemas import SchemasUnavailable, module
from tests.kafka.broker import KafkaCluster
from tests.kafka.fixtures import unavailable
from tests.kafka.jars import BrokerUnavailable

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
SPECIFICATION = ("github.com/compose-spec/compose-go/v2@v2.16.2", "h1:pTp1DqQwJzFd85GzlWsSszKA1ABrV/ySqsClujIcWA8=")
DOCUMENT: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


@cache
def validator() -> Validator:
    try:
        folder = module(*SPECIFICATION)
    except SchemasUnavailable as e:
        unavailable(str(e))
    schema = json.loads((folder / "schema" / "compose-spec.json").read_text())
    return validator_for(schema)(schema)


def mounts(service: str) -> dict[str, Path]:
    """Path in the container -> file or folder here."""
    found = (volume.split(":") for volume in SERVICES[service].get("volumes", []))
    return {inside: (DEPLOY / outside).resolve() for outside, inside, _ in found}


def outside(service: str, path: str) -> Path:
    """What is mounted at a path of a container, or above it."""
    for inside, here in mounts(service).items():
        if path == inside or path.startswith(f"{inside}/"):
            return here / path.removeprefix(inside).lstrip("/")
    raise AssertionError(f"{service}: nothing is mounted at {path}")


def test_it_is_as_the_specification_says() -> None:
    assert [e.message for e in validator().iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "services": {"kafka": {"image": "x", "enviroment": {}}}}
    assert [e.message for e in validator().iter_errors(broken)] != []


def test_it_has_what_is_promised() -> None:
    assert set(SERVICES) == {"kafka", "driftline", "predictions", "labels", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_a_variable_and_its_default_a_certain_one_without_a_registry(name: str) -> None:
    match = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-([a-z/-]+):(v?\d[\w.-]*)\}", SERVICES[name]["image"])
    assert match is not None, SERVICES[name]["image"]
    assert "." not in match.group(1).partition("/")[0], "a host"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_is_only_read(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        assert volume.endswith(":ro")
    assert all(here.exists() for here in mounts(name).values())


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_ours_may_do_and_write_nothing(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all("size=" in mount for mount in service["tmpfs"])
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & set(service)


def test_the_image_is_built_from_our_dockerfile_with_an_argument_it_has() -> None:
    build = SERVICES["driftline"]["build"]
    dockerfile = (DEPLOY / build["context"]).resolve() / build["dockerfile"]
    assert dockerfile == DEPLOY / "Dockerfile"
    assert all(f"ARG {name}=" in dockerfile.read_text() for name in build["args"])


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_that_the_command_line_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    word, *arguments = SERVICES[name]["command"]
    given = [str(outside(name, a)) if a.startswith("/") else a for a in arguments]
    command = cli.get_command(click.Context(cli), word)
    assert command is not None
    command.make_context(word, list(given))  # raises UsageError for what it does not take


def test_the_daemon_reads_the_topics_that_the_generators_fill_at_the_broker_that_is_there() -> None:
    arguments = SERVICES["driftline"]["command"]
    config = load([outside("driftline", arguments[i + 1]) for i, word in enumerate(arguments) if word == "-c"])
    assert config.streams.labels is not None
    topics = [config.streams.predictions.topic, config.streams.labels.topic]
    assert [SERVICES[name]["command"][1] for name in ("predictions", "labels")] == topics
    assert config.kafka is not None
    brokers = {SERVICES[name]["command"][4] for name in ("predictions", "labels")} | {config.kafka.bootstrap_servers}
    assert brokers == {SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")}
    assert SERVICES["driftline"]["ports"] == [f"127.0.0.1:{config.http.port}:{config.http.port}"]
    assert config.http.host == "0.0.0.0"


def test_neither_generator_runs_ahead() -> None:
    rates = [float(SERVICES[name]["command"][6]) for name in ("predictions", "labels")]
    assert rates[0] / rates[1] == pytest.approx(80_789 / 77_911, rel=0.01)


def test_prometheus_scrapes_and_tells_services_that_are_there(promtool: Run, tmp_path: Path) -> None:
    for inside, here in mounts("prometheus").items():
        shutil.copy(here, tmp_path / inside.rpartition("/")[2])
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    text = (tmp_path / "prometheus.yml").read_text()
    targets = re.findall(r"'([a-z]+):(\d+)'", text)
    published = {(name, port.rpartition(":")[2]) for name, s in SERVICES.items() for port in s.get("ports", [])}
    assert set(targets) == {("driftline", "9187"), ("alertmanager", "9093")} <= published
    assert yaml.safe_load(text)["scrape_configs"][0]["job_name"] == "driftline"


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    folder = outside("grafana", "/etc/grafana/provisioning")
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((folder / "dashboards" / "driftline.yml").read_text())["providers"]
    shown = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert shown.startswith(provider["options"]["path"])
    assert outside("grafana", shown) == DEPLOY / "grafana" / "driftline.json"


@pytest.mark.kafka
def test_a_broker_starts_with_the_settings_of_the_compose_file() -> None:
    """Its image makes properties of the variables: KAFKA_A_B is a.b. Addresses are the harness's own."""
    given = SERVICES["kafka"]["environment"]
    properties = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in given.items()}
    ours = {"listeners", "advertised.listeners", "controller.quorum.voters"}
    assert ours <= properties.keys()
    try:
        with KafkaCluster(properties={k: v for k, v in properties.items() if k not in ours}) as cluster:
            cluster.create_topic("flights.predictions", 6)
    except BrokerUnavailable as e:
        unavailable(str(e))
