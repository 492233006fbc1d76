"""Policies from a YAML file.

    models:
      flights:
        rows: joined.jsonl          # relative to this file
        anchor: anchors.jsonl       # where `gate: {anchor: {digest: ...}}` names an anchor set
        data:
          {label: delayed, features: [distance, hour, origin], gap: 2d, checks: {distance: {min: 0, max: 6000}}}
        trigger: {cooldown: 24h, budget_runs: 3, budget_window: 7d}
        gate: {segments: [origin]}

Durations are written `90m`, `36h`, `7d`; the fields are those of `pipelines.policy`, without `_ms`:
docs/retraining.md has them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import UNSET

from pipelines.cli.mistakes import Lines, Mistake, hidden, in_ms, mistakes
from pipelines.errors import PolicyError
from pipelines.places import Execution
from pipelines.policy import Policy, senseless
from pipelines.sense import Wrong

_ROWS, _ANCHOR, _EXECUTOR = "rows", "anchor", "executor"
_BESIDE = frozenset({_ROWS, _ANCHOR, _EXECUTOR})


@dataclass(frozen=True, slots=True)
class Files:
    """Where the rows of each model are, and its anchor set; where its steps run."""

    rows: dict[str, Path] = field(default_factory=dict)
    anchors: dict[str, Path] = field(default_factory=dict)
    executors: dict[str, Execution] = field(default_factory=dict)


def load(path: Path) -> tuple[list[Policy], Files]:
    """The policies of a file, and where the rows of each model are. Raises PolicyError with every mistake and its line."""
    try:
        text = path.read_text()
        document, node = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
        lines = Lines(node)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PolicyError(str(path), f"cannot be read: {error}", "Write YAML.") from None
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, dict) or not models or set(document) != {"models"}:
        raise PolicyError(str(path), "has no `models:`, or more than that", "Name each model with its policy.")
    policies, files, wrong = [], Files(), list(lines.twice)
    for name, said, own in hidden(node, "models"):  # of no effect, and mended in the same round
        wrong += [(own.of(at), at, why) for at, why in _wrong(name, said or {})]
    for name, said in models.items():
        model, written = str(name), said or {}
        found = list(_wrong(model, written))
        wrong += [(lines.of(at), at, why) for at, why in found]
        if not found:
            for key, paths in ((_ROWS, files.rows), (_ANCHOR, files.anchors)):
                if key in written:
                    paths[model] = path.parent / str(written[key])
            if _EXECUTOR in written:
                files.executors[model] = _executor(written[_EXECUTOR], path.parent)
            policies.append(_policy(model, written))
    if wrong:
        told = sorted((line, ".".join(at).removeprefix("models."), why) for line, at, why in wrong)
        problems = tuple(f"line {line}, {at}: {why}" for line, at, why in told)
        why = "has a mistake:" if len(problems) == 1 else f"has {len(problems)} mistakes:"
        raise PolicyError(str(path), why, "docs/retraining.md has every key.", problems)
    return policies, files


def _wrong(model: str, written: Any) -> list[Mistake]:
    at = ("models", model)
    found: list[Mistake] = []
    elsewhere = False
    if isinstance(written, dict) and _EXECUTOR in written:
        found += mistakes(Execution, written[_EXECUTOR], (*at, _EXECUTOR))
        elsewhere = not found and _executor(written[_EXECUTOR], Path()) != Execution()

    def more(policy: Policy) -> Iterator[Wrong]:
        yield from senseless(policy)
        yield from _beside(model, policy, written, elsewhere)

    found += mistakes(Policy, written, at, _BESIDE, more)
    try:
        if not found:
            _policy(model, written)
    except msgspec.ValidationError as error:
        found.append((at, str(error)))
    return found


def _beside(model: str, policy: Policy, written: dict[str, Any], elsewhere: bool) -> Iterator[Wrong]:
    """What does not go together with what stands beside the policy."""
    if elsewhere and policy.gate.scoring_ms is not UNSET and policy.train.score_command:
        why = "nobody knows how long a command took that runs elsewhere; write score_function, or take this out"
        yield Wrong("gate.scoring", why, ("gate.scoring", "train.score_command"))
    asked, anchor = policy.gate.anchor is not UNSET, "gate.anchor"
    if asked and _ANCHOR not in written:
        yield Wrong(anchor, f"names a digest, and {model}.anchor no file")
    if not asked and _ANCHOR in written:
        yield Wrong(_ANCHOR, "has a file, and gate.anchor no digest of it; `sha256sum` prints one", (anchor,))


def _executor(written: dict[str, Any], beside: Path) -> Execution:
    """Files that it names are relative to the file of policies."""
    found = msgspec.convert(in_ms(Execution, written), Execution)
    if (hook := found.webhook) is UNSET:
        return found
    ca_file = None if hook.ca_file is None else str(beside / hook.ca_file)
    at = msgspec.structs.replace(hook, secret_file=str(beside / hook.secret_file), ca_file=ca_file)
    return msgspec.structs.replace(found, webhook=at)


def _policy(model: str, written: dict[str, Any]) -> Policy:
    given = in_ms(Policy, {key: value for key, value in written.items() if key not in _BESIDE})
    return msgspec.convert({**given, "model": model}, Policy)
