"""Which windows a pane of event time belongs to. All spans are half-open and in UTC; durations are aligned to 1970."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from monitor.config.windows import Window

_DAY_MS = 86_400_000


def spans_of(window: Window, at_ms: int) -> Iterator[tuple[int, int]]:
    """Every (start, end) of the window that holds the moment `at_ms`, oldest first."""
    if window.calendar == "month":
        yield _month(at_ms)
        return
    size = _DAY_MS if window.calendar == "day" else window.size_ms
    assert size is not None
    slide = window.slide_ms or size
    if window.calendar == "day":
        slide = size
    last = at_ms // slide * slide
    for start in range(last - (size - 1) // slide * slide, last + 1, slide):
        if start + size > at_ms:
            yield start, start + size


def _month(at_ms: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(at_ms // 1000, UTC)
    first = datetime(day.year, day.month, 1, tzinfo=UTC)
    days = calendar.monthrange(day.year, day.month)[1]
    start = int(first.timestamp()) * 1000
    return start, start + days * _DAY_MS


def shortest(windows: Sequence[Window]) -> str:
    """The name of the shortest window that tiles time; of sliding ones, where there are no others."""
    return min(windows, key=_size).name


def by_size(windows: Sequence[Window]) -> list[str]:
    """The names of windows, the shortest first, sliding ones behind those that tile time; of equal ones by name, so that the
    order of a configuration means nothing."""
    return [window.name for window in sorted(windows, key=lambda window: (_size(window), window.name))]


def _size(window: Window) -> tuple[bool, int]:
    start, end = next(spans_of(window, 0))
    return window.size_ms != window.slide_ms, end - start
