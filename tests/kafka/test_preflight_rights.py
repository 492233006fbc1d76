"""What `check --live` says of rights, for users with those that `driftline config acls` prints and for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.adapters.findings import Finding, Level
from monitor.adapters.preflight import preflight
from monitor.cli.scan import open_existing
from monitor.config import load
from tests.kafka.fixtures import unavailable
from tests.kafka.jars import BrokerUnavailable
from tests.kafka.secured import SecuredKafka
from tests.kafka.test_tenancy import Tenant, printed, sources

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredKafka]:
    try:
        with SecuredKafka() as broker:
            yield broker
    except BrokerUnavailable as e:
        unavailable(str(e))


def found(
    secured: SecuredKafka, folder: Path, user: str, *options: str, grant: bool = True, settings: Sequence[str] = ()
) -> Sequence[Finding]:
    """What the user of a namespace of its own is told, whose sources are there and whose other topics are not yet. `settings`: on
    top of the configuration by which it asks, not of that by which it got its rights."""
    for topic in sources(user):
        secured.cluster.create_topic(topic, 2)
    secured.add_user(user, user * 2)
    with Tenant(secured, folder, user) as tenant:
        if grant:
            secured.allow(user, printed(tenant, user, options=options))
        arguments = tenant.config(user)
        config = load(
            [Path(value) for flag, value in pairwise(arguments) if flag == "-c"],
            [*(value for flag, value in pairwise(arguments) if flag == "--set"), *settings],
        )
        log = open_existing(config, None)
        findings = preflight(log, config)
        log.close()
    return findings


def of(findings: Sequence[Finding], *levels: Level) -> dict[str, str]:
    """Those that are about rights."""
    chosen = (each for each in findings if each.level in levels and ("rights" in each.what or "must make" in each.what))
    return {each.what: each.value for each in chosen}


BAD = (Level.WARNING, Level.ERROR)


def test_with_the_rights_that_are_printed_nothing_is_missing_and_nothing_is_made(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    findings = found(secured, tmp_path, "whole", "--create")
    assert of(findings, *BAD) == {}
    assert of(findings, Level.OK) == {"rights": "all that are needed"}
    topics = secured.cluster.admin().list_topics(timeout=30).topics
    assert [name for name in topics if name.startswith("whole.") or name.endswith(".dlq")] == []


def test_without_the_right_to_create_the_topics_to_be_made_are_told_and_no_right_is(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    told = of(found(secured, tmp_path, "maker", "--principal", "x"), *BAD)
    assert list(told) == ["topics that somebody else must make"]
    (value,) = told.values()
    for name in ("maker.ledger", "maker.tasks", "data.maker.predictions.dlq", "data.maker.labels.dlq"):
        assert name in value


def test_who_may_do_nothing_is_told_everything_at_once(secured: SecuredKafka, tmp_path: Path) -> None:
    told = of(found(secured, tmp_path, "nobody", grant=False), Level.ERROR)
    assert told["rights on topic data.nobody.predictions"] == "not allowed: READ, DESCRIBE"
    assert told["rights on topic nobody.ledger"] == "not allowed: READ, WRITE, DESCRIBE"
    assert told["rights on topic data.nobody.labels.dlq"] == "not allowed: WRITE, DESCRIBE"
    assert told["rights on group nobody.tasks"] == "not allowed: READ, DESCRIBE"
    assert told["rights on group nobody"] == "not allowed: DESCRIBE"
    assert len(told) == 2 + 8 + 2 + 3


def test_a_source_that_may_be_seen_and_not_read_is_told_with_the_rest(secured: SecuredKafka, tmp_path: Path) -> None:
    secured.allow("seer", [("topic", name, "literal", "Describe") for name in sources("seer")])
    told = of(found(secured, tmp_path, "seer", grant=False), Level.ERROR)
    assert told["rights on topic data.seer.labels"] == "not allowed: READ"
    assert told["rights on topic seer.evals"] == "not allowed: READ, WRITE, DESCRIBE"


TRIM = ("state.trim=true",)
REKEY = ("streams.labels.topic=copy.{}", "streams.labels.rekey.from=data.{}.labels")


def test_trimming_wants_the_right_to_delete(secured: SecuredKafka, tmp_path: Path) -> None:
    for name in ("trimmer.ledger", "trimmer.evals", "trimmer.checkpoints", "trimmer.windows"):
        secured.cluster.create_topic(name, 1)
    findings = found(secured, tmp_path, "trimmer", "--create", settings=TRIM)
    assert of(findings, *BAD) == {
        f"rights on topic trimmer.{name}": "not allowed: DELETE" for name in ("ledger", "evals", "checkpoints")
    }
    assert all("state.trim" in each.hint for each in findings if "DELETE" in each.value)


def test_what_rekey_lacks_is_told_as_advice_that_names_it(secured: SecuredKafka, tmp_path: Path) -> None:
    secured.cluster.create_topic("copy.copier", 2)
    secured.allow("copier", [("topic", "copy.copier", "literal", "Read")])
    settings = [each.format("copier") for each in REKEY]
    findings = found(secured, tmp_path, "copier", "--create", settings=settings)
    told = of(findings, Level.ADVICE)
    assert told["rights of rekey on topic copy.copier"] == "not allowed: WRITE"
    assert told["rights of rekey on topic copy.copier.progress"] == "not allowed: READ, WRITE, DESCRIBE"
    assert all("--for rekey" in each.hint for each in findings if each.level is Level.ADVICE and "rights" in each.what)
    assert not any("data.copier.labels" in what for what in told), "it may be read"


def test_with_the_rights_that_are_printed_for_it_rekey_lacks_nothing(secured: SecuredKafka, tmp_path: Path) -> None:
    settings = [each.format("both") for each in REKEY]
    secured.cluster.create_topic("copy.both", 2)
    with Tenant(secured, tmp_path / "rekey", "both") as tenant:
        secured.allow("both", printed(tenant, "both", *settings, options=("--for", "rekey", "--create")))
    findings = found(secured, tmp_path, "both", "--create", settings=settings)
    assert of(findings, Level.ADVICE) == {}
    assert of(findings, Level.OK)["rights of rekey for copy.both"] == "all that are needed"
