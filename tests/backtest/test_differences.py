"""Two runs compared."""

from __future__ import annotations

from monitor.backtest.differences import differences
from tests.backtest.made import HOUR, episode, window


def test_alerts_are_the_same_moved_or_in_one_only() -> None:
    first = [episode(0), episode(5 * HOUR), episode(9 * HOUR, rule="other")]
    second = [episode(0), episode(5 * HOUR + 1), episode(8 * HOUR)]
    found = differences(first, second, [], [])
    assert found.same == 1
    (moved,) = found.moved
    assert (moved.first, moved.second, moved.later_ms) == (first[1], second[1], 1)
    assert (found.only_first, found.only_second) == ((first[2],), (second[2],))


def test_an_alert_that_ended_before_the_other_fired_is_another_one() -> None:
    found = differences([episode(0)], [episode(HOUR + 1)], [], [])
    assert (len(found.only_first), len(found.only_second), found.moved) == (1, 1, ())


def test_windows_are_compared_by_what_they_say() -> None:
    ours = [window(0.5), window(0.6, 1), window(0.7, 2), window(0.8, 3)]
    theirs = [window(0.5, config="b"), window(0.61, 1), window(0.7, 2, seen=11), window(0.9, 4)]
    found = differences([], [], ours, theirs)
    assert (found.windows, found.windows_changed) == (3, 2)
    assert found.changed_metrics == {"counts": 1, "recall": 1}
    assert (found.windows_only_first, found.windows_only_second) == (1, 1)
