"""An evaluator that catches up closes many ticks in one turn: meanwhile it keeps its leases and is seen to live."""

from __future__ import annotations

from itertools import pairwise

from monitor.adapters import dead_letters
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.evaluator import TickOutput
from monitor.plan import plan_of
from tests.oracle.join import Label, Prediction
from tests.simulation.world import World, config, counts, topics, worker

START = 1_700_000_000_000
TICKS = 200


def history() -> World:
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + 10_000 * i, score=0.9, prediction=1.0)
        for i in range(TICKS)
    ]
    return topics([predictions], [[Label(id=f"p{i}", at=START + 10_000 * i, label=1.0) for i in range(TICKS)]])


def test_leases_are_kept_and_it_is_told_while_many_ticks_close_in_one_turn() -> None:
    log = history()
    told: list[int] = []

    def slow(_: TickOutput) -> None:
        log.clock.advance(log.session_ms // 2)  # two of these and the session is over, unless somebody polls

    setting = config("one")
    slow_worker = Worker(
        log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True), slow,
        lambda w: told.append(w.heartbeat_ms),
    )  # fmt: skip
    slow_worker.run()
    assert len(told) > TICKS
    assert max(after - before for before, after in pairwise(told)) < log.session_ms
    assert slow_worker.lost == 0


def test_a_wish_to_stop_does_not_wait_for_the_rest_of_the_ticks_and_what_was_not_decided_is_decided_later() -> None:
    log, setting = history(), config("one")
    seen: list[TickOutput] = []

    def until_the_tenth(output: TickOutput) -> None:
        seen.append(output)
        if len(seen) == 10:
            stopped.stop()

    stopped = Worker(
        log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True), until_the_tenth
    )
    stopped.run()
    assert len(seen) == 10
    assert log.records("one.windows") == [], "what was not committed is not published"
    worker(log, setting).run()
    undisturbed = history()
    worker(undisturbed, setting).run()
    assert counts(log, "one") == counts(undisturbed, "one") != {}
