"""A label far from its prediction: the prediction leaves the join before the label does, and a restart goes on all the same."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from monitor.adapters import dead_letters
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import OutRecord
from tests.oracle.join import Label, Prediction
from tests.simulation.world import World, config, topics

START = 1_700_000_000_000


def prediction(name: str, at_s: int) -> Prediction:
    return Prediction(id=name, model="m", version="1", at=START + 1_000 * at_s, score=0.5, prediction=1.0)


def label(name: str, at_s: int) -> Label:
    return Label(id=name, at=START + 1_000 * at_s, label=1.0)


def send(log: World, topic: str, records: Sequence[Prediction] | Sequence[Label]) -> None:
    appender = log.appender()
    for record in records:
        appender.append(topic, 0, OutRecord(orjson.dumps(dict(record))))


def started(log: World) -> Worker:
    settings = config("one")
    worker = Worker(log, settings, plan_of(settings), log.clock, dead_letters, WorkerOptions())
    worker.start()
    return worker


def turns(worker: Worker, log: World) -> None:
    for _ in range(9):
        worker.turn()
        log.clock.advance(100)


def test_a_label_outside_the_bounds_of_a_prediction_that_is_gone_is_no_reason_to_refuse() -> None:
    log = topics([[prediction("a", 0)]], [[]])
    worker = started(log)
    turns(worker, log)
    # Past the horizon (100 s) and the skew (10 s) of `a`, not yet past what makes its label an orphan.
    send(log, "predictions", [prediction(f"x{i}", 190) for i in range(4)])
    send(log, "labels", [label("y", 0), label("a", 185), *(label(f"z{i}", 190) for i in range(4))])
    turns(worker, log)
    send(log, "predictions", [prediction(f"v{i}", 200) for i in range(4)])
    turns(worker, log)
    outcomes = worker.tasks[0].engine.join.label_outcomes
    assert (outcomes.waiting, outcomes.outside) == (5, 0)
    worker.close()
    again = started(log)
    turns(again, log)
    engine = again.tasks[0].engine
    outcomes = engine.join.label_outcomes
    assert (outcomes.waiting, outcomes.outside) == (5, 0), "its prediction was not read again"
    assert engine.conservation().holds
    send(log, "predictions", [prediction(f"w{i}", 400) for i in range(4)])
    send(log, "labels", [label(f"u{i}", 400) for i in range(4)])
    turns(again, log)
    assert engine.conservation().holds
    assert engine.join.label_outcomes.waiting == 4
    assert engine.join.label_outcomes.orphaned == 6


def test_a_label_of_a_prediction_that_was_dropped_already_is_no_reason_to_refuse() -> None:
    log = topics([[prediction("a", 0), *(prediction(f"x{i}", 200) for i in range(4))]], [[]])
    send(log, "labels", [label("y", 0), *(label(f"z{i}", 200) for i in range(4))])
    worker = started(log)
    turns(worker, log)
    send(log, "labels", [label("a", 195)])
    turns(worker, log)
    assert worker.tasks[0].engine.join.label_outcomes.waiting == 5, "`a` was gone when its label came"
    worker.close()
    again = started(log)
    turns(again, log)
    outcomes = again.tasks[0].engine.join.label_outcomes
    assert (outcomes.waiting, outcomes.outside) == (5, 0), "a rebuild reads `a` again, with those beside it"
    assert again.tasks[0].engine.conservation().holds
