"""JSON values to columns without a dict in between, by types made from the mapping.

Nested msgspec Structs are defined that have exactly the mapped fields; whatever else a record holds is skipped without
becoming an object (and without being looked at, beyond its structure: invalid UTF-8 in a text that nobody mapped goes
unnoticed).

There are two sets of types. The *wide* one accepts all that a field may be, so that a bad feature never costs the
record. The *narrow* one accepts what nearly all records have: features that are numbers, texts that were seen before,
which it decodes straight to their codes. A record that is not narrow is decoded wide and narrowed by hand: a bad number
becomes NaN and a fault, a text its code. So all rows are alike, and the columns need no second look.

Where a field often fails to be narrow, the narrow types are made anew: with the texts that are known by now, or with that
field as wide as it may be. What is read does not depend on any of this, only how long it takes. What does not fit the
wide types either is left to `careful`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from monitor.events import INVALID, WRONG_NUMBER
from monitor.ingest.coded import MOST_TEXTS, code_type, texts_of
from monitor.ingest.interner import Interner
from monitor.ingest.mapping import Leaf
from monitor.ingest.tree import Narrowing, Node, Slot, in_order, tree_of
from monitor.ingest.values import Codes, Column, Kind

_SET_ASIDE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
# TypeError: a value that is None.
_ROWS_TO_LEARN: Final = 256  # fewer say little about the stream
_MISSES_MAX: Final = 1 / 32  # share of rows narrowed by hand above which something is done about it
_BLAMED: Final = 1 / 64  # share of rows above which a field that was not narrow is the one
_CHUNKS_TO_FORGET: Final = 8192  # after which fields that were made wide get another chance: minutes to hours


@dataclass(slots=True)
class Chunk:
    """A chunk that was read: `n` rows and a column per leaf (none without rows), the places of values that were set
    aside, and the bad values that were taken out of rows: (row, leaf)."""

    n: int = 0
    columns: list[Column] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    faults: list[tuple[int, int]] = field(default_factory=list)


class FastReader:
    """Reads the leaves of JSON values."""

    def __init__(self, leaves: Sequence[Leaf], interners: Mapping[int, Interner]) -> None:
        """`leaves`, all with a source of kind `value`; columns come in their order. `interners`: those of leaves that may
        be decoded to codes. Raises tree.Unsuitable if the leaves do not allow it."""
        self._tree, self._slots = tree_of(leaves, interners)
        self._slot_of_leaf = [slot.key for i in range(len(leaves)) for slot in self._slots if i in slot.leaves]
        self._loose: set[int] = set()
        self._ordered = False
        self._rows = self._missed = self._chunks = 0
        self._misses = Counter[int]()
        self._negative: set[int] = set()  # coded slots that have codes below 0 in this chunk
        self._define()

    def _define(self) -> None:
        """Make all types."""
        self._wide = Node(self._tree, Narrowing())
        self._decode_wide: Callable[[Any], Any] = msgspec.json.Decoder(self._wide.type).decode
        self._narrow_down()

    def _narrow_down(self) -> None:
        """Make the narrow types of what is known now."""
        tight = [slot for slot in self._slots if slot.key not in self._loose]
        codes = {slot.key: known for slot in tight if slot.interner is not None and (known := code_type(slot.interner))}
        self._texts = {key: texts_of(known) for key, known in codes.items()}
        self._floats = frozenset(slot.key for slot in tight if slot.numeric)
        self._narrow = Node(self._tree, Narrowing(codes, self._floats))
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(self._narrow.type).decode
        # Slots that could be coded when there are texts.
        self._textless = [slot for slot in tight if slot.interner is not None and slot.key not in codes]

    def read(self, values: Sequence[bytes | None]) -> Chunk:
        """Read a chunk of values. None goes aside."""
        if not self._ordered:
            self._put_in_order(values)
        chunk = Chunk()
        rows: list[Any] = []
        self._negative.clear()
        rest = iter(values)
        while True:
            try:
                rows.extend(map(self._decode, rest))
                break
            except _SET_ASIDE:
                # What was decoded before is in `rows`; the iterator stands behind the value that was not.
                place = len(rows) + len(chunk.aside)
            try:
                wide = self._decode_wide(values[place])
            except _SET_ASIDE:
                chunk.aside.append(place)
            else:
                self._missed += 1
                faults: list[int] = []
                rows.append(self._narrowed(self._wide, self._narrow, wide, faults))
                chunk.faults += [(len(rows) - 1, leaf) for leaf in faults]
        chunk.n = len(rows)
        if rows:
            chunk.columns = self._columns(rows)
        self._rows += len(rows)
        self._chunks += 1
        if self._rows >= _ROWS_TO_LEARN:
            self._learn()
        return chunk

    def _put_in_order(self, values: Sequence[bytes | None]) -> None:
        """Take the order of keys from the first value that has one."""
        for value in values:
            try:
                sample = msgspec.json.decode(value or b"")
            except _SET_ASIDE:
                continue
            self._tree, self._ordered = in_order(self._tree, sample), True
            self._define()
            return

    def _columns(self, rows: Sequence[Any]) -> list[Column]:
        by_slot: dict[int, Column] = {}
        self._narrow.spread(rows, by_slot)
        for key in self._texts:
            by_slot[key] = Codes.of(by_slot[key], whole=key not in self._negative)
        return [by_slot[key] for key in self._slot_of_leaf]

    def _narrowed(self, wide: Node, narrow: Node, row: Any, faults: list[int]) -> Any:
        """A row of the wide type as one of the narrow type. Counts by slot what was not narrow, and adds the leaves of
        bad values to `faults`."""
        values = list(astuple(row))
        for i, slot in narrow.floats:
            value = values[i]
            if value.__class__ is not float:
                self._misses[slot.key] += 1
                values[i] = float(value) if isinstance(value, bool) else math.nan
                if isinstance(value, str):
                    values[i] = WRONG_NUMBER
                    faults += slot.leaves
        for i, slot in narrow.coded:
            value = values[i]
            code = self._texts[slot.key].get(value) if isinstance(value, str) else None
            if code is None:
                assert slot.interner is not None, "only slots with an interner are coded"
                code = slot.interner.code_of(value)
                self._misses[slot.key] += 1
                if code < 0:
                    self._negative.add(slot.key)
                    if code == INVALID and slot.kind is Kind.CATEGORY:
                        faults += slot.leaves
            values[i] = code
        for i, inner in narrow.objects:
            outer = wide.fields[i]
            assert isinstance(outer, Node), "both trees have the same shape"
            values[i] = self._narrowed(outer, inner, outer.blank if values[i] is None else values[i], faults)
        return narrow.type(**dict(zip(narrow.names, values, strict=True)))

    def _learn(self) -> None:
        """Make the narrow types anew if it is worth it, by the rows read since the last look."""
        rows, missed, misses = self._rows, self._missed, self._misses
        self._rows, self._missed, self._misses = 0, 0, Counter()
        again = any(_codable(slot) for slot in self._textless)
        if self._loose and self._chunks >= _CHUNKS_TO_FORGET:
            self._loose.clear()
            self._chunks, again = 0, True
        elif missed > rows * _MISSES_MAX:
            for slot in self._slots:
                if misses[slot.key] > rows * _BLAMED:
                    again = True
                    if not (_codable(slot) and len(self._texts[slot.key]) < len(slot.interner or ())):
                        self._loose.add(slot.key)
        if again:
            self._narrow_down()


def _codable(slot: Slot) -> bool:
    return slot.interner is not None and 0 < len(slot.interner) <= MOST_TEXTS
