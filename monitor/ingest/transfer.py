"""Columns out of many small objects at once: rows that look alike are copied as one block of fixed-size records.

Reading an attribute of an object costs 10 ns and more, and a record has many. Here msgspec writes all objects of a
chunk as MessagePack into one buffer; if every row has the same shape (each number a float, each text of the same length
in each row), the buffer is an array of fixed-size records, and each field a strided column of it.

That every row has the shape is checked, not assumed: each byte that says a type or a length must be that of the first
row. Row 0 starts at a known place; a row with those bytes has the same length, so the next one starts where it should;
and the last must end with the buffer. If any byte differs there are no columns (None), and the caller goes the slower way,
which accepts everything. What comes out is the same both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from monitor.ingest.values import Column, FixedText, Kind

_FEWEST_ROWS: Final = 16  # MessagePack writes shorter arrays with another header
_MOST_ROWS: Final = 0xFFFF
_ARRAY_HEADER_BYTES: Final = 3
_FLOAT64: Final = 0xCB
_FALSE, _TRUE = 0xC2, 0xC3
_STR8, _STR16 = 0xD9, 0xDA
_NUMBERS: Final = (Kind.NUMBER, Kind.NUMERIC, Kind.CLASS)
_TEXTS: Final = (Kind.TEXT, Kind.ISO, Kind.CATEGORY, Kind.CLASS)
_LONGEST_PAUSE: Final = 64


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of an object as it is written: the bytes of its name, and either a leaf or the fields of an object."""

    name_bytes: int
    leaf: int = -1
    kind: Kind = Kind.TEXT
    fields: tuple[FieldShape, ...] = ()


@dataclass(slots=True)
class _Layout:
    """Where things are in a row, counted from its start."""

    checks: list[tuple[int, int]]  # (place, byte) that every row must share
    numbers: list[tuple[int, int]]  # (leaf, place)
    texts: list[tuple[int, int, int]]  # (leaf, place, width)
    flags: list[tuple[int, bool]]  # (leaf, value)
    row_bytes: int = 0


class _Irregular(Exception):
    """A row that cannot be one of many alike."""


class Transfer:
    """Moves the leaves of objects of one type into columns. Keeps a buffer, and pauses after failures: both change only
    how long it takes."""

    def __init__(self, fields: Sequence[FieldShape]) -> None:
        """`fields` in the order in which msgspec writes them."""
        self._fields = tuple(fields)
        self._encoder = msgspec.msgpack.Encoder()
        self._buffer = bytearray()
        self._pause = 0
        self._next_pause = 1

    def columns(self, rows: Sequence[Any]) -> dict[int, Column] | None:
        """A column per leaf, or None if the rows are not alike, too few or too many, or if the last ones were not."""
        if self._pause:
            self._pause -= 1
            return None
        if not _FEWEST_ROWS <= len(rows) <= _MOST_ROWS:
            return None
        columns = self._columns(rows)
        if columns is None:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)
        else:
            self._next_pause = 1
        return columns

    def _columns(self, rows: Sequence[Any]) -> dict[int, Column] | None:
        buffer, n = self._buffer, len(rows)
        self._encoder.encode_into(rows, buffer)
        row_bytes, rest = divmod(len(buffer) - _ARRAY_HEADER_BYTES, n)
        if rest:
            return None
        layout = _Layout([], [], [], [])
        try:
            end = _lay_out(self._fields, buffer, _ARRAY_HEADER_BYTES, layout)
        except _Irregular:
            return None
        if end != _ARRAY_HEADER_BYTES + row_bytes:
            return None
        ones: dict[int, bytes] = {}
        for place, byte in layout.checks:
            expected = ones.get(byte) or ones.setdefault(byte, bytes((byte,)) * n)
            if buffer[place::row_bytes] != expected:
                return None
        return _read(layout, buffer, n, row_bytes)


def _lay_out(fields: tuple[FieldShape, ...], row: bytearray, place: int, layout: _Layout) -> int:
    """Note where the fields of an object are in the first row; returns where it ends. Places are in the buffer."""
    if len(fields) > 15 or row[place] != 0x80 | len(fields):
        # More than 15 fields have a header of three bytes.
        header = bytes((0xDE, *len(fields).to_bytes(2, "big")))
        if len(fields) <= 15 or row[place : place + 3] != header:
            raise _Irregular
        layout.checks += [(place + i, byte) for i, byte in enumerate(header)]
        place += 3
    else:
        layout.checks.append((place, row[place]))
        place += 1
    for field in fields:
        place += field.name_bytes
        lay_out = _lay_out_group if field.fields else _lay_out_leaf
        place = lay_out(field, row, place, layout)
    return place


def _lay_out_group(field: FieldShape, row: bytearray, place: int, layout: _Layout) -> int:
    return _lay_out(field.fields, row, place, layout)


def _lay_out_leaf(field: FieldShape, row: bytearray, place: int, layout: _Layout) -> int:
    marker = row[place]
    layout.checks.append((place, marker))
    if marker == _FLOAT64 and field.kind in _NUMBERS:
        layout.numbers.append((field.leaf, place + 1))
        return place + 9
    if marker in (_FALSE, _TRUE) and field.kind is Kind.FLAG:
        layout.flags.append((field.leaf, marker == _TRUE))
        return place + 1
    if field.kind not in _TEXTS:
        raise _Irregular
    if marker & 0xE0 == 0xA0:
        size_bytes, width = 0, marker & 0x1F
    elif marker in (_STR8, _STR16):
        size_bytes = 1 if marker == _STR8 else 2
        width = int.from_bytes(row[place + 1 : place + 1 + size_bytes], "big")
        layout.checks += [(place + i, row[place + i]) for i in range(1, 1 + size_bytes)]
    else:
        raise _Irregular
    if not width:
        raise _Irregular
    start = place + 1 + size_bytes
    layout.texts.append((field.leaf, start, width))
    return start + width


def _read(layout: _Layout, buffer: bytearray, n: int, row_bytes: int) -> dict[int, Column]:
    """Copies of the columns: nothing may point into the buffer when it is written again."""
    columns: dict[int, Column] = {leaf: np.full(n, value) for leaf, value in layout.flags}
    for leaf, place in layout.numbers:
        strided = np.ndarray((n,), ">f8", buffer, place, (row_bytes,))
        columns[leaf] = strided.astype(np.float64)
    for leaf, place, width in layout.texts:
        texts = np.ndarray((n,), f"V{width}", buffer, place, (row_bytes,))
        columns[leaf] = FixedText(texts.tobytes(), width)
    return columns
