"""A field of an Avro schema is renamed: what is added costs nothing, the rename pages, and a new mapping loses nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.registry import Registry, avro, framed, running
from tests.cli.driving import Outcome, driftline

AT_MS = 1_700_000_000_000
BASE = [{"name": name, "type": "string"} for name in ("id", "version")] + [{"name": "at", "type": "long"}]
FIRST = {"type": "record", "name": "Scored", "fields": [*BASE, {"name": "score", "type": "double"}]}
MORE = {**FIRST, "fields": [*FIRST["fields"], {"name": "region", "type": ["null", "string"], "default": None}]}
RENAMED = {**MORE, "fields": [*BASE, {"name": "probability", "type": "double"}, MORE["fields"][-1]]}

CONFIG = """
namespace: {namespace}
schema_registry: {{url: "{url}"}}
streams:
  predictions:
    topic: {topic}
    format: {format}
    fields: {{id: $.id, model: {{const: m}}, version: $.version, at: $.at, score: {score}}}
  labels:
    topic: truth
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 1h, max_jump: 2d, tick: 1m}}
models: [{{name: m}}]
windows: [1h]
http: {{port: 0}}
"""


class Bench:
    """A topic in Avro whose field is renamed midway, the same as JSON without a rename, and their truth."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder, self.registry = folder, registry
        draw = random.Random(5)
        log = EmbeddedLog(folder / "log")
        appender = log.appender()
        for topic in ("scored", "scored.json", "truth"):
            log.ensure(TopicSpec(topic, 1))
        ids = [registry.register(schema) for schema in (FIRST, MORE, RENAMED)]
        for n in range(300):
            score, at = round(draw.random(), 4), AT_MS + n * 10_000
            row: dict[str, Any] = {"id": f"r{n}", "version": "1", "at": at, "score": score}
            appender.append("scored.json", 0, OutRecord(json.dumps(row).encode()))
            which = n // 100
            row |= {"region": "x", "probability": score}
            appender.append("scored", 0, OutRecord(framed(ids[which], avro((FIRST, MORE, RENAMED)[which], row))))
            label = {"id": f"r{n}", "at": at + 60_000, "label": int(draw.random() < score)}
            appender.append("truth", 0, OutRecord(json.dumps(label).encode()))
        log.close()

    def run(self, namespace: str, command: str, *options: object, **changes: str) -> Outcome:
        given = {"topic": "scored", "format": "avro", "score": "$.score", **changes}
        path = self.folder / f"{namespace}.yaml"
        path.write_text(CONFIG.format(namespace=namespace, url=self.registry.url, **given))
        words = command.split()
        return driftline(*words, "-c", path, "--embedded", self.folder / "log", *options)

    def counts(self, namespace: str, **changes: str) -> list[dict[str, Any]]:
        ran = self.run(namespace, "run", "--until-end", "--no-http", "-q", **changes)
        assert ran.code == 0, ran.err
        windows = self.run(namespace, "windows", "--window", "1h", "-o", "json", **changes).json["windows"]
        return [{"start": window["start_ms"], **window["counts"]} for window in windows]


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    with running() as registry:
        yield Bench(tmp_path, registry)


def test_a_renamed_field_pages_and_a_new_mapping_loses_nothing(bench: Bench) -> None:
    before = bench.counts("one")
    assert sum(window["seen"] for window in before) == 200, "what was added in between cost nothing"
    told = [event["data"] for event in bench.run("one", "alerts list", "-o", "json").lines]
    (page,) = [alert for alert in told if alert.get("condition") == "records-unreadable"]
    assert (page["severity"], page["state"]) == ("page", "firing")
    letters = bench.run("one", "dlq list", "-o", "json").json
    assert letters["reasons"] == {"scored": {"missing": 100}}
    assert "score is absent" in letters["letters"][-1]["detail"]
    remapped = {"score": "{any: [$.score, $.probability]}"}
    assert bench.counts("two", **remapped) == bench.counts("plain", topic="scored.json", format="json")
    assert bench.run("two", "alerts list", "-o", "json", **remapped).lines == []
    assert bench.run("two", "ledger audit", "-o", "json", **remapped).json["holds"]


def test_while_the_registry_does_not_answer_nothing_is_read_and_nothing_is_rejected(bench: Bench) -> None:
    bench.registry.stop()
    asked = bench.run("late", "reference build", "--first", "50", "-o", str(bench.folder / "r.json"))
    assert asked.code == 69
    assert "does not say what schema 1 is" in asked.err
    bench.registry.start_again()
    remapped = {"score": "{any: [$.score, $.probability]}"}
    assert sum(window["seen"] for window in bench.counts("late", **remapped)) == 300
