"""What a rule watches, which windows it reads, and what it compares."""

from __future__ import annotations

import pytest
from msgspec import structs

from monitor.alerts.rules import Test, applies, enough, kind_of, mature, measure
from monitor.windows.view import Estimate, Kind, SeriesKey, Undefined
from tests.alerts.story import DELAYS, Story, rule, window

EWR = structs.replace(DELAYS, segment="origin=EWR")
LGA = structs.replace(DELAYS, segment="origin=LGA")


@pytest.mark.parametrize(
    ("segments", "watched"),
    [("all", {DELAYS}), ("each", {EWR, LGA}), (["origin=EWR"], {EWR})],
    ids=["all", "each", "one"],
)
def test_segments_say_which_series_of_a_model_are_watched(segments: object, watched: set[SeriesKey]) -> None:
    assert {s for s in (DELAYS, EWR, LGA) if applies(rule(segments=segments), s)} == watched


def test_a_rule_without_a_model_watches_every_model_and_each_version_apart() -> None:
    other, newer = structs.replace(DELAYS, model="other"), structs.replace(DELAYS, version="2")
    assert all(applies(rule(), series) for series in (DELAYS, other, newer))
    assert [applies(rule(model="delays"), series) for series in (DELAYS, other, newer)] == [True, False, True]


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("recall", Kind.PERFORMANCE),
        ("coverage", Kind.PERFORMANCE),
        ("seen", Kind.PERFORMANCE),
        ("labelled", Kind.PERFORMANCE),
        ("psi:hour", Kind.INPUT),
        ("ks:$score", Kind.INPUT),
        ("missing:origin", Kind.INPUT),
        ("volume", Kind.INPUT),
    ],
)
def test_a_metric_is_read_from_the_windows_that_have_it(metric: str, kind: Kind) -> None:
    assert kind_of(metric) is kind


def test_counts_and_coverage_are_read_from_any_window() -> None:
    view = window("00:00", 0.3, seen=100, labelled=80)
    found = {metric: measure(view, metric) for metric in ("seen", "volume", "labelled", "coverage")}
    assert {metric: estimate.value for metric, estimate in found.items()} == {
        "seen": 100.0,
        "volume": 100.0,
        "labelled": 80.0,
        "coverage": 0.8,
    }
    assert {estimate.rows for estimate in found.values()} == {100}


def test_coverage_of_an_empty_window_and_a_metric_that_is_not_there_are_undefined() -> None:
    empty = window("00:00", 0.3, seen=0, labelled=0)
    assert measure(empty, "coverage").undefined is Undefined.NO_ROWS
    assert measure(empty, "brier").undefined is Undefined.NO_ROWS


def test_minimum_rows_are_of_the_metrics_own_denominator_and_minimum_coverage_is_of_the_window() -> None:
    strict = rule(min_rows=30, min_coverage=0.8)
    assert enough(strict, window("00:00", 0.3, rows=30, labelled=80))
    assert not enough(strict, window("00:00", 0.3, rows=29, labelled=100))
    assert not enough(strict, window("00:00", 0.3, rows=30, labelled=79))
    assert not enough(strict, window("00:00", 0.3, rows=30, seen=0, labelled=0))


def test_what_asks_for_rows_or_coverage_is_not_hidden_by_their_minimum() -> None:
    poor = window("00:00", 0.3, rows=3, seen=10, labelled=1)
    assert enough(rule(metric="seen", min_rows=200, min_coverage=0.8), poor)
    assert enough(rule(metric="labelled", min_rows=200, min_coverage=0.8), poor)
    assert enough(rule(metric="coverage", min_rows=10, min_coverage=0.8), poor)
    assert not enough(rule(metric="coverage", min_rows=11), poor)


def test_input_windows_need_no_labels() -> None:
    view = window("00:00", 0.3, rows=100, labelled=0, metric="psi:hour", kind=Kind.INPUT)
    assert enough(rule(metric="psi:hour", op=">", min_rows=100, min_coverage=0.8), view)
    assert not enough(rule(metric="psi:hour", op=">", min_rows=101), view)


def test_a_window_is_mature_from_the_tick_that_ends_with_it() -> None:
    view = window("00:00", 0.3)
    assert [mature(rule(), tick_ms, view) for tick_ms in (3_599_999, 3_600_000)] == [False, True]


@pytest.mark.parametrize(("op", "verdicts"), [("<", "TFF"), ("<=", "TTF"), (">", "FFT"), (">=", "FTT")])
def test_the_four_comparisons(op: str, verdicts: str) -> None:
    asked = Test.of(rule(op=op, threshold=0.4))
    values = [asked.broken_by(Estimate(value, None, None, 1)) for value in (0.3, 0.4, 0.5)]
    assert values == [letter == "T" for letter in verdicts]


def test_what_is_compared_is_what_is_published() -> None:
    #  the sum of three tenths is 0.30000000000000004
    asked = Test.of(rule(op=">", threshold=0.3))
    assert asked.broken_by(Estimate(0.1 + 0.2, None, None, 1)) is False
    assert asked.broken_by(Estimate(0.300000000001, None, None, 1)) is True


def test_undefined_is_no_verdict() -> None:
    assert Test.of(rule()).broken_by(Estimate(None, None, None, 0, undefined=Undefined.NO_ROWS)) is None


def test_rules_of_one_kind_are_left_alone_by_ticks_of_the_other() -> None:
    story = Story(rule(), rule(name="drift", metric="psi:hour", op=">", threshold=0.2))
    story.tick("01:00", window("00:00", 0.3, metric="psi:hour", kind=Kind.INPUT), kind=Kind.INPUT)
    assert [event.subject for event in story.events] == ["delays/1/all/drift"]
    assert [decided.key.rule for decided in story.decided] == ["drift"]


def test_each_segment_has_an_alert_of_its_own() -> None:
    story = Story(rule(segments="each"))
    story.tick(
        "01:00",
        window("00:00", 0.1),
        window("00:00", 0.3, series=EWR),
        window("00:00", 0.9, series=LGA),
        series=[DELAYS, EWR, LGA],
    )
    assert [event.subject for event in story.events] == ["delays/1/origin=EWR/low-recall"]


def test_a_rule_that_is_gone_ends_its_alerts_and_an_edited_one_goes_on() -> None:
    story = Story(rule(), rule(name="pending", **{"for": "2h"}), rule(name="edited"))
    story.tick("01:00", window("00:00", 0.3))
    assert story.standing == ["firing", "firing", "pending"]
    successor = Story(rule(name="edited", threshold=0.2)).book
    step = story.book.retire(story.state, 3_600_000, successor)
    assert [(e.subject, e.type, e.data.reason) for e in step.events] == [
        ("delays/1/all/low-recall", "io.driftline.alert.resolved.v1", "rule_gone")
    ]
    assert [key.rule for key in step.state.entries] == ["edited"]


def test_an_amendment_judges_by_the_threshold_that_was_cited_even_after_an_edit() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.book = Story(rule(threshold=0.8)).book
    story.tick("02:20", window("00:00", 0.6))
    assert story.told[2:] == ["02:20 amended flipped 00:00=0.6"]
