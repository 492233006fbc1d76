"""Which ticks have gone by on the wall, and when that may close one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from monitor.frontier import Frontier, PartitionClock, still_ahead, tick_gone_by
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.plan import Plan, plan_of
from monitor.windows.view import Kind
from tests.simulation.world import config

PLAN = plan_of(config("one"))
TICK_MS, DISORDER_MS = PLAN.join.tick_ms, PLAN.join.disorder_ms
AT_MS = 1_700_000_000_000 // PLAN.pane_ms * PLAN.pane_ms + 23_456
TICK = AT_MS // TICK_MS
INPUT, PERFORMANCE = Kind.INPUT, Kind.PERFORMANCE


def frontier(plan: Plan = PLAN) -> Frontier:
    return Frontier(plan, lambda clock: clock.label_ms)


def test_the_tick_of_the_newest_record_has_gone_by_when_the_wall_is_past_it_and_the_disorder() -> None:
    end_ms = (TICK + 1) * TICK_MS + DISORDER_MS
    assert tick_gone_by(0, AT_MS, end_ms - 1, TICK_MS, DISORDER_MS) is None
    assert tick_gone_by(0, AT_MS, end_ms, TICK_MS, DISORDER_MS) == TICK + 1
    assert tick_gone_by(TICK + 1, AT_MS, end_ms * 2, TICK_MS, DISORDER_MS) is None, (
        "it was recorded, and never a later one"
    )
    for clock in (NEVER, FOREVER):
        assert tick_gone_by(0, clock, end_ms * 2, TICK_MS, DISORDER_MS) is None


def test_it_is_recorded_until_the_clock_says_as_much() -> None:
    assert still_ahead(TICK + 1, AT_MS, TICK_MS, DISORDER_MS) == TICK + 1
    assert still_ahead(TICK + 1, (TICK + 1) * TICK_MS + DISORDER_MS, TICK_MS, DISORDER_MS) == 0
    assert still_ahead(TICK + 1, FOREVER, TICK_MS, DISORDER_MS) == 0


def test_labels_that_went_by_close_their_own_tick_and_none_later() -> None:
    clocks = [PartitionClock(AT_MS + 90_000, AT_MS, gone_by=(0, TICK + 1))]
    assert frontier().open_tick(clocks, PERFORMANCE, None, by_wall=False) == (AT_MS - DISORDER_MS) // TICK_MS
    assert frontier().open_tick(clocks, PERFORMANCE, None, by_wall=True) == TICK + 1


def test_another_partition_is_waited_for() -> None:
    late = PartitionClock(AT_MS - 50_000, AT_MS - 50_000)
    clocks = [PartitionClock(AT_MS, AT_MS, gone_by=(TICK + 1, TICK + 1)), late]
    for kind in (INPUT, PERFORMANCE):
        assert frontier().open_tick(clocks, kind, None, by_wall=True) == (late.label_ms - DISORDER_MS) // TICK_MS


def test_where_all_are_idle_what_the_newest_said_is_decided_once_all_of_it_went_by() -> None:
    old = PartitionClock(AT_MS - 100_000, AT_MS - 100_000, idle=True)
    new = PartitionClock(AT_MS, AT_MS, idle=True, gone_by=(TICK + 1, TICK + 1))
    nothing = PartitionClock(idle=True)
    assert frontier().open_tick([old, new, nothing], PERFORMANCE, None, by_wall=True) is None
    both = replace(old, gone_by=(old.prediction_ms // TICK_MS + 1,) * 2)
    assert frontier().open_tick([both, new, nothing], PERFORMANCE, None, by_wall=True) == both.gone_by[0], (
        "windows of `old`"
    )
    went_on = [both, new, nothing], PERFORMANCE, TICK - 1
    assert frontier().open_tick(*went_on, by_wall=True) == TICK + 1, "who was left behind before is not waited for"
    assert frontier().open_tick([both, new, nothing], PERFORMANCE, None, by_wall=False) is None
    assert frontier().open_tick([nothing], PERFORMANCE, None, by_wall=True) is None


@given(st.integers(0, 300_000), st.integers(0, 20).map(lambda n: n * 7_000))
def test_no_input_window_becomes_final_that_a_record_in_time_may_belong_to(offset: int, lateness_ms: int) -> None:
    plan = replace(PLAN, join=replace(PLAN.join, lateness_ms=lateness_ms))
    at_ms = AT_MS + offset
    gone = at_ms // TICK_MS + 1
    closed = frontier(plan).open_tick([PartitionClock(at_ms, gone_by=(gone, 0))], INPUT, None, by_wall=True)
    oldest_ms, final_before_ms = at_ms - lateness_ms, gone * TICK_MS - lateness_ms
    ends = range(oldest_ms // plan.pane_ms * plan.pane_ms, final_before_ms + 1, plan.pane_ms)
    harmed = [end_ms for end_ms in ends if oldest_ms < end_ms <= final_before_ms]
    assert (closed == gone) == (not harmed)


def test_windows_of_performance_have_a_tick_to_spare() -> None:
    assert PLAN.join.settle_ms >= PLAN.join.tick_ms
