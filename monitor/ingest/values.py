"""What a decoded field can be before it becomes part of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from msgspec import UNSET

from monitor.events import Bools, Float64s

__all__ = ["UNSET", "Column", "FixedText", "Kind", "Misfit"]


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
class FixedText:
    """A column of non-empty UTF-8 texts of one length in bytes, end to end: `len(raw) == n * width`."""

    raw: bytes
    width: int

    def __len__(self) -> int:
        return len(self.raw) // self.width

    def items(self) -> list[bytes]:
        """The texts, one by one."""
        items: list[bytes] = np.frombuffer(self.raw, f"V{self.width}").tolist()
        return items

    def only(self) -> bytes | None:
        """The text that all rows share, or None if they differ."""
        first = self.raw[: self.width]
        return first if self.raw == first * len(self) else None


Column = Sequence[object] | FixedText | Float64s | Bools
"""A field of n rows: JSON scalars (with None, UNSET and Misfit among them), or what `transfer` made of them."""
