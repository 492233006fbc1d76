from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.times import (
    LAST_MS,
    UNREADABLE,
    all_within,
    ms_of_numbers,
    ms_of_seconds,
    ms_of_text,
    ms_of_texts,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1971, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001  # the strategy wants them naive
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def exact(moment: datetime) -> int:
    return round(Fraction((moment - EPOCH) // timedelta(microseconds=1), 1000))


@given(st.lists(st.floats(-1e16, 1e16) | st.floats(), max_size=30))
def test_milliseconds_are_rounded_exactly_and_ranged(numbers: Any) -> None:
    expected = [round(Fraction(x)) if 0 <= x <= LAST_MS else UNREADABLE for x in numbers]
    assert ms_of_numbers(np.array(numbers, np.float64)).tolist() == expected


near_halves = st.builds(lambda ms, jitter: (ms + 0.5 + jitter) / 1000, st.integers(0, LAST_MS), st.floats(-1e-3, 1e-3))


@given(st.lists(st.floats(-10, 3e11) | st.floats() | near_halves, max_size=30))
def test_seconds_are_rounded_exactly_and_ranged(numbers: Any) -> None:
    expected = []
    for x in numbers:
        ms = round(Fraction(x) * 1000) if 0 <= x < (LAST_MS + 1) / 1000 else UNREADABLE
        expected.append(ms if ms <= LAST_MS else UNREADABLE)
    assert ms_of_seconds(np.array(numbers, np.float64)).tolist() == expected


@given(moments, offsets, st.sampled_from("Tt "))
def test_a_text_means_what_datetime_says(moment: Any, offset: Any, separator: Any) -> None:
    aware = moment.replace(tzinfo=offset)
    text = aware.isoformat(separator)
    expected = exact(aware)
    assert ms_of_text(text) == expected
    assert ms_of_texts([text, text]).tolist() == [expected, expected]


@given(st.lists(st.tuples(moments, st.sampled_from(["Z", "z", "+00:00", "-05:30"]), st.integers(0, 9)), max_size=12))
def test_texts_read_together_are_the_texts_read_alone(parts: Any) -> None:
    texts = [
        moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        + (f".{moment.microsecond:06d}000"[: 1 + n] if n else "")
        + zone
        for moment, zone, n in parts
    ]
    assert ms_of_texts(texts).tolist() == [ms_of_text(text) for text in texts]


template = list("2024-02-29T23:59:59.999999+01:00")
mutations = st.lists(st.tuples(st.integers(0, len(template) - 1), st.sampled_from("0123456789-+:.TZz é٣")), max_size=3)


@given(st.lists(mutations, min_size=1, max_size=8))
def test_a_garbled_text_is_read_alone_as_together(rows: Any) -> None:
    texts = []
    for changes in rows:
        text = list(template)
        for position, character in changes:
            text[position] = character
        texts.append("".join(text))
    assert ms_of_texts(texts).tolist() == [ms_of_text(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-01",
        "2024-01-01T00:00:00",  # without an offset nobody knows what it means
        "2024-01-01T00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",  # a leap second
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00+0100",
        "2024-W01-1T00:00:00Z",
        "20240101T000000Z",
        "٢٠٢٤-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:30:00+01:00",
        "9999-12-31T23:59:59-00:01",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
    ],
)
def test_what_is_no_rfc_3339_time_within_range_is_unreadable(text: Any) -> None:
    assert ms_of_text(text) == UNREADABLE
    assert ms_of_texts([text, text]).tolist() == [UNREADABLE] * 2


@pytest.mark.parametrize(
    ("fraction", "ms"),
    [
        ("", 0),
        (".5", 500),
        (".0005", 0),
        (".0015", 2),
        (".00050000000000000001", 1),
        (".0004" + "9" * 60, 0),
        (".0005" + "0" * 60 + "1", 1),
        (".999499999999999", 999),
    ],
)
def test_a_fraction_is_rounded_half_to_even(fraction: Any, ms: Any) -> None:
    text = f"1970-01-01T00:00:00{fraction}Z"
    assert ms_of_text(text) == ms
    assert ms_of_texts([text]).tolist() == [ms]


def test_the_last_millisecond_of_9999_is_in_range_and_the_next_is_not() -> None:
    assert ms_of_text("9999-12-31T23:59:59.999Z") == LAST_MS
    assert ms_of_text("9999-12-31T23:59:59.9999Z") == UNREADABLE


@given(st.lists(st.floats(), max_size=8), st.sampled_from([1.0, float(LAST_MS)]))
def test_one_pass_over_the_bits_sees_what_two_comparisons_see(numbers: Any, last: Any) -> None:
    column = np.array(numbers, np.float64)
    said = all_within(column, last)
    assert not said or all(0 <= x <= last for x in numbers)
    assert said or not all(0 <= x <= last and str(x) != "-0.0" for x in numbers)
