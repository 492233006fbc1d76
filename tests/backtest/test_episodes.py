"""Events become episodes."""

from __future__ import annotations

import itertools

from monitor.backtest.episodes import episodes
from tests.backtest.made import event


def test_an_episode_is_made_of_its_events_in_any_order_and_however_often_each_came() -> None:
    events = [
        event("firing", 20),
        event("amended", 30, reason="flipped"),
        event("resolved", 40, resolved_ms=40, reason="recovered"),
    ]
    for order in itertools.permutations([*events, events[0]]):
        (found,) = episodes(order)
        assert (found.fired_ms, found.resolved_ms, found.reason, found.amended) == (20, 40, "recovered", 1)
        assert (found.metric, found.value, found.threshold) == ("recall", 0.4, 0.5)


def test_what_is_open_at_the_end_has_no_end() -> None:
    (found,) = episodes([event("firing", 20)])
    assert (found.resolved_ms, found.reason) == (None, None)


def test_an_episode_that_fired_before_the_range_is_told_by_what_is_there() -> None:
    (found,) = episodes([event("resolved", 40, resolved_ms=40, reason="late_truth")])
    assert (found.fired_ms, found.resolved_ms) == (20, 40)


def test_alerts_about_traffic_have_a_condition_for_a_rule() -> None:
    told = event("firing", 5)
    for name in ("rule", "model", "version", "segment", "evidence", "since_ms"):
        del told["data"][name]
    told["data"] |= {"category": "operational", "condition": "volume-low", "scope": "model/m"}
    (found,) = episodes([told])
    assert (found.series, found.value, found.since_ms) == (("volume-low", "m", "", ""), None, 20)


def test_episodes_stand_in_the_order_in_which_they_fired() -> None:
    found = episodes([event("firing", 9, "b", fired_ms=9), event("firing", 3, "a", fired_ms=3)])
    assert [e.episode for e in found] == ["a", "b"]
