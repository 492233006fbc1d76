"""An evaluator that catches up closes many ticks in one turn: meanwhile it keeps its leases and is seen to live."""

from __future__ import annotations

from itertools import pairwise

from monitor.adapters import dead_letters
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.evaluator import TickOutput
from monitor.plan import plan_of
from tests.oracle.join import Label, Prediction
from tests.simulation.world import config, topics

START = 1_700_000_000_000
TICKS = 200


def test_leases_are_kept_and_it_is_told_while_many_ticks_close_in_one_turn() -> None:
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + 10_000 * i, score=0.9, prediction=1.0)
        for i in range(TICKS)
    ]
    log = topics([predictions], [[Label(id=f"p{i}", at=START + 10_000 * i, label=1.0) for i in range(TICKS)]])
    told: list[int] = []

    def slow(_: TickOutput) -> None:
        log.clock.advance(log.session_ms // 2)  # two of these and the session is over, unless somebody polls

    setting = config("one")
    worker = Worker(
        log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True), slow,
        lambda w: told.append(w.heartbeat_ms),
    )  # fmt: skip
    worker.run()
    assert len(told) > TICKS
    assert max(after - before for before, after in pairwise(told)) < log.session_ms
    assert worker.lost == 0
