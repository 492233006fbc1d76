"""Panes: the grid of event time that every configured window is a whole number of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor.config.durations import UNITS_MS, format_duration
from monitor.config.windows import Window

if TYPE_CHECKING:
    from monitor.config.types import Config

DAY_MS = UNITS_MS["d"]


def grid_ms(windows: Sequence[Window]) -> int:
    """Greatest common divisor of every size and slide, and of one day if there are calendar windows. 0 for none."""
    spans = [span for w in windows for span in (w.size_ms, w.slide_ms) if span is not None]
    return math.gcd(*spans, *(DAY_MS for w in windows if w.calendar is not None))


def pane_ms(config: Config) -> int:
    """Length of a pane in ms. Always a multiple of the tick: a Config that breaks this cannot be made."""
    return grid_ms(config.windows)


def off_grid(windows: Sequence[Window], tick_ms: int) -> list[tuple[int, str]]:
    """(index, sentence) of each window that is not made of whole ticks."""
    found = []
    for index, window in enumerate(windows):
        if rest := grid_ms([window]) % tick_ms:
            what = "slide of" if window.slide_ms != window.size_ms else "window"
            span = format_duration(grid_ms([window]))
            sentence = (
                f"the {what} {window.name!r} ({span}) is not a whole number of ticks "
                f"(time.tick is {format_duration(tick_ms)}, which leaves {format_duration(rest)} over)"
            )
            found.append((index, sentence))
    return found
