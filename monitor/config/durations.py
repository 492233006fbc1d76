"""Durations and sizes as people write them (`500ms`, `15m`, `1h30m`, `64MiB`), as integers everywhere else.

A duration is a run of whole numbers with units, largest unit first: `7d`, `1h30m`, `500ms`. Internally it is an
integer of milliseconds. A size is one whole number with a binary unit (`64MiB`) or bare bytes (`1048576`).
A bare number is never a duration: `15` says nothing about its unit. There are no months or years here, because
their length depends on the calendar; calendar windows are named `day` and `month`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from monitor.config.base import Written, misshapen, problem

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds per unit, largest first. A day is 24 hours (UTC has no other)."""
UNITS_BYTES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
"""Bytes per unit, largest first."""

LONGEST_MS = 3_660 * UNITS_MS["d"]
"""About ten years. Longer is a slip of the finger, and sums of event times must stay far from 64 bits."""
LARGEST_BYTES = 1 << 40

DURATION_PATTERN = r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
SIZE_PATTERN = r"^\d+(GiB|MiB|KiB|B)$"
_DURATION = re.compile(DURATION_PATTERN[:-1] + r"\Z", re.ASCII)
_SIZE = re.compile(r"(\d+)(GiB|MiB|KiB|B)\Z", re.ASCII)
_DURATION_FORM = "a duration such as 500ms, 15m, 36h, 7d or 1h30m"
_SIZE_FORM = "a size such as 64KiB, 1MiB or a whole number of bytes"


def parse_duration(text: str) -> int:
    """Milliseconds of `text`. Raises ValueError with a finished sentence; spaces are not allowed."""
    if len(text) > 40 or not (match := _DURATION.match(text)):
        raise ValueError(f"{text[:40]!r} is not a duration; allowed: {_DURATION_FORM}{_duration_hint(text)}")
    total = sum(
        int(part[: -len(unit)]) * UNITS_MS[unit] for part, unit in zip(match.groups(), UNITS_MS, strict=True) if part
    )
    if total > LONGEST_MS:
        raise ValueError(f"{text!r} is longer than the longest duration allowed, {format_duration(LONGEST_MS)}")
    return total


def _duration_hint(text: str) -> str:
    """A remedy for the mistakes people make most, or nothing."""
    if re.fullmatch(r"\d+", text):
        return f"; did you mean '{text}s' or '{text}ms'?"
    if match := re.fullmatch(r"(\d+)\s*(milli|ms|sec|min|hour|day|week)[a-z]*", text.strip().lower()):
        number, word = match.groups()
        if word == "week":
            return f"; did you mean '{int(number) * 7}d'?"
        return f"; did you mean '{number}{'ms' if word in ('milli', 'ms') else word[0]}'?"
    if match := re.fullmatch(r"(\d+)w", text):
        return f"; did you mean '{int(match[1]) * 7}d'?"
    if (match := re.fullmatch(r"(\d{1,6}\.\d{1,6})(ms|[smhd])", text)) and (
        ms := float(match[1]) * UNITS_MS[match[2]]
    ) >= 1:
        return f"; did you mean '{format_duration(round(ms))}'?"
    if (lower := re.sub(r"\s+", "", text).lower()) != text and _DURATION.match(lower):
        return f"; did you mean '{lower}'?"
    return ""


def format_duration(ms: int) -> str:
    """The one canonical text of a duration: largest unit first, days only from three days on or when they come out
    even (`36h`, `2d`, `3d12h`); 0 is `0s`."""
    if ms == 0:
        return "0s"
    parts = []
    for unit, size in UNITS_MS.items():
        if unit == "d" and ms < 3 * size and ms % size:
            continue
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(text: str) -> int:
    """Bytes of `text`. Raises ValueError with a finished sentence."""
    if not (match := _SIZE.match(text[:40])):
        decimal = re.fullmatch(r"(\d+)\s*([KMG])i?[Bb]?", text, re.IGNORECASE)
        hint = f"; did you mean '{decimal[1]}{decimal[2].upper()}iB'?" if decimal else ""
        raise ValueError(f"{text[:40]!r} is not a size; allowed: {_SIZE_FORM}{hint}")
    return int(match[1]) * UNITS_BYTES[match[2]]


def format_size(size: int) -> str:
    """The one canonical text of a size: the largest unit that leaves no rest."""
    for unit, weight in UNITS_BYTES.items():
        if size and size % weight == 0:
            return f"{size // weight}{unit}"
    return "0B"


def _duration(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise misshapen(_DURATION_FORM)
    try:
        return parse_duration(value if isinstance(value, str) else str(value))
    except ValueError as e:
        raise problem(str(e)) from None


def _positive_duration(value: Any) -> int:
    ms = _duration(value)
    if ms == 0:
        raise problem(f"{value!r} is no time at all; allowed: more than 0")
    return ms


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise misshapen(_SIZE_FORM)
    try:
        size = value if isinstance(value, int) else parse_size(value)
    except ValueError as e:
        raise problem(str(e)) from None
    if not 1 <= size <= LARGEST_BYTES:
        limit = format_size(LARGEST_BYTES)
        raise problem(f"{value!r} is out of range; allowed: 1B to {limit}")
    return size


_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "15m", "36h", "7d", "1h30m"]}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 1}],
    "examples": ["64KiB", "1MiB"],
}

Duration = Annotated[int, BeforeValidator(_duration), PlainSerializer(format_duration), Written(_DURATION_SCHEMA)]
"""A field of milliseconds (0 allowed), written and rendered as a duration."""
PositiveDuration = Annotated[
    int, BeforeValidator(_positive_duration), PlainSerializer(format_duration), Written(_DURATION_SCHEMA)
]
"""A field of milliseconds, more than 0, written and rendered as a duration."""
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(format_size), Written(_SIZE_SCHEMA)]
"""A field of bytes, written and rendered as a size."""
