"""Schemas, AsyncAPI and the docs say what the code does: they are generated from it, or held to it here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from monitor.alerts.asyncapi import asyncapi
from monitor.alerts.cloudevents import encode
from monitor.alerts.event import Reason
from monitor.alerts.examples import example_events
from monitor.alerts.schema import alert_schema
from monitor.config.types import Config
from monitor.windows.payload import encode as encode_window
from monitor.windows.schema import example_windows, window_schema
from tests.alerts.generated import DOCS, ROOT, generated, subscriber

ALERT = json.loads((ROOT / "monitor/alerts/alert.schema.json").read_text())
WINDOW = json.loads((ROOT / "monitor/windows/window.schema.json").read_text())


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_what_is_kept_in_the_repository_is_what_the_types_generate(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `python -m tests.alerts.generated`"


@pytest.mark.parametrize("schema", [alert_schema(), window_schema()], ids=["alert", "window"])
def test_the_schemas_are_schemas_and_their_examples_satisfy_them(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


def test_records_satisfy_the_shipped_schemas() -> None:
    for event in example_events().values():
        Draft202012Validator(ALERT).validate(json.loads(encode(event)))
    for view in example_windows():
        Draft202012Validator(WINDOW).validate(json.loads(encode_window(view)))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("id",), "not a hash"),
        (("type",), "io.driftline.alert.pending.v1"),
        (("specversion",), "0.3"),
        (("data", "category"), "other"),
        (("data", "state"), "pending"),
        (("data", "evidence", "value"), "0.3"),
        (("data", "evidence", "op"), "=="),
        (("data", "reason"), "because"),
    ],
)
def test_the_alert_schema_refuses_what_is_no_alert(path: tuple[str, ...], wrong: str) -> None:
    document = json.loads(encode(example_events()["firing"]))
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = wrong
    assert not Draft202012Validator(ALERT).is_valid(document)
    del inner[path[-1]]
    assert not Draft202012Validator(ALERT).is_valid(document)


def test_the_schemas_leave_room_to_grow() -> None:
    document = json.loads(encode(example_events()["firing"]))
    document["data"]["added_later"] = 1
    assert Draft202012Validator(ALERT).is_valid(document)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
    references = list(_references(document))
    assert len(references) > 10
    for reference in references:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_the_asyncapi_document_names_the_topics_of_the_config() -> None:
    addresses = {c["address"].replace("{namespace}", "driftline") for c in asyncapi()["channels"].values()}
    fields = {"id": "$.id", "model": "$.m", "version": "$.v", "at": "$.at", "score": "$.s"}
    streams = {"predictions": {"topic": "predictions", "fields": fields}}
    topics = Config.model_validate({"streams": streams, "unlisted_models": {"task": "binary"}}).topics()
    assert addresses == {topics.alerts, topics.alerts_state, topics.windows}


def test_each_asyncapi_message_carries_a_kafka_key_and_examples_that_satisfy_its_schema() -> None:
    document = asyncapi()
    for message in document["components"]["messages"].values():
        assert message["bindings"]["kafka"]["key"]["type"] == "string"
        schema = {"$ref": message["payload"]["$ref"], "components": document["components"]}
        for example in message["examples"]:
            Draft202012Validator(schema).validate(example["payload"])


def test_the_subscriber_in_the_docs_has_ten_lines_of_code() -> None:
    lines = [line for line in subscriber().splitlines() if line.strip()]
    assert len(lines) <= 10
    compile(subscriber(), "subscriber.py", "exec")
    assert f"```python\n{subscriber()}```" in DOCS.read_text()


def test_the_docs_name_every_reason() -> None:
    text = DOCS.read_text()
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []


def _references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from _references(value)
    elif isinstance(document, list):
        for value in document:
            yield from _references(value)
