"""The life of an alert as timelines. Windows are an hour, ticks 20 minutes; `00` is the window [00:00, 01:00)."""

from __future__ import annotations

from dataclasses import replace

from monitor.alerts.event import RuleAlert
from monitor.alerts.state import AlertState
from monitor.config.maintenance import Maintenance
from monitor.windows.view import WindowView
from tests.alerts.story import Story, rule, window


def test_an_alert_fires_when_a_finished_window_breaks_the_rule_and_resolves_with_a_newer_one_that_does_not() -> None:
    #  tick    00:40   01:00    01:20     02:00
    #  00      .3      .3 over
    #  01                       .9        .9 over
    story = Story(rule())
    story.tick("00:40", window("00:00", 0.3))
    assert story.told == []
    assert story.reasons == ["immature"]
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("01:00", 0.9))
    assert story.reasons == ["still_breaks"]
    story.tick("02:00", window("01:00", 0.9))
    assert story.told == ["01:00 firing sustained 00:00=0.3", "02:00 resolved recovered 01:00=0.9"]


def test_for_is_waited_in_event_time_from_the_tick_at_which_the_rule_began_to_break() -> None:
    #  tick    01:00   01:20   01:40
    #  held    0       20m     40m
    story = Story(rule(**{"for": "40m"}))
    story.tick("01:00", window("00:00", 0.3))
    assert (story.standing, story.reasons) == (["pending"], ["breaks"])
    story.tick("01:20")
    assert (story.standing, story.reasons) == (["pending"], ["waiting"])
    story.tick("01:40")
    assert story.told == ["01:40 firing sustained 00:00=0.3"]
    data = story.events[0].data
    assert isinstance(data, RuleAlert)
    assert (data.since_ms, data.fired_ms) == (60 * 60_000, 100 * 60_000)


def test_a_tick_without_rows_does_not_advance_for() -> None:
    story = Story(rule(**{"for": "20m"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("00:00", 0.31), rows=False)
    assert story.reasons == ["no_rows"]
    story.tick("05:00", window("00:00", 0.32), rows=False)
    assert story.told == []
    story.tick("05:20")
    assert story.told == ["05:20 firing sustained 00:00=0.32"]


def test_a_jump_of_event_time_over_empty_ticks_counts_as_the_one_tick_that_had_rows() -> None:
    story = Story(rule(**{"for": "2h"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("23:00")
    assert story.standing == ["pending"]


def test_a_pending_alert_that_stops_breaking_is_dropped_without_a_word_and_for_starts_anew() -> None:
    story = Story(rule(**{"for": "20m"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("00:00", 0.5))
    assert (story.standing, story.reasons) == ([], ["late_truth"])
    story.tick("01:40", window("00:00", 0.3))
    assert story.told == []
    story.tick("02:00")
    assert story.told == ["02:00 firing sustained 00:00=0.3"]


def test_late_truth_takes_an_alert_back_when_the_window_it_cites_no_longer_breaks() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("00:00", 0.6))
    assert story.told == ["01:00 firing sustained 00:00=0.3", "01:20 resolved late_truth 00:00=0.6"]


def test_what_is_too_small_or_hardly_labelled_or_undefined_neither_fires_nor_resolves() -> None:
    story = Story(rule(min_rows=30, min_coverage=0.8))
    story.tick("01:00", window("00:00", 0.3, rows=29))
    story.tick("02:00", window("01:00", 0.3, labelled=79))
    story.tick("03:00", window("02:00", None))
    assert (story.told, story.reasons) == ([], ["immature"])
    story.tick("04:00", window("03:00", 0.3, rows=30, labelled=80))
    assert story.told == ["04:00 firing sustained 03:00=0.3"]
    story.tick("05:00", window("04:00", 0.9, rows=29))
    story.tick("06:00", window("05:00", 0.9, labelled=79))
    story.tick("07:00", window("06:00", None))
    assert (story.standing, story.reasons) == (["firing"], ["still_breaks"])


def test_a_stalled_label_feed_leaves_an_open_alert_where_it_is() -> None:
    #  every window is mature at first and loses its maturity again: nothing is left to judge by
    story = Story(rule(min_rows=30))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("00:00", 0.9, rows=2))
    assert (story.standing, story.reasons) == (["firing"], ["immature"])
    assert len(story.told) == 1


def test_a_newer_window_that_is_not_mature_yet_leaves_the_word_to_the_older_one() -> None:
    story = Story(rule(min_coverage=0.8))
    story.tick("01:00", window("00:00", 0.9))
    story.tick("02:00", window("01:00", 0.1, labelled=10))
    assert (story.told, story.reasons) == ([], ["holds"])


def test_decided_history_is_never_rewritten() -> None:
    #  00 turns bad when 01 has long spoken
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.9))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("02:20", window("00:00", 0.1))
    assert story.told == []


def test_late_truth_about_the_window_of_a_closed_alert_amends_it() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("02:20", window("00:00", 0.35))  # another value, the same verdict, not final: nothing to say
    story.tick("02:40", window("00:00", 0.6))
    assert story.told[2:] == ["02:40 amended flipped 00:00=0.6"]
    data = story.events[2].data
    assert isinstance(data, RuleAlert)
    assert data.amends is not None
    assert (data.amends.event, data.amends.value, data.amends.broken) == (story.events[0].id, 0.3, True)
    assert (data.state, data.episode, data.latest) == ("resolved", story.events[0].id, True)
    assert data.resolved_ms == 2 * 60 * 60_000


def test_each_turn_of_the_verdict_is_told_once_and_amends_what_was_said_last() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("02:20", window("00:00", 0.6))
    story.tick("02:40", window("00:00", 0.7))
    story.tick("03:00", window("00:00", 0.2))
    assert story.told[2:] == ["02:20 amended flipped 00:00=0.6", "03:00 amended flipped 00:00=0.2"]
    last = story.events[3].data
    assert isinstance(last, RuleAlert)
    assert last.amends is not None
    assert last.amends.event == story.events[2].id


def test_a_cited_window_that_becomes_final_with_another_value_is_told_once_and_then_forgotten() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("40:00", window("00:00", 0.35, final=True), rows=False)
    story.tick("41:00", window("01:00", 0.9, final=True), rows=False)  # as was said: nothing to tell
    assert story.told[2:] == ["40:00 amended final_value 00:00=0.35"]
    assert story.state.entries == {}


def test_a_cited_window_that_ends_up_without_a_value_is_amended_to_undefined() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("02:20", window("00:00", None))
    assert len(story.told) == 2  # perhaps only for now
    story.tick("40:00", window("00:00", None, final=True))
    assert story.told[2:] == ["40:00 amended flipped 00:00=None"]


def test_an_alert_that_fires_on_for_newer_windows_still_amends_the_one_it_cited() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.2))
    story.tick("02:20", window("00:00", 0.6))
    assert story.told[1:] == ["02:20 amended flipped 00:00=0.6"]
    data = story.events[1].data
    assert isinstance(data, RuleAlert)
    assert data.state == "firing"
    assert story.standing == ["firing"]


def test_an_amendment_of_an_older_episode_says_that_it_is_not_the_latest() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("03:00", window("02:00", 0.2))
    story.tick("03:20", window("00:00", 0.6))
    assert story.told[2:] == ["03:00 firing sustained 02:00=0.2", "03:20 amended flipped 00:00=0.6"]
    data = story.events[3].data
    assert isinstance(data, RuleAlert)
    assert (data.latest, data.episode, data.state) == (False, story.events[0].id, "resolved")


def test_a_resolution_that_late_truth_contradicts_is_amended_while_for_is_waited_again() -> None:
    story = Story(rule(**{"for": "20m"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20")
    story.tick("02:00", window("01:00", 0.9))
    story.tick("02:20", window("01:00", 0.2))
    story.tick("02:40")
    assert story.told[1:] == [
        "02:00 resolved recovered 01:00=0.9",
        "02:20 amended flipped 01:00=0.2",
        "02:40 firing sustained 01:00=0.2",
    ]


def test_an_event_that_speaks_of_the_window_anyway_needs_no_amendment_beside_it() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("01:20", window("00:00", 0.6))
    story.tick("01:40", window("00:00", 0.2))
    assert [told.split()[1] for told in story.told] == ["firing", "resolved", "firing"]


def test_within_a_tick_amendments_come_before_the_new_state_so_that_the_state_topic_ends_with_it() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9), window("00:00", 0.6))
    assert story.told[1:] == ["02:00 amended flipped 00:00=0.6", "02:00 resolved recovered 01:00=0.9"]
    assert len({event.id for event in story.events}) == 3


def test_a_cited_window_from_which_everything_was_withdrawn_is_amended_to_nothing_and_forgotten() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    empty = replace(window("00:00", seen=0, labelled=0, final=True), metrics={}, counts={})
    story.tick("40:00", empty, window("01:00", 0.9, final=True), rows=False)
    assert story.told[2:] == ["40:00 amended flipped 00:00=None"]
    assert story.state.entries == {}


def test_a_window_that_lost_records_is_not_judged_and_an_alert_about_it_stands_until_a_whole_one_speaks() -> None:
    #  tick    01:00  02:00   02:20          03:00        04:00
    #  00      .9     .9      .9             .9           .9
    #  01             .3      .3 partial     .95 partial
    #  02                                    .2 partial
    #  03                                                 .9
    def partial(start: str, recall: float, *, final: bool = False) -> WindowView:
        return replace(window(start, recall, final=final), partial=True)

    story = Story(rule())
    story.tick("01:00", window("00:00", 0.9))
    story.tick("02:00", window("01:00", 0.3))
    assert story.told == ["02:00 firing sustained 01:00=0.3"]
    story.tick("02:20", partial("01:00", 0.3))
    story.tick("03:00", partial("01:00", 0.95), partial("02:00", 0.2))
    assert (story.standing, story.reasons) == (["firing"], ["immature"])
    story.tick("03:20", partial("01:00", 0.95, final=True))
    assert len(story.told) == 1, "what was lost takes nothing back, and amends nothing"
    story.tick("04:00", window("03:00", 0.9))
    assert story.told[1:] == ["04:00 resolved recovered 03:00=0.9"]


def test_a_window_that_lost_records_fires_nothing() -> None:
    story = Story(rule())
    story.tick("01:00", replace(window("00:00", 0.3), partial=True))
    assert (story.told, story.reasons) == ([], ["immature"])


def test_an_alert_with_a_clear_resolves_only_beyond_it() -> None:
    story = Story(rule(clear=0.5))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.45))  # not broken, and not clear
    story.tick("03:00", window("02:00", 0.39))
    story.tick("04:00", window("03:00", 0.5))
    story.tick("05:00", window("04:00", 0.45))  # below clear begins nothing
    assert story.told == ["01:00 firing sustained 00:00=0.3", "04:00 resolved recovered 03:00=0.5"]
    fired, resolved = (event.data.summary for event in story.events)
    assert "clears" not in fired
    assert resolved.endswith("; it clears at 0.5")


def test_an_alert_does_not_fire_again_while_it_cools_down_and_does_afterwards_if_it_still_breaks() -> None:
    story = Story(rule(cooldown="3h"))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.6))
    reasons = []
    for tick, start in (("03:00", "02:00"), ("04:00", "03:00")):
        story.tick(tick, window(start, 0.3))
        reasons += [str(decided.decision.reason) for decided in story.decided]
    assert reasons == ["breaks", "cooling"]
    story.tick("05:00", window("04:00", 0.3))
    assert story.told == [
        "01:00 firing sustained 00:00=0.3",
        "02:00 resolved recovered 01:00=0.6",
        "05:00 firing sustained 04:00=0.3",
    ]


def test_a_cooldown_that_is_over_is_forgotten() -> None:
    story = Story(rule(cooldown="1h"))
    story.tick("01:00", window("00:00", 0.3, final=True))
    story.tick("02:00", window("01:00", 0.6, final=True))
    assert len(story.state.entries) == 1
    story.tick("03:00", window("02:00", 0.6, final=True))
    assert story.state == AlertState()


def worked_on(model: str | None = None) -> Maintenance:
    """From two to three o'clock."""
    times = {"from": "1970-01-01T02:00Z", "until": "1970-01-01T03:00+00:00"}
    return Maintenance.model_validate(times if model is None else {**times, "model": model})


def test_what_was_predicted_in_a_maintenance_is_not_judged_and_what_fires_goes_on() -> None:
    story = Story(rule(), maintenance=[worked_on("delays")])
    story.tick("02:00", window("01:00", 0.6))
    story.tick("03:00", window("02:00", 0.1))
    assert story.told == []
    story.tick("04:00", window("03:00", 0.3))
    story.tick("05:00", window("04:00", 0.6))
    assert story.told == ["04:00 firing sustained 03:00=0.3", "05:00 resolved recovered 04:00=0.6"]


def test_the_maintenance_of_another_model_changes_nothing() -> None:
    story = Story(rule(), maintenance=[worked_on("other")])
    story.tick("03:00", window("02:00", 0.1))
    assert story.told == ["03:00 firing sustained 02:00=0.1"]
