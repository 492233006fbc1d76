"""The settings of a sweep that no other one beats."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.backtest.tradeoff import MEASURES, front

row = st.fixed_dictionaries(
    {"missed": st.integers(0, 3), "delay_hours": st.none() | st.integers(0, 4), "false_alarms": st.integers(0, 4)}
)


def test_what_is_beaten_is_not_on_the_front() -> None:
    rows: list[dict[str, Any]] = [
        {"missed": 0, "delay_hours": 10.0, "false_alarms": 3},
        {"missed": 0, "delay_hours": 20.0, "false_alarms": 1},
        {"missed": 0, "delay_hours": 20.0, "false_alarms": 3},  # slower than the first
        {"missed": 1, "delay_hours": 2.0, "false_alarms": 0},
        {"missed": 2, "delay_hours": None, "false_alarms": 0},  # finds nothing
    ]
    assert front(rows) == [True, True, False, True, False]


def test_without_incidents_there_is_no_front() -> None:
    assert front([{"alerts": 3}, {"alerts": 4}]) == [False, False]
    assert front([]) == []


@given(st.lists(row, min_size=1, max_size=8))
def test_every_setting_is_on_the_front_or_beaten_by_one_that_is(rows: list[dict[str, Any]]) -> None:
    def cost(one: dict[str, Any]) -> list[float]:
        return [float("inf") if one[name] is None else one[name] for name in MEASURES]

    best = [one for one, on in zip(rows, front(rows), strict=True) if on]
    assert best
    for one, on in zip(rows, front(rows), strict=True):
        beaten = [
            b for b in best if cost(b) != cost(one) and all(x <= y for x, y in zip(cost(b), cost(one), strict=True))
        ]
        assert on == (not beaten)
