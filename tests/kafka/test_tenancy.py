"""Two namespaces on one broker, each with a user and the rights that `driftline config acls` prints for it: each works, and
neither reads or writes what is the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.adapters.dead_letters import topic_of
from monitor.config import load
from monitor.daemon.topics import internal_topics
from monitor.ports import cleanup_policy
from tests.cli.driving import driftline
from tests.kafka.deployment import DEMO, Deployment, succeed
from tests.kafka.fixtures import unavailable
from tests.kafka.jars import BrokerUnavailable
from tests.kafka.secured import Acl, SecuredKafka
from tests.kafka.test_secured import Secured

pytestmark = pytest.mark.kafka

TENANTS = ("shop", "bank", "shop.eu")
"""The last begins as the first does, so that the first must not go by a prefix."""
RECORDS = 8_000
"""Of each topic."""


def sources(tenant: str) -> tuple[str, str]:
    """The topics of a tenant, which are under no namespace."""
    return f"data.{tenant}.predictions", f"data.{tenant}.labels"


def printed(deployment: Deployment, tenant: str, *settings: str, options: Sequence[str] = ()) -> list[Acl]:
    """The rights as the command prints them; those of the namespace that another one begins with name by name."""
    options = options or (("--literal",) if tenant == "shop" else ())
    said = driftline("config", "acls", *deployment.config(tenant, *settings), *options, "-o", "json")
    pattern = {"literal": "literal", "prefixed": "prefix"}
    return [
        (right["resource"], right["name"], pattern[right["pattern"]], operation)
        for right in json.loads(said.out)
        for operation in right["operations"]
    ]


class Tenant(Secured):
    """A namespace, its topics and its user, whose password is its own name twice."""

    def __init__(self, broker: SecuredKafka, folder: Path, name: str, user: str = "", of: str = "") -> None:
        """`user`: who logs in, by default the tenant itself; `of`: whose sources are read."""
        self.name, self.user = name, user or name
        super().__init__(broker, folder, self.user * 2, self.user, sources(of or name))

    def make(self) -> None:
        """The topics, as an operator of Kafka would make them, filled; the user and its rights."""
        config = load([DEMO / "flights.yaml"], [f"namespace={self.name}"])
        for spec in internal_topics(config.topics(), 2):
            self.broker.cluster.create_topic(spec.name, spec.partitions, {"cleanup.policy": cleanup_policy(spec)})
        for topic in sources(self.name):
            self.broker.cluster.create_topic(topic, 2)
            self.broker.cluster.create_topic(topic_of(topic), 2)
        self.broker.add_user(self.name, self.name * 2)
        self.broker.allow(self.name, printed(self, self.name))
        with Deployment(self.broker.cluster.bootstrap_servers, *sources(self.name), self.folder / "fill") as plain:
            plain.produce_all("--limit", str(RECORDS))


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Tenant]]:
    try:
        with SecuredKafka() as broker:
            found = [Tenant(broker, tmp_path_factory.mktemp("tenant") / name, name) for name in TENANTS]
            for tenant in found:
                tenant.make()
            yield found
            for tenant in found:
                tenant.__exit__()
    except BrokerUnavailable as e:
        unavailable(str(e))


@pytest.fixture
def intruder(tenants: Sequence[Tenant]) -> Tenant:
    """The one that tries."""
    return tenants[0]


def ends(tenant: Tenant) -> dict[str, int]:
    """Records of every topic of a namespace, as the administrator sees them."""
    source = Deployment(tenant.broker.cluster.bootstrap_servers, *sources(tenant.name), tenant.folder / "look").source
    names = tenant.broker.cluster.admin().list_topics(timeout=30).topics
    mine = [*(spec for spec in names if spec.startswith(f"{tenant.name}.")), *sources(tenant.name)]
    return {name: sum(map(len, source.read(name))) for name in mine}


def test_each_works_at_the_same_time_with_the_rights_that_are_printed_for_it(tenants: Sequence[Tenant]) -> None:
    workers = [tenant.worker(tenant.name) for tenant in tenants]
    succeed(*workers, secs=300)
    for tenant in tenants:
        plain = Deployment(tenant.broker.cluster.bootstrap_servers, *sources(tenant.name), tenant.folder / "audit")
        assert plain.read_offsets(tenant.name) == (RECORDS, RECORDS)
        assert plain.audits(tenant.name) == []


@pytest.mark.parametrize("other", TENANTS[1:])
def test_the_namespace_of_another_is_refused_with_78_and_not_touched(
    tenants: Sequence[Tenant], intruder: Tenant, other: str, tmp_path: Path
) -> None:
    victim = tenants[TENANTS.index(other)]
    before = ends(victim)
    with Tenant(intruder.broker, tmp_path / "config", other, user=intruder.name, of=intruder.name) as trying:
        worker = trying.worker(other, until_end=False)
        assert worker.wait(90) == 78, worker.said[-2_000:]
        assert "AUTHORIZATION_FAILED" in worker.said
        assert f"'{other}." in worker.said, "which topic"
    assert ends(victim) == before


def test_the_topics_of_another_are_not_read_under_the_own_namespace(
    tenants: Sequence[Tenant], intruder: Tenant, tmp_path: Path
) -> None:
    before = ends(tenants[1])
    with Tenant(intruder.broker, tmp_path / "config", intruder.name, of="bank") as trying:
        worker = trying.worker(intruder.name, until_end=False)
        assert worker.wait(90) == 78, worker.said[-2_000:]
        assert "'data.bank.predictions'" in worker.said
    assert ends(tenants[1]) == before


@pytest.mark.parametrize("other", TENANTS[1:])
def test_a_client_of_its_own_gets_no_further(tenants: Sequence[Tenant], intruder: Tenant, other: str) -> None:
    settings = {"bootstrap.servers": intruder.broker.address} | {
        name: value
        for name, value in intruder.broker.properties(intruder.name, Path("unused")).items()
        if not name.endswith("_file")
    }
    settings["sasl.password"] = intruder.name * 2
    said: list[str] = []
    producer = Producer(settings)
    for topic in (f"{other}.ledger", f"{other}.alerts", sources(other)[0]):
        producer.produce(
            topic, b"x", partition=0, on_delivery=lambda error, _: said.append(error.name() if error else "taken")
        )
    producer.flush(20)
    assert said == ["TOPIC_AUTHORIZATION_FAILED"] * 3
    consumer = Consumer(settings | {"group.id": intruder.name, "auto.offset.reset": "earliest"})
    try:
        for topic in (f"{other}.ledger", sources(other)[1]):
            found = consumer.list_topics(topic, timeout=20).topics[topic]
            assert found.error is not None
            assert found.error.name() == "TOPIC_AUTHORIZATION_FAILED"
            consumer.assign([TopicPartition(topic, 0, 0)])
            assert consumer.poll(3) is None, f"something of {topic} is read"
    finally:
        consumer.close()


def test_labels_are_copied_with_the_rights_that_are_printed_for_it_and_without_one_it_ends_with_78(
    tenants: Sequence[Tenant], tmp_path: Path
) -> None:
    bank = tenants[TENANTS.index("bank")]
    name, copy = "copier", "data.bank.by-id"
    rekeyed = (f"streams.labels.topic={copy}", f"streams.labels.rekey.from={sources('bank')[1]}")
    bank.broker.add_user(name, name * 2)
    with Tenant(bank.broker, tmp_path / "config", "bank", user=name, of="bank") as copier:
        rights = printed(copier, "bank", *rekeyed, options=("--for", "rekey", "--create"))
        last = next(right for right in rights if right[0] == "transactional-id")
        bank.broker.allow(name, [right for right in rights if right != last])
        arguments = ("rekey", *copier.config("bank", *rekeyed), "--until-end", "--no-http")
        refused = copier.start(*arguments)
        assert refused.wait(90) == 78, refused.said[-2_000:]
        assert "AUTHORIZATION_FAILED" in refused.said
        bank.broker.allow(name, [last])
        succeed(copier.start(*arguments), secs=90)
    plain = Deployment(bank.broker.cluster.bootstrap_servers, *sources("bank"), tmp_path / "look")
    assert sum(map(len, plain.source.read(copy))) == RECORDS
