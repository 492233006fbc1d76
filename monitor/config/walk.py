"""Finds the type behind a path of the config, so that messages and pages can say what is allowed there."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from monitor.config.base import Section
from monitor.config.types import Config


def keys(section: type[Section]) -> dict[str, FieldInfo]:
    """The YAML keys of a section, in the order of the page."""
    return {info.alias or name: info for name, info in section.model_fields.items()}


def section_at(path: Sequence[str | int]) -> type[Section] | None:
    """The section that stands at `path`, or None when something else does."""
    annotation = _at(path)
    return next((part for part in _alternatives(annotation) if _is_keyed(part)), None)


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a field holds: itself, the items of its list, or none."""
    for part in _alternatives(annotation):
        if _is_keyed(part):
            return part
        if get_origin(part) is tuple and _is_keyed(get_args(part)[0]):
            return section_in(get_args(part)[0])
    return None


def field_at(path: Sequence[str | int]) -> FieldInfo | None:
    """What is known about the key that `path` ends with, or None when its parent is not a section."""
    if not path or (parent := section_at(path[:-1])) is None:
        return None
    return keys(parent).get(str(path[-1]))


def choices(annotation: Any) -> tuple[str, ...]:
    """The words of a Literal, or nothing."""
    for part in _alternatives(annotation):
        if get_origin(part) is Literal:
            return tuple(str(word) for word in get_args(part))
    return ()


def places(key: str) -> list[str]:
    """Sections (as dotted paths) that have this key; lists as `rules[]`."""
    found: list[str] = []
    _collect(Config, "", key, found)
    return found


def _collect(section: type[Section], at: str, key: str, found: list[str]) -> None:
    for name, info in keys(section).items():
        if name == key:
            found.append(at.removesuffix("."))
        for part in _alternatives(info.annotation):
            if _is_keyed(part):
                _collect(part, f"{at}{name}.", key, found)
            elif get_origin(part) is tuple and _is_keyed(get_args(part)[0]):
                _collect(get_args(part)[0], f"{at}{name}[].", key, found)


def _at(path: Sequence[str | int]) -> Any:
    annotation: Any = Config
    for step in path:
        annotation = _below(annotation, step)
    return annotation


def _below(annotation: Any, step: str | int) -> Any:
    for part in _alternatives(annotation):
        if _is_keyed(part) and (info := keys(part).get(str(step))) is not None:
            return info.annotation
        if get_origin(part) is dict and isinstance(step, str):
            return get_args(part)[1]
        if get_origin(part) is tuple and isinstance(step, int):
            return get_args(part)[0]
    return None


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for part in get_args(annotation) for inner in _alternatives(part))
    return (annotation,)


def _is_keyed(part: Any) -> TypeGuard[type[Section]]:
    return isinstance(part, type) and issubclass(part, Section)
