"""What is generated from the types of windows, alerts and the status, and where it is kept. `python -m tests.alerts.generated`
writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.adapters.openapi import openapi_yaml
from monitor.alerts.asyncapi import asyncapi_yaml
from monitor.alerts.cloudevents import encode
from monitor.alerts.event import Reason
from monitor.alerts.examples import example_events
from monitor.alerts.schema import alert_schema
from monitor.windows.schema import window_schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "alerts.md"
SUBSCRIBER = ROOT / "docs" / "examples" / "subscriber.py"
GROUPS = ROOT / "docs" / "examples" / "groups.py"
SECTION = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated() -> dict[Path, str]:
    """Path -> text as it must be. The docs are generated between their marks only."""
    return {
        ROOT / "monitor/alerts/alert.schema.json": _json(alert_schema()),
        ROOT / "monitor/windows/window.schema.json": _json(window_schema()),
        ROOT / "docs/asyncapi.yaml": asyncapi_yaml(),
        ROOT / "docs/openapi.yaml": openapi_yaml(),
        DOCS: SECTION.sub(lambda found: f"{found[1]}\n{section(found[2])}\n{found[3]}", DOCS.read_text()),
    }


def section(name: str) -> str:
    what, _, argument = name.partition(" ")
    match what:
        case "subscriber":
            return f"```python\n{shown(SUBSCRIBER)}```\n"
        case "groups":
            return f"```python\n{shown(GROUPS)}```\n"
        case "example":
            return f"```json\n{_json(json.loads(encode(example_events()[argument])))}```\n"
        case "fields":
            return "\n".join(table(argument)) + "\n"
        case "windows":
            return "\n".join(table(argument, window_schema())) + "\n"
    raise AssertionError(f"docs/alerts.md asks for {name!r}, which nothing generates")


def subscriber() -> str:
    """The example of a subscriber."""
    return shown(SUBSCRIBER)


def shown(path: Path) -> str:
    """An example without the line that talks to the linter."""
    return "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("# ruff"))


def table(definition: str, schema: dict[str, Any] | None = None) -> Iterator[str]:
    schema = schema or alert_schema()
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, field in schema["$defs"][definition]["properties"].items():
        yield f"| `{name}` | {_type(field, schema['$defs'])} | {field.get('description', '')} |"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option, definitions) for option in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return _type(definitions[name], definitions) if "enum" in definitions[name] else name
    if "enum" in field:
        if len(field["enum"]) == len(Reason):
            return "a reason, see below"
        return ", ".join(f"`{value}`" for value in field["enum"])
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"object of {_type(values, definitions)}"
    return str(field["type"])


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
