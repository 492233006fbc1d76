"""Structs that have exactly the mapped fields, nested as the paths are, and how columns are taken out of them."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import astuple

from monitor.events import MISSING
from monitor.ingest.interner import Interner
from monitor.ingest.mapping import Leaf
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
class Slot:
    """A place that one or more leaves share. `numeric`: it is only watched as a number. `interner`: of the codes that its
    texts may be decoded to."""

    key: int  # its first leaf
    kind: Kind
    leaves: tuple[int, ...]
    default: object
    numeric: bool
    interner: Interner | None

    @property
    def type(self) -> Any:
        """What msgspec accepts there at most."""
        return _TYPES[self.kind] | msgspec.UnsetType if self.default is UNSET else _TYPES[self.kind]


Tree = dict[str, "Slot | Tree"]
"""What is found under each key of an object."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which slots have a narrower type, by key: an Enum of texts that become codes, or float and nothing else."""

    codes: Mapping[int, Any] = field(default_factory=dict)
    floats: frozenset[int] = frozenset()


def slot_of(leaves: Sequence[Leaf], indexes: Sequence[int], interner: Interner | None) -> Slot:
    """The slot that some of the leaves share. Raises Unsuitable if they do not read the same there."""
    kinds = {leaves[i].kind for i in indexes}
    for family in _FAMILIES:
        if kinds <= set(family):
            default: object = UNSET if Kind.CLASS in kinds else None
            if Kind.FLAG in kinds:
                default = False
            elif kinds == {Kind.NUMERIC}:
                default = math.nan  # packs as it is, where None would cost its column a detour
            kind = next(kind for kind in family if kind in kinds)
            only_numeric = kinds == {Kind.NUMERIC}
            return Slot(
                indexes[0], kind, tuple(indexes), default, only_numeric, interner if len(indexes) == 1 else None
            )
    raise Unsuitable


def tree_of(leaves: Sequence[Leaf], interners: Mapping[int, Interner]) -> tuple[Tree, list[Slot]]:
    """The leaves as a tree of slots, and the slots. Raises Unsuitable if a path leads through another one's end."""
    by_path: dict[tuple[str, ...], list[int]] = {}
    for i, leaf in enumerate(leaves):
        by_path.setdefault(leaf.source.path, []).append(i)
    tree: Tree = {}
    slots = []
    for path, indexes in by_path.items():
        node = tree
        for step in path[:-1]:
            below = node.setdefault(step, {})
            if isinstance(below, Slot):
                raise Unsuitable
            node = below
        if path[-1] in node:
            raise Unsuitable
        slot = slot_of(leaves, indexes, interners.get(indexes[0]))
        node[path[-1]] = slot
        slots.append(slot)
    return tree, slots


def in_order(tree: Tree, sample: object) -> Tree:
    """The tree with its keys in the order of a sample: msgspec looks for the next key first, so that order is speed."""
    if not isinstance(sample, dict):
        return tree
    keys = [key for key in sample if key in tree] + [key for key in tree if key not in sample]
    ordered: Tree = {}
    for key in keys:
        item = tree[key]
        ordered[key] = item if isinstance(item, Slot) else in_order(item, sample.get(key))
    return ordered


class Node:
    """An object: its fields in order, each a slot or another object, and the Struct (`type`) that holds them."""

    def __init__(self, tree: Tree, narrowing: Narrowing, name: str = "Record") -> None:
        self.fields: list[Slot | Node] = [
            item if isinstance(item, Slot) else Node(item, narrowing, f"{name}_{i}")
            for i, item in enumerate(tree.values())
        ]
        self._narrowing = narrowing
        self.names = tuple(f"f{i}" for i in range(len(tree)))
        members: list[Any] = [(field, *self._member(item)) for field, item in zip(self.names, self.fields, strict=True)]
        rename = dict(zip(self.names, tree, strict=True))
        self.type: Any = msgspec.defstruct(name, members, rename=rename, gc=False, frozen=True, kw_only=True)
        # A name must be there to be narrow, and so must the objects it is in. All other objects have a blank form.
        self.required = any(len(member) == 2 for member in members)
        self.blank: Any = None if self.required else self.type()
        slots = [(i, item) for i, item in enumerate(self.fields) if isinstance(item, Slot)]
        self.floats = [(i, slot) for i, slot in slots if slot.key in narrowing.floats]
        self.coded = [(i, slot) for i, slot in slots if slot.key in narrowing.codes]
        self.objects = [(i, item) for i, item in enumerate(self.fields) if isinstance(item, Node)]
        # A group of watched features has only numbers and codes: then whole objects are packed, not columns of them.
        only_numbers = len(self.floats) + len(self.coded) == len(self.fields)
        self._pack = struct.Struct(f"{len(self.fields)}d").pack if only_numbers else None
        self._keys = [slot.key for _, slot in slots]

    def _member(self, item: Slot | Node) -> tuple[Any, ...]:
        """The type of a field, and its default if it need not be there."""
        if isinstance(item, Node):
            return (item.type,) if item.required else (item.type | None, item.blank)
        if item.key in self._narrowing.codes:
            known = self._narrowing.codes[item.key]
            return (known,) if item.kind is Kind.TEXT else (known, float(MISSING))
        return (float, math.nan) if item.key in self._narrowing.floats else (item.type, item.default)

    def spread(self, rows: Sequence[Any], columns: dict[int, Column]) -> None:
        """Add a column for each slot of this object and of those in it, by key. At least one row; None is a blank one."""
        try:
            if self._pack is not None:
                packed = np.frombuffer(b"".join(starmap(self._pack, map(astuple, rows))), np.float64)
                columns.update(zip(self._keys, packed.reshape(len(rows), -1).T.copy(), strict=True))
                return
            spread = zip(*map(astuple, rows), strict=True)
        except TypeError:  # a null where an object was expected
            self.spread([self.blank if row is None else row for row in rows], columns)
            return
        for item, column in zip(self.fields, spread, strict=True):
            if isinstance(item, Node):
                item.spread(column, columns)
            else:
                columns[item.key] = column
