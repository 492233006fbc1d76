"""The oracle itself, on timelines short enough to be checked by eye."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.clocks import RunningMaximum
from tests.oracle.join import (
    Label,
    Params,
    Prediction,
    Window,
    final_windows,
    outcomes,
    windows_at_tick,
)

PARAMS = Params(horizon_ms=100, lateness_ms=100, window=Window(size_ms=50), tick_ms=10, disorder_ms=5)


def prediction(at: int, id_: str = "a", predicted: float = 1.0, version: str = "1", **more: Any) -> Prediction:
    made: Prediction = {"id": id_, "model": "m", "version": version, "at": at, "score": 0.5, "prediction": predicted}
    made.update(more)  # type: ignore[typeddict-item]
    return made


def label(at: int, value: float | None = 1.0, id_: str = "a") -> Label:
    return {"id": id_, "at": at, "label": value}


def summary(predictions: list[Prediction], labels: list[Label], params: Params = PARAMS) -> dict[int, str]:
    """Per window start of `all`: seen/labelled and the cell of the pairs, as `2/1 tp1`."""
    windows = final_windows([predictions], [labels], params)
    return {w[3]: f"{c['seen']}/{c['labelled']} {_cells(c)}".strip() for w, c in windows.items() if w[2] == "all"}


def _cells(counts: dict[str, int]) -> str:
    return " ".join(f"{name}{counts[name]}" for name in ("tp", "fp", "fn", "tn") if counts[name])


def test_a_pair_counts_in_the_window_of_the_prediction() -> None:
    assert summary([prediction(49)], [label(120)]) == {0: "1/1 tp1"}


def test_both_ends_of_the_validity_of_a_pair_are_included() -> None:
    params = replace(PARAMS, skew_ms=3)
    assert summary([prediction(10)], [label(110)], params) == {0: "1/1 tp1"}
    assert summary([prediction(10)], [label(111)], params) == {0: "1/0"}
    assert summary([prediction(10)], [label(7)], params) == {0: "1/1 tp1"}
    assert summary([prediction(10)], [label(6)], params) == {0: "1/0"}


def test_the_newest_label_wins_and_at_one_time_the_larger_value() -> None:
    assert summary([prediction(10)], [label(30, 0.0), label(20, 1.0)]) == {0: "1/1 fp1"}
    assert summary([prediction(10)], [label(30, 1.0), label(30, 0.0)]) == {0: "1/1 tp1"}
    assert summary([prediction(10)], [label(30, 0.0), label(30, None)]) == {0: "1/1 fp1"}


def test_a_withdrawn_label_leaves_no_label_behind() -> None:
    assert summary([prediction(10)], [label(20), label(30, None)]) == {0: "1/0"}
    assert summary([prediction(10)], [label(20, None), label(30)]) == {0: "1/1 tp1"}


def test_a_withdrawal_beyond_the_horizon_takes_nothing_back() -> None:
    assert summary([prediction(10)], [label(20), label(111, None)]) == {0: "1/1 tp1"}


def test_the_earliest_prediction_of_a_key_is_the_one_that_counts() -> None:
    assert summary([prediction(60, predicted=0.0), prediction(40)], [label(100)]) == {0: "1/1 tp1"}


def test_a_withdrawn_prediction_is_in_no_window_whatever_comes_later() -> None:
    assert summary([prediction(10), prediction(12, withdrawn=True), prediction(14)], [label(20)]) == {}


def test_a_key_that_comes_again_after_its_log_forgot_it_is_another_prediction() -> None:
    #  finality clock before the last one: 101 and 102
    assert summary([prediction(102), prediction(202, "b"), prediction(199)], []) == {100: "1/0", 200: "1/0"}
    assert summary([prediction(101), prediction(202, "b"), prediction(199)], []) == {
        100: "1/0",
        150: "1/0",
        200: "1/0",
    }


def test_the_label_outcomes_of_a_withdrawn_prediction_do_not_depend_on_who_was_first() -> None:
    for order in ([0, 1], [1, 0]):
        log = [[prediction(10), prediction(11, withdrawn=True)][i] for i in order]
        of_predictions, of_labels = outcomes([log], [[label(20)]], PARAMS)
        assert (+of_predictions, +of_labels) == ({"withdrawn": 2}, {"applied": 1})


def test_one_label_reaches_every_version() -> None:
    windows = final_windows([[prediction(10), prediction(10, predicted=0.0, version="2")]], [[label(20)]], PARAMS)
    assert [windows["m", v, "all", 0]["labelled"] for v in ("1", "2")] == [1, 1]
    assert windows["m", "2", "all", 0]["fn"] == 1


def test_a_record_older_than_the_finality_clock_of_its_own_log_is_late() -> None:
    #  at        10   200   100   99
    #  maximum   10   200   200  200
    #  late                        ^
    log = [prediction(at, id_=str(at)) for at in (10, 200, 100, 99)]
    assert outcomes([log], [[]], PARAMS)[0] == {"expired": 3, "late": 1}


def test_lateness_looks_at_one_partition_only() -> None:
    assert outcomes([[prediction(900, "b")], [prediction(1, "a")]], [[]], PARAMS)[0] == {"expired": 2}


def maxima(*records: tuple[int, str]) -> list[int | None]:
    """The running maximum after each (at, id), with jumps of 50 that three ids must confirm."""
    maximum = RunningMaximum(max_jump_ms=50, jump_ids=3)
    after = []
    for at, id_ in records:
        maximum.move(at, id_)
        after.append(maximum.value)
    return after


def test_a_lone_jump_moves_no_clock_but_counts() -> None:
    start = [(0, "x"), (1, "y"), (2, "z")]
    assert maxima(*start, (900, "b"), (10, "c"), (900, "b"), (910, "d"), (20, "e"), (905, "f"), (930, "g"))[2:] == [
        *(2, 2, 10, 10, 10, 20),
        910,  # the third id: the smallest of the three, and on to those within a jump of it
        930,
    ]
    params = replace(PARAMS, max_jump_ms=50)
    log = [prediction(at, i) for at, i in [*start, (900, "b"), (1, "c")]]
    assert outcomes([log], [[]], params)[0] == {"expired": 5}


def test_one_absurd_first_record_does_not_make_the_rest_late() -> None:
    assert maxima((9999, "x"), (1, "a"), (2, "b"), (3, "c"), (9999, "y"), (9999, "z")) == [
        *(None, None, 2, 3, 3),
        9999,  # three ids agree now
    ]


def test_a_record_beyond_the_time_of_the_broker_is_rejected_and_moves_no_clock() -> None:
    log = [prediction(500, "a", broker=400), prediction(10, "b", broker=400)]
    assert outcomes([log], [[]], PARAMS)[0] == {"rejected": 1, "expired": 1}


def test_sliding_windows_hold_a_time_as_often_as_they_overlap() -> None:
    window = Window(size_ms=60, slide_ms=20)
    assert window.starts(59) == [0, 20, 40]
    assert window.starts(60) == [20, 40, 60]
    assert Window(size_ms=60).starts(60) == [60]


def test_calendar_windows_start_at_the_first_of_the_month_in_utc() -> None:
    assert Window(calendar="month").starts(1_362_096_000_000 - 1) == [1_359_676_800_000]  # 28 February 2013
    assert Window(calendar="month").starts(1_362_096_000_000) == [1_362_096_000_000]
    assert Window(calendar="day").starts(1_362_096_000_000 - 1) == [1_362_009_600_000]


def test_a_prediction_counts_in_all_and_once_per_dimension() -> None:
    params = replace(PARAMS, segments={"origin": ["EWR"], "carrier": ["UA"]})
    windows = final_windows([[prediction(1, segments={"origin": "EWR", "carrier": "XX"})]], [[]], params)
    assert {w[2] for w in windows} == {"all", "origin=EWR", "carrier=other"}


def test_absent_labels_are_settled_at_the_end_and_revised_by_a_label() -> None:
    params = replace(PARAMS, absent_value=0.0, absent_after_ms=40)
    assert summary([prediction(10)], [], params) == {0: "1/1 fp1"}
    assert summary([prediction(10)], [label(90)], params) == {0: "1/1 tp1"}
    assert summary([prediction(10)], [label(20), label(90, None)], params) == {0: "1/0"}
    # certain from 10 + 40 + lateness 100 on: tick 14 ends at 150, tick 15 at 160
    ticks = [windows_at_tick([[prediction(10)]], [[]], params, t) for t in (14, 15)]
    labelled = [sum(c["labelled"] for c in windows.values()) for windows in ticks]
    assert labelled == [0, 1]


def test_a_window_at_a_tick_holds_what_is_known_by_its_end() -> None:
    predictions = [prediction(10, "a"), prediction(40, "b"), prediction(12, "c")]  # c is known at 40 - 5
    labels = [label(25, 0.0, "a"), label(60, 1.0, "a")]
    at = {k: windows_at_tick([predictions], [labels], PARAMS, k).get(("m", "1", "all", 0)) for k in (0, 1, 2, 3, 4, 6)}
    assert [None if c is None else (c["seen"], c["tp"], c["fp"]) for c in at.values()] == [
        None,
        (1, 0, 0),
        (1, 0, 1),
        (2, 0, 1),
        (3, 0, 1),
        (3, 1, 0),
    ]


def test_every_label_record_has_one_outcome() -> None:
    predictions = [prediction(10), prediction(500, "z")]
    labels = [label(20, 0.0), label(20, 0.0), label(30), label(40, 1.0, "nobody"), label(140), label(550, None, "z")]
    assert outcomes([predictions], [labels], PARAMS)[1] == {
        "duplicate": 1,
        "superseded": 1,
        "applied": 1,
        "orphaned": 1,
        "outside": 1,
        "withdrawal": 1,
    }


records = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from("abcd"), st.sampled_from([0.0, 1.0]), st.sampled_from("12")),
    max_size=25,
)


@given(records, records, st.integers(0, 200), st.randoms(use_true_random=False))
def test_every_record_is_in_exactly_one_outcome_and_seen_is_what_stands(
    p: list[tuple[int, str, float, str]], q: list[tuple[int, str, float, str]], lateness: int, rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=lateness)
    predictions = [prediction(at, i, y, version=v, withdrawn=rng.random() < 0.2) for at, i, y, v in p]
    labels = [label(at, None if rng.random() < 0.2 else y, i) for at, i, y, _ in q]
    of_predictions, of_labels = outcomes([predictions], [labels], params)
    assert of_predictions.total() == len(predictions)
    assert of_labels.total() == len(labels)
    assert min([*of_predictions.values(), *of_labels.values(), 0]) == 0
    windows = final_windows([predictions], [labels], params)
    assert sum(c["seen"] for c in windows.values()) == of_predictions["matched"] + of_predictions["expired"]
    assert sum(c["labelled"] for c in windows.values()) == of_predictions["matched"]


@given(records, records, st.randoms(use_true_random=False))
def test_no_order_within_the_lateness_changes_a_window_and_the_last_tick_is_the_end(
    p: list[tuple[int, str, float, str]], q: list[tuple[int, str, float, str]], rng: random.Random
) -> None:
    params = replace(PARAMS, lateness_ms=300)
    predictions = [prediction(at, i, y, version=v) for at, i, y, v in p]
    labels = [label(at, None if rng.random() < 0.2 else y, i) for at, i, y, _ in q]
    expected = final_windows([predictions], [labels], params)
    assert windows_at_tick([predictions], [labels], params, 30) == expected
    rng.shuffle(predictions)
    rng.shuffle(labels)
    assert final_windows([predictions], [labels], params) == expected
