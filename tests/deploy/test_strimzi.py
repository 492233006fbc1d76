"""The topics and rights for Strimzi are those that Driftline would make and use by itself."""

from __future__ import annotations

import yaml

from monitor.adapters.dead_letters import topic_of
from monitor.adapters.kafka_admin import topic_config
from monitor.adapters.rights import rights_of
from monitor.config import load
from monitor.daemon.dead_letter_office import RETENTION_MS
from monitor.daemon.topics import internal_topics
from monitor.ports import TopicSpec
from tests.deploy.kustomize import KUBERNETES

CONFIG = load([KUBERNETES / "base" / "config.yaml"])
STRIMZI = KUBERNETES / "components" / "strimzi"
PARTITIONS = 6
REPLICAS = 3


def test_the_topics_are_those_that_driftline_would_make() -> None:
    sources = (CONFIG.streams.predictions.topic, "labels")
    wanted = [
        *internal_topics(CONFIG.topics(), PARTITIONS),
        *(TopicSpec(topic_of(source), PARTITIONS, retention_ms=RETENTION_MS) for source in sources),
    ]
    found = {t["metadata"]["name"]: t["spec"] for t in yaml.safe_load_all((STRIMZI / "topics.yaml").read_text())}
    assert found.keys() == {spec.name for spec in wanted}
    for spec in wanted:
        topic = found[spec.name]
        config = {name: str(value).lower() for name, value in topic["config"].items()}
        assert config == topic_config(spec, REPLICAS)
        assert (topic["partitions"], topic["replicas"]) == (spec.partitions, REPLICAS)


def test_the_user_is_the_one_that_the_pods_log_in_as() -> None:
    user = yaml.safe_load((STRIMZI / "user.yaml").read_text())
    layer = yaml.safe_load((KUBERNETES / "components" / "kafka-auth" / "kafka.yaml").read_text())["kafka"]["properties"]
    assert layer["sasl.username"] == user["metadata"]["name"]
    assert layer["sasl.mechanism"].lower() == user["spec"]["authentication"]["type"]


def test_the_rights_are_those_that_driftline_says_it_needs() -> None:
    user = yaml.safe_load((STRIMZI / "user.yaml").read_text())
    found = {
        (acl["resource"]["type"], acl["resource"]["name"], acl["resource"]["patternType"] == "prefix"): acl[
            "operations"
        ]
        for acl in user["spec"]["authorization"]["acls"]
    }
    wanted = {(right.resource, right.name, right.prefixed): list(right.operations) for right in rights_of(CONFIG)}
    assert found == wanted


def test_no_right_is_wider_than_a_name_or_the_prefix_of_the_namespace() -> None:
    user = yaml.safe_load((STRIMZI / "user.yaml").read_text())
    for acl in user["spec"]["authorization"]["acls"]:
        resource = acl["resource"]
        assert "*" not in resource["name"]
        assert resource["patternType"] == "literal" or resource["name"] == f"{CONFIG.namespace}."
        assert not {"All", "Alter", "AlterConfigs", "ClusterAction", "Delete", "Create"} & set(acl["operations"])
