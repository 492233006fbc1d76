"""The JSON Schema of a record on the alerts topics, generated from the types that the events are made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import (
    DATA_SCHEMA,
    AdvisoryAlert,
    AlertEvent,
    BudgetAlert,
    Evidence,
    OperationalAlert,
    RuleAlert,
)
from monitor.alerts.examples import example_events
from monitor.alerts.explained import Explanation
from monitor.windows.schema import DIALECT, GROWTH, described

_OF_SOME: Final = {
    kind.__name__: {field.name for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
    for kind in (RuleAlert, OperationalAlert, BudgetAlert, AdvisoryAlert, Evidence, Explanation)
}
"""The fields of each type that are absent where they do not apply."""


def alert_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the record's value: the CloudEvent whole, `data` included, with examples."""
    schema = msgspec.json.schema(AlertEvent)
    return {
        "$schema": DIALECT,
        "$id": DATA_SCHEMA,
        "title": "An alert of a Driftline deployment",
        "$comment": GROWTH,
        "examples": [msgspec.json.decode(encode(event)) for event in example_events().values()],
        "$ref": schema["$ref"],
        "$defs": all_present(described(schema["$defs"])),
    }


def all_present(definitions: dict[str, Any]) -> dict[str, Any]:
    """Every field of an event is always written, `null` included, but for those that only some events have; a default in
    the type is for its maker only.

    `discriminator` is OpenAPI's and means something else in AsyncAPI; `anyOf` with the tag says the same.
    """
    return {name: _all_present(definition, _OF_SOME.get(name, ())) for name, definition in definitions.items()}


def _all_present(definition: dict[str, Any], of_some: Collection[str]) -> dict[str, Any]:
    if "properties" not in definition:
        return definition
    properties = {
        name: {key: value for key, value in field.items() if key not in ("default", "discriminator")}
        for name, field in definition["properties"].items()
    }
    return {**definition, "properties": properties, "required": [name for name in properties if name not in of_some]}
