"""Data to a Config, or to every mistake in it: those of single values, and those between the values that are sound.

Validation stops at the first level: mistakes between fields are only looked for in a config whose fields are good. To
tell a user everything at once, the bad parts are cut out, what is then missing gets a stand-in, and the result is
checked again; whatever then follows from a part that was cut is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from monitor.config.explain import problems_of
from monitor.config.problems import Path, Problem
from monitor.config.streams import FeatureName
from monitor.config.suggest import nearest
from monitor.config.types import RECORDED, Config
from monitor.config.walk import field_at

_FEATURES: Path = ("streams", "predictions", "features")
_FEATURE_NAME: TypeAdapter[str] = TypeAdapter(FeatureName)
_ROUNDS = 8
"""Cutting a value can make its section incomplete, and so on upwards: as deep as the config is."""


def validate(data: Mapping[str, Any], *, recorded: bool = False) -> tuple[Config | None, list[Problem]]:
    """The config if it is sound, else None; and every problem, those of single values first. `recorded`: it was in force."""
    try:
        return Config.model_validate(data, context=RECORDED if recorded else None), []
    except ValidationError as e:
        first = problems_of(e)
        between = [detail["type"] == "cross_field" for detail in e.errors(include_url=False)]
    if any(between):
        return None, first
    cut = {problem.path for problem in first}
    unsure = cut | {path for problem in first for path in problem.reads}
    # The name of a feature may be sound although what is said of it is not.
    stand_ins: dict[Path, Any] = {path: "numeric" for path in cut if _names_a_feature(path)}
    for _ in range(_ROUNDS):
        rest, kept = _without(data, cut, stand_ins)
        try:
            Config.model_validate(rest)
            return None, first
        except ValidationError as e:
            found = [
                replace(p, path=_original(p.path, kept), reads=tuple(_original(path, kept) for path in p.reads))
                for p in problems_of(e)
            ]
            if any(detail["type"] == "cross_field" for detail in e.errors(include_url=False)):
                return None, [*first, *(problem for problem in found if not _follows(problem, data, unsure | cut))]
        for problem in found:
            info = field_at(problem.path)
            if info is not None and info.examples and problem.path not in stand_ins:
                stand_ins[problem.path] = info.examples[0]
            elif len(problem.path) < 2:
                return None, first  # a section without which there is nothing to check
            else:
                cut.add(problem.path[:-1])
        unsure |= set(stand_ins)
    return None, first


def _follows(problem: Problem, data: Any, unsure: set[Path]) -> bool:
    """Whether the problem rests on something that was cut, or lies in it."""
    if any(_overlap(problem.path, bad) for bad in unsure):
        return True
    return any(
        _overlap(path, bad) and (problem.wanted is None or _may_be_named(problem.wanted, data, bad))
        for path in problem.reads
        for bad in unsure
    )


def _may_be_named(wanted: str, data: Any, bad: Path) -> bool:
    """Whether what is broken may have been meant to be the name that is wanted."""
    if _names_a_feature(bad):
        return False
    written = bad[-1] if bad[:-1] == _FEATURES else _at(data, bad)
    return written is None or isinstance(written, (Mapping, list)) or nearest(wanted, [str(written)]) is not None


def _names_a_feature(path: Path) -> bool:
    """Whether the path is that of a feature whose name is sound, whatever is said of it."""
    if path[:-1] != _FEATURES:
        return False
    try:
        _FEATURE_NAME.validate_python(path[-1])
    except ValidationError:
        return False
    return True


def _at(data: Any, path: Path) -> Any:
    """What stands at a path, or None."""
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _overlap(one: Path, other: Path) -> bool:
    return all(a == b or "*" in (a, b) for a, b in zip(one, other, strict=False))


def _without(data: Any, cut: set[Path], stand_ins: Mapping[Path, Any]) -> tuple[Any, dict[Path, list[int]]]:
    """The data without the paths that were cut, with stand-ins for some of them; and for each list the original
    positions of the items that are left."""
    kept: dict[Path, list[int]] = {}

    def copy(node: Any, at: Path) -> Any:
        if isinstance(node, Mapping):
            copies = {key: copy(value, (*at, key)) for key, value in node.items() if (*at, key) not in cut}
            return copies | {str(path[-1]): value for path, value in stand_ins.items() if path[:-1] == at}
        if isinstance(node, list):
            indexes = [index for index in range(len(node)) if (*at, index) not in cut]
            kept[at] = indexes
            return [copy(node[index], (*at, index)) for index in indexes]
        return node

    return copy(data, ()), kept


def _original(path: Path, kept: Mapping[Path, list[int]]) -> Path:
    """The path as it was before items of lists were cut."""
    at: Path = ()
    for step in path:
        left = kept.get(at)
        at = (*at, left[step] if isinstance(step, int) and left is not None and step < len(left) else step)
    return at
