"""An evaluator that catches up takes turns of about a second: the worker does other things between them."""

from __future__ import annotations

import pytest

from monitor.daemon.tail import MOST, Stride
from monitor.evaluator import TickOutput
from tests.simulation.saving import assert_the_same, saving, take_a_turn, undisturbed
from tests.simulation.test_crashes import a_history, pace
from tests.simulation.world import worker


def test_what_takes_long_is_halved_and_what_is_quick_doubled() -> None:
    stride = Stride()
    assert stride.most == MOST
    for ms in (1_000, 1_001, 40_000):
        stride.took(ms)
    assert stride.most == MOST // 4
    stride.took(300)
    assert stride.most == MOST // 4
    stride.took(249)
    assert stride.most == MOST // 2
    for _ in range(9):
        stride.took(0)
    assert stride.most == MOST
    for _ in range(20):
        stride.took(5_000)
    assert stride.most == 1


def test_slow_ticks_of_a_catch_up_are_closed_in_more_turns_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.daemon.tail.MOST", 8)
    log = undisturbed(*a_history())
    pace(log, 4)
    ticks = []

    def slow(output: TickOutput) -> None:
        ticks.append(output)
        log.clock.advance(700)

    process = worker(log, saving("saved", 1_000, rows=4))
    process._observe = slow
    process.start()
    monkeypatch.setattr(
        process, "_evaluate", lambda: None
    )  # until the ledger is whole, so that there is much to catch up
    while not process.tasks or not all(task.ended for task in process.tasks.values()):
        take_a_turn(log, process)
    monkeypatch.undo()
    monkeypatch.setattr("monitor.daemon.tail.MOST", 8)
    strides, most_ticks = [], 0
    while not process.done():
        before = len(ticks)
        take_a_turn(log, process)
        assert process.judge is not None
        strides.append(process.judge._stride.most)
        most_ticks = max(most_ticks, len(ticks) - before)
    process.close()
    assert strides[0] < 8
    assert 1 in strides
    assert len(strides) > 6
    assert most_ticks < len(ticks) / 2
    assert_the_same(log)
