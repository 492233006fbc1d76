"""Policies from a YAML file.

    models:
      flights:
        rows: joined.jsonl          # relative to this file
        data:
          {label: delayed, features: [distance, hour, origin], gap: 2d, checks: {distance: {min: 0, max: 6000}}}
        trigger: {cooldown: 24h, budget_runs: 3, budget_window: 7d}
        gate: {segments: [origin]}

Durations are written `90m`, `36h`, `7d`; the fields are those of `pipelines.policy`, without `_ms`:
docs/retraining.md has them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from pipelines.cli.mistakes import Lines, Mistake, in_ms, mistakes
from pipelines.errors import PolicyError
from pipelines.policy import Policy

_ROWS = "rows"


def load(path: Path) -> tuple[list[Policy], dict[str, Path]]:
    """The policies of a file, and where the rows of each model are. Raises PolicyError with every mistake and its line."""
    try:
        text = path.read_text()
        document, lines = yaml.safe_load(text), Lines(text)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PolicyError(str(path), f"cannot be read: {error}", "Write YAML.") from None
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, dict) or not models or set(document) != {"models"}:
        raise PolicyError(str(path), "has no `models:`, or more than that", "Name each model with its policy.")
    policies, rows, wrong = [], {}, list(lines.twice)
    for name, said in models.items():
        model, written = str(name), said or {}
        found = list(_wrong(model, written))
        wrong += found
        if not found:
            if _ROWS in written:
                rows[model] = path.parent / str(written[_ROWS])
            policies.append(_policy(model, written))
    if wrong:
        said = sorted((lines.of(at), ".".join(at).removeprefix("models."), why) for at, why in wrong)
        problems = tuple(f"line {line}, {at}: {why}" for line, at, why in said)
        why = "has a mistake:" if len(problems) == 1 else f"has {len(problems)} mistakes:"
        raise PolicyError(str(path), why, "docs/retraining.md has every key.", problems)
    return policies, rows


def _wrong(model: str, written: Any) -> list[Mistake]:
    at = ("models", model)
    found = list(mistakes(Policy, written, at, frozenset({_ROWS})))
    if not found:
        try:
            _policy(model, written)
        except msgspec.ValidationError as error:
            found.append((at, str(error)))
    return found


def _policy(model: str, written: dict[str, Any]) -> Policy:
    given = in_ms(Policy, {key: value for key, value in written.items() if key != _ROWS})
    return msgspec.convert({**given, "model": model}, Policy)
