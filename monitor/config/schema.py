"""JSON Schema of the config file, for editors. `schema.json` beside this module is generated from the types.

It knows keys, types, words, patterns and ranges, not the mistakes between fields: `driftline check` does. Point an
editor at it with the comment `# yaml-language-server: $schema=...` on the first line of a config.
"""

from __future__ import annotations

import json
from typing import Any

from monitor.config.durations import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size
from monitor.config.types import Config


def schema() -> dict[str, Any]:
    """Draft 2020-12. The same for the same types, to the byte."""
    made = _as_written(Config.model_json_schema(by_alias=True, mode="validation"))
    made["properties"]["unlisted_models"]["anyOf"].insert(0, {"const": "reject", "type": "string"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Driftline configuration"}


def schema_text() -> str:
    """The text of `schema.json`."""
    return json.dumps(schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _as_written(node: Any) -> Any:
    """Defaults in the form a user would write, and no titles that only repeat the key."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_written(item) for key, item in node.items() if not (key == "title" and isinstance(item, str))}
    if isinstance(made.get("default"), int) and not isinstance(made["default"], bool):
        if made.get("pattern") == DURATION_PATTERN:
            made["default"] = format_duration(made["default"])
        elif any(choice.get("pattern") == SIZE_PATTERN for choice in made.get("anyOf", ())):
            made["default"] = format_size(made["default"])
    if isinstance(made.get("default"), list):
        made["default"] = [item["name"] if isinstance(item, dict) else item for item in made["default"]]
    if made.get("default", "") is None:
        del made["default"]
    if "patternProperties" in made:
        made["additionalProperties"] = False
    return made
