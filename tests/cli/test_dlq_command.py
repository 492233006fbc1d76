"""`driftline dlq`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.adapters.embedded import EmbeddedLog
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


@pytest.fixture
def copy(deployment: Deployment, tmp_path: Path) -> Deployment:
    """The deployment again, to be written to."""
    shutil.copytree(deployment.log, tmp_path / "log")
    return replace(deployment, log=tmp_path / "log")


def test_letters_are_counted_by_topic_and_reason(deployment: Deployment) -> None:
    shown = driftline("dlq", "list", *deployment.where, "-o", "json")
    assert shown.json["reasons"] == {"flights.predictions": {"malformed": 1, "missing": 1, "unknown_model": 1}}
    assert {letter["reason"] for letter in shown.json["letters"]} == {"malformed", "missing", "unknown_model"}
    assert shown.err == ""
    table = driftline("dlq", "list", *deployment.where)
    assert table.code == 0
    assert "unknown_model" in table.out
    assert all(letter["letter"] in table.out for letter in shown.json["letters"])


def test_a_stream_without_letters_has_none(deployment: Deployment) -> None:
    shown = driftline("dlq", "list", *deployment.where, "--stream", "labels")
    assert (shown.code, shown.out) == (0, "")
    assert "no dead letters" in shown.err


def test_a_letter_is_shown_whole(deployment: Deployment) -> None:
    found = driftline("dlq", "list", *deployment.where, "--reason", "malformed", "-o", "json").json["letters"]
    name = found[0]["letter"]
    shown = driftline("dlq", "show", name, *deployment.where, "-o", "json").json
    assert shown["value"] == '{"id": "b'
    assert shown["letter"] == name
    people = driftline("dlq", "show", name, *deployment.where)
    assert '{"id": "b' in people.out
    assert "malformed" in people.out


def test_a_letter_that_is_not_there_and_one_that_is_no_name(deployment: Deployment) -> None:
    gone = driftline("dlq", "show", "flights.predictions/0/999999", *deployment.where)
    assert gone.code == 1
    assert "there is no dead letter" in gone.err
    assert driftline("dlq", "show", "nonsense", *deployment.where).code == 2


def test_replay_sends_the_original_back_to_its_partition(copy: Deployment) -> None:
    log = EmbeddedLog(copy.log)
    before = log.end_offsets("flights.predictions")
    name = driftline("dlq", "list", *copy.where, "--reason", "unknown_model", "-o", "json").json["letters"][0]
    dry = driftline("dlq", "replay", name["letter"], *copy.where, "--dry-run", "-o", "json")
    assert dry.json == {"letters": 1, "sent": 0}
    assert log.end_offsets("flights.predictions") == before
    done = driftline("dlq", "replay", *copy.where, "--reason", "unknown_model", "-o", "json")
    assert done.json == {"letters": 1, "sent": 1}
    after = log.end_offsets("flights.predictions")
    partition = name["partition"]
    assert after[partition] == before[partition] + 1
    assert sum(after) == sum(before) + 1
    log.close()


def test_replay_must_be_told_what(deployment: Deployment) -> None:
    shown = driftline("dlq", "replay", *deployment.where)
    assert shown.code == 2
    assert "--all" in shown.err


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_reason_that_does_not_exist_is_a_usage_error_with_a_suggestion(deployment: Deployment, command: str) -> None:
    shown = driftline("dlq", command, *deployment.where, "--reason", "malformd")
    assert (shown.code, shown.out) == (2, "")
    assert "there is no reason 'malformd'; did you mean 'malformed'?" in shown.err


def test_a_letter_of_another_topic_is_a_usage_error(deployment: Deployment) -> None:
    shown = driftline("dlq", "show", "flights.prediction/0/1", *deployment.where)
    assert shown.code == 2
    assert "did you mean 'flights.predictions'?" in shown.err


def test_letters_of_another_namespace_are_shown_only_when_all_are_asked_for(copy: Deployment) -> None:
    other = ("--set", "namespace=other")
    assert driftline("run", *copy.where, *other, "--until-end", "--no-http", "-q").code == 0
    for settings, namespace in (((), "small"), (other, "other")):
        own = driftline("dlq", "list", *copy.where, *settings, "-o", "json").json
        assert own["reasons"] == {"flights.predictions": {"malformed": 1, "missing": 1, "unknown_model": 1}}
        assert {letter["namespace"] for letter in own["letters"]} == {namespace}
    every = driftline("dlq", "list", *copy.where, "--all-namespaces", "-o", "json").json
    assert sorted(letter["namespace"] for letter in every["letters"]) == ["other"] * 3 + ["small"] * 3
    assert "other" in driftline("dlq", "list", *copy.where, "--all-namespaces").out
    nobody = driftline("dlq", "list", *copy.where, "--set", "namespace=nobody")
    assert (nobody.out, nobody.err) == ("", "driftline: no dead letters of namespace nobody\n")
    again = driftline("dlq", "replay", *copy.where, "--all", "--all-namespaces", "-o", "json")
    assert again.json == {"letters": 3, "sent": 3}, "a record is sent once, whoever put it aside"
