"""Windows as configured: durations (`1d`, `{size: 24h, slide: 1h}`) and calendar spans in UTC (`day`, `month`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

from monitor.config.base import Written, problem
from monitor.config.durations import DURATION_PATTERN, format_duration, parse_duration

_CALENDAR: dict[str, Literal["day", "month"]] = {"day": "day", "month": "month"}
_ALLOWED = "allowed: a duration such as 1d, {size: 24h, slide: 1h}, day or month"


@dataclass(frozen=True, slots=True)
class Window:
    """A kind of window; its instances tile (or slide over) event time from 1970-01-01T00:00Z, half open.

    `name` is what the user wrote: `1d`, `24h/1h`, `day`, `month`; it is part of every published window. A tumbling
    window has slide_ms == size_ms. A calendar window has neither, and `calendar` says which.
    """

    name: str
    size_ms: int | None = None
    slide_ms: int | None = None
    calendar: Literal["day", "month"] | None = None

    @classmethod
    def parse(cls, text: str) -> Window:
        """A window from its name. Raises ValueError with a finished sentence."""
        if (calendar := _CALENDAR.get(text)) is not None:
            return cls(text, calendar=calendar)
        size, slash, slide = text.partition("/")
        try:
            size_ms = parse_duration(size)
            slide_ms = parse_duration(slide) if slash else size_ms
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a window; {_ALLOWED}{_hint(text)}") from None
        if not size_ms or not slide_ms:
            raise ValueError(f"{text!r} has a size or slide of no time at all; {_ALLOWED}")
        if slide_ms > size_ms:
            raise ValueError(f"slide ({slide}) is longer than the window's size ({size}); allowed: at most the size")
        if rest := size_ms % slide_ms:
            left = format_duration(rest)
            raise ValueError(
                f"slide ({slide}) must divide the window's size ({size}) without a rest; {left} is left over"
            )
        return cls(text, size_ms, slide_ms)


def _hint(text: str) -> str:
    words = {"daily": "day", "days": "day", "monthly": "month", "months": "month", "1mo": "month"}
    words |= {"weekly": "7d", "week": "7d", "1w": "7d", "hourly": "1h", "hour": "1h"}
    return f"; did you mean '{words[text.lower()]}'?" if text.lower() in words else ""


def _read_window(value: Any) -> Window:
    if isinstance(value, Window):
        return value
    if isinstance(value, dict):
        if unknown := sorted(set(value) - {"size", "slide"}):
            raise problem(f"{unknown[0]!r} is not a key of a window; {_ALLOWED}")
        size, slide = value.get("size"), value.get("slide", value.get("size"))
        if not isinstance(size, str) or not isinstance(slide, str):
            raise problem(f"a window needs its size, and a slide if it slides; {_ALLOWED}")
        value = size if size == slide else f"{size}/{slide}"
    if not isinstance(value, str):
        raise problem(f"{value!r} is not a window; {_ALLOWED}")
    try:
        return Window.parse(value)
    except ValueError as e:
        raise problem(str(e)) from None


def _write_window(window: Window) -> str | dict[str, str]:
    size, slash, slide = window.name.partition("/")
    return {"size": size, "slide": slide} if slash else size


_DURATION = {"type": "string", "pattern": DURATION_PATTERN}
_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": ["day", "month"]},
        _DURATION,
        {
            "type": "object",
            "properties": {"size": _DURATION, "slide": _DURATION},
            "required": ["size"],
            "additionalProperties": False,
        },
    ],
    "examples": ["1d", {"size": "24h", "slide": "1h"}, "day", "month"],
}

WindowField = Annotated[Window, BeforeValidator(_read_window), PlainSerializer(_write_window), Written(_SCHEMA)]
"""A field of the config that is a Window."""
