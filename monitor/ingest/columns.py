"""From columns of JSON scalars to arrays, and what was wrong with which row.

Each function tries the whole column at once and looks at single values only if that fails. A row with a problem gets
a placeholder; the first problem of a row is the one that counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Final

import numpy as np

from monitor.config.sources import TimeUnit
from monitor.events import INVALID, MISSING, WRONG_NUMBER, Bools, Float64s, Int32s, Int64s, Reason, UInt64s
from monitor.ingest import times
from monitor.ingest.careful import Failure
from monitor.ingest.ids import HASH_OF_NOTHING, hash_texts
from monitor.ingest.interner import LONGEST_INTEGER, UNKNOWN, Interner, is_unicode, why_not_a_name
from monitor.ingest.mapping import Leaf, number_of_text
from monitor.ingest.packing import PackError, pack_float64s
from monitor.ingest.values import UNSET, Codes, Column, Kind, Misfit, plain

_UNITS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PER_MS: Final = {"ms": 1.0, "us": 1e3, "ns": 1e6}
_BLOCK: Final = 64  # rows that are looked at singly when one of them is bad
_UNLISTED: Final = "model: not one of `models`, and `unlisted_models` is reject"
_UNPACKABLE: Final = (PackError, OverflowError, TypeError)


class Problems:
    """The first problem of each row, which rows had more than one, and the rows of each feature that had a bad value. Rows
    count from `base`."""

    def __init__(self) -> None:
        self.base = 0
        self.by_row: dict[int, Failure] = {}
        self.repeated: set[int] = set()
        self.missing: dict[str, list[int]] = {}
        self.faults: dict[str, list[int]] = {}

    def add(self, row: int, reason: Reason, detail: str) -> None:
        """Reject a row, unless it already is."""
        self.reject(self.base + row, Failure(reason, detail))

    def reject(self, row: int, failure: Failure) -> None:
        """The same of a row that counts from the first of all."""
        if self.by_row.setdefault(row, failure) is not failure:
            self.repeated.add(row)

    def add_missing(self, row: int, field: str) -> None:
        """Reject a row for the lack of a field; `forgive` may take it back."""
        self.missing.setdefault(field, []).append(self.base + row)

    def fault(self, feature: str, row: int) -> None:
        """Count a bad value of a feature."""
        self.faults.setdefault(feature, []).append(self.base + row)

    def still_good(self, rows: Sequence[int], field: str) -> list[int]:
        """Those of some rows of which the field is not known to be missing."""
        missing = set(self.missing.get(field, ()))
        return [row for row in rows if self.base + row not in missing]

    def settle_missing(self, optional: Sequence[str], forgiven: Bools) -> None:
        """Turn missing fields into rejections, except `optional` ones in `forgiven` rows."""
        for field, rows in self.missing.items():
            for row in rows:
                if not (field in optional and forgiven[row]):
                    self.reject(row, Failure(Reason.MISSING, f"{field} is absent or null"))


def ids(column: Column, problems: Problems) -> UInt64s:
    """Hashes of ids."""
    texts = plain(column)
    try:
        hashed = hash_texts(texts)  # type: ignore[arg-type]  # what is no text raises TypeError
    except (TypeError, UnicodeEncodeError):
        hashed = hash_texts([_id_text(value, row, problems) for row, value in enumerate(texts)])
    empty = hashed[:, 0] == HASH_OF_NOTHING[0]
    if empty.any():
        for row in np.flatnonzero(empty & (hashed[:, 1] == HASH_OF_NOTHING[1])).tolist():
            if texts[row] == "":
                problems.add(row, Reason.MISSING, "id is an empty text")
    return hashed


def _id_text(value: object, row: int, problems: Problems) -> str:
    if isinstance(value, str):
        if is_unicode(value):
            return value
        problems.add(row, Reason.ENCODING, "id: a text that is not valid Unicode")
    elif value is None:
        problems.add_missing(row, "id")
    elif isinstance(value, int) and abs(value) < LONGEST_INTEGER:
        return str(value)
    else:
        found = value.found if isinstance(value, Misfit) else "an integer of more than 64 bits"
        problems.add(row, Reason.TYPE, f"id: {found}, where a text or an integer is needed")
    return ""


def names(column: Column, field: str, interner: Interner, problems: Problems) -> Int32s:
    """Codes of models or versions, below 0 with a problem where there is none."""
    if isinstance(column, Codes):
        codes, values = column.codes, None
        if column.whole:
            return codes
    else:
        values = plain(column)
        codes = interner.codes(values)
    if codes.min() < 0:
        for row in np.flatnonzero(codes < 0).tolist():
            if codes[row] == MISSING:
                problems.add_missing(row, field)
            elif codes[row] == UNKNOWN:
                problems.add(row, Reason.UNKNOWN_MODEL, _UNLISTED)
            else:
                problems.add(row, Reason.TYPE, f"{field}: {why_not_a_name(values and values[row])}")
    return codes


def event_times(column: Column, leaf: Leaf, unit: TimeUnit, problems: Problems) -> Int64s:
    """Event times in ms; 0 with a problem where there is none."""
    if leaf.kind is Kind.ISO:
        ms = _times_of_text(plain(column), problems)
        detail = "at: not an RFC 3339 time with an offset, or outside the years 1970 to 9999"
    else:
        numbers = _numbers(column, "at", problems)
        if unit == "ms" and times.all_within(numbers, times.LAST_MS):
            return np.rint(numbers).astype(np.int64)
        ms = times.ms_of_seconds(numbers) if unit == "s" else times.ms_of_numbers(numbers / _PER_MS[unit])
        detail = f"at: outside the years 1970 to 9999 when read as {_UNITS[unit]}"
    if ms.min() < 0:
        bad = ms == times.UNREADABLE
        ms[bad] = 0
        for row in problems.still_good(np.flatnonzero(bad).tolist(), "at"):
            problems.add(row, Reason.TIME, detail)
    return ms


def _times_of_text(column: Sequence[object], problems: Problems) -> Int64s:
    try:
        return times.ms_of_texts(column)  # type: ignore[arg-type]  # what is no text raises TypeError
    except TypeError:
        for row, value in enumerate(column):
            if not isinstance(value, str):
                _reject_value(value, row, "at", "a text", problems)
        return times.ms_of_texts([value if isinstance(value, str) else "" for value in column])


def scores(column: Column, problems: Problems) -> Float64s:
    """Probabilities; NaN where there is none (and a problem says so)."""
    score = _numbers(column, "score", problems)
    if not times.all_within(score, 1.0):
        inside = (score >= 0.0) & (score <= 1.0)
        for row in problems.still_good(np.flatnonzero(~inside).tolist(), "score"):
            why = "outside 0 to 1" if math.isfinite(score[row]) else "not finite"
            problems.add(row, Reason.NUMBER, f"score: {why}")
    return score


def class_scores(column: Column, field: str, problems: Problems) -> Float64s:
    """Probabilities of one class; NaN where there is none, which is no problem."""
    values = plain(column)
    try:
        score = pack_float64s(values)
    except _UNPACKABLE:
        score = _mended(values, lambda value, row: _optional(value, row, field, problems))
    if not times.all_within(score, 1.0):
        outside = ~((score >= 0.0) & (score <= 1.0))
        absent = np.fromiter((value is None for value in values), np.bool_, len(values))
        for row in np.flatnonzero(outside & ~absent).tolist():
            problems.add(
                row, Reason.NUMBER, f"{field}: {'outside 0 to 1' if math.isfinite(score[row]) else 'not finite'}"
            )
    return score


def _optional(value: object, row: int, field: str, problems: Problems) -> float:
    return math.nan if value is None else _reject_value(value, row, field, "a number", problems)


def _numbers(column: Column, field: str, problems: Problems) -> Float64s:
    """A required number; NaN with a problem where it is none."""
    values = plain(column)
    try:
        return pack_float64s(values)
    except _UNPACKABLE:
        return _mended(values, lambda value, row: _reject_value(value, row, field, "a number", problems))


def _reject_value(value: object, row: int, field: str, needed: str, problems: Problems) -> float:
    if value is None or value is UNSET:
        problems.add_missing(row, field)
    else:
        found = value.found if isinstance(value, Misfit) else "a text"
        problems.add(row, Reason.TYPE, f"{field}: {found}, where {needed} is needed")
    return math.nan


def numeric_feature(column: Column, feature: str, problems: Problems) -> Float64s:
    """A watched number: NaN where it is missing; WRONG_NUMBER (a NaN too) and a fault where it is not a finite number.
    true is 1, false 0."""
    if isinstance(column, np.ndarray):
        return column
    values = plain(column)
    try:
        return pack_float64s(values)
    except _UNPACKABLE:
        pass

    def note(value: object, row: int) -> float:
        if value is not None and value is not UNSET:
            problems.fault(feature, row)
            return WRONG_NUMBER
        return math.nan

    return _mended(values, note)


def _mended(column: Sequence[object], other: Callable[[object, int], float]) -> Float64s:
    """A column of numbers with something else among them, which `other` (value, row) replaces."""
    mended = np.empty(len(column), np.float64)
    for start in range(0, len(column), _BLOCK):
        block = column[start : start + _BLOCK]
        try:
            mended[start : start + _BLOCK] = pack_float64s(block)
        except _UNPACKABLE:
            mended[start : start + _BLOCK] = [
                float(value) if isinstance(value, (float, int)) else other(value, row)
                for row, value in enumerate(block, start)
            ]
    return mended


def category_feature(column: Column, feature: str, interner: Interner, problems: Problems) -> Int32s:
    """Codes of a watched category; MISSING where there is none, INVALID and a fault where it has no text."""
    if isinstance(column, Codes):
        return column.codes
    codes = interner.codes(plain(column))
    if codes.min() == INVALID:
        for row in np.flatnonzero(codes == INVALID).tolist():
            problems.fault(feature, row)
    return codes


def flags(column: Column, field: str, problems: Problems) -> Bools:
    """Booleans; what is none is a problem."""
    values = plain(column)
    for row, value in enumerate(values):
        if isinstance(value, Misfit):
            problems.add(row, Reason.TYPE, f"{field}: {value.found}, where a boolean is needed")
    return np.fromiter((value is True for value in values), np.bool_, len(values))


class Classes:
    """Reads classes and labels: numbers as they are, booleans as 1 and 0, words by a map; then asks whether they are known."""

    def __init__(self, leaf: Leaf, words: Mapping[str, float], known: frozenset[float] | None) -> None:
        """`known` None: any finite number will do. From headers, keys and constants, numbers come as text too."""
        self._leaf = leaf
        self._words: dict[str, float] = {word: float(number) for word, number in words.items()}
        self._known = None if known is None else sorted(known)
        places = leaf.source.places
        self._as_text = any(at.kind in ("header", "const") or (at.kind == "key" and not at.path) for at in places)

    def read(self, column: Column, problems: Problems) -> tuple[Float64s, Bools | None]:
        """The numbers, and where the field is null (None: nowhere). Nulls and problems have NaN."""
        values = plain(column)
        n = len(values)
        try:
            return self._checked(pack_float64s(values), None, problems), None
        except _UNPACKABLE:
            pass
        if n > 1:
            try:
                return self._checked(pack_float64s(itemgetter(*values)(self._words)), None, problems), None
            except (KeyError, TypeError):
                pass
        null = np.fromiter((value is None for value in values), np.bool_, n)
        numbers = np.fromiter((self._number(value, row, problems) for row, value in enumerate(values)), np.float64, n)
        return self._checked(numbers, np.isnan(numbers), problems), null

    def _number(self, value: object, row: int, problems: Problems) -> float:
        if isinstance(value, (float, int)):
            return float(value)
        if isinstance(value, str):
            number = self._words.get(value)
            if number is None and self._as_text:
                number = {"true": 1.0, "false": 0.0}.get(value, number_of_text(value))
            if number is not None:
                return number
            problems.add(row, Reason.LABEL_VALUE, f"{self._leaf.name}: a word that streams' `values` does not hold")
        elif value is UNSET:
            problems.add_missing(row, self._leaf.name)
        elif isinstance(value, Misfit):
            problems.add(
                row, Reason.TYPE, f"{self._leaf.name}: {value.found}, where a number, boolean or word is needed"
            )
        return math.nan

    def _checked(self, numbers: Float64s, settled: Bools | None, problems: Problems) -> Float64s:
        """Reject unknown numbers; `settled` rows have been dealt with."""
        if self._known is None:
            known = np.isfinite(numbers)
        else:
            known = numbers == self._known[0]
            for number in self._known[1:]:
                known |= numbers == number
        if settled is not None:
            known |= settled
        if not known.all():
            for row in np.flatnonzero(~known).tolist():
                problems.add(row, Reason.LABEL_VALUE, f"{self._leaf.name}: a number that is no known class")
            numbers = np.where(known, numbers, math.nan)
        return numbers
