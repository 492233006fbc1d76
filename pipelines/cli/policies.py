"""Policies from a YAML file.

    models:
      flights:
        rows: joined.jsonl          # relative to this file
        data:
          {label: delayed, features: [distance, hour, origin], gap: 2d, checks: {distance: {min: 0, max: 6000}}}
        trigger: {cooldown: 24h, budget_runs: 3, budget_window: 7d}
        gate: {segments: [origin]}

Durations are written `90m`, `36h`, `7d`; the fields are those of `pipelines.policy`, without `_ms`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from pipelines.errors import ConfigError
from pipelines.policy import Policy

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATIONS: Final = frozenset({
    "after", "approval", "budget_window", "cooldown", "every", "gap", "least", "most", "run", "timeout", "window",
})  # fmt: skip


def load(path: Path) -> tuple[list[Policy], dict[str, Path]]:
    """The policies of a file, and where the rows of each model are. Raises ConfigError with every model that is wrong."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"file {str(path)!r}", f"cannot be read: {error}", "Write YAML.") from None
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, dict) or not models or set(document) != {"models"}:
        raise ConfigError(
            f"file {str(path)!r}", "has no `models:`, or more than that", "Name each model with its policy."
        )
    policies, rows, wrong = [], {}, []
    for name, said in models.items():
        try:
            given = _in_ms(dict(said or {}), str(name))
            if "rows" in given:
                rows[str(name)] = path.parent / str(given.pop("rows"))
            policies.append(msgspec.convert({"model": str(name), **given}, Policy))
        except (msgspec.ValidationError, ValueError) as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise ConfigError(f"file {str(path)!r}", "; ".join(wrong), "`driftline retrain plan --help` has an example.")
    return policies, rows


def _in_ms(section: dict[str, Any], where: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in section.items():
        if key in _DURATIONS:
            found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", str(value))
            if found is None:
                raise ValueError(f"{where}.{key}: {value!r} is no duration; write 90m, 36h or 7d")
            made[f"{key}_ms"] = int(found[1]) * _UNITS[found[2]]
        elif isinstance(value, dict) and key not in ("params", "checks"):
            made[key] = _in_ms(value, f"{where}.{key}")
        else:
            made[key] = value
    return made
