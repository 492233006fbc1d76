from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.console import Console

from monitor.cli.render import status_table, windows_table
from monitor.view import ActiveAlert, Evaluator, Health, Rebuild
from monitor.windows.view import SeriesKey
from tests.telemetry.samples import input_window, performance_window, sample_view

ALL = SeriesKey("arrival-delay", "v1", "all")


def drawn(renderable: Any, width: int = 80, *, color: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=color, color_system="truecolor" if color else None).print(renderable)
    return out.getvalue()


def longest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def test_a_metric_stands_with_its_interval_and_its_coverage() -> None:
    text = drawn(windows_table([performance_window(ALL)]))
    assert "0.643 [0.637, 0.649]" in text
    assert "arrival-delay v1" in text
    assert "1d 2013-01-05, 98 % labelled" in text


def test_a_window_that_waits_says_what_is_expected_and_until_when_all_is_settled() -> None:
    text = drawn(status_table(sample_view()), 100)
    assert "98 % labelled" in text
    assert "99 % expected by now" in text
    assert "settled to 2013-01-04 15:00" in text


def test_an_undefined_metric_says_why() -> None:
    assert "(zero denominator)" in drawn(windows_table([performance_window(ALL)], ["precision"]))


def test_a_wider_terminal_shows_more_metrics_and_what_is_left_out_is_named() -> None:
    narrow, wide = (drawn(windows_table([performance_window(ALL)]), width) for width in (80, 140))
    assert "6 more: recall, roc_auc, f1, specificity, log_loss, brier" in narrow
    assert "3 more: specificity, log_loss, brier" in wide


def test_the_metrics_asked_for_are_shown_in_their_order() -> None:
    text = drawn(windows_table([performance_window(ALL)], ["brier", "f1"]))
    assert text.index("brier") < text.index("f1")
    assert "accuracy" not in text
    assert "more:" not in text


def test_windows_of_inputs_say_how_many_predictions_and_the_largest_distance_first() -> None:
    window = input_window(ALL)
    metrics = {**window.metrics, "psi:hour": structs.replace(window.metrics["psi:hour"], value=0.9)}
    text = drawn(windows_table([replace(window, metrics=metrics)]))
    assert "1d 2013-01-05, 1,228 seen" in text
    assert text.index("psi:hour") < text.index("psi:$score")


@pytest.mark.parametrize("width", [80, 140])
def test_nothing_is_wider_than_the_terminal_and_no_number_is_broken(width: int) -> None:
    view = sample_view(models=2, versions=2, windows=("1d", "24h/1h"))
    text = drawn(status_table(view), width)
    assert longest(text) <= width
    for whole in ("0.643 [0.637, 0.649]", "recall 0.213 < 0.400, 430 rows", "since 2013-01-05 00:00", "98 % labelled"):
        assert whole in text


def test_the_status_says_who_when_and_whether_it_is_well() -> None:
    text = drawn(status_table(sample_view()))
    assert "Driftline 0.1.0, namespace flights, at 2013-01-06 00:00 UTC" in text
    assert "evaluator, numbers as of 2013-01-06 00:00 (event time)" in text
    assert "ready, 1 firing" in text
    assert "join: 2,888 of at most 20,000,000 rows" in text
    assert "new owners would read 40,200 records again, about 0.5 s" in text
    assert "is rebuilt" not in text


def test_a_rebuild_is_shown_with_its_progress() -> None:
    text = drawn(status_table(replace(sample_view(), rebuild=Rebuild(7, 120_000, 1_000_000, 8_800))))
    assert "partition 7 is rebuilt: 120,000 of 1,000,000 records, about 8.8 s left" in text
    assert "NOT READY" in text


def test_lag_that_is_not_known_is_not_zero() -> None:
    text = drawn(status_table(sample_view(partitions=2)))
    cells = [line.split()[:3] for line in text.splitlines() if line.strip().startswith("labels")]
    assert cells == [["labels", "0", "2"], ["labels", "unknown", "2"]]


def test_a_process_that_stands_by_with_nothing_says_so_in_words() -> None:
    view = replace(sample_view(partitions=0), windows=(), alerts=(), evaluator=Evaluator())
    text = drawn(status_table(view))
    assert "stands by, nothing evaluated yet" in text
    assert "Alerts: none" in text
    assert "Models: another process evaluates; ask its address" in text
    assert "Partitions: none owned; others may have them all" in text


def test_what_is_wrong_is_said_aloud() -> None:
    view = sample_view()
    (first, *rest) = view.partitions
    lost = replace(first, conservation=replace(first.conservation, labels_accounted=first.conservation.labels_read - 2))
    view = replace(view, health=Health(), partitions=(lost, *rest))
    text = " ".join(drawn(status_table(view)).split())
    assert "NOT READY (group: the group does not count this process)" in text
    assert f"RECORDS LOST OR COUNTED TWICE: {lost.conservation.sentence()}" in text


def test_a_label_feed_that_stalled_is_marked_in_its_partition() -> None:
    view = sample_view(partitions=2)
    first, second = view.partitions
    assert first.labels is not None
    stalled = replace(first, labels=replace(first.labels, stalled=True))
    rows = drawn(status_table(replace(view, partitions=(stalled, second)))).splitlines()
    assert [line.split()[0] for line in rows if line.rstrip().endswith("STALLED")] == ["labels"]


def test_an_operational_alert_is_shown_with_its_scope() -> None:
    alert = ActiveAlert(
        "label-feed-stalled", SeriesKey("", "", "labels"), "", "firing", "page", 0, "", "", 0.0, None, 0
    )
    text = drawn(status_table(replace(sample_view(), alerts=(alert,))))
    assert "label-feed-stalled" in text
    assert "labels" in text.partition("label-feed-stalled")[2]
    assert "since 1970-01-01 00:00" in text


def test_everything_is_said_without_colour() -> None:
    plain, coloured = drawn(status_table(sample_view())), drawn(status_table(sample_view()), color=True)
    assert "\x1b" not in plain
    for word in ("FIRING", "pending", "idle", "live"):
        assert word in plain
        assert word in coloured


@given(st.text(max_size=60), st.text(max_size=60))
def test_names_from_outside_neither_break_the_table_nor_reach_the_terminal(model: str, version: str) -> None:
    text = drawn(windows_table([performance_window(SeriesKey(model, version, "all"))], ["accuracy"]))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "0.643 [0.637, 0.649]" in text


def test_markup_in_a_name_is_text() -> None:
    assert "[red]m[/]" in drawn(windows_table([performance_window(SeriesKey("[red]m[/]", "v1", "all"))]))
