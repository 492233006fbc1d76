"""Deployments that save checkpoints, beside one that does not: the same topics, another namespace."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.config import Config, loads
from monitor.daemon.checkpoints import Found, of_evals
from monitor.daemon.worker import Worker
from tests.adapters.memory import MemoryLog
from tests.oracle.join import Label, Prediction
from tests.simulation.fragile import TURNS_MAX, Crash, Fault, FragileWorld
from tests.simulation.histories import PARTITIONS, split
from tests.simulation.test_crashes import a_history, pace
from tests.simulation.world import CONFIG, LATENESS_S, alerts, config, finals, revisions, topics, worker


def saving(namespace: str, every: int, *, trim: bool = False, rows: int = 1_000) -> Config:
    """The deployment's configuration with a checkpoint every so many commits."""
    state = f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"
    text = CONFIG.replace("commit_interval: 1ms", state)
    return loads(text.format(namespace=namespace, rows=rows, lateness=LATENESS_S))


def undisturbed(p: list[Prediction], q: list[Label], rows: int = 9) -> FragileWorld:
    """A log on which the namespace `calm` has come to its end without a checkpoint."""
    log = topics(split(p), split(q), FragileWorld())
    worker(log, config("calm", rows)).run()
    assert not log.records("calm.checkpoints")
    return log


def take_a_turn(log: FragileWorld, process: Worker) -> None:
    """A turn takes time: the ledger is looked at in every one, so there are many evaluations."""
    process.turn()
    log.clock.advance(15)


def run_to_the_end(log: FragileWorld, process: Worker) -> None:
    """As `Worker.run`, but a crash gives nothing back."""
    process.start()
    for _ in range(TURNS_MAX):
        if process.done():
            process.close()
            return
        take_a_turn(log, process)
    raise AssertionError("it never came to an end")


def run_through(log: FragileWorld, faults: Sequence[tuple[int, Fault]], own: Config) -> None:
    """Run a namespace to its end, with a new process after each crash."""
    log.arm(faults)
    for _ in range(len(faults) + 1):
        process = worker(log, own)
        try:
            run_to_the_end(log, process)
            break
        except Crash:
            log.crashed(process)
    else:
        raise AssertionError("more crashes than were planned")
    log.land()


def assert_the_same(log: FragileWorld, namespace: str = "saved") -> None:
    assert finals(log, namespace) == finals(log, "calm")
    assert revisions(log, namespace) == revisions(log, "calm")
    assert alerts(log, namespace) == alerts(log, "calm")


def whole(log: MemoryLog, namespace: str = "saved") -> list[Found]:
    """Checkpoints of the evaluator that can be read, the newest first."""
    return of_evals(log, f"{namespace}.checkpoints", PARTITIONS).look()


def a_run_with_checkpoints(*, trim: bool = False) -> FragileWorld:
    log = undisturbed(*a_history())
    pace(log, 4)
    process = worker(log, saving("saved", 3, trim=trim, rows=4))
    process.start()
    while not process.judge or process.judge.writer.follower.state.sequence < 12:
        take_a_turn(log, process)
    log.crashed(process)
    assert len(whole(log)) == 2
    return log
