"""From a batch of records to blocks of columns: which rows could be read, and why the others could not.

Values are decoded in chunks that stay in the processor's cache, each by one call into C that stops at the first record
it does not like. That record is set aside and the call goes on behind it, so one bad record costs itself and nothing
else. Records set aside are then read carefully: most are rejected, the rest makes a block of its own at the end.

Each value is decoded on its own. (Decoding joined lines in one go is not faster, and would leave it to a proof that no
record can swallow its neighbour.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from monitor.config.sources import AROUND
from monitor.events import Headers, Int64s, RecordBatch
from monitor.ingest.careful import SHALLOW_BYTES, Failure, check_size, parse_key, parse_object, read_leaf, read_leaves
from monitor.ingest.envelopes import Texts
from monitor.ingest.interner import Interner
from monitor.ingest.mapping import Leaf, each_place
from monitor.ingest.rows import Rows
from monitor.ingest.structs import Chunk, FastReader
from monitor.ingest.tree import Unsuitable
from monitor.ingest.values import Column, Kind, plain

CHUNK_ROWS: Final = 1024
"""Decoded objects of one chunk fit the second-level cache, and what is done once a chunk is spread over many rows: 250 a
chunk cost a tenth more."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that were read: their places in the batch, ascending, a column per leaf, and bad values of features that the
    columns do not show any more: (row, leaf)."""

    places: range | Int64s
    columns: list[Column]
    faults: Sequence[tuple[int, int]] = ()

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a batch: every place is in exactly one block or in `failures`. Only the last block may lie out of
    order (`in_order` False)."""

    blocks: list[Block]
    failures: dict[int, Failure]
    in_order: bool

    def places(self) -> Int64s | None:
        """The place of each row of all blocks; None if that is its number."""
        if self.in_order and not self.failures:
            return None
        return np.concatenate([np.asarray(block.places, np.int64) for block in self.blocks] or [np.zeros(0, np.int64)])


class RecordReader:
    """Reads the leaves of one stream. Made once; holds buffers, but nothing that changes what is read."""

    def __init__(self, leaves: Sequence[Leaf], max_bytes: int, interners: Mapping[int, Interner] | None = None) -> None:
        """Records longer than `max_bytes` fail unparsed. Columns come in the order of `leaves`; those with one of
        `interners` (by their number) may come as its codes."""
        self._wanted = tuple(leaves)
        self._leaves = tuple(each_place(leaves))
        self._choices = _choices(leaves)
        self._max_bytes = max_bytes
        if len(self._leaves) != len(leaves):
            interners = {
                self._choices[i][0]: held for i, held in (interners or {}).items() if len(self._choices[i]) == 1
            }
            leaves = self._leaves
        self._in_value = [i for i, leaf in enumerate(leaves) if leaf.source.kind == "value"]
        self._value_leaves = tuple(leaves[i] for i in self._in_value)
        self._in_json_key = [i for i, leaf in enumerate(leaves) if leaf.source.kind == "key" and leaf.source.path]
        self._constants = {
            i: leaf.of_text(leaf.source.const) for i, leaf in enumerate(leaves) if leaf.source.kind == "const"
        }
        self._keys = any(leaf.source.kind == "key" for leaf in leaves)
        self._headers = any(leaf.source.kind == "header" for leaf in leaves)
        self._around = [i for i, leaf in enumerate(leaves) if leaf.source.kind in AROUND]
        coded = {i: interners[leaf] for i, leaf in enumerate(self._in_value) if interners and leaf in interners}
        try:
            self._fast: FastReader | None = FastReader(self._value_leaves, coded)
        except Unsuitable:
            self._fast = None

    def read(self, batch: RecordBatch) -> Reading:
        """All records of a batch, or all its rows where it was opened. A batch without the keys or headers that the mapping
        names is a bug (AssertionError)."""
        assert batch.keys is not None or not self._keys, "the mapping reads keys, and the batch was read without them"
        assert batch.headers is not None or not self._headers, "the mapping reads headers, and the batch has none"
        blocks: list[Block] = []
        failures: dict[int, Failure] = {}
        careful: dict[int, tuple[object, ...]] = {}
        known = _known(batch) if isinstance(batch, Rows) else {}
        n = len(batch)
        # Equal chunks: a short one at the end costs almost as much as a full one.
        chunks = -(-n // CHUNK_ROWS)
        cuts = [n * i // chunks for i in range(chunks + 1)] if chunks else []
        for start, stop in pairwise(cuts):
            values = batch.values if chunks == 1 else batch.values[start:stop]
            block = self._read_chunk(values, start, failures, careful, known)
            if block is not None:
                blocks.append(self._completed(block, batch))
        if careful:
            columns: list[Column] = list(zip(*careful.values(), strict=True))
            places = np.fromiter(careful, np.int64, len(careful))
            # Records of a stream that maps nothing in the value have no columns yet; their places count all the same.
            blocks.append(self._decided(self._completed(Block(places, columns), batch), batch))
        return Reading(blocks, failures, in_order=not careful or len(blocks) == 1)

    def _read_chunk(
        self,
        values: Sequence[bytes | None],
        start: int,
        failures: dict[int, Failure],
        careful: dict[int, tuple[object, ...]],
        known: Mapping[int, Failure | bytes],
    ) -> Block | None:
        """The rows of a chunk that could be read fast; the others are noted. `known`: rows that are not to be tried, with
        why, or what is to be read carefully."""
        suspects: dict[int, Failure | bytes] = {**self._suspects(values)}
        if known:
            suspects |= {i: found for i in range(len(values)) if (found := known.get(start + i)) is not None}
        if suspects:
            values = [None if i in suspects else value for i, value in enumerate(values)]
        chunk = Chunk(aside=list(range(len(values)))) if self._fast is None else self._fast.read(values)
        for i in chunk.aside:
            self._read_carefully(suspects.get(i) or values[i], start + i, failures, careful)
        if not chunk.n:
            return None
        places: range | Int64s = range(start, start + len(values))
        if chunk.aside:
            was_read = np.ones(len(values), np.bool_)
            was_read[chunk.aside] = False
            places = start + np.flatnonzero(was_read)
        return Block(places, chunk.columns, [(row, self._in_value[leaf]) for row, leaf in chunk.faults])

    def _suspects(self, values: Sequence[bytes | None]) -> dict[int, Failure]:
        """Records that must not be parsed."""
        limit = min(self._max_bytes, SHALLOW_BYTES)
        try:
            if max(map(len, values)) <= limit:  # type: ignore[arg-type]
                return {}
        except TypeError:
            pass
        suspects: dict[int, Failure] = {}
        for i, value in enumerate(values):
            if value is not None and len(value) > limit and (failure := check_size(value, self._max_bytes)):
                suspects[i] = failure
        return suspects

    def _read_carefully(
        self,
        value: bytes | Failure | None,
        place: int,
        failures: dict[int, Failure],
        careful: dict[int, tuple[object, ...]],
    ) -> None:
        found = value if isinstance(value, Failure) else check_size(value, self._max_bytes)
        if found is None:
            assert isinstance(value, bytes)
            parsed = parse_object(value)
            if not isinstance(parsed, Failure):
                careful[place] = read_leaves(parsed, self._value_leaves)
                return
            found = parsed
        failures[place] = found

    def _completed(self, block: Block, batch: RecordBatch) -> Block:
        """A block with the columns of leaves that are not in the value, and one for each leaf that may be at several places."""
        if len(self._in_value) == len(self._leaves) == len(self._wanted):
            return block
        columns: dict[int, Column] = dict(zip(self._in_value, block.columns, strict=True))
        n = len(block)
        for i, constant in self._constants.items():
            columns[i] = (constant,) * n
        places = list(map(int, block.places))
        if self._keys:
            assert batch.keys is not None
            keys = [batch.keys[place] for place in places]
            parsed = [parse_key(key) for key in keys] if self._in_json_key else []
            for i, leaf in enumerate(self._leaves):
                if leaf.source.kind == "key":
                    columns[i] = (
                        [read_leaf(root, leaf) for root in parsed]
                        if leaf.source.path
                        else [_of_whole(leaf, key) for key in keys]
                    )
        if self._headers:
            assert batch.headers is not None
            headers = [batch.headers[place] for place in places]
            for i, leaf in enumerate(self._leaves):
                if leaf.source.kind == "header":
                    columns[i] = [_of_header(leaf, found) for found in headers]
        if self._around:
            assert isinstance(batch, Rows), "the mapping reads around rows, and the batch was not opened"
            for i in self._around:
                leaf = self._leaves[i]
                around = batch.around[leaf.source.kind]
                columns[i] = [_around(around[place], leaf) for place in places]
        if len(self._leaves) == len(self._wanted):
            return Block(block.places, [columns[i] for i in range(len(self._leaves))], block.faults)
        chosen = [_first([columns[i] for i in places], self._leaves[places[0]].absent) for places in self._choices]
        own = {place: leaf for leaf, places in enumerate(self._choices) for place in places}
        return Block(block.places, chosen, [(row, own[leaf]) for row, leaf in block.faults])

    def _decided(self, block: Block, batch: RecordBatch) -> Block:
        """A block of rows that were read carefully, with what their envelope decides."""
        if not isinstance(batch, Rows) or not batch.decided:
            return block
        columns = [list(plain(column)) for column in block.columns]
        for row, place in enumerate(map(int, block.places)):
            decided = batch.decided.get(place, {})
            for i, leaf in enumerate(self._wanted):
                if leaf.name in decided:
                    columns[i][row] = decided[leaf.name]
        return Block(block.places, [*columns], block.faults)


def _of_whole(leaf: Leaf, key: bytes | None) -> object:
    return leaf.absent if key is None else leaf.of_bytes(key)


def _of_header(leaf: Leaf, headers: Headers | None) -> object:
    """The last header of the name: what a later hop added counts more."""
    for name, data in reversed(headers or ()):
        if name == leaf.source.name:
            return leaf.absent if data is None and leaf.kind is not Kind.CLASS else leaf.of_bytes(data)
    return leaf.absent


def _around(root: object, leaf: Leaf) -> object:
    """A leaf around a row. In headers numbers can only be written as text."""
    if isinstance(root, Texts):
        found = root.get(leaf.source.path[0], leaf.absent) if len(leaf.source.path) == 1 else leaf.absent
        return leaf.of_text(found) if isinstance(found, str) else found
    return leaf.absent if root is None else read_leaf(root, leaf)


def _known(rows: Rows) -> dict[int, Failure | bytes]:
    """Rows that could not be opened, and those that need care: their envelope decides some of their fields."""
    found: dict[int, Failure | bytes] = {row: rows.values[row] or b"" for row in rows.decided}
    return found | dict(rows.failed)


def _choices(leaves: Sequence[Leaf]) -> list[list[int]]:
    """By leaf the numbers of its places among all of them."""
    found: list[list[int]] = []
    at = 0
    for leaf in leaves:
        found.append(list(range(at, at + len(leaf.source.places))))
        at += len(leaf.source.places)
    return found


def _first(columns: Sequence[Column], absent: object) -> Column:
    """In each row what is at the first place that has something."""
    chosen = columns[0]
    for other in columns[1:]:
        chosen = [b if a is absent else a for a, b in zip(plain(chosen), plain(other), strict=True)]
    return chosen
