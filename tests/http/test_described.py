"""The description of the API is one, and what real daemons answer is what it says: for three tasks, and after changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from monitor.adapters.http import HttpServer
from monitor.adapters.openapi import openapi
from tests.http.serving import served
from tests.http.test_http import ask


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with served(tmp_path_factory.mktemp(request.param), request.param) as server:
        yield server


def described(path: str, answer: Any) -> None:
    """Hold an answer to what is said of its path, its code and its type."""
    document = openapi()
    said = document["paths"][path.partition("?")[0]]["get"]["responses"][str(answer.status)]["content"]
    assert answer.headers["content-type"] in (*said, *(f"{one}; charset=utf-8" for one in said))
    if answer.headers["content-type"] == "application/json":
        schema = {**said["application/json"]["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(json.loads(answer.body))


@pytest.mark.parametrize("path", sorted(openapi()["paths"]))
def test_what_a_daemon_answers_is_what_is_described(server: HttpServer, path: str) -> None:
    described(path, ask(server, path))
    described(path, ask(server, path, {"Accept": "application/openmetrics-text"}))
    described(path, ask(server, path, {"Host": "elsewhere.example"}))


def test_parts_of_the_past_and_what_is_wrong_with_a_query_are_described(server: HttpServer) -> None:
    for query in ("segment=all&metric=psi:hour", "kind=performance", "model=none", "modell=m", "kind=a&kind=b"):
        described("/api/v1/history?" + query, ask(server, "/api/v1/history?" + query))


def test_the_description_holds_together() -> None:
    document = openapi()
    operations = [path["get"] for path in document["paths"].values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    refs = {line.split('"')[3] for line in json.dumps(document, indent=1).splitlines() if '"$ref": ' in line}
    assert refs <= known
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for operation in operations:
        for code, answer in operation["responses"].items():
            assert code.isdigit()
            assert answer["description"]
