"""One record, slowly: what is wrong with it, or its fields if it can be used after all.

The fast reader gives up on a record at the first thing it does not expect. Here it is read again, leniently: `NaN` and
`Infinity` are understood (Python producers write them), a field of the wrong type spoils only itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from monitor.events import Reason
from monitor.ingest.mapping import Leaf
from monitor.ingest.values import Kind, Misfit

DEEPEST: Final = 640
"""Levels of nesting that are followed. A record cannot be deeper than half its length, so that ordinary records need no
look; and it is well below the interpreter's own limit, which differs between versions and with the depth of the stack."""
SHALLOW_BYTES: Final = 2 * DEEPEST
"""A record up to this long is never too deep."""
_LONGEST_INTEGER: Final = 400  # digits; beyond, it is larger than any float

_TYPE_NAMES: Final = {
    dict: "an object",
    list: "an array",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}
_ACCEPTED: Final = {
    Kind.TEXT: (str, int),
    Kind.NUMBER: (float, int),
    Kind.ISO: (str,),
    Kind.CLASS: (float, int, bool, str),
    Kind.FLAG: (bool,),
    Kind.NUMERIC: (float, int, bool, str),
    Kind.CATEGORY: (float, int, bool, str),
}
_AS_FLOAT: Final = (Kind.NUMBER, Kind.NUMERIC, Kind.CLASS)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record cannot be used as a whole."""

    reason: Reason
    detail: str


def too_deep(value: bytes) -> bool:
    """Whether a record is nested deeper than `DEEPEST`. Exact for valid JSON, linear in any case."""
    if len(value) <= SHALLOW_BYTES or value.count(b"[") + value.count(b"{") <= DEEPEST:
        return False
    if b"\\" in value:
        value = value.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    data = np.frombuffer(value, np.uint8)
    in_text = np.logical_xor.accumulate(data == ord('"'))
    # "[" and "{", "]" and "}" differ in one bit only.
    folded = data & 0xDF
    steps = (folded == ord("[")).astype(np.int32) - (folded == ord("]"))
    steps[in_text] = 0
    return bool(np.cumsum(steps, dtype=np.int32).max() > DEEPEST)


def check_size(value: bytes | None, max_bytes: int) -> Failure | None:
    """What can be said without parsing: empty, too long, too deep."""
    if not value:
        return Failure(Reason.EMPTY, "the record has no value")
    if len(value) > max_bytes:
        return Failure(Reason.OVERSIZED, f"{len(value)} bytes; allowed: {max_bytes}")
    if too_deep(value):
        return Failure(Reason.NESTING, f"nested deeper than {DEEPEST} levels")
    return None


def parse_object(value: bytes) -> dict[str, object] | Failure:
    """The object of a record that `check_size` has passed, or why there is none."""
    try:
        parsed: object = _DECODER.decode(value.decode())
    except UnicodeDecodeError as e:
        return Failure(Reason.ENCODING, f"not UTF-8 at byte {e.start}")
    except json.JSONDecodeError as e:
        return Failure(Reason.MALFORMED, f"not JSON: {e.msg} at character {e.pos}")
    except RecursionError:
        return Failure(Reason.NESTING, "nested deeper than the interpreter follows")
    if not isinstance(parsed, dict):
        return Failure(Reason.MALFORMED, f"{type_name(parsed)}, where an object is needed")
    return parsed


def parse_key(key: bytes | None) -> dict[str, object] | Misfit | None:
    """The object of a JSON key; None without one."""
    if key is None:
        return None
    if too_deep(key):
        return Misfit("a key nested too deep")
    try:
        parsed: object = msgspec.json.decode(key)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = parse_object(key)
        return Misfit("a key that is no JSON object") if isinstance(found, Failure) else found
    return parsed if isinstance(parsed, dict) else Misfit("a key that is no JSON object")


def read_leaf(root: object, leaf: Leaf) -> object:
    """The value of a leaf in a parsed object: a scalar its kind accepts, its sign of absence, or a Misfit."""
    node = root
    for step in leaf.source.path:
        if isinstance(node, dict):
            node = node.get(step, leaf.absent)
        elif isinstance(node, Misfit):
            return node
        else:
            return (
                leaf.absent if node is None or node is leaf.absent else Misfit("a part of something that is no object")
            )
    return node if node is leaf.absent else _fit(node, leaf.kind)


def read_leaves(root: dict[str, object], leaves: Sequence[Leaf]) -> tuple[object, ...]:
    """The values of some leaves."""
    return tuple(read_leaf(root, leaf) for leaf in leaves)


def _fit(value: object, kind: Kind) -> object:
    if value is None:
        return False if kind is Kind.FLAG else None
    if type(value) not in _ACCEPTED[kind]:
        return Misfit(type_name(value))
    if kind in _AS_FLOAT and isinstance(value, (int, float)):
        number = _as_float(value)
        # A score or time that is not finite is told apart later, with its own reason.
        return number if math.isfinite(number) or kind is Kind.NUMBER else Misfit("a number that is not finite")
    if kind is Kind.CATEGORY and isinstance(value, float) and not math.isfinite(value):
        return Misfit("a number that is not finite")
    return value


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _integer(digits: str) -> float:
    """An integer of any length: beyond `_LONGEST_INTEGER` digits it is infinite, as the interpreter bounds conversions."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


_DECODER: Final = json.JSONDecoder(parse_constant=float, parse_int=_integer)


def type_name(value: object) -> str:
    """What a parsed value is, with its article."""
    return "null" if value is None else _TYPE_NAMES[type(value)]
