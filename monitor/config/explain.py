"""Errors of validation as sentences: what was given, what is allowed, did you mean.

Nothing given under `kafka.properties` is ever repeated: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from monitor.config.base import TOPIC_PATTERN
from monitor.config.layers import PROPERTIES
from monitor.config.problems import Path, Problem, path_text
from monitor.config.suggest import hint, listing, nearest
from monitor.config.walk import choices, field_at, keys, places, section_at
from monitor.config.yaml_positions import typed

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a number that is not NaN or infinite",
}
_PATTERNS = {
    TOPIC_PATTERN: "letters, digits, '.', '_' and '-'",
    "^[A-Za-z_][A-Za-z0-9_]{0,99}$": "letters, digits and '_', not starting with a digit, up to 100 characters",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": "letters, digits, '.', '_' and '-', up to 100 characters",
    r"^[^\s:=$,][^\s:=,]*$": "anything but spaces, ':', '=' and ',', and no '$' at the start",
}
_NO = ("no", "off", "0", "n", "false")
_CONSEQUENCES = frozenset({"default_factory_not_called"})
"""Errors that only say that another one happened."""


def shown(value: Any) -> str:
    """What was given, for people: short, and the shape alone for lists and mappings."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = repr(value)
    return text if len(text) <= 70 else f"{text[:60]}…' ({len(value)} characters)" if isinstance(value, str) else text


def problems_of(error: ValidationError) -> list[Problem]:
    """Every error as a problem, mistakes between fields included; mere consequences are left out."""
    found: list[Problem] = []
    details = [detail for detail in error.errors(include_url=False) if detail["type"] not in _CONSEQUENCES]
    for detail in details:
        if detail["type"] == "cross_field":
            found.extend(detail["ctx"]["problems"])
            continue
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == "too_short" and any(_is_below(other["loc"], path) for other in details):
            continue  # the list is only empty because its items were refused
        found.append(_problem(path, detail))
    return found


def _is_below(loc: Path, path: Path) -> bool:
    return len(loc) > len(path) and tuple(loc[: len(path)]) == path


def _problem(path: Path, detail: ErrorDetails) -> Problem:
    kind, given = detail["type"], detail["input"]
    secret = path[:2] == PROPERTIES
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        info = field_at(path)
        what = f": {info.description}" if info is not None and info.description else ""
        example = f" Example: {path[-1]}: {example_text(info.examples[0])}" if info and info.examples else ""
        return Problem(path, f"is missing{what or '.'}{example}")
    if kind == "form":
        form, was_shape = detail["ctx"]["form"], detail["ctx"].get("shape")
        return Problem(path, f"{shown(given)} was given; {form}" if was_shape and not secret else form)
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return Problem(path, f"{path[-1]!r} cannot be a name here; allowed: {_pattern(detail)}")
    return Problem(path, _sentence(path, kind, "this" if secret else shown(given), detail))


def _sentence(path: Path, kind: str, given: str, detail: ErrorDetails) -> str:
    if kind in _KINDS:
        slip = _kind_hint(kind, detail["input"])
        return f"{given} is not {_KINDS[kind]}{_allowed(path, example=not slip)}{slip}"
    if kind == "literal_error" and (info := field_at(path)) is not None:
        words = choices(info.annotation)
        empty = "; quote it, as in op: '>'" if not detail["input"] and path[-1] == "op" else ""
        return f"{given} is not one of {', '.join(words)}{empty or hint(str(detail['input']), words)}"
    plain = {
        "string_pattern_mismatch": f"{given} cannot be used here; allowed: {_pattern(detail)}",
        "string_too_short": f"{given} is empty; allowed: some text",
        "string_too_long": f"{given} is too long; allowed: {_pattern(detail)}",
        "too_short": "the list is empty; allowed: at least one",
    }
    if kind in plain:
        return plain[kind]
    return f"{given} is out of range; allowed: {_range(path)}" if _range(path) else f"{given}: {detail['msg']}"


def _unknown_key(path: Path) -> Problem:
    key, parent = str(path[-1]), section_at(path[:-1])
    allowed = list(keys(parent)) if parent is not None else []
    where = path_text(path[:-1]) or "the top level"
    close = nearest(key, allowed)
    sentence = f"is not a key of {where}; allowed: {listing(allowed)}"
    if close is not None:
        # What was meant is unknown until this is mended, so nothing is said about its absence.
        return Problem(path, f"{sentence}; did you mean {close!r}?", ((*path[:-1], close),))
    elsewhere = places(key)
    if elsewhere:
        sentence += f"; {key!r} belongs under {elsewhere[0] or 'the top level'}"
    return Problem(path, sentence)


def _allowed(path: Path, *, example: bool) -> str:
    """What a value of the wrong kind should have been: its range, its keys, or its words."""
    if _range(path):
        return f"; allowed: {_range(path)}"
    info, section = field_at(path), section_at(path)
    if section is not None:
        return f"; allowed: a mapping with {listing(keys(section))}"
    if example and info is not None and info.examples:
        return f"; for example {example_text(info.examples[0])}"
    return ""


def _kind_hint(kind: str, value: Any) -> str:
    """The usual slip behind a value of the wrong kind, or nothing."""
    if kind == "bool_type":
        word = str(value).lower()
        meant = "true" if word in ("yes", "on", "1", "y", "true") else "false" if word in _NO else ""
        return f"; did you mean {meant}?" if meant else ""
    if kind == "string_type" and isinstance(value, (int, float)):
        return f"; did you mean '{str(value).lower()}', in quotes?"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        number = value.replace(",", ".") if re.fullmatch(r"-?\d*,\d\d?", value) else re.sub(r"[_, ]", "", value)
        is_number = isinstance(typed(number), (int, float)) and number not in ("true", "false")
        return f"; did you mean {number}?" if is_number else ""
    if kind == "tuple_type" and isinstance(value, (str, Mapping)):
        return "; put '- ' before it, or write it in brackets"
    return ""


def _range(path: Path) -> str:
    info = field_at(path)
    return allowed_range(info) if info is not None else ""


def allowed_range(info: FieldInfo) -> str:
    """`0 to 1`, `1 or more`, `more than 0`, or nothing."""
    bounds = info.metadata
    low = next((b.ge for b in bounds if isinstance(b, Ge)), next((b.gt for b in bounds if isinstance(b, Gt)), None))
    high = next((b.le for b in bounds if isinstance(b, Le)), next((b.lt for b in bounds if isinstance(b, Lt)), None))
    if low is not None and high is not None:
        if any(isinstance(b, Gt) for b in bounds) or any(isinstance(b, Lt) for b in bounds):
            least = "more than" if any(isinstance(b, Gt) for b in bounds) else "from"
            most = "less than" if any(isinstance(b, Lt) for b in bounds) else "up to"
            return f"{least} {_number(low)} and {most} {_number(high)}"
        return f"{_number(low)} to {_number(high)}"
    if low is not None and not any(isinstance(b, Ge) for b in bounds):
        return f"more than {_number(low)}"
    return f"{_number(low)} or more" if low is not None else ""


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pattern(detail: ErrorDetails) -> str:
    context = detail.get("ctx") or {}
    if "pattern" in context:
        return _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
    if "max_length" in context:
        return f"up to {context['max_length']} characters"
    return "some text"


def example_text(example: Any) -> str:
    """An example in YAML's brackets, on one line."""
    if isinstance(example, Mapping):
        return "{" + ", ".join(f"{key}: {example_text(value)}" for key, value in example.items()) + "}"
    if isinstance(example, (list, tuple)):
        return "[" + ", ".join(example_text(item) for item in example) + "]"
    return str(example).lower() if isinstance(example, bool) else str(example)
