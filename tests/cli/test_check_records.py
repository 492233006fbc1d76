"""What `driftline check --live` says of the records themselves."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitor.adapters.findings import Finding, Level
from monitor.cli.check_records import NEWEST, findings
from monitor.config import loads
from monitor.errors import NotAllowed, SchemasUnreachable
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog

CONFIG = loads("""
namespace: one
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: $.model, version: {const: "1"}, at: $.at, score: $.score}
  labels:
    topic: q
    fields: {id: $.id, at: $.at, label: $.label}
models: [{name: fraud}]
""")
PREDICTION = {"id": "a", "model": "fraud", "at": 1_000, "score": 0.5}
LABEL = {"id": "a", "at": 1_000, "label": 1}


def log(predictions: list[dict[str, Any]], labels: list[dict[str, Any]]) -> MemoryLog:
    made = MemoryLog()
    for topic, rows in (("p", predictions), ("q", labels)):
        made.ensure(TopicSpec(topic, 2))
        appender = made.appender()
        for i, row in enumerate(rows):
            appender.send(topic, OutRecord(orjson.dumps(row)), i % 2)
        appender.flush(10_000)
    return made


def found(predictions: list[dict[str, Any]], labels: list[dict[str, Any]]) -> dict[str, Finding]:
    return {each.what.split()[1].rstrip(":"): each for each in findings(log(predictions, labels), CONFIG)}


def test_what_can_be_used_is_counted() -> None:
    looked = found([PREDICTION] * 30, [LABEL] * 7)
    assert {(name, each.level, each.value) for name, each in looked.items()} == {
        ("p", Level.OK, "30 rows, all can be used"),
        ("q", Level.OK, "7 rows, all can be used"),
    }


def test_a_field_that_no_record_has_is_an_error_and_names_the_field() -> None:
    looked = found([PREDICTION] * 30, [{**LABEL, "at": None, "seen": 3}] * 7)
    assert looked["q"].level is Level.ERROR
    assert looked["q"].value == "7 of 7 rows cannot be used: 7 missing (at is absent or null)"
    assert "streams.labels" in looked["q"].hint
    assert looked["p"].level is Level.OK


def test_where_some_can_be_used_it_is_a_warning_and_the_commonest_reasons_come_first() -> None:
    bad = [{**PREDICTION, "score": 7.5}] * 2 + [{**PREDICTION, "at": "noon"}] * 5
    (said,) = [each for name, each in found([PREDICTION] * 3 + bad, [LABEL]).items() if name == "p"]
    assert said.level is Level.WARNING
    assert said.value.startswith("7 of 10 rows cannot be used: 5 type (")
    assert "; 2 number (" in said.value


def test_only_the_newest_of_each_partition_are_looked_at() -> None:
    old = [{**PREDICTION, "score": None}] * 2 * NEWEST
    assert found(old + [PREDICTION] * 2 * NEWEST, [LABEL])["p"].value == f"{2 * NEWEST} rows, all can be used"


def test_models_that_somebody_else_watches_are_no_mistake() -> None:
    looked = found([{**PREDICTION, "model": "churn"}] * 5, [LABEL])
    assert looked["p"].level is Level.ADVICE
    assert "5 of 5 rows cannot be used: 5 unknown_model (" in looked["p"].value


def test_of_what_holds_nothing_or_is_not_there_nothing_is_said() -> None:
    assert found([], []) == {}
    assert findings(MemoryLog(), CONFIG) == []


def test_a_right_that_is_missing_is_left_to_who_looks_at_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = log([PREDICTION], [LABEL])
    topic = made.topic

    def refused(name: str) -> Any:
        if name == "q":
            raise NotAllowed("reading q is not allowed", topic="q")
        return topic(name)

    monkeypatch.setattr(made, "topic", refused)
    assert [each.what for each in findings(made, CONFIG)] == ["topic p: newest records"]


def test_a_schema_registry_that_does_not_answer_is_an_error_of_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: LabelDecoder, batch: Any) -> None:
        raise SchemasUnreachable("http://127.0.0.1:1", 4, "nobody answers")

    monkeypatch.setattr(LabelDecoder, "ready", silent)
    said = findings(log([PREDICTION], [LABEL]), CONFIG)
    assert [(each.level, each.what) for each in said] == [
        (Level.OK, "topic p: newest records"),
        (Level.ERROR, "schemas of topic q"),
    ]
