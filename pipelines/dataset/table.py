"""Rows as columns: the four types a dataset knows, each with its null and its canonical bytes.

The bytes of a cell have a fixed width that depends on its type alone, so the bytes of a row do not depend on the rows
beside it: any cut into tables gives the same rows.

    int64    1 byte (0: null) and 8 bytes, little-endian; zeros when null
    float64  the same, IEEE 754; every NaN is the null, -0.0 is not 0.0
    text     1 byte and the SHA-256 of its UTF-8 bytes; zeros when null
    hash128  16 bytes, two little-endian 64-bit words; never null
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]
Places = NDArray[np.int64]

NULL = -1
"""Code of a text that is not there."""
_TEXT_WIDTH = 33


class Type(StrEnum):
    """What a column holds."""

    INT = "int64"
    FLOAT = "float64"
    TEXT = "text"
    HASH = "hash128"


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column's name and type."""

    name: str
    type: Type


Schema = tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Ints:
    """Integers; `null` marks those that are not there."""

    values: NDArray[np.int64]
    null: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Places) -> Ints:
        """Some of the rows, in the order of `rows`."""
        return Ints(self.values[rows], self.null[rows])

    def encode(self) -> Bytes2D:
        """The bytes of the cells, a row each."""
        return _numbers(np.where(self.null, 0, self.values).astype("<i8"), self.null)


@dataclass(frozen=True, slots=True)
class Floats:
    """Numbers; NaN is one that is not there."""

    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Places) -> Floats:
        """Some of the rows, in the order of `rows`."""
        return Floats(self.values[rows])

    def encode(self) -> Bytes2D:
        """The bytes of the cells, a row each."""
        null = np.isnan(self.values)
        return _numbers(np.where(null, 0.0, self.values).astype("<f8"), null)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as codes into `words`; `NULL` is one that is not there. Which code a word has means nothing."""

    codes: NDArray[np.int32]
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Places) -> Texts:
        """Some of the rows, in the order of `rows`."""
        return Texts(self.codes[rows], self.words)

    def encode(self) -> Bytes2D:
        """The bytes of the cells, a row each."""
        used, place = np.unique(self.codes, return_inverse=True)
        cells = b"".join(
            b"\1" + hashlib.sha256(self.words[code].encode()).digest() if code >= 0 else bytes(_TEXT_WIDTH)
            for code in used.tolist()
        )
        out: Bytes2D = np.frombuffer(cells, np.uint8).reshape(-1, _TEXT_WIDTH)[place.reshape(-1)]
        return out

    def texts(self) -> list[str | None]:
        """The texts themselves."""
        return [self.words[code] if code >= 0 else None for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Hashes:
    """128 bits a row, shape (n, 2)."""

    values: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Places) -> Hashes:
        """Some of the rows, in the order of `rows`."""
        return Hashes(self.values[rows])

    def encode(self) -> Bytes2D:
        """The bytes of the cells, a row each."""
        return np.ascontiguousarray(self.values.astype("<u8")).view(np.uint8).reshape(-1, 16)


Column = Ints | Floats | Texts | Hashes
C = TypeVar("C", Ints, Floats, Texts)
_TYPES: Mapping[type, Type] = {Ints: Type.INT, Floats: Type.FLOAT, Texts: Type.TEXT, Hashes: Type.HASH}


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one length, by name, in the order of the schema."""

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        assert len({len(column) for column in self.columns.values()}) == 1, "columns of different lengths"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def schema(self) -> Schema:
        """Names and types."""
        return tuple(Field(name, _TYPES[type(column)]) for name, column in self.columns.items())

    def take(self, rows: Places) -> Table:
        """Some of the rows, in the order of `rows`."""
        return Table({name: column.take(rows) for name, column in self.columns.items()})

    def encode(self, names: Sequence[str] | None = None) -> Bytes2D:
        """The bytes of the rows, shape (n, width): all columns, or those named."""
        chosen = self.columns if names is None else {name: self.columns[name] for name in names}
        return np.concatenate([column.encode() for column in chosen.values()], axis=1)

    def known(self, name: str) -> NDArray[np.bool_]:
        """Which rows have a value in a column, whatever its type."""
        column = self.columns[name]
        if isinstance(column, Floats):
            return ~np.isnan(column.values)
        if isinstance(column, Texts):
            return column.codes >= 0
        return ~column.null if isinstance(column, Ints) else np.ones(len(column), np.bool_)

    def ints(self, name: str) -> Ints:
        """A column that is known to hold integers."""
        return _known(self.columns[name], Ints)

    def floats(self, name: str) -> Floats:
        """A column that is known to hold numbers."""
        return _known(self.columns[name], Floats)

    def texts(self, name: str) -> Texts:
        """A column that is known to hold texts."""
        return _known(self.columns[name], Texts)


def _known(column: Column, kind: type[C]) -> C:
    assert isinstance(column, kind), f"a column of {type(column).__name__}"
    return column


def _numbers(values: NDArray[Any], null: NDArray[np.bool_]) -> Bytes2D:
    out = np.empty((len(values), 9), np.uint8)
    out[:, 0] = ~null
    out[:, 1:] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    return out
