"""TLS, SASL/SCRAM and access control on a real broker, with the rights that deploy/kubernetes gives and nothing more.

What is wrong is said in a sentence with an exit code; a secret is said nowhere.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from monitor.daemon.topics import internal_topics
from monitor.ports import cleanup_policy
from tests.kafka.broker import free_ports
from tests.kafka.deployment import DEMO, ROOT, Deployment, eventually, succeed
from tests.kafka.fixtures import unavailable
from tests.kafka.jars import BrokerUnavailable
from tests.kafka.secured import Acl, SecuredKafka

pytestmark = pytest.mark.kafka

USER = "driftline"
CANARY = "canary-5f0e1c9a7b"
"""The password: sought wherever something is written."""
PREDICTIONS, LABELS = 80_789, 77_911


def acls(namespace: str) -> list[Acl]:
    """The rights of the shipped KafkaUser, with the topics of this test."""
    user = yaml.safe_load((ROOT / "deploy/kubernetes/components/strimzi/user.yaml").read_text())
    found = []
    for rule in user["spec"]["authorization"]["acls"]:
        resource = rule["resource"]
        name = resource["name"]
        name = (
            name.replace("driftline", namespace)
            if name.startswith("driftline")
            else f"flights.{name}"
            if resource["type"] == "topic"
            else name
        )
        found += [(resource["type"], name, resource["patternType"], operation) for operation in rule["operations"]]
    return found


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredKafka]:
    try:
        with SecuredKafka() as broker:
            broker.add_user(USER, CANARY)
            for topic in ("flights.predictions", "flights.labels"):
                broker.cluster.create_topic(topic, 2)
                broker.cluster.create_topic(f"{topic}.dlq", 2)
            yield broker
    except BrokerUnavailable as e:
        unavailable(str(e))


class Secured(Deployment):
    """Processes that log in. `prepare` makes a namespace's topics, as Strimzi would, and gives the rights."""

    def __init__(
        self,
        broker: SecuredKafka,
        folder: Path,
        password: str = CANARY,
        user: str = USER,
        sources: tuple[str, str] = ("flights.predictions", "flights.labels"),
    ) -> None:
        super().__init__(broker.address, *sources, folder)
        self.broker = broker
        (folder / "password").write_text(f"{password}\n")
        layer = yaml.safe_load(self._layer.read_text())
        layer["kafka"]["properties"] |= broker.properties(user, folder / "password")
        self._layer.write_text(yaml.safe_dump(layer))

    def prepare(self, namespace: str, *, without: Acl | None = None) -> None:
        from monitor.config import load

        config = load([DEMO / "flights.yaml"], [f"namespace={namespace}"])
        for spec in internal_topics(config.topics(), 2):
            self.broker.cluster.create_topic(spec.name, spec.partitions, {"cleanup.policy": cleanup_policy(spec)})
        rights = [acl for acl in acls(namespace) if acl != without]
        self.broker.allow(USER, rights)


@pytest.fixture
def deployment(secured: SecuredKafka, tmp_path: Path) -> Iterator[Secured]:
    with Secured(secured, tmp_path / "config") as deployment:
        yield deployment


def fill(secured: SecuredKafka, folder: Path) -> None:
    """All flights, sent by the administrator."""
    with Deployment(secured.cluster.bootstrap_servers, "flights.predictions", "flights.labels", folder) as plain:
        plain.produce_all()


def test_with_the_shipped_rights_everything_works_and_the_secret_is_written_nowhere(
    secured: SecuredKafka, deployment: Secured, tmp_path: Path
) -> None:
    fill(secured, tmp_path / "plain")
    deployment.prepare("works")
    (port,) = free_ports(1)
    arguments = deployment.config("works", f"http.port={port}", "http.host=127.0.0.1")
    succeed(deployment.start("check", "--live", *arguments), secs=60)
    worker = deployment.start("run", "--until-end", "--verbose", *arguments)
    from tests.deploy.test_end_to_end import get

    seen: list[str] = []

    def done() -> bool:
        seen.extend(filter(None, (get(f"http://127.0.0.1:{port}{path}") for path in ("/metrics", "/api/v1/status"))))
        return not worker.running

    eventually(done, 200, "the worker settles")
    assert worker.wait(5) == 0, worker.said[-3_000:]
    assert any("driftline_records_consumed_total" in text for text in seen)
    reading = Deployment(secured.cluster.bootstrap_servers, "flights.predictions", "flights.labels", tmp_path / "read")
    assert reading.read_offsets("works") == (PREDICTIONS, LABELS)
    shown = deployment.start("config", "show", *arguments)
    assert shown.wait(30) == 0
    written = [*seen, *deployment.everything_said()]
    topics = secured.cluster.admin().list_topics(timeout=30).topics
    for topic in (name for name in topics if name.startswith("works.")):
        written += [str((r.key, r.value)) for log in reading.source.read(topic) for r in log]
    assert len(written) > 200
    assert not [text[:200] for text in written if CANARY in text]


def test_a_wrong_password_is_said_and_ends_with_78(secured: SecuredKafka, tmp_path: Path) -> None:
    with Secured(secured, tmp_path / "config", password="wrong-" + CANARY) as deployment:
        worker = deployment.worker("wrong", until_end=False)
        assert worker.wait(60) == 78, worker.said
        assert "refuse the login of 'driftline' (SASL authentication error" in worker.said
        assert "Correct sasl.username, sasl.password" in worker.said
        assert CANARY not in worker.said


def test_an_expired_certificate_is_said_and_ends_with_69(tmp_path: Path) -> None:
    try:
        with SecuredKafka(expired=True) as broker, Secured(broker, tmp_path / "config") as deployment:
            worker = deployment.worker("expired", until_end=False)
            assert worker.wait(60) == 69, worker.said
            assert "is not accepted: certificate has expired. Renew it" in worker.said
    except BrokerUnavailable as e:
        unavailable(str(e))


@pytest.mark.parametrize("command", [("check", "--live"), ("run",)], ids=" ".join)
@pytest.mark.parametrize(
    ("protocol", "where", "said"),
    [
        (
            "SASL_PLAINTEXT",
            "secured",
            "they speak TLS there, and security.protocol is SASL_PLAINTEXT. Set it to SASL_SSL",
        ),
        (
            "SASL_SSL",
            "plain",
            "a listener without TLS does, and security.protocol is SASL_SSL. Set it to SASL_PLAINTEXT",
        ),
    ],
)
def test_tls_on_one_side_only_is_said_and_ends_with_69(
    secured: SecuredKafka, deployment: Secured, command: tuple[str, ...], protocol: str, where: str, said: str
) -> None:
    address = secured.address if where == "secured" else secured.cluster.bootstrap_servers
    wrong = f"kafka.bootstrap_servers={address}", f"kafka.properties.security.protocol={protocol}"
    asked = deployment.start(*command, *deployment.config("one-side", *wrong))
    assert asked.wait(120) == 69, asked.said
    assert said in asked.said


NEEDED = [number for number, acl in enumerate(acls("x")) if acl[3] != "DescribeConfigs" and not acl[1].endswith(".dlq")]
"""All but those that are missed later: with the first record that cannot be used, or never (retention is unknown then)."""


@pytest.mark.parametrize("number", NEEDED)
def test_without_one_of_the_rights_it_says_that_it_lacks_it(
    secured: SecuredKafka, deployment: Secured, number: int
) -> None:
    namespace = f"lacks{number}"
    missing = acls(namespace)[number]
    deployment.prepare(namespace, without=missing)
    secured.forbid(USER, missing)
    worker = deployment.worker(namespace, until_end=False)
    try:
        assert worker.wait(60) == 78, worker.said[-2_000:]
        assert "AUTHORIZATION_FAILED" in worker.said, f"{missing} is missed"
        assert "`driftline config acls` lists what it needs" in worker.said
    finally:
        worker.send(signal.SIGKILL)
        worker.wait(30)
        secured.allow(USER, [missing])
