"""The table of every key of a policy in docs/retraining.md has the keys, types and defaults that the code has."""

from __future__ import annotations

import types
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec

from pipelines.cli.mistakes import UNITS, duration_ms, shown
from pipelines.places import Execution
from pipelines.policy import Policy

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
