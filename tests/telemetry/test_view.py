from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from monitor.newest import Newest
from monitor.readiness import STUCK_AFTER_MS, Check, readiness, standing, stuck
from monitor.telemetry import Configuration, TaskState
from monitor.view import Durations, Headroom, Health, PartitionStatus, decode, encode
from monitor.windows.view import SeriesKey, WindowView
from tests.telemetry.samples import DAY_MS, START_MS, input_window, partition, performance_window, sample_view

HOUR_MS = 3_600_000
ALL = SeriesKey("m", "v1", "all")


def test_a_view_survives_its_json_form() -> None:
    view = sample_view(models=2, versions=2, segments=3)
    assert decode(encode(view)) == view


def test_what_is_no_status_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="not a status of Driftline"):
        decode(b"<html>")
    with pytest.raises(ValueError, match="not a status of Driftline"):
        decode(b"\xff\xfe")
    with pytest.raises(ValueError, match="use the same release"):
        decode(encode(replace(sample_view(), schema="driftline.status/v9")))


def spanning(start_h: int, end_h: int, tick_h: int, revision: int = 1, series: SeriesKey = ALL) -> WindowView:
    view = performance_window(series, "w", revision=revision)
    key = structs.replace(view.key, start_ms=START_MS + start_h * HOUR_MS, end_ms=START_MS + end_h * HOUR_MS)
    return replace(view, key=key, tick_ms=START_MS + tick_h * HOUR_MS)


def test_newest_keeps_one_window_per_series_name_and_kind() -> None:
    newest = Newest()
    newest.add([performance_window(ALL), input_window(ALL), performance_window(ALL, "1h")])
    assert newest.views() == (input_window(ALL), performance_window(ALL), performance_window(ALL, "1h"))


def test_of_tumbling_windows_the_current_one_is_shown_and_a_late_revision_does_not_displace_it() -> None:
    newest = Newest()
    newest.add([spanning(0, 24, tick_h=23), today := spanning(24, 48, tick_h=30)])
    newest.add([spanning(0, 24, tick_h=31, revision=99)])
    assert newest.views() == (today,)
    newest.add([revised := spanning(24, 48, tick_h=31, revision=2), today])
    assert newest.views() == (revised,)


def test_of_sliding_windows_the_one_that_ends_next_is_shown() -> None:
    #  tick            27
    #  windows   3 ... 27| 4 ... 28  5 ... 29 ... 26 ... 50
    #  shown               ^
    newest = Newest()
    newest.add([spanning(start, start + 24, tick_h=27) for start in range(27, 2, -1)])
    assert newest.views() == (spanning(4, 28, tick_h=27),)


def test_where_no_window_is_open_the_last_one_is_shown() -> None:
    newest = Newest()
    stopped, serving = SeriesKey("m", "v1", "all"), SeriesKey("m", "v2", "all")
    newest.add([spanning(0, 24, 3, series=stopped), spanning(1, 25, 3, series=stopped)])
    newest.add([current := spanning(48, 72, 50, series=serving)])
    assert newest.views() == (spanning(1, 25, 3, series=stopped), current)


@given(st.permutations(range(30)), st.lists(st.integers(0, 30)))
def test_what_is_shown_does_not_depend_on_the_order_or_the_batches(order: list[int], cuts: list[int]) -> None:
    views = [spanning(i % 10, i % 10 + 8, tick_h=5 + i // 10, revision=1 + i // 10) for i in range(30)]
    whole, cut = Newest(), Newest()
    whole.add(views)
    edges = [0, *sorted(cuts), 30]
    for begin, end in itertools.pairwise(edges):
        cut.add([views[i] for i in order[begin:end]])
    assert cut.views() == whole.views()


def failing(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def test_owning_no_partition_is_ready() -> None:
    assert failing(readiness(sample_view(partitions=0))) == []


def test_a_full_partition_is_ready_a_rebuilding_one_is_not() -> None:
    view = sample_view()
    assert failing(readiness(replace(view, partitions=(partition(0, TaskState.FULL),)))) == []
    rebuilding = readiness(replace(view, partitions=(partition(0), partition(3, TaskState.REBUILDING))))
    assert failing(rebuilding) == ["partitions"]
    assert "rebuilding [3]" in rebuilding[3].detail


def test_before_the_group_answers_and_after_a_fatal_error_the_process_is_not_ready() -> None:
    assert failing(readiness(replace(sample_view(), health=Health()))) == ["group"]
    assert failing(readiness(replace(sample_view(), health=Health(True, {}, "fenced")))) == ["client"]


def test_who_owns_nothing_because_the_log_is_gone_is_not_ready() -> None:
    gone = readiness(replace(sample_view(partitions=0), health=Health(True, unanswered="no broker answers")))
    assert failing(gone) == ["log"]
    assert "no broker answers" in [check.detail for check in gone]


def test_a_partition_that_has_more_to_read_and_does_not_is_told_and_takes_readiness_away() -> None:
    #  minutes   0    5      5+    then a record is read
    behind = replace(partition(3), labels=None, predictions=replace(partition(3).predictions, position=40, end=90))
    found = standing({}, [behind], 0, answers=True)
    assert stuck(found, STUCK_AFTER_MS) == ()
    found = standing(found, [behind], STUCK_AFTER_MS + 1_000, answers=True)
    said = "predictions of partition 3 stand at offset 40 for 301 s with more to read"
    assert stuck(found, STUCK_AFTER_MS + 1_000) == (said,)
    checks = readiness(replace(sample_view(), health=Health(True, stuck=(said,))))
    assert failing(checks) == ["progress"]
    assert said in [check.detail for check in checks]
    read = replace(behind, predictions=replace(behind.predictions, position=41))
    assert stuck(standing(found, [read], STUCK_AFTER_MS + 2_000, answers=True), STUCK_AFTER_MS + 2_000) == ()


@pytest.mark.parametrize(
    ("excuse", "answers"),
    [
        (lambda p: p, False),
        (lambda p: replace(p, state=TaskState.FULL), True),
        (lambda p: replace(p, predictions=replace(p.predictions, end=40)), True),
        (lambda p: replace(p, predictions=replace(p.predictions, end=None)), True),
    ],
    ids=["the log does not answer", "it is full", "it is at the end", "the end is not known"],
)
def test_standing_still_has_excuses(excuse: Callable[[PartitionStatus], PartitionStatus], answers: bool) -> None:
    behind = replace(partition(3), labels=None, predictions=replace(partition(3).predictions, position=40, end=90))
    found = standing({}, [behind], 0, answers=True)
    later = STUCK_AFTER_MS * 2
    assert stuck(standing(found, [excuse(behind)], later, answers=answers), later) == ()
    assert len(stuck(standing(found, [behind], later, answers=True), later)) == 1


def test_a_configuration_that_is_not_used_is_told_and_keeps_nobody_from_being_ready() -> None:
    told = Configuration(
        7, {"refused": 1}, ("http.port (1 -> 2) is bound at the start", "x"), generation=3, behind=True
    )
    checks = readiness(replace(sample_view(), configuration=told))
    assert failing(checks) == []
    (detail,) = (check.detail for check in checks if check.name == "config")
    assert detail == (
        "in use: sha256:0a1b2c3d4e5f; older than generation 3, whose rules hold; what the files say now is not used: "
        "http.port (1 -> 2) is bound at the start; x"
    )
    assert readiness(sample_view())[0].detail == "in use: sha256:0a1b2c3d4e5f"


def test_a_duration_equal_to_a_bound_is_within_it() -> None:
    #  bounds      1 ms  2 ms ...
    histogram = Durations().observe(1_000).observe(1_001).observe(99_000_000)
    assert histogram.cumulative()[:2] == (1, 2)
    assert histogram.cumulative()[-1] == 3
    assert histogram.total_us == 99_002_001


def test_headroom_is_what_retention_leaves_of_the_oldest_record_that_is_needed() -> None:
    #  log        [300 ........... 500 ........... 900)   kept 7 days; at 500 event time is a day old
    kept, now = 7 * DAY_MS, START_MS
    assert Headroom.of(500, now - DAY_MS, 300, 900, kept, now) == Headroom(200, 6 * DAY_MS, kept)
    assert Headroom.of(500, now - 8 * DAY_MS, 500, 900, kept, now) == Headroom(0, -DAY_MS, kept)
    assert Headroom.of(900, now - 8 * DAY_MS, 900, 900, kept, now) == Headroom(0, None, kept), "no record is needed"
    assert Headroom.of(500, now - DAY_MS, 300, 900, None, now) == Headroom(200, None), "nothing expires by time"
    assert Headroom.of(500, None, 300, 900, kept, now) == Headroom(200, None, kept), "no time is known yet"
