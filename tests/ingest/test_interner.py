from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import INVALID, MISSING
from monitor.ingest.interner import UNKNOWN, Interner, canonical_text, is_category, is_name
from monitor.ingest.values import Misfit


def test_codes_follow_the_order_of_first_sight() -> None:
    interner = Interner(["b"])
    assert interner.codes(["a", "b", None, "a", "c"]).tolist() == [1, 0, MISSING, 1, 2]
    assert interner.values == ["b", "a", "c"]


def test_true_one_and_one_point_zero_are_not_mistaken_for_each_other() -> None:
    interner = Interner()
    codes = interner.codes([1, True, 1.0, "1", "true", 0, False])
    assert [interner.values[code] for code in codes] == ["1", "true", "1", "1", "true", "0", "false"]


def test_a_column_that_begins_with_one_and_ends_with_true_holds_two_categories() -> None:
    interner = Interner()
    interner.codes([1, 1])
    assert [interner.values[code] for code in interner.codes([1, True])] == ["1", "true"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (3, "3"),
        (-3, "-3"),
        (3.0, "3"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (True, "true"),
        (False, "false"),
        (1 << 64, None),
        (math.nan, None),
        (math.inf, None),
        (Misfit("an object"), None),
    ],
)
def test_a_scalar_has_one_text(value: Any, text: Any) -> None:
    assert canonical_text(value) == text


def test_beyond_its_limit_every_text_is_the_same_overflow() -> None:
    interner = Interner(["known"], limit=3, overflow="…overflow")
    codes = interner.codes(["a", "b", "c", "d", "known", "a", "c"])
    assert [interner.values[code] for code in codes] == ["a", "b", *["…overflow"] * 2, "known", "a", "…overflow"]
    assert len(interner) == 4


def test_a_closed_interner_says_unknown_and_grows_no_more() -> None:
    interner = Interner(["a"], limit=0)
    assert interner.codes(["b", "a", "c", 7]).tolist() == [UNKNOWN, 0, UNKNOWN, UNKNOWN]
    assert interner.values == ["a"]


def test_what_is_not_admitted_is_invalid_each_time_it_comes() -> None:
    interner = Interner(admits=is_category)
    for _ in range(2):
        assert interner.codes(["x" * 129, "\ud800", "x" * 128]).tolist() == [INVALID, INVALID, 0]


@pytest.mark.parametrize("text", ["", "x" * 201, "a\nb", "\x7f", "\x9f", "\ud800", "a\x1fb"])
def test_a_name_is_short_and_has_no_control_characters(text: Any) -> None:
    assert not is_name(text)
    assert is_name("Grüße, v2 (b)")


scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.sampled_from(["1", "a", "true"]))


@given(st.lists(st.lists(scalars, max_size=6), max_size=6))
def test_how_a_column_is_cut_cannot_be_seen_in_what_it_means(columns: Any) -> None:
    cut, whole = Interner(), Interner()
    parts = [code for column in columns for code in cut.codes(column).tolist()]
    together = whole.codes([value for column in columns for value in column]).tolist()
    assert [cut.values[code] if code >= 0 else code for code in parts] == [
        whole.values[code] if code >= 0 else code for code in together
    ]
