from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.flood import Breaker, FloodState

BREAKER = Breaker(ratio=0.2, min_records=1000)


def run(*batches: tuple[int, int]) -> list[bool]:
    state, flooding = FloodState(), []
    for records, bad in batches:
        state = BREAKER.step(state, records, bad)
        flooding.append(state.flooding)
    return flooding


def test_a_few_bad_records_among_few_are_no_flood() -> None:
    assert run((10, 10), (10, 10), (10, 10)) == [False, False, False]


def test_exactly_the_ratio_is_no_flood_and_one_more_is() -> None:
    assert run((1000, 200)) == [False]
    assert run((1000, 201)) == [True]


def test_a_stretch_is_condemned_as_soon_as_the_rest_of_it_cannot_save_it() -> None:
    #            200 of 1,000 are allowed; the 201st bad record starts the flood, 790 records early
    assert run((200, 200), (10, 1)) == [False, True]


def test_a_flood_ends_with_a_whole_better_stretch_and_not_before() -> None:
    assert run((1000, 900), (500, 0), (499, 0), (1, 0)) == [True, True, True, False]


def test_a_flood_that_goes_on_is_one_flood() -> None:
    assert run((1000, 900), (1000, 900), (500, 100), (500, 101)) == [True, True, True, True]


def test_bad_records_of_an_earlier_stretch_are_forgotten() -> None:
    assert run((1000, 150), (1000, 150), (1000, 150)) == [False, False, False]


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(0, 1000))
def test_good_records_alone_never_start_a_flood(sizes: list[int], before: int) -> None:
    state = FloodState(before, 0)
    for size in sizes:
        state = BREAKER.step(state, size, 0)
        assert not state.flooding


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_nothing_but_bad_records_is_a_flood_once_more_than_the_ratio_of_a_stretch_was_seen(sizes: list[int]) -> None:
    state, seen = FloodState(), 0
    for size in sizes:
        state, seen = BREAKER.step(state, size, size), seen + size
        assert state.flooding == (seen > 200)


@given(st.integers(0, 1000))
def test_a_ratio_of_one_never_floods(size: int) -> None:
    assert not Breaker(1.0, 10).step(FloodState(), size, size).flooding
