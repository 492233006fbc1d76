"""Crashes at any append, lost acknowledgements, zombies: what is published is as if nothing had happened."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker import audit
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.simulation.fragile import TURNS_MAX, Crash, Fault, FragileWorld, run_to_the_end
from tests.simulation.histories import PARTITIONS, START, labels, predictions, split
from tests.simulation.ledgers import last_commits
from tests.simulation.world import alerts, config, finals, revisions, topics, worker


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    """Each worker collects garbage once; what pytest holds is not its business."""
    gc.freeze()
    yield
    gc.unfreeze()


gaps = st.integers(1, 30)
crashes = st.tuples(gaps, st.sampled_from([Fault.CRASH_BEFORE, Fault.CRASH_AFTER]))
silences = st.tuples(gaps, st.sampled_from([Fault.LANDED, Fault.LOST, Fault.LATER]))
paces = st.integers(2, 15)


def undisturbed(p: list[Prediction], q: list[Label]) -> FragileWorld:
    """A log on which the namespace `calm` has come to its end."""
    log = topics(split(p), split(q), FragileWorld())
    worker(log, config("calm", 9)).run()
    return log


def pace(log: FragileWorld, rows: int) -> None:
    log.paces = {"predictions": rows, "labels": rows}


def run_through(log: FragileWorld, faults: Sequence[tuple[int, Fault]], rows: int, namespace: str = "hurt") -> None:
    """Run a namespace to its end, with a new process after each crash."""
    log.arm(faults)
    for _ in range(len(faults) + 1):
        process = worker(log, config(namespace, rows))
        try:
            run_to_the_end(process)
            break
        except Crash:
            log.crashed(process)
    else:
        raise AssertionError("more crashes than were planned")
    log.land()


def assert_nothing_shows(log: FragileWorld, namespace: str = "hurt") -> None:
    assert finals(log, namespace) == finals(log, "calm")
    assert revisions(log, namespace) == revisions(log, "calm")
    assert alerts(log, namespace) == alerts(log, "calm")
    last_commits(log, namespace, PARTITIONS)


def a_history() -> tuple[list[Prediction], list[Label]]:
    """Forty predictions in the order of their times, one in four withdrawn or corrected, accuracy falling midway."""
    chance = random.Random(7)
    p, q = [], []
    for i in range(40):
        at = START + i * 6_000
        p.append(
            Prediction(id=f"{i}", model="m", version="1", at=at, score=0.9, prediction=1.0, segments={"hue": "red"})
        )
        q.append(Label(id=f"{i}", at=at + chance.randrange(60) * 1_000, label=float(i < 20)))
        if i % 4 == 0:
            q.append(Label(id=f"{i}", at=at + 70_000, label=chance.choice([None, 1.0])))
    return p, sorted(q, key=lambda label: label["at"])


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_append_goes_wrong_nothing_shows(fault: Fault) -> None:
    log = undisturbed(*a_history())
    assert alerts(log, "calm"), "a history without alerts shows less"
    pace(log, 10)
    at, tried = 1, 0
    while True:
        namespace = f"hurt{at}"
        run_through(log, [(at, fault)], 10, namespace)
        if len(log.happened) == tried:
            break
        assert_nothing_shows(log, namespace)
        tried += 1
        at += 1 if at < 30 else 11  # first the ledger and the decisions, then more and more of the publishing
    assert tried > 40


any_faults = given(predictions, labels, st.lists(st.one_of(crashes, silences), min_size=1, max_size=5), paces)


def few_faults(p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int) -> None:
    log = undisturbed(p, q)
    pace(log, rows)
    run_through(log, faults, rows)
    assert_nothing_shows(log)


@settings(max_examples=examples(70))
@any_faults
def test_any_few_faults_show_nowhere(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int
) -> None:
    few_faults(p, q, faults, rows)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(max_examples=3_000)
@any_faults
def test_any_few_faults_show_nowhere_in_thousands_of_histories(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int
) -> None:
    few_faults(p, q, faults, rows)


@settings(max_examples=examples(50))
@given(predictions, labels, st.lists(silences, max_size=3), paces, st.randoms(use_true_random=False))
def test_two_workers_that_fall_asleep_and_wake_up_change_nothing(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int, chance: random.Random
) -> None:
    """Whoever sleeps longer than its session is a zombie when it wakes: it believes that it owns what it owned."""
    log = undisturbed(p, q)
    pace(log, rows)
    log.arm(faults)
    workers = [worker(log, config("hurt", rows)) for _ in range(2)]
    for each in workers:
        each.start()
    for _ in range(chance.randint(3, 30)):
        awake = chance.choice(workers)
        for _ in range(chance.randint(1, 12)):
            if not awake.done():
                awake.turn()
        if chance.random() < 0.3:
            log.clock.advance(log.session_ms + 1)
    for _ in range(TURNS_MAX):
        if all(each.done() for each in workers):
            break
        for each in workers:
            if not each.done():
                each.turn()
    else:
        raise AssertionError("they never came to an end")
    for each in workers:
        each.close()
    log.land()
    assert_nothing_shows(log)


def test_a_zombie_that_wakes_up_in_the_middle_is_ignored_by_everybody() -> None:
    log = undisturbed(*a_history())
    pace(log, 4)
    zombie, successor = (worker(log, config("hurt", 4)) for _ in range(2))
    zombie.start()
    while not any(task.engine.uncommitted_rows for task in zombie.tasks.values()):
        zombie.turn()
    held = set(zombie.tasks)
    assert held
    log.clock.advance(log.session_ms + 1)
    successor.start()
    while len(successor.tasks) < PARTITIONS:
        successor.turn()
    zombie._commit_all(force=True)  # it looks at its leases only afterwards
    assert zombie.lost == 1
    log.crashed(zombie)
    while not successor.done():
        successor.turn()
    successor.close()
    walks = [audit.walk(p, (s.record.value for s in log.records("hurt.ledger", p))) for p in range(PARTITIONS)]
    assert sum((w.ignored for w in walks), Counter()) == {"not the owner": 1}
    assert_nothing_shows(log)
