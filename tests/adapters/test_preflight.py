from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from monitor.adapters.findings import Finding, Level
from monitor.adapters.kafka_log import KafkaLog
from monitor.adapters.partitioner import crc32_partition, murmur2_partition
from monitor.adapters.placement import sample
from monitor.adapters.preflight import preflight
from monitor.config import loads
from monitor.config.types import Config
from monitor.errors import LogUnreachable
from monitor.ports import Log, OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics, OwnKafka

DAY_MS = 86_400_000
Place = Callable[[bytes, int], int]


def config(namespace: str = "driftline", predictions: str = "predictions", labels: str = "labels") -> Config:
    return loads(f"""\
namespace: {namespace}
streams:
  predictions:
    topic: {predictions}
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}}
  labels:
    topic: {labels}
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 36h}}
models:
  - {{name: fraud}}
""")


def fill(log: Log, topic: str, place: Place | None, keys: range = range(300)) -> None:
    appender = log.appender()
    count = len(log.end_offsets(topic))
    for i in keys:
        key = b"id-%d" % i
        where = i % count if place is None else place(key, count)
        appender.send(topic, OutRecord(b"{}", None if place is None else key), where)
    appender.flush(10_000)


def fill_with_ids(log: Log, topic: str, by: Callable[[int], bytes], ids: range) -> None:
    """Records with an id each, keyed by something that may have nothing to do with it."""
    appender, count = log.appender(), len(log.end_offsets(topic))
    for i in ids:
        appender.send(topic, OutRecord(b'{"id": "id-%d"}' % i, by(i)), murmur2_partition(by(i), count))
    appender.flush(10_000)


@pytest.mark.parametrize("labels", [range(300), range(300, 600)])
def test_labels_that_are_keyed_by_something_else_are_named_with_the_remedy(labels: range) -> None:
    log = sources()
    fill_with_ids(log, "predictions", lambda i: b"id-%d" % i, range(300))
    fill_with_ids(log, "labels", lambda i: b"customer-%d" % (i % 40), labels)
    (found,) = [each for each in preflight(log, config()) if each.level is Level.ERROR]
    assert found.what == "ids of predictions and labels"
    assert ("lie in different partitions" if labels.start == 0 else "labels by something else") in found.value
    assert "`driftline rekey`" in found.hint


def test_both_keyed_by_the_same_thing_that_is_no_id_is_fine() -> None:
    log = sources()
    for topic, ids in (("predictions", range(300)), ("labels", range(300, 600))):
        fill_with_ids(log, topic, lambda i: b"customer-%d" % (i % 40), ids)
    assert not [each for each in preflight(log, config()) if each.level is Level.ERROR]


def test_a_copy_that_is_not_there_yet_and_its_source_are_told() -> None:
    log = sources()
    text = config(labels="copy").document().replace('"topic":"copy"', '"topic":"copy","rekey":{"from":"gone"}')
    found = {each.what: each for each in preflight(log, loads(text)) if each.level is Level.ERROR}
    assert "`driftline rekey` makes it" in found["topic copy"].hint
    assert found["topic gone, of which copy is a copy"].value == "there is no such topic"


def sources(partitions: int = 6, labels: int | None = None) -> MemoryLog:
    log = MemoryLog()
    log.ensure(TopicSpec("predictions", partitions))
    log.ensure(TopicSpec("labels", labels or partitions))
    return log


def find(findings: object, what: str) -> Finding:
    assert isinstance(findings, list)
    (found,) = [each for each in findings if each.what == what]
    assert isinstance(found, Finding)
    return found


def bad(findings: object) -> list[tuple[Level, str]]:
    assert isinstance(findings, list)
    return [(each.level, each.what) for each in findings if each.level in (Level.WARNING, Level.ERROR)]


def test_a_sound_installation_gets_nothing_but_good_words() -> None:
    log = sources()
    for topic in ("predictions", "labels"):
        fill(log, topic, murmur2_partition)
    findings = preflight(log, config())
    assert {each.level for each in findings} == {Level.OK}
    assert find(findings, "placement of predictions and labels").value == (
        "predictions by murmur2, labels by murmur2; 300 keys seen in both, all in one place"
    )
    assert find(findings, "internal topics to be made").value.startswith("driftline.ledger, driftline.evals")


def test_a_missing_source_topic_is_an_error_and_the_rest_is_still_looked_at() -> None:
    log = MemoryLog()
    log.ensure(TopicSpec("predictions", 6))
    findings = preflight(log, config())
    assert bad(findings) == [(Level.ERROR, "topic labels")]
    assert find(findings, "topic predictions: cleanup.policy").value == "delete"


def test_different_partition_counts_are_an_error_with_both_numbers() -> None:
    finding = find(preflight(sources(6, 4), config()), "partitions")
    assert (finding.level, finding.value) == (Level.ERROR, "predictions 6, labels 4")


def test_a_compacted_source_is_an_error() -> None:
    log = sources()
    log.configure("labels", cleanup_policy="compact,delete")
    assert bad(preflight(log, config())) == [(Level.ERROR, "topic labels: cleanup.policy")]


@pytest.mark.parametrize(
    ("retention_ms", "level"), [(-1, Level.OK), (3 * DAY_MS, Level.OK), (3 * DAY_MS - 1, Level.ERROR)]
)
def test_retention_must_cover_horizon_and_lateness(retention_ms: int, level: Level) -> None:
    log = sources()
    log.configure("predictions", retention_ms=str(retention_ms))
    finding = find(preflight(log, config()), "topic predictions: retention.ms")  # 36h and, by default, 36h
    assert finding.level == level
    if level == Level.ERROR:
        assert "horizon + lateness = 3d" in finding.detail


def test_retention_by_size_is_a_warning() -> None:
    log = sources()
    log.configure("predictions", retention_bytes="1000000")
    assert bad(preflight(log, config())) == [(Level.WARNING, "topic predictions: retention.bytes")]


def test_two_hashes_are_an_error_even_when_no_key_was_seen_in_both() -> None:
    log = sources()
    fill(log, "predictions", murmur2_partition, range(300))
    fill(log, "labels", crc32_partition, range(300, 600))
    finding = find(preflight(log, config()), "placement of predictions and labels")
    assert finding.level == Level.ERROR
    assert finding.value == "predictions by murmur2, labels by crc32"
    assert "partitioner=murmur2_random" in finding.hint


def test_an_unknown_hash_is_fine_when_the_same_keys_lie_in_the_same_places() -> None:
    log = sources()
    for topic in ("predictions", "labels"):
        fill(log, topic, lambda key, count: len(key) * 7 % count)
    finding = find(preflight(log, config()), "placement of predictions and labels")
    assert finding.level == Level.OK
    assert "an unknown hash" in finding.value


def test_an_unknown_hash_against_a_known_one_is_an_error_once_a_key_was_seen_in_both() -> None:
    log = sources()
    fill(log, "predictions", murmur2_partition)
    fill(log, "labels", lambda key, count: (murmur2_partition(key, count) + 1) % count)
    finding = find(preflight(log, config()), "placement of predictions and labels")
    assert finding.level == Level.ERROR
    assert "300 of 300 keys seen in both lie in different partitions" in finding.value


def test_an_unknown_hash_without_a_common_key_is_advice() -> None:
    log = sources()
    fill(log, "predictions", murmur2_partition, range(300))
    fill(log, "labels", lambda key, count: len(key) * 7 % count, range(300, 600))
    assert find(preflight(log, config()), "placement of predictions and labels").level == Level.ADVICE


def test_records_without_keys_are_a_warning() -> None:
    log = sources()
    fill(log, "predictions", murmur2_partition)
    fill(log, "labels", None)
    assert bad(preflight(log, config())) == [(Level.WARNING, "topic labels: keys")]


def test_one_partition_needs_no_keys() -> None:
    log = sources(1)
    fill(log, "predictions", None)
    fill(log, "labels", None)
    assert bad(preflight(log, config())) == []


def test_an_empty_topic_is_advice_to_look_again() -> None:
    finding = find(preflight(sources(), config()), "topic labels: keys")
    assert (finding.level, finding.detail) == (
        Level.ADVICE,
        "no record to look at yet. Look again when data has come.",
    )


def test_only_the_newest_records_are_sampled() -> None:
    log = sources(1)
    fill(log, "predictions", murmur2_partition, range(1000))
    assert set(sample(log, "predictions").places) == {b"id-%d" % i for i in range(800, 1000)}


@pytest.mark.parametrize(
    ("topic", "settings", "level", "what"),
    [
        ("ledger", {"cleanup_policy": "compact"}, Level.ERROR, "cleanup.policy"),
        ("ledger", {"retention_ms": "604800000"}, Level.WARNING, "retention.ms"),
        ("evals", {"unclean_leader_election_enable": "true"}, Level.WARNING, "unclean.leader.election.enable"),
        ("ledger", {"max_message_bytes": "1048588"}, Level.WARNING, "max.message.bytes"),
        ("windows", {"cleanup_policy": "delete"}, Level.WARNING, "cleanup.policy"),
    ],
)
def test_internal_topics_that_could_lose_a_commit_are_named(
    topic: str, settings: dict[str, str], level: Level, what: str
) -> None:
    log = sources()
    for name in ("ledger", "evals", "tasks"):
        log.ensure(TopicSpec(f"driftline.{name}", 1 if name == "evals" else 6))
    log.ensure(TopicSpec("driftline.windows", 6, compacted=True))
    assert bad(preflight(log, config())) == []
    log.configure(f"driftline.{topic}", **settings)
    assert bad(preflight(log, config())) == [(level, f"topic driftline.{topic}: {what}")]


def test_a_ledger_of_another_partition_count_is_an_error() -> None:
    log = sources(6)
    log.ensure(TopicSpec("driftline.ledger", 4))
    assert bad(preflight(log, config())) == [(Level.ERROR, "topic driftline.ledger: partitions")]


def test_nobody_answering_is_raised_not_found() -> None:
    with pytest.raises(LogUnreachable):
        preflight(KafkaLog("127.0.0.1:1", timeout_ms=500), config())


def test_on_a_real_broker_a_wrong_partitioner_is_found(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    predictions, labels = fresh_topics.create("predictions", 6), fresh_topics.create("labels", 6)
    log = KafkaLog(kafka.bootstrap_servers)
    fill(log, predictions, murmur2_partition)
    fill(log, labels, crc32_partition)
    settings = config(fresh_topics("ns"), predictions, labels)
    assert bad(preflight(log, settings)) == [(Level.ERROR, f"placement of {predictions} and {labels}")]
    topics = kafka.admin().list_topics(timeout=30).topics
    assert [name for name in topics if name.startswith(fresh_topics("ns"))] == []  # a look, nothing made


def test_on_a_real_broker_a_short_retention_and_compaction_are_found(kafka: Kafka, fresh_topics: FreshTopics) -> None:
    predictions = fresh_topics.create("predictions", 2, {"retention.ms": str(DAY_MS)})
    labels = fresh_topics.create("labels", 2, {"cleanup.policy": "compact"})
    findings = preflight(KafkaLog(kafka.bootstrap_servers), config(fresh_topics("ns"), predictions, labels))
    assert (Level.ERROR, f"topic {predictions}: retention.ms") in bad(findings)
    assert (Level.ERROR, f"topic {labels}: cleanup.policy") in bad(findings)
    assert find(findings, "rights").level == Level.OK


def test_rights_that_are_missing_are_named_without_trying_them(own_kafka: OwnKafka) -> None:
    cluster = own_kafka({
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    })  # fmt: skip
    log = KafkaLog(cluster.bootstrap_servers)
    for name in ("predictions", "labels", "driftline.ledger"):
        log.ensure(TopicSpec(name, 2))
    ledger, evals = (ResourceType.TOPIC, "driftline.ledger"), (ResourceType.TOPIC, "driftline.evals")
    whole, allow, deny = (ResourceType.BROKER, "kafka-cluster"), AclPermissionType.ALLOW, AclPermissionType.DENY
    entries = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, verdict)
        for (kind, name), operation, verdict in (
            (ledger, AclOperation.ALL, allow),
            (ledger, AclOperation.WRITE, deny),
            (evals, AclOperation.ALL, allow),
            (evals, AclOperation.CREATE, deny),
            (whole, AclOperation.ALL, allow),
            (whole, AclOperation.CREATE, deny),
        )
    ]
    admin = cluster.admin()
    for future in admin.create_acls(entries).values():
        future.result(30)
    findings = preflight(log, config())
    writing = find(findings, "rights on topic driftline.ledger")
    assert (writing.level, writing.value) == (Level.ERROR, "not allowed: WRITE")
    by_hand = find(findings, "topics that somebody else must make")
    assert by_hand.level == Level.WARNING
    assert "driftline.evals" in by_hand.value
    assert "driftline.windows" not in by_hand.value
