"""Event times as integers: milliseconds since 1970 in UTC, from numbers or from RFC 3339 text.

Rounding is exact: to the nearest millisecond of the number as it was decoded, halves to the even one. Text is read as
`2025-11-03T10:20:30.123456+01:00`: date, `T` or a space, time with seconds, any number of fraction digits, and `Z` or
an offset. Text without an offset is refused (nobody can know what it means), as is a 61st second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from functools import cache

import numpy as np

from monitor.events import Bools, Float64s, Int64s

LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
UNREADABLE = -(1 << 62)
"""Stands for a time that could not be read: outside every range."""

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_DAYS_BEFORE_1970 = date(1970, 1, 1).toordinal()
_PUNCTUATION = ((4, b"-"), (7, b"-"), (13, b":"), (16, b":"))
_FIELDS = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
_LONGEST_FRACTION = 15  # digits that fit an int64 with room to compare
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def ms_of_numbers(ms: Float64s) -> Int64s:
    """Milliseconds, rounded; UNREADABLE outside 1970 to 9999."""
    fits = (ms >= 0.0) & (ms <= LAST_MS)
    return np.where(fits, np.rint(np.where(fits, ms, 0.0)), UNREADABLE).astype(np.int64)


def ms_of_seconds(seconds: Float64s) -> Int64s:
    """Seconds as milliseconds, rounded; UNREADABLE outside 1970 to 9999."""
    fits = (seconds >= 0.0) & (seconds < (LAST_MS + 1) / 1000)
    scaled = np.where(fits, seconds, 0.0) * 1000.0
    ms = np.rint(scaled).astype(np.int64)
    # The product is itself rounded, by half a spacing at most: only next to a half can that change the result.
    doubtful = np.abs(scaled - np.floor(scaled) - 0.5) <= np.spacing(scaled)
    for row in np.flatnonzero(doubtful & fits).tolist():
        ms[row] = round(Fraction(float(seconds[row])) * 1000)
    ms[~fits | (ms > LAST_MS)] = UNREADABLE
    return ms


def all_within(numbers: Float64s, last: float) -> bool:
    """Whether all numbers lie in [0, last], in one pass: as integers, the bits of NaN, infinity and of whatever has a sign
    are larger than those of any finite number. False for -0.0 as well."""
    return int(numbers.view(np.uint64).max(initial=0)) <= _bits(last)


@cache
def _bits(number: float) -> int:
    return int(np.float64(number).view(np.uint64))


def ms_of_text(text: str) -> int:
    """One RFC 3339 text; UNREADABLE if it is none or lies outside 1970 to 9999."""
    if not (found := _ISO.fullmatch(text)):
        return UNREADABLE
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    sign, offset_hour, offset_minute = found[8], int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        return UNREADABLE
    try:
        days = date(year, month, day).toordinal() - _DAYS_BEFORE_1970
    except ValueError:
        return UNREADABLE
    minutes = days * 1440 + hour * 60 + minute - (offset_hour * 60 + offset_minute) * (-1 if sign == "-" else 1)
    digits = found[7] or "0"
    # A fraction longer than any double can matter is cut with a sticky last digit: the rounding stays exact.
    if len(digits) > 40:
        digits = digits[:40] + ("1" if digits[40:].strip("0") else "0")
    ms = (minutes * 60 + second) * 1000 + round(Fraction(int(digits) * 1000, 10 ** len(digits)))
    return ms if 0 <= ms <= LAST_MS else UNREADABLE


def ms_of_texts(texts: Sequence[str]) -> Int64s:
    """A column of RFC 3339 texts. Texts of one length are read together, 15 times faster than one by one; the shape is
    taken from the first, and rows of another are read alone. Raises TypeError unless all are str."""
    n = len(texts)
    joined = "".join(texts)
    width = len(texts[0]) if n else 0
    together = width and joined.isascii() and set(map(len, texts)) == {width}
    if not together or (shape := _shape(joined[:width])) is None:
        return np.fromiter(map(ms_of_text, texts), np.int64, n)
    ms, odd = _read_together(np.frombuffer(joined.encode(), np.uint8).reshape(n, width), *shape)
    for row in np.flatnonzero(odd).tolist():
        ms[row] = ms_of_text(texts[row])
    return ms


def _shape(first: str) -> tuple[int, bool] | None:
    """Digits of the fraction and whether an offset ends the text; None if it cannot be read together."""
    has_offset = len(first) >= 6 and first[-6] in "+-"
    digits = len(first) - 19 - (6 if has_offset else 1)
    if digits == 0:
        return 0, has_offset
    return (digits - 1, has_offset) if 2 <= digits <= _LONGEST_FRACTION + 1 else None


def _read_together(
    rows: np.ndarray[tuple[int, int], np.dtype[np.uint8]], digits: int, offset: bool
) -> tuple[Int64s, Bools]:
    """Times of rows that have the shape; the mask says which have not, or are no valid time."""
    odd: Bools = np.zeros(len(rows), np.bool_)

    def number(start: int, count: int) -> Int64s:
        value: Int64s = np.zeros(len(rows), np.int64)
        for position in range(start, start + count):
            digit = rows[:, position] - np.uint8(48)
            odd[:] |= digit > 9
            value = value * 10 + digit
        return value

    def is_one_of(position: int, allowed: bytes) -> Bools:
        found = np.zeros(len(rows), np.bool_)
        for byte in allowed:
            found |= rows[:, position] == byte
        return found

    odd |= ~is_one_of(10, b"Tt ")
    for position, allowed in _PUNCTUATION:
        odd |= ~is_one_of(position, allowed)
    year, month, day, hour, minute, second = (number(start, count) for start, count in _FIELDS)
    end = 19
    fraction = np.zeros(len(rows), np.int64)
    if digits:
        odd |= ~is_one_of(19, b".")
        fraction = _rounded_ms(number(20, digits), digits)
        end += 1 + digits
    if offset:
        odd |= ~is_one_of(end, b"+-") | ~is_one_of(end + 3, b":")
        offset_hour, offset_minute = number(end + 1, 2), number(end + 4, 2)
        odd |= (offset_hour > 23) | (offset_minute > 59)
        ahead = (offset_hour * 60 + offset_minute) * np.where(rows[:, end] == ord("-"), -1, 1)
    else:
        odd |= ~is_one_of(end, b"Zz")
        ahead = np.zeros(len(rows), np.int64)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month == 2)
    odd |= (year < 1) | (month < 1) | (month > 12) | (day < 1) | (hour > 23) | (minute > 59) | (second > 59)
    odd |= day > _MONTH_DAYS[np.clip(month, 0, 12)] + leap
    minutes = _days_since_1970(year, month, day) * 1440 + hour * 60 + minute - ahead
    ms = (minutes * 60 + second) * 1000 + fraction
    ms[(ms < 0) | (ms > LAST_MS)] = UNREADABLE
    return ms, odd


def _rounded_ms(fraction: Int64s, digits: int) -> Int64s:
    """A decimal fraction of a second in milliseconds, halves to even."""
    if digits <= 3:
        scaled: Int64s = fraction * 10 ** (3 - digits)
        return scaled
    unit = 10 ** (digits - 3)
    whole, rest = fraction // unit, fraction % unit
    up = (2 * rest > unit) | ((2 * rest == unit) & (whole % 2 == 1))
    nearest: Int64s = whole + up
    return nearest


def _days_since_1970(year: Int64s, month: Int64s, day: Int64s) -> Int64s:
    """Days of the proleptic Gregorian calendar, counted in years that begin in March, so that a leap day comes last."""
    march_year = year - (month <= 2)
    days: Int64s = (
        365 * march_year
        + march_year // 4
        - march_year // 100
        + march_year // 400
        + (153 * ((month + 9) % 12) + 2) // 5
        + day
        - 719_469
    )
    return days
