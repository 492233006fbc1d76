"""Texts that decode straight to their code: an Enum of the texts an interner holds.

msgspec finds the member of an Enum from the bytes of the JSON text, without making a text first. The members are floats, so
that `struct` packs a column of them like any other numbers. So neither reading a category nor moving it into an array
looks at its text again.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Self, cast

from monitor.ingest.interner import Interner

MOST_TEXTS: Final = 256
"""Interners that hold more are not coded: making the type takes 20 µs a text, and a rare text costs more than it saves."""


class Code(float, Enum):
    """The code of a text; found by its text."""

    def __new__(cls, text: str, code: int) -> Self:
        """A member is made of its text and its code."""
        member = float.__new__(cls, code)
        member._value_ = text
        return member


def code_type(interner: Interner) -> type[Code] | None:
    """An Enum of what the interner holds now; None if that is nothing, or too much."""
    if not 0 < len(interner) <= MOST_TEXTS:
        return None
    members = [(f"code{code}", (text, code)) for code, text in enumerate(interner.values)]
    return cast("type[Code]", cast("Any", Code)("Coded", members))


def texts_of(coded: type[Code]) -> dict[str, int]:
    """The codes by their texts."""
    return {str(member.value): int(member) for member in coded}
