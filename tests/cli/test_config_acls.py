"""`driftline config acls`: what it prints. That it is enough, and that nothing of it is too much, is tried on a broker
(tests/kafka/test_tenancy.py, tests/kafka/test_secured.py)."""

from __future__ import annotations

from pathlib import Path

from tests.cli.driving import driftline

CONFIG = Path(__file__).parents[2] / "monitor" / "demo" / "flights.yaml"
Rights = dict[tuple[str, str, str], list[str]]


def rights(*options: str) -> Rights:
    found = driftline("config", "acls", "-c", CONFIG, "-o", "json", *options).json
    assert all(right["why"] for right in found)
    return {(right["resource"], right["name"], right["pattern"]): right["operations"] for right in found}


def test_sources_are_read_own_topics_are_written_and_nothing_is_made() -> None:
    found = rights("--set", "namespace=shop")
    assert found["topic", "flights.predictions", "literal"] == ["Read", "DescribeConfigs"]
    assert found["topic", "shop.", "prefixed"] == ["Read", "Write"]
    assert found["topic", "flights.labels.dlq", "literal"] == ["Write"]
    assert found["group", "shop.", "prefixed"] == ["Read"]
    assert found["group", "shop", "literal"] == ["Describe"]
    assert "Create" not in {operation for operations in found.values() for operation in operations}


def test_what_the_configuration_asks_for_is_in_it_and_what_it_does_not_is_not() -> None:
    trimming = rights("--set", "state.trim=true", "--set", "namespace=shop")
    assert trimming["topic", "shop.", "prefixed"] == ["Read", "Write", "Delete"]
    without = rights("--set", "dead_letters.enabled=false")
    assert not [name for _, name, _ in without if name.endswith(".dlq")]


def test_literal_names_each_topic_and_no_prefix() -> None:
    found = rights("--literal", "--create", "--set", "namespace=shop")
    assert {pattern for _, _, pattern in found} == {"literal"}
    assert found["topic", "shop.ledger", "literal"] == ["Read", "Write", "Create"]
    assert {"shop.tasks", "shop.evaluator", "shop"} == {name for kind, name, _ in found if kind == "group"}


def test_it_is_told_to_people_and_as_commands() -> None:
    shown = driftline("config", "acls", "-c", CONFIG)
    assert shown.code == 0
    assert "Read, DescribeConfigs" in shown.out
    lines = driftline("config", "acls", "-c", CONFIG, "--principal", "User:shop").out.splitlines()
    assert len(lines) == len(rights())
    assert all(line.startswith("kafka-acls.sh --add --allow-principal 'User:shop' --operation") for line in lines)
    assert sum("--resource-pattern-type prefixed" in line for line in lines) == 2


def test_rekeying_has_rights_of_its_own() -> None:
    rekeyed = ("--set", "namespace=shop", "--set", "streams.labels.rekey.from=outcomes")
    found = rights("--for", "rekey", *rekeyed)
    assert found == {
        ("topic", "outcomes", "literal"): ["Read", "DescribeConfigs"],
        ("topic", "flights.predictions", "literal"): ["Describe", "DescribeConfigs"],
        ("topic", "flights.labels", "literal"): ["Read", "Write", "DescribeConfigs"],
        ("topic", "flights.labels.progress", "literal"): ["Read", "Write", "DescribeConfigs"],
        ("group", "shop.rekey.flights.labels", "literal"): ["Read"],
        ("group", "shop", "literal"): ["Describe"],
        ("transactional-id", "shop.rekey.flights.labels", "literal"): ["Write"],
    }
    assert rights("--for", "rekey", "--create", *rekeyed)["topic", "flights.labels", "literal"][-1] == "Create"
    lines = driftline(
        "config", "acls", "-c", CONFIG, "--for", "rekey", "--principal", "User:shop", *rekeyed
    ).out.splitlines()
    assert any("--transactional-id 'shop.rekey.flights.labels'" in line for line in lines)
    refused = driftline("config", "acls", "-c", CONFIG, "--for", "rekey")
    assert (refused.code, "no stream has `rekey`" in refused.err) == (2, True)
