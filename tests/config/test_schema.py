"""The JSON Schema for editors and the generated part of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from monitor.config import loads
from monitor.config.page import BEGIN, END, keys_page, replaced
from monitor.config.schema import schema, schema_text
from monitor.config.types import Config
from monitor.config.walk import keys, section_in
from tests.config.examples import FULL, MINIMAL

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(schema())


def errors(text: str) -> list[str]:
    document = yaml.load(text, yaml.BaseLoader) if text.startswith("!") else yaml.safe_load(text)
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def test_the_committed_schema_is_the_one_that_the_types_make() -> None:
    assert (ROOT / "monitor/config/schema.json").read_text() == schema_text(), "run `python -m tests.config.generate`"


def test_the_committed_page_is_the_one_that_the_types_make() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    assert replaced(page) == page, "run `python -m tests.config.generate`"


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_configs_that_load_fit_the_schema(text: str) -> None:
    assert errors(text) == []
    assert errors(loads(text).document()) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("horizon: 14d", "horizon: 14", "$.time.horizon"),
        ("horizon: 14d", "horizon: 14x", "$.time.horizon"),
        ("max_bytes: 64KiB", "max_bytes: 64KB", "$.streams.predictions.max_bytes"),
        ("hour: numeric", "hour: number", "$.streams.predictions.features.hour"),
        ("id: key:$.uid", "id: uid", "$.streams.predictions.fields.id"),
        ("unit: s", "unit: sec", "$.streams.predictions.fields.at"),
        ("threshold: 0.25", "threshold: 25", "$.models[0].threshold"),
        ("severity: page", "severity: critical", "$.rules[0].severity"),
        ("segments: each", "segments: every", "$.rules[0].segments"),
        ("port: 0", "ports: 0", "$.http"),
        ("month, day]", "monthly]", "$.windows[3]"),
        ("unlisted_models: {task: binary, threshold: 0.5}", "unlisted_models: accept", "$.unlisted_models"),
        ("labels: {owner: team-x", "labels: {own er: team-x", "$.labels"),
    ],
)
def test_the_schema_finds_what_a_person_mistypes(old: str, new: str, path: str) -> None:
    assert old in FULL
    assert errors(FULL.replace(old, new, 1)) == [path]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(item)


def test_defaults_in_the_schema_fit_the_schema() -> None:
    with_default = [node for node in nodes(schema()) if "default" in node and ("type" in node or "anyOf" in node)]
    assert len(with_default) > 15
    for node in with_default:
        whole = {**node, "$defs": schema()["$defs"]}
        assert list(Draft202012Validator(whole).iter_errors(node["default"])) == [], node


def test_a_required_key_has_no_default_in_the_schema() -> None:
    sections = [node for node in nodes(schema()) if "required" in node and "properties" in node]
    assert len(sections) > 8
    for node in sections:
        assert [key for key in node["required"] if "default" in node["properties"][key]] == []


def test_examples_in_the_types_fit_the_schema() -> None:
    with_examples = [node for node in nodes(schema()) if "examples" in node]
    assert len(with_examples) > 20
    for node in with_examples:
        whole = {**node, "$defs": schema()["$defs"]}
        for example in node["examples"]:
            assert list(Draft202012Validator(whole).iter_errors(example)) == [], (node, example)


def all_keys(section: Any, at: str = "") -> Iterator[str]:
    for key, info in keys(section).items():
        yield f"`{key}`"
        inner = section_in(info.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{at}{key}.")


def test_every_key_is_on_the_page() -> None:
    page = keys_page()
    assert page.startswith(BEGIN)
    assert page.rstrip().endswith(END)
    missing = [
        key for key in all_keys(Config) if f"| {key} |" not in page and key not in ("`from`", "`unit`", "`type`")
    ]
    assert missing == []


def test_every_leaf_has_a_description() -> None:
    def undescribed(section: Any, at: str) -> Iterator[str]:
        for key, info in keys(section).items():
            inner = section_in(info.annotation)
            if inner is not None:
                yield from undescribed(inner, f"{at}{key}.")
            elif not info.description:
                yield f"{at}{key}"

    assert list(undescribed(Config, "")) == []


def test_the_examples_on_the_page_load() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    examples = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    whole = [example for example in examples if "streams:" in example]
    assert len(whole) >= 3
    for example in whole:
        loads(example, environ={"KAFKA_BROKERS": "b:9092"}, require_references=False)


def test_the_schema_is_json_of_a_fixed_order() -> None:
    assert json.loads(schema_text()) == schema()
    assert schema_text() == schema_text()
