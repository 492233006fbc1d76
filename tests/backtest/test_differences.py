"""Two runs compared."""

from __future__ import annotations

import pytest

from monitor.backtest.differences import VersionError, differences, of_version
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


def test_of_two_versions_neither_name_nor_order_of_versions_is_a_difference() -> None:
    first = [episode(0, version="7"), episode(5 * HOUR, version="7")]
    second = [episode(0, version="8"), episode(5 * HOUR + 1, version="8"), episode(9 * HOUR, version="8")]
    ours = [window(0.5, version="7"), window(0.6, 1, version="7"), window(0.7, 2, version="7")]
    theirs = [
        window(0.5, version="8", seen=11),
        window(0.7, 1, version="8"),
        window(None, 2, version="8"),
        window(0.1, 3, version="8"),
    ]
    found = differences(first, second, ours, theirs, versions=True)
    assert (found.same, len(found.moved), found.only_second, found.only_first) == (1, 1, (second[2],), ())
    assert (found.windows, found.windows_changed, found.windows_only_second) == (3, 2, 1)
    assert (found.changed_metrics, found.higher_metrics, found.lower_metrics) == ({"recall": 2}, {"recall": 1}, {})
    assert of_version("8", [*first, *second], [*ours, *theirs]) == (second, theirs)
    with pytest.raises(VersionError, match="no final window is of version '9'; there are: m/7, m/8"):
        of_version("9", [*first, *second], [*ours, *theirs])
