"""Windows and the panes under them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Window, loads, pane_ms
from monitor.config.panes import grid_ms
from tests.config.examples import MINIMAL, only_problem, problems, with_lines

HOUR = 3_600_000


def panes(windows: str) -> int:
    return pane_ms(loads(with_lines(MINIMAL, f"windows: {windows}")))


@pytest.mark.parametrize(
    ("windows", "pane"),
    [
        ("[1d]", 24 * HOUR),
        ("[1h, 1d]", HOUR),
        ("[{size: 24h, slide: 1h}]", HOUR),
        ("[36h]", 36 * HOUR),
        ("[36h, day]", 12 * HOUR),
        ("[month]", 24 * HOUR),
        ("[90m, 1h]", HOUR // 2),
    ],
)
def test_a_pane_is_the_longest_span_that_tiles_every_window(windows: str, pane: int) -> None:
    assert panes(windows) == pane


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=6), st.booleans())
def test_every_window_is_a_whole_number_of_panes(spans: list[tuple[int, int]], calendar: bool) -> None:
    windows = [Window.parse(f"{slide * times}m/{slide}m") for slide, times in spans]
    windows += [Window.parse("month")] if calendar else []
    pane = grid_ms(windows)
    assert pane > 0
    for window in windows:
        for span in (window.size_ms, window.slide_ms, 24 * HOUR if window.calendar else None):
            assert span is None or span % pane == 0


def test_the_name_of_a_window_is_as_it_was_written() -> None:
    config = loads(with_lines(MINIMAL, "windows: [24h, {size: 24h, slide: 60m}, {size: 2d}, day]"))
    assert [window.name for window in config.windows] == ["24h", "24h/60m", "2d", "day"]


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        (
            "[{size: 10h, slide: 3h}]",
            ("c.yaml:7:11: windows[0]: slide (3h) must divide the window's size (10h) without a rest; 1h is left over"),
        ),
        (
            "[{size: 1h, slide: 2h}]",
            "windows[0]: slide (2h) is longer than the window's size (1h); allowed: at most the size",
        ),
        (
            "[{slide: 2h}]",
            "windows[0]: a window needs its size, and a slide if it slides; allowed: a duration such as 1d",
        ),
        ("[{size: 1h, step: 2h}]", "windows[0]: 'step' is not a key of a window"),
        (
            "[weekly]",
            (
                "'weekly' is not a window; allowed: a duration such as 1d, {size: 24h, slide: 1h}, day or month; "
                "did you mean '7d'?"
            ),
        ),
        ("[0s]", "windows[0]: '0s' has a size or slide of no time at all"),
        ("[7]", "windows[0]: 7 is not a window"),
        ("[1d, 1d]", "c.yaml:7:15: windows[1]: '1d' is listed twice"),
        ("[1d, 24h]", "windows[1]: '24h' is the same window as '1d'; keep one of them"),
    ],
)
def test_a_window_that_cannot_be_says_why(windows: str, sentence: str) -> None:
    assert sentence in only_problem(with_lines(MINIMAL, f"windows: {windows}"))


def test_a_window_that_is_not_made_of_ticks_says_both_numbers() -> None:
    assert only_problem(with_lines(MINIMAL, "windows: [1d, 90s]")) == (
        "c.yaml:7:15: windows[1]: the window '90s' (1m30s) is not a whole number of ticks "
        "(time.tick is 1m, which leaves 30s over)"
    )
    assert "the slide of '2m/30s' (30s) is not" in only_problem(
        with_lines(MINIMAL, "windows: [{size: 2m, slide: 30s}]")
    )


def test_a_tick_that_fits_no_window_is_the_one_to_change() -> None:
    assert problems(with_lines(MINIMAL, "windows: [1d, 1h, month]", "time: {tick: 7m}")) == [
        (
            "c.yaml:8:14: time.tick: 7m does not divide the windows '1d', '1h', 'month' without a rest; "
            "take a tick that divides all of them"
        )
    ]
