"""Parts of a JSON object without parsing the rest: the bytes under a key, the elements of an array, a few leaves.

The bytes of a part are those of the record: nothing is written anew. Only a record that is no JSON for msgspec (`NaN`, which
Python producers write) is read leniently and its parts are written again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from monitor.events import Reason
from monitor.ingest.careful import Failure, parse_object, type_name

Part = bytes | msgspec.Raw
Members = Mapping[str, Part]
Heads = Mapping[str, "Heads | None"]
"""Which leaves are wanted of an object: below each key, None for the whole of it."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encoded: Final = msgspec.json.Encoder().encode
_value: Final = msgspec.json.Decoder().decode
NULL: Final = b"null"


def members_of(value: Part) -> Members | Failure:
    """The members of an object by key; of a key that stands twice the last. `value` has passed `check_size`."""
    try:
        return _members(value)
    except _UNREADABLE:
        found = parse_object(bytes(value))
        return found if isinstance(found, Failure) else {key: _written(part) for key, part in found.items()}


def elements_of(value: Part) -> list[Part] | Failure:
    """The elements of an array."""
    try:
        return list(_elements(value))
    except _UNREADABLE:
        found = parsed(value)
        if isinstance(found, list):
            return [_written(part) for part in found]
        return Failure(Reason.TYPE, f"{type_name(found)}, where an array is needed")


def parsed(value: Part) -> object:
    """A part as a value; `NaN` and the like are understood. A part of a record that is JSON always is."""
    try:
        return _value(value)
    except _UNREADABLE:
        found = parse_object(b'{"":%b}' % bytes(value))
        return found.get("") if isinstance(found, dict) else None


def text_of(members: Members, key: str) -> str | None:
    """A text under a key; None where there is none."""
    part = members.get(key)
    found = None if part is None else parsed(part)
    return found if isinstance(found, str) else None


def is_null(part: Part | None) -> bool:
    """Whether there is no such part, or it is null."""
    return part is None or bytes(part) == NULL


def heads_of(paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Paths as a tree. A path that leads through another one wants the whole of that one."""
    tree: dict[str, Any] = {}
    for path in sorted(paths, key=len):
        node = tree
        for step in path[:-1]:
            below = node.setdefault(step, {})
            if below is None:
                break
            node = below
        else:
            node[path[-1]] = None
    return tree


def leaves_of(members: Members, heads: Heads) -> dict[str, object]:
    """The wanted leaves of an object, nested as they are there."""
    found: dict[str, object] = {}
    for key, below in heads.items():
        part = members.get(key)
        if part is None:
            continue
        inner = None if below is None else members_of(part)
        found[key] = parsed(part) if below is None or isinstance(inner, Failure | None) else leaves_of(inner, below)
    return found


def _written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def spliced(value: Part, path: Sequence[str], keep: Callable[[int], bool]) -> bytes | None:
    """The same record with some elements of the array at a path alone; all other parts keep their bytes. None where there is
    no such array."""
    if not path:
        elements = elements_of(value)
        if isinstance(elements, Failure):
            return None
        return _encoded([_raw(part) for index, part in enumerate(elements) if keep(index)])
    members = members_of(value)
    if isinstance(members, Failure) or path[0] not in members:
        return None
    inner = spliced(members[path[0]], path[1:], keep)
    return None if inner is None else written(members, path[0], inner)


def written(members: Members, key: str, part: Part) -> bytes:
    """An object with another part under a key."""
    return _encoded({name: _raw(held) for name, held in members.items()} | {key: _raw(part)})


def _raw(part: Part) -> msgspec.Raw:
    return msgspec.Raw(bytes(part))
