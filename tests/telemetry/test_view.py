from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.telemetry import TaskState
from monitor.view import Check, Durations, Health, Newest, decode, encode, readiness
from monitor.windows.view import SeriesKey
from tests.telemetry.samples import DAY_MS, START_MS, input_window, partition, performance_window, sample_view

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


def test_newest_keeps_one_window_per_series_name_and_kind() -> None:
    newest = Newest()
    later = performance_window(ALL, start_ms=START_MS + DAY_MS, revision=1)
    newest.add([performance_window(ALL, revision=7), later, input_window(ALL), performance_window(ALL, "1h")])
    assert newest.views() == (input_window(ALL), later, performance_window(ALL, "1h"))


def test_a_revision_of_an_older_window_does_not_displace_the_newest() -> None:
    newest = Newest()
    later = performance_window(ALL, start_ms=START_MS + DAY_MS, revision=1)
    newest.add([later])
    newest.add([performance_window(ALL, revision=99)])
    assert newest.views() == (later,)
    revised = replace(later, revision=2, labelled=1_205)
    newest.add([revised])
    assert newest.views() == (revised,)


def test_versions_that_no_longer_serve_are_forgotten() -> None:
    newest = Newest()
    gone, serving = SeriesKey("m", "v1", "all"), SeriesKey("m", "v2", "all")
    newest.add([performance_window(gone), performance_window(serving, start_ms=START_MS + DAY_MS)])
    newest.forget_before(START_MS + DAY_MS + 1)
    assert [view.key.series for view in newest.views()] == [serving]


def failing(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def test_owning_no_partition_is_ready() -> None:
    assert failing(readiness(sample_view(partitions=0))) == []


def test_a_stalled_partition_is_ready_a_rebuilding_one_is_not() -> None:
    view = sample_view()
    assert failing(readiness(replace(view, partitions=(partition(0, TaskState.STALLED),)))) == []
    rebuilding = readiness(replace(view, partitions=(partition(0), partition(3, TaskState.REBUILDING))))
    assert failing(rebuilding) == ["partitions"]
    assert "rebuilding [3]" in rebuilding[2].detail


def test_before_the_group_answers_and_after_a_fatal_error_the_process_is_not_ready() -> None:
    assert failing(readiness(replace(sample_view(), health=Health()))) == ["group"]
    assert failing(readiness(replace(sample_view(), health=Health(True, {}, "fenced")))) == ["client"]


def test_a_duration_equal_to_a_bound_is_within_it() -> None:
    #  bounds      1 ms  2 ms ...
    histogram = Durations().observe(1_000).observe(1_001).observe(99_000_000)
    assert histogram.cumulative()[:2] == (1, 2)
    assert histogram.cumulative()[-1] == 3
    assert histogram.total_us == 99_002_001
