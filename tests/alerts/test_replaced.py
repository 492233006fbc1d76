"""Alerts about versions that no longer serve. Windows are an hour, ticks 20 minutes."""

from __future__ import annotations

from msgspec import structs

from monitor.alerts.event import RuleAlert
from tests.alerts.story import DELAYS, Story, rule, window

NEWER = structs.replace(DELAYS, version="2")
ELSEWHERE = structs.replace(NEWER, model="fraud")
BOTH = (DELAYS, NEWER)


def firing_about_version_1() -> Story:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    assert story.told == ["01:00 firing sustained 00:00=0.3"]
    return story


def test_an_alert_about_a_version_ends_with_the_first_whole_window_that_another_version_has_alone() -> None:
    #  window   00    01    02
    #  v1       .3    .2    -
    #  v2       -     .9    .9
    story = firing_about_version_1()
    story.tick("02:00", window("01:00", 0.2), window("01:00", 0.9, series=NEWER), series=BOTH)
    assert story.standing == ["firing"], "both serve in that window"
    story.tick("02:20", window("02:00", 0.9, series=NEWER), series=(NEWER,))
    assert story.standing == ["firing"], "the window is not over"
    story.tick("03:00", window("02:00", 0.9, series=NEWER), series=(NEWER,))
    assert story.told[1:] == ["03:00 resolved version_replaced"]
    data = story.events[-1].data
    assert isinstance(data, RuleAlert)
    assert (data.version, data.evidence, data.resolved_ms) == ("1", None, 3 * 3_600_000)
    assert story.standing == []


def test_a_newer_version_that_is_as_bad_has_an_alert_of_its_own() -> None:
    story = firing_about_version_1()
    story.tick("02:00", window("01:00", 0.1, series=NEWER), series=(NEWER,))
    assert story.told[1:] == ["02:00 resolved version_replaced", "02:00 firing sustained 01:00=0.1"]


def test_neither_another_model_nor_too_few_rows_of_another_version_replace_anything() -> None:
    story = Story(rule(min_rows=20))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9, series=ELSEWHERE), series=(ELSEWHERE,))
    story.tick("02:20", window("01:00", 0.9, rows=19, series=NEWER), series=(NEWER,))
    assert story.standing == ["firing"]
    story.tick("03:00", window("01:00", 0.9, rows=20, series=NEWER), series=(NEWER,))
    assert story.standing == []


def test_a_version_that_goes_on_with_too_few_rows_to_be_judged_is_not_replaced() -> None:
    story = Story(rule(min_rows=20))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.3, rows=1, seen=1), window("01:00", 0.9, series=NEWER), series=BOTH)
    assert story.standing == ["firing"]


def test_a_pending_alert_of_a_replaced_version_is_dropped_without_a_word() -> None:
    story = Story(rule(**{"for": "20m"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9, series=NEWER), series=(NEWER,))
    assert (story.told, story.standing) == ([], [])


def test_late_truth_about_the_last_window_of_a_replaced_version_still_amends_what_was_said() -> None:
    story = firing_about_version_1()
    story.tick("02:00", window("01:00", 0.9, series=NEWER), series=(NEWER,))
    story.tick("02:20", window("00:00", 0.8), series=(NEWER,))
    assert story.told[1:] == ["02:00 resolved version_replaced", "02:20 amended flipped 00:00=0.8"]


def test_late_truth_about_a_replaced_version_opens_nothing_and_the_alert_does_not_flap() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.8))
    story.tick("02:00", window("01:00", 0.9, series=NEWER), series=(NEWER,))
    story.tick("02:20", window("00:00", 0.1, final=True), series=(NEWER,))
    story.tick("02:40", window("00:00", 0.1, final=True), rows=False)
    assert (story.told, story.standing) == ([], [])
