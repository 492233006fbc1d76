"""Text as small numbers: codes that only ever grow, so that a column of names is a column of int32."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

import numpy as np

from monitor.events import INVALID, MISSING, Int32s
from monitor.ingest.packing import pack_int32s
from monitor.ingest.values import UNSET, Misfit

UNKNOWN = -3
"""Code of a text that a closed interner does not hold."""
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_INTEGER = 1 << 64
"""Integers of this size or more are no names: they would be texts of any length."""


def canonical_text(value: object) -> str | None:
    """The text of a JSON scalar: integers in decimal, whole floats as the integer they are (`3.0` is `3`), other floats
    in the shortest form that reads back, booleans as `true` and `false`. None if it has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < LONGEST_INTEGER else None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return None


class Interner:
    """str -> int32 code from 0 on, in order of first sight. Codes are local to a process; they never leave it.

    It holds at most `limit` texts. The ones beyond get the code of `overflow`, an ordinary text added when first
    needed; without an `overflow` they get `UNKNOWN`. Which texts overflow depends on what this process saw before, so
    texts that matter later must be in `known`. `admits` says which texts may have a code at all; the rest is INVALID.
    """

    __slots__ = ("_admits", "_by_int", "_by_text", "_limit", "_overflow", "values")

    def __init__(
        self,
        known: Iterable[str] = (),
        *,
        limit: int | None = None,
        overflow: str | None = None,
        admits: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.values: list[str] = []
        self._by_text: dict[object, int] = {None: MISSING, UNSET: MISSING}
        self._by_int: dict[object, int] = {}
        self._limit: int | None = None
        self._overflow = overflow
        self._admits: Callable[[str], bool] = lambda _: True
        for text in known:
            self.code(text)
        self._admits = admits
        self._limit = limit if limit is None else max(limit, len(self.values))

    def __len__(self) -> int:
        return len(self.values)

    def code(self, text: str) -> int:
        """The code of a text, which is added if it is new, admitted and there is room."""
        code = self._by_text.get(text)
        if code is not None:
            return code
        if self._limit is not None and len(self.values) >= self._limit:
            return self._overflow_code(text)
        if not self._admits(text):
            return INVALID
        return self._add(text)

    def _add(self, text: str) -> int:
        code = self._by_text[text] = len(self.values)
        self.values.append(text)
        return code

    def _overflow_code(self, text: str) -> int:
        if self._overflow is None:
            return UNKNOWN
        if not self._admits(text):
            return INVALID
        code = self._by_text.get(self._overflow)
        return self._add(self._overflow) if code is None else code

    def codes(self, column: Sequence[object]) -> Int32s:
        """The codes of a column of JSON scalars: MISSING for None, INVALID for what is no text, number or boolean."""
        n = len(column)
        first = column[0] if n else None
        if isinstance(first, str) and column.count(first) == n:
            return np.full(n, self.code(first), np.int32)
        if n > 1:
            try:
                return pack_int32s(itemgetter(*column)(self._by_text))
            except KeyError:
                pass
            if set(map(type, column)) == {int}:
                return self._codes_of_integers(column)
        return np.fromiter(map(self.code_of, column), np.int32, n)

    def code_of(self, value: object) -> int:
        """The code of a JSON scalar: MISSING for None, INVALID for what has no text."""
        if isinstance(value, str):
            return self.code(value)
        if value is None or value is UNSET:
            return MISSING
        text = canonical_text(value)
        return INVALID if text is None else self.code(text)

    def _codes_of_integers(self, column: Sequence[object]) -> Int32s:
        """A column of integers and nothing else: True and 1 are the same key of a dict, so no boolean may get here."""
        try:
            return pack_int32s(itemgetter(*column)(self._by_int))
        except KeyError:
            pass
        codes = list(map(self.code_of, column))
        if self._limit is None or len(self.values) < self._limit:
            self._by_int.update((value, code) for value, code in zip(column, codes, strict=True) if code >= 0)
        return pack_int32s(codes)


def is_name(text: str) -> bool:
    """True for what may name a model or a version: 1 to 200 characters, none of them a control or a lone surrogate.

    (`str.isprintable` would not do: what it says of a new character depends on the version of Python.)
    """
    return 0 < len(text) <= 200 and not _NOT_IN_NAMES.search(text)


def is_category(text: str) -> bool:
    """True for what may be the value of a categorical feature: up to 128 characters of valid Unicode."""
    return len(text) <= 128 and is_unicode(text)


def is_unicode(text: str) -> bool:
    """False for text with lone surrogates, which JSON can escape but UTF-8 cannot hold."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why_not_a_name(value: object) -> str:
    """What is wrong with a value that got no code as a name, for people."""
    if isinstance(value, Misfit):
        return f"{value.found}, where a text is needed"
    return "not a name: 1 to 200 printable characters, or an integer of 64 bits"
