"""Everything that is wrong with a policy as it was written, each with the path to its key.

`msgspec` stops at the first mistake. Here the types of `pipelines.policy` are walked beside what was written: what fields there
are, of which kind, and what the types themselves refuse (`pipelines.sense`), but for what rests on a key with a mistake of
another kind. Lines come from the nodes of the YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache, partial
from typing import Any, Final, get_args, get_origin

import msgspec
import yaml
from msgspec import NODEFAULT

from pipelines.sense import Wrong
from pipelines.suggest import hint, listing

Path = tuple[str, ...]
Mistake = tuple[Path, str]

UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SUFFIX: Final = "_ms"
_NOT_ZERO: Final = frozenset({"window", "run", "timeout", "every", "approval"})
_FUNCTIONS: Final = frozenset({"function", "score_function"})
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def duration_ms(written: object) -> int | None:
    """`90m`, `36h`, `7d` in ms; None for what is no duration."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", str(written))
    return int(found[1]) * UNITS[found[2]] if found else None


def shown(field: str) -> str:
    """The key of a field: durations are written without their unit."""
    return field.removesuffix(_SUFFIX)


def in_ms(kind: Any, written: Any) -> Any:
    """What was written with its durations in ms, as the type has them. Of no use where there are mistakes."""
    found: dict[str, Any] = {}
    kinds = {shown(field.name): field for field in msgspec.structs.fields(kind)}
    for key, value in written.items():
        field = kinds.get(key)
        if field is not None and field.name != key:
            found[field.name] = duration_ms(value)
        else:
            inner = None if field is None else _struct(field.type)
            found[key] = in_ms(inner, value) if inner is not None and isinstance(value, dict) else value
    return found


def mistakes(
    kind: Any,
    written: Any,
    at: Path,
    also: frozenset[str] = frozenset(),
    more: Callable[[Any], Iterable[Wrong]] = lambda _: (),
) -> Iterator[Mistake]:
    """What is wrong with a section. `also`: keys that are no fields; `model` is no key, it is above the section. `more`: what is
    refused of a section beside what its type refuses."""
    yield from _of_kinds(kind, written, at, also)
    if isinstance(written, dict):
        sense = _Sense()
        made = sense.made(kind, written, at)
        sense.hold(more(made), at)
        yield from sense.found


def _of_kinds(kind: Any, written: Any, at: Path, also: frozenset[str] = frozenset()) -> Iterator[Mistake]:
    if not isinstance(written, dict):
        yield at, f"is {written!r}; write its keys below it"
        return
    fields = _fields(kind)
    known = {*fields, *also}
    for key in written:
        if key not in known and key not in {field.name for field in fields.values()}:
            yield (*at, str(key)), f"unknown field `{key}`{hint(str(key), known)}; there are: {listing(sorted(known))}"
    for name, field in fields.items():
        if name in written:
            yield from _of_field(name, field, written[name], (*at, name))
        elif field.required:
            yield at, f"missing required field `{name}`"


def _fields(kind: Any) -> dict[str, Any]:
    return {shown(field.name): field for field in msgspec.structs.fields(kind) if field.name != "model"}


class _Sense:
    """What types refuse of what was written, whatever other mistakes are in it. A key with a mistake has its default meanwhile,
    and nothing that rests on it is told."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []
        self._unknown: set[Path] = set()

    def made(self, kind: Any, written: Mapping[Any, Any], at: Path) -> Any:
        """A section of this kind. What its type refuses is in `found`."""
        given = {field.name: self._given(field, name, written, (*at, name)) for name, field in _fields(kind).items()}
        made = _unchecked(kind)(**given)
        self.hold(made.wrong() if hasattr(made, "wrong") else (), at)
        return made

    def hold(self, wrong: Iterable[Wrong], at: Path) -> None:
        """Tell what rests on nothing unknown."""
        for each in wrong:
            on = [(*at, *key.split(".")) for key in each.on or (each.at,)]
            if not any(_touch(key, unknown) for key in on for unknown in self._unknown):
                self.found.append(((*at, *filter(None, each.at.split("."))), each.why))

    def _given(self, field: Any, name: str, written: Mapping[Any, Any], at: Path) -> Any:
        if name in written:
            value, inner, each = written[name], _struct(field.type), _of_mapping(field.type)
            if inner is not None and isinstance(value, dict):
                return self.made(inner, value, at)
            if each is not None and isinstance(value, dict) and all(isinstance(one, dict) for one in value.values()):
                return {str(key): self.made(each, one, (*at, str(key))) for key, one in value.items()}
            try:
                return msgspec.convert(duration_ms(value) if field.name != name else value, field.type)
            except msgspec.ValidationError:
                pass
        elif not field.required:
            return _default(field)
        self._unknown.add(at)
        return _default(field)


def _touch(one: Path, other: Path) -> bool:
    """Whether one key is the other, or above it."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _default(field: Any) -> Any:
    """What a field has where nothing is known of it."""
    if field.default is not NODEFAULT:
        return field.default
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    inner = _struct(field.type)
    if inner is not None:
        return _unchecked(inner)(**{each.name: _default(each) for each in msgspec.structs.fields(inner)})
    return () if get_origin(field.type) is tuple else ""


@cache
def _unchecked(kind: Any) -> Any:
    """The same type, which takes what it would refuse."""
    model = {"model": ""} if any(field.name == "model" for field in msgspec.structs.fields(kind)) else {}

    class Unchecked(kind, frozen=True):  # type: ignore[misc, call-arg]
        def __post_init__(self) -> None: ...

    return partial(Unchecked, **model)


def _of_field(name: str, field: Any, value: Any, at: Path) -> Iterator[Mistake]:
    kind = field.type
    if field.name != name:
        if (ms := duration_ms(value)) is None:
            yield at, f"{value!r} is no duration; write 90m, 36h or 7d"
        elif ms == 0 and name in _NOT_ZERO:
            yield at, f"{value!r} is no time at all; write 90m, 36h or 7d"
    elif isinstance(value, dict) and (inner := _struct(kind)) is not None:
        yield from _of_kinds(inner, value, at)
    elif isinstance(value, dict) and (inner := _of_mapping(kind)) is not None:
        for key, each in value.items():
            yield from _of_kinds(inner, each, (*at, str(key)))
    elif value is not None and (choices := _enum(kind)) is not None:
        given = value if isinstance(value, list) else [value]
        allowed = [str(choice) for choice in choices]
        for each in given:
            if each not in allowed:
                yield at, f"{each!r} is none of {', '.join(allowed)}{hint(str(each), allowed)}"
    elif name in _FUNCTIONS and value is not None and not _FUNCTION.fullmatch(str(value)):
        yield at, f"{value!r} is no function; write module:name"
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            yield at, _plain(error)


def _plain(error: msgspec.ValidationError) -> str:
    return re.sub(r" - at `\$.*`$", "", str(error))


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) or (kind,)


def _struct(kind: Any) -> Any:
    parts = (kind,) if get_origin(kind) is dict else _parts(kind)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


def _of_mapping(kind: Any) -> Any:
    """What a mapping of names to sections holds."""
    return next((_struct(get_args(part)[1]) for part in (kind, *get_args(kind)) if get_origin(part) is dict), None)


def _enum(kind: Any) -> Any:
    return next((part for part in _parts(kind) if isinstance(part, type) and issubclass(part, StrEnum)), None)


class Lines:
    """Where the keys of a document stand, and those that are there twice."""

    def __init__(self, node: Any, at: Path = ()) -> None:
        """`node`: of the document, or of the section below `at`."""
        self._lines: dict[Path, int] = {}
        self._seen: set[int] = set()
        self._top = 1 if node is None else node.start_mark.line + 1
        self.twice: list[tuple[int, Path, str]] = []
        self._walk(node, at)

    def of(self, at: Path) -> int:
        """The line of a key, or of the nearest one above it; from 1."""
        return next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), self._top)

    def _walk(self, node: Any, at: Path) -> None:
        if not isinstance(node, yaml.MappingNode) or id(node) in self._seen:
            return
        self._seen.add(id(node))
        for key, value in node.value:
            path, line = (*at, str(key.value)), key.start_mark.line + 1
            if path in self._lines:
                self.twice.append((line, path, f"is there twice, first in line {self._lines[path]}"))
                self._lines = {
                    each: n for each, n in self._lines.items() if each[: len(path)] != path
                }  # the last counts
            self._lines[path] = line
            self._walk(value, path)


def hidden(node: Any, section: str) -> Iterator[tuple[str, Any, Lines]]:
    """What a section of a document says below keys that are there again further on, and so is not read: each with its key, and
    its lines."""
    below = (value for key, value in node.value if key.value == section) if isinstance(node, yaml.MappingNode) else ()
    for inner in below:
        pairs = [(str(key.value), key, value) for key, value in inner.value if isinstance(key, yaml.ScalarNode)]
        for place, (name, key, value) in enumerate(pairs):
            if name in {other for other, _, _ in pairs[place + 1 :]}:
                lines = Lines(yaml.MappingNode("", [(key, value)], key.start_mark), (section,))
                yield name, yaml.SafeLoader("").construct_document(value), lines
