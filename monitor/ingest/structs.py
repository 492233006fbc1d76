"""Types made from the mapping, so that JSON becomes columns without a dict in between.

For the paths `$.id`, `$.features.hour`, ... nested msgspec Structs are defined that have exactly these fields; whatever
else a record holds is skipped without becoming an object (and without being looked at, beyond its structure: invalid
UTF-8 in a text that nobody mapped goes unnoticed). The types are as wide as they can be at no cost: a watched feature
may be any scalar, so that a bad one costs its column a detour and never the record. What does not fit even so is read
again by `careful`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from monitor.ingest.mapping import Leaf
from monitor.ingest.transfer import FieldShape, Transfer
from monitor.ingest.values import UNSET, Column, Kind

_TYPES: Final[dict[Kind, Any]] = {
    Kind.TEXT: str | int | None,
    Kind.NUMBER: float | None,
    Kind.ISO: str | None,
    Kind.CLASS: float | str | bool | None | msgspec.UnsetType,
    Kind.FLAG: bool,
    Kind.NUMERIC: float | str | bool | None,
    Kind.CATEGORY: str | int | float | bool | None,
}
# Kinds that may share one field, the strictest first: its type is then the one that all of them accept. Others see
# different values in the same JSON (an integer, or the float nearest to it), so such records are read carefully.
_FAMILIES: Final = ((Kind.NUMBER, Kind.CLASS, Kind.NUMERIC), (Kind.ISO, Kind.TEXT, Kind.CATEGORY), (Kind.FLAG,))


class Unsuitable(Exception):
    """The paths cannot be fields of Structs: one leads through another, or one place is read as two types."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place that one or more leaves share."""

    kind: Kind
    leaves: tuple[int, ...]
    default: object

    @property
    def type(self) -> Any:
        """What msgspec accepts there."""
        return _TYPES[self.kind] | msgspec.UnsetType if self.default is UNSET else _TYPES[self.kind]


class _Node:
    """An object: its fields in order, each a slot or another object, and the Struct that holds them."""

    def __init__(self, tree: dict[str, Any], name: str) -> None:
        self.fields: list[tuple[str, _Slot | _Node]] = [
            (key, _Node(item, f"{name}_{i}") if isinstance(item, dict) else item)
            for i, (key, item) in enumerate(tree.items())
        ]
        members: list[tuple[str, Any, Any]] = []
        for i, (_, item) in enumerate(self.fields):
            if isinstance(item, _Node):
                members.append((f"f{i}", item.type | None, item.blank))
            else:
                members.append((f"f{i}", item.type, item.default))
        self.blank: Any
        self.type: Any = msgspec.defstruct(
            name, members, rename={f"f{i}": key for i, (key, _) in enumerate(self.fields)}, gc=False, frozen=True
        )
        self.blank = self.type()
        self.transfer = Transfer(self.shapes())

    def shapes(self) -> tuple[FieldShape, ...]:
        """The fields as MessagePack will have them."""
        encode = msgspec.msgpack.encode
        return tuple(
            FieldShape(len(encode(key)), fields=item.shapes())
            if isinstance(item, _Node)
            else FieldShape(len(encode(key)), item.leaves[0], item.kind)
            for key, item in self.fields
        )


class FastReader:
    """Reads the leaves of JSON values by Structs. Raises Unsuitable if the leaves do not allow it."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        """`leaves`, all with a source of kind `value`; columns come in their order."""
        self._slots: dict[int, _Slot] = {}
        self._root = _Node(self._tree(leaves), "Record")
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._root.type).decode

    def _tree(self, leaves: Sequence[Leaf]) -> dict[str, Any]:
        by_path: dict[tuple[str, ...], list[int]] = {}
        for i, leaf in enumerate(leaves):
            by_path.setdefault(leaf.source.path, []).append(i)
        tree: dict[str, Any] = {}
        for path, indexes in by_path.items():
            node = tree
            for step in path[:-1]:
                node = node.setdefault(step, {})
                if not isinstance(node, dict):
                    raise Unsuitable
            if path[-1] in node:
                raise Unsuitable
            node[path[-1]] = slot = _slot(indexes, {leaves[i].kind for i in indexes})
            self._slots[indexes[0]] = slot
        return tree

    def columns(self, rows: Sequence[Any]) -> list[Column]:
        """One column per leaf of decoded rows, of which there is at least one."""
        by_slot: dict[int, Column] = {}
        _spread(self._root, rows, by_slot)
        columns: dict[int, Column] = {}
        for first, slot in self._slots.items():
            columns.update((leaf, by_slot[first]) for leaf in slot.leaves)
        return [columns[i] for i in range(len(columns))]


def _slot(indexes: Sequence[int], kinds: set[Kind]) -> _Slot:
    for family in _FAMILIES:
        if kinds <= set(family):
            kind = next(k for k in family if k in kinds)
            default: object = UNSET if Kind.CLASS in kinds else None
            if Kind.FLAG in kinds:
                default = False
            elif kinds == {Kind.NUMERIC}:
                default = math.nan  # packs as it is, where None would cost its column a detour
            return _Slot(kind, tuple(indexes), default)
    raise Unsuitable


def _spread(node: _Node, rows: Sequence[Any], columns: dict[int, Column]) -> None:
    """Add the columns of an object and of those in it."""
    moved = node.transfer.columns(rows)
    if moved is not None:
        columns.update(moved)
        return
    try:
        spread = zip(*map(astuple, rows), strict=True)
    except TypeError:  # a null where an object was expected
        spread = zip(*(astuple(node.blank if row is None else row) for row in rows), strict=True)
    for (_, item), column in zip(node.fields, spread, strict=True):
        if isinstance(item, _Node):
            _spread(item, column, columns)
        else:
            columns[item.leaves[0]] = column
