"""The table of every key of a policy in docs/retraining.md has the keys, types and defaults that the code has."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec

from pipelines import gate, journal
from pipelines.cli.mistakes import UNITS, duration_ms, shown
from pipelines.guards import GUARDS
from pipelines.places import Execution
from pipelines.policy import DAY_MS, Brakes, Data, Policy, Probation, Promotion, Trigger
from pipelines.trigger import Why

PAGE = Path(__file__).parents[2] / "docs/retraining.md"
WORDS = {str: "text", int: "whole number", float: "number", Any: "anything"}


def leaves(kind: Any, at: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, type, default) of every key that can be written."""
    for field in msgspec.structs.fields(kind):
        name, inner = at + shown(field.name), _inner(field.type)
        if (at, field.name) == ("", "model"):
            continue
        if get_origin(inner) is dict and _is_struct(get_args(inner)[1]):
            yield from leaves(get_args(inner)[1], f"{name}.COLUMN.")
        elif _is_struct(inner):
            yield from leaves(inner, f"{name}.")
        else:
            duration = shown(field.name) != field.name
            yield name, "duration" if duration else word(inner), default(field, duration)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _inner(kind: Any) -> Any:
    """Without `or nothing`."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    (inner,) = (each for each in get_args(kind) if each not in (type(None), msgspec.UnsetType))
    return inner


def word(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"list of {word(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return f"{word(get_args(kind)[1])} by name"
    if issubclass(kind, StrEnum):
        return ", ".join(f"`{each}`" for each in kind)
    return WORDS[kind]


def default(field: Any, duration: bool) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is msgspec.UNSET:
        return "none"
    if duration:
        unit = next(unit for unit, ms in reversed(UNITS.items()) if value % ms == 0 and (value or unit == "s"))
        return f"`{value // UNITS[unit]}{unit}`"
    if value in (None, (), {}):
        return "none"
    return f"`[{', '.join(value)}]`" if isinstance(value, tuple) else f"`{value}`"


def written() -> list[tuple[str, ...]]:
    section = PAGE.read_text().partition("## Every key of a policy")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]


def test_every_key_of_a_policy_is_in_the_guide_with_its_type_and_default() -> None:
    there = written()
    own = [
        (f"`{key}`", "text", "none") for key in ("rows", "anchor")
    ]  # read by the command line, no part of what is decided
    keys = (*leaves(Execution, "executor."), *leaves(Policy))
    assert [row[:3] for row in there] == [*own, *((f"`{path}`", kind, said) for path, kind, said in keys)]
    assert all(len(row) == 4 and row[3] for row in there)


def test_the_defaults_of_durations_can_be_written() -> None:
    said = [row[2].strip("`") for row in written() if row[1] == "duration" and row[2] != "none"]
    assert len(said) == 20
    assert None not in map(duration_ms, said)


def brakes() -> list[list[str]]:
    section = PAGE.read_text().partition("## What stops a bad model")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_what_stops_a_bad_model_is_spelled_as_it_is_written_and_as_it_is_said() -> None:
    keys = {path for path, _, _ in leaves(Policy)}
    sections = {path.rsplit(".", depth)[0] for path in keys for depth in (1, 2)}
    words = {str(word) for kind in (journal.Reason, gate.Reason, Why) for word in kind} | {"alpha", "show"}
    for _, _, by, said in brakes():
        known = {key for key in re.findall(r"`([a-z_.]+)`", by) if not key.startswith(("driftline", "run "))}
        assert known - {"quality", "label_feed", "freeze", "retire", "trust"} <= keys | sections, by
        assert set(re.findall(r"`([a-z_]+)`", said)) <= words, said
    all_said = {word for row in brakes() for word in re.findall(r"`([a-z_]+)`", row[3])}
    begins = {Why.PERFORMANCE, Why.DRIFT, Why.MANUAL, Why.NOTHING_FIRES, Why.UNREADABLE}
    assert {str(why) for why in set(Why) - begins} <= all_said, "whatever keeps a run from beginning is in the table"
    assert {str(each) for each in GUARDS} <= all_said


def test_the_brakes_that_are_on_are_as_tight_as_the_guide_says() -> None:
    found = {key: row[1] for row in brakes() for key in re.findall(r"`([a-z_.]+)`", row[2])}
    trigger, brakes_, watched = Trigger(), Brakes(), Probation()
    assert found["trigger.labels_min"] == f"{trigger.labels_min:,}"
    days, per = trigger.cooldown_ms // DAY_MS, trigger.budget_window_ms // DAY_MS
    assert (
        found["trigger.cooldown"]
        == f"after {days} day, twice as long after each rejection; {trigger.budget_runs} in {per} days"
    )
    in_row, inside, per = brakes_.rollbacks_in_row, brakes_.rollbacks_in_window, brakes_.window_ms // DAY_MS
    assert found["brakes.rollbacks_in_row"] == f"{in_row} in a row, {inside} in {per} days"
    assert found["gate.alpha"] == str(gate.GateSpec().alpha)
    assert found["probation"] == f"on, for {watched.least_ms // DAY_MS} to {watched.most_ms // DAY_MS} days"
    plain = Policy("m", Data("y", ("x",)))
    assert found["approvals"] == f"{plain.approvals} within {plain.approval_ms // DAY_MS} days"
    off = (plain.shadow, plain.intake, plain.labels, plain.gate.worth, plain.gate.anchor, plain.gate.calibration_max)
    assert set(off) == {msgspec.UNSET}
    assert (brakes_.tenure_ms, plain.gate.segments, plain.promote) == (0, (), Promotion.APPROVE)
    for key in (
        "shadow",
        "intake.surprise",
        "labels",
        "gate.worth",
        "gate.anchor",
        "gate.size_bytes_max",
        "brakes.tenure",
    ):
        assert found[key] == "off"
