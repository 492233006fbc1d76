"""Durations and sizes: what people write, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.durations import (
    LARGEST_BYTES,
    LONGEST_MS,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0s", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("15m", 900_000),
        ("36h", 129_600_000),
        ("7d", 604_800_000),
        ("1h30m", 5_400_000),
        ("1d1h1m1s1ms", 90_061_001),
    ],
)
def test_a_duration_is_its_milliseconds(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@given(st.integers(0, LONGEST_MS))
def test_a_formatted_duration_reads_back(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@given(st.integers(1, LARGEST_BYTES))
def test_a_formatted_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0s"), (129_600_000, "36h"), (172_800_000, "2d"), (302_400_000, "3d12h"), (90_000, "1m30s")]
)
def test_the_canonical_text_is_one_that_people_use(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@pytest.mark.parametrize(
    "text", ["", "d", "1", "-5m", "5M", "1.5h", "30m1h", "1h 30m", "5m5m", " 5m", "5m\n", "٣m", "1w"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; allowed: a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("15", "did you mean '15s' or '15ms'?"),
        ("5 min", "did you mean '5m'?"),
        ("2 weeks", "did you mean '14d'?"),
        ("2w", "did you mean '14d'?"),
        ("2.5s", "did you mean '2s500ms'?"),
        ("1.5h", "did you mean '1h30m'?"),
        ("10 seconds", "did you mean '10s'?"),
        ("200millis", "did you mean '200ms'?"),
        ("1H30M", "did you mean '1h30m'?"),
        ("1h 30m", "did you mean '1h30m'?"),
    ],
)
def test_the_usual_slips_get_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean") as caught:
        parse_duration(text)
    assert hint in str(caught.value)


def test_a_duration_beyond_ten_years_says_the_limit() -> None:
    with pytest.raises(ValueError, match=r"'4000d' is longer than the longest duration allowed, 3660d"):
        parse_duration("4000d")


@pytest.mark.parametrize(("text", "size"), [("1B", 1), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)])
def test_a_size_is_its_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "hint"), [("64KB", "'64KiB'"), ("1 MB", "'1MiB'"), ("2g", "'2GiB'")])
def test_decimal_units_of_size_are_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="is not a size") as caught:
        parse_size(text)
    assert f"did you mean {hint}?" in str(caught.value)
