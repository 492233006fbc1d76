"""ONNX, read as far as is needed to trust it: it is a model, its tensors are in it or beside it, its operators are those
that a runtime has built in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry.formats.finding import Finding, Malformed, Refusal, printable
from registry.formats.protobuf import BYTES, VARINT, fields, text
from registry.names import path_fault

DEPTH_MAX: Final = 64
"""Graphs within graphs (If, Loop) that are followed; runtimes stop earlier."""
FIELDS_MAX: Final = 20_000_000
"""Fields walked, about ten seconds."""
DOMAINS: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
)
"""Operators that onnxruntime has built in. Others need a library to be loaded, which is code."""

_MODEL: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
# message -> {field: message}: where graphs, nodes and tensors can be.
_CHILDREN: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


@dataclass(frozen=True, slots=True)
class External:
    """A tensor whose bytes are in another file."""

    location: str
    offset: int
    length: int | None


@dataclass(slots=True)
class _Found:
    seen: set[int] = field(default_factory=set)
    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    external: list[External] = field(default_factory=list)


def onnx_model(view: memoryview) -> tuple[tuple[External, ...], tuple[str, ...]]:
    """(tensors outside of the file, operators that need a library). Raises Malformed for what is no ONNX model."""
    found = _Found()
    for number, wire, value in fields(view):
        if number not in _MODEL:
            raise Malformed(f"field {number} is none of a model's; something else was added to the file")
        found.seen.add(number)
        if number == 1 and not (wire == VARINT and isinstance(value, int) and 1 <= value <= 1000):
            raise Malformed("its version of the format is no small number")
    if not {1, 7, 8} <= found.seen:
        raise Malformed("it has no version, graph or operator set")
    _walk(view, found)
    unknown = {pair for pair in found.operators if pair[0] not in DOMAINS} - found.functions
    return tuple(found.external), tuple(sorted(f"{domain}.{name}" for domain, name in unknown))


def _walk(view: memoryview, found: _Found) -> None:
    ahead: list[tuple[str, memoryview, int]] = [("model", view, 0)]
    count = 0
    while ahead:
        message, body, depth = ahead.pop()
        if depth > 3 * DEPTH_MAX:
            raise Malformed(f"its graphs are nested more than {DEPTH_MAX} deep")
        children = _CHILDREN.get(message, {})
        texts: dict[int, str] = {}
        outside: dict[str, str] = {}
        located = False
        for number, wire, value in fields(body):
            count += 1
            if wire == BYTES and number in children:
                assert isinstance(value, memoryview)
                ahead.append((children[number], value, depth + 1))
            elif message in {"node", "function"} and wire == BYTES and number in {1, 4, 7, 10}:
                texts[number] = text(value)
            elif message == "tensor" and wire == BYTES and number == 13:
                outside.update(_entry(value))
                located = True
            elif message == "tensor" and wire == VARINT and number == 14:
                located = located or value != 0
        if count > FIELDS_MAX:
            raise Malformed(f"it has more than {FIELDS_MAX:,} fields")
        if message == "node":
            found.operators.add((texts.get(7, ""), texts.get(4, "")))
        elif message == "function":
            found.functions.add((texts.get(10, ""), texts.get(1, "")))
        elif located:
            found.external.append(_external(outside))


def _entry(value: int | memoryview) -> dict[str, str]:
    assert isinstance(value, memoryview)
    parts = {number: text(part) for number, _, part in fields(value)}
    return {parts.get(1, ""): parts.get(2, "")}


def _external(said: Mapping[str, str]) -> External:
    try:
        length = int(said["length"]) if "length" in said else None
        return External(said.get("location", ""), int(said.get("offset", "0")), length)
    except ValueError:
        raise Malformed("offset or length of an external tensor is no number") from None


def outside(path: str, external: External, sizes: Mapping[str, int]) -> tuple[str | None, Finding | None]:
    """(the file of the bundle that an external tensor is in, or why it cannot be)."""

    def no(why: str) -> tuple[None, Finding]:
        return None, Finding(path, Refusal.EXTERNAL_DATA, f"a tensor is in {printable(external.location)!r}, {why}")

    if (fault := path_fault(external.location)) is not None:
        return no(f"which {fault}")
    folder = path.rpartition("/")[0]
    target = f"{folder}/{external.location}" if folder else external.location
    if target not in sizes:
        return no("which is not among the files of the model")
    end = external.offset + (external.length or 0)
    if external.offset < 0 or (external.length or 0) < 0 or end > sizes[target]:
        return no(f"bytes {external.offset:,} to {end:,}, of which it has {sizes[target]:,}")
    return target, None


def operators_refused(path: str, operators: tuple[str, ...]) -> Iterator[Finding]:
    """One finding for all operators that need a library."""
    if operators:
        detail = f"{', '.join(operators[:5])} need a library of operators, which is code"
        yield Finding(path, Refusal.CUSTOM_OPERATOR, detail)
