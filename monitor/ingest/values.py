"""What a decoded field can be before it becomes part of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from msgspec import UNSET

from monitor.events import Float64s, Int32s
from monitor.ingest.packing import pack_float64s

__all__ = ["UNSET", "Codes", "Column", "Kind", "Misfit", "plain"]


class Kind(Enum):
    """What a field is read as, which JSON types it accepts and what stands for its absence."""

    TEXT = "text"  # str, or an integer that stands for its decimal text: ids, models, versions
    NUMBER = "number"  # a number and nothing else: scores, times in ms or s
    ISO = "iso"  # str: times as text
    CLASS = "class"  # number, boolean, or a word that a map turns into a number; absent and null differ (labels)
    FLAG = "flag"  # boolean; absent is false
    NUMERIC = "numeric"  # feature: number or boolean; anything else is a fault, not a rejection
    CATEGORY = "category"  # feature: any scalar; anything else is a fault, not a rejection


class Misfit:
    """Stands for a value of a type its field does not accept. `found` says what it was, with its article."""

    __slots__ = ("found",)

    def __init__(self, found: str) -> None:
        self.found = found


@dataclass(frozen=True, slots=True)
class Codes:
    """A column that was decoded to codes of its interner. `whole`: none is below 0. Faults have been counted."""

    codes: Int32s
    whole: bool

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, column: Column, *, whole: bool) -> Codes:
        """A column of codes that are floats or integers."""
        numbers = column if isinstance(column, np.ndarray) else pack_float64s(plain(column))
        return cls(numbers.astype(np.int32), whole)


Column = Sequence[object] | Codes | Float64s
"""A field of n rows: JSON scalars (with None, UNSET and Misfit among them), codes, or numbers that need no second look."""


def plain(column: Column) -> Sequence[object]:
    """A column of JSON scalars. That it is one is the caller's knowledge; otherwise it is a bug (AssertionError)."""
    assert not isinstance(column, (Codes, np.ndarray)), f"a column of {type(column).__name__}"
    return column
