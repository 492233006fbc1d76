"""The OpenAPI document of the HTTP API, generated from the types that are encoded and the parameters that are read."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import msgspec

from monitor.adapters.exposition import OPENMETRICS, TEXT
from monitor.adapters.http_answers import QUERY
from monitor.history import EVENTS, POINTS, SPREAD, WINDOWS, Past
from monitor.view import View
from monitor.windows.schema import described

OPENAPI: Final = "3.1.0"
GROWTH: Final = "Fields may be added; a reader ignores those it does not know. Another meaning gets another `schema`."
_MEANING: Final = {
    "model": "Name of a model.",
    "version": "A version of it.",
    "segment": "`all`, or `dimension=value`.",
    "window": "The configured name of a window, such as `1d`.",
    "kind": "`performance` or `input`.",
    "metric": "Keep only these metrics of each window; may be given several times.",
}


def openapi() -> dict[str, Any]:
    """The document as JSON-able values."""
    (status, past), schemas = msgspec.json.schema_components((View, Past), ref_template="#/components/schemas/{name}")
    plain = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Driftline",
            "version": "1.0.0",
            "description": "What a Driftline process tells about itself. Only reading is possible. "
            f"{GROWTH} Times are event times in milliseconds since 1970 unless they say wall clock.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:9187", "description": "The default of http.host and http.port."}],
        "security": [{}, {"token": []}],
        "paths": {
            "/api/v1/status": _get("status", "Everything that is known now.", _json(status, 200)),
            "/api/v1/history": _get(
                "history",
                f"The past, from memory: at most {POINTS} windows a series and {WINDOWS} in all, {EVENTS} happenings, {SPREAD} "
                "distributions; gone at a restart. Empty in a process that is not the evaluator.",
                _json(past, 200)
                | {
                    "400": {"description": "The query chooses by something unknown.", "content": plain},
                    "503": {"description": "Others are being told the past: ask again in a second.", "content": plain},
                },
                parameters=[_parameter(name) for name in QUERY],
            ),
            "/metrics": _get(
                "metrics",
                "Prometheus telemetry, as OpenMetrics where the Accept header prefers it.",
                {"200": {"description": "The exposition.", "content": dict.fromkeys((TEXT, OPENMETRICS), _STRING)}},
            ),
            "/livez": _probe("live", "Does the process come round? No broker is asked. Also /-/healthy."),
            "/readyz": _probe(
                "ready",
                "May it count as started? Also /-/ready.",
                [
                    {
                        "name": "verbose",
                        "in": "query",
                        "description": "List the checks; with http.token_file only for who sends the token.",
                        "allowEmptyValue": True,
                        "schema": {"type": "string"},
                    }
                ],
            ),
            "/api/v1/openapi.json": _get("description", "This document.", _json({"type": "object"}, 200), [{}]),
        },
        "components": {
            "schemas": described(schemas),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of `http.token_file`; asked for only where that is set.",
                }
            },
        },
    }


_STRING: Final = {"schema": {"type": "string"}}


@cache
def openapi_json() -> bytes:
    """The document as it is served."""
    return json.dumps(openapi(), ensure_ascii=False).encode()


def openapi_yaml() -> str:
    """The document as it is shipped in the docs."""
    import yaml

    head = "# Generated from monitor/view.py and monitor/history.py; a test holds it to them.\n"
    body: str = yaml.safe_dump(json.loads(openapi_json()), sort_keys=False, allow_unicode=True, width=120)
    return head + body


def _get(
    name: str,
    what: str,
    answers: dict[str, Any],
    security: list[dict[str, Any]] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    said = {"text/plain": _STRING}
    foreign = "On a loopback address: the Host header names something else."
    answers = answers | {"421": {"description": foreign, "content": said}}
    if security is None:
        answers["401"] = {"description": "The token is missing or wrong.", "content": said}
    get: dict[str, Any] = {"operationId": name, "summary": what, "responses": dict(sorted(answers.items()))}
    if security is not None:
        get["security"] = security
    if parameters:
        get["parameters"] = parameters
    return {"get": get}


def _json(schema: dict[str, Any], code: int) -> dict[str, Any]:
    return {str(code): {"description": "The document.", "content": {"application/json": {"schema": schema}}}}


def _probe(name: str, what: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    said = {"text/plain": _STRING}
    answers = {"200": {"description": "Yes.", "content": said}, "503": {"description": "No, and why.", "content": said}}
    return _get(name, what, answers, [{}], parameters)


def _parameter(name: str) -> dict[str, Any]:
    one = {"type": "string"}
    schema = {"type": "array", "items": one} if name == "metric" else one
    return {"name": name, "in": "query", "description": _MEANING[name], "schema": schema}
