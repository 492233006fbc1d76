"""The AsyncAPI document of what Driftline publishes: alerts, their compacted state, windows. Generated from the
types."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import yaml

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import AlertEvent
from monitor.alerts.examples import example_events
from monitor.alerts.schema import all_present
from monitor.windows.payload import REVISION_HEADER, TICK_HEADER, WindowPayload
from monitor.windows.payload import encode as encode_window
from monitor.windows.schema import GROWTH, described, example_tasks, example_windows

ASYNCAPI: Final = "3.0.0"
KAFKA_BINDING: Final = "0.5.0"

_CHANNELS: Final = {
    "alerts": (
        "{namespace}.alerts",
        "alert",
        ["delete"],
        "Every event about every alert, once per id. Deduplicate by `id`: a restart may publish an event again.",
    ),
    "alertsState": (
        "{namespace}.alerts.state",
        "alert",
        ["compact"],
        "Per fingerprint the newest event about its newest episode. Read it from the beginning to know what is firing.",
    ),
    "windows": (
        "{namespace}.windows",
        "window",
        ["compact"],
        "Per window and kind its newest revision. A record without a value takes the window back: all in it was withdrawn.",
    ),
}


def asyncapi() -> dict[str, Any]:
    """The document as JSON-able values."""
    (alert, window), schemas = msgspec.json.schema_components(
        (AlertEvent, WindowPayload), ref_template="#/components/schemas/{name}"
    )
    schemas = described(schemas)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Driftline",
            "version": "1.0.0",
            "description": f"What a Driftline deployment publishes. {GROWTH} Times are event times.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(*about) for name, about in _CHANNELS.items()},
        "operations": {
            f"send{name[0].upper()}{name[1:]}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{message}"}],
            }
            for name, (_, message, _, _) in _CHANNELS.items()
        },
        "components": {
            "messages": {"alert": _alert_message(alert), "window": _window_message(window)},
            "schemas": all_present(_of_alerts(schemas)) | _of_windows(schemas),
        },
    }


def asyncapi_yaml() -> str:
    """The document as it is shipped in the docs."""
    head = "# Generated from monitor/alerts/event.py and monitor/windows/payload.py; a test holds it to them.\n"
    body: str = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return head + body


def _channel(address: str, message: str, cleanup: list[str], description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "parameters": {"namespace": {"description": "`namespace` of the configuration.", "default": "driftline"}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": cleanup}, "bindingVersion": KAFKA_BINDING}},
    }


def _alert_message(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "alert",
        "title": "One change of one alert",
        "summary": "A CloudEvent 1.0 in structured mode.",
        "contentType": "application/cloudevents+json",
        "payload": payload,
        "bindings": _key({"type": "string", "description": "The fingerprint.", "pattern": "^[0-9a-f]{32}$"}),
        "examples": [
            {"name": name, "payload": msgspec.json.decode(encode(event))} for name, event in example_events().items()
        ],
    }


def _window_message(payload: dict[str, Any]) -> dict[str, Any]:
    number = {"type": "string", "pattern": "^[0-9]+$"}
    return {
        "name": "window",
        "title": "A revision of a window",
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                REVISION_HEADER: {**number, "description": "Which revision; final values do not carry it."},
                TICK_HEADER: {**number, "description": "End of the tick that closed with it."},
            },
        },
        "payload": payload,
        "bindings": _key(
            {
                "type": "string",
                "description": "JSON array of model, version, segment, window name, start_ms, kind.",
                "examples": ['["arrival-delay","2013.1","all","1d",1357344000000,"performance"]'],
            }
        ),
        "examples": [
            {"name": name, "payload": msgspec.json.decode(encode_window(view))}
            for name, view in (*((str(view.kind), view) for view in example_windows()), *example_tasks().items())
        ],
    }


def _key(schema: dict[str, Any]) -> dict[str, Any]:
    return {"kafka": {"key": schema, "bindingVersion": KAFKA_BINDING}}


def _of_windows(schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in schemas.items() if name in ("WindowPayload", "MetricPayload")}


def _of_alerts(schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in schemas.items() if name not in ("WindowPayload", "MetricPayload")}
