"""Crashes at any append, lost acknowledgements and zombies: what is published is as if nothing had happened."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.daemon.worker import Worker
from monitor.ports import OutRecord
from tests.adapters.memory import Landing, MemoryLog
from tests.oracle.join import Label, Prediction
from tests.simulation.test_deployment_equals_oracle import labels, predictions, split
from tests.simulation.world import alerts, config, finals, revisions, topics, worker


class Crash(Exception):
    """The process is gone."""


class CrashingLog:
    """A log on which the process dies at its n-th append, before or after the record landed."""

    def __init__(self, log: MemoryLog, at: int, *, landed: bool) -> None:
        self._log, self._left, self._landed = log, at, landed

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def appender(self) -> CrashingLog:
        self._appender = self._log.appender()
        return self

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        self._left -= 1
        if self._left == 0 and not self._landed:
            raise Crash
        offset = self._appender.append(topic, partition, record)
        if self._left == 0:
            raise Crash
        return offset

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        self._appender.send(topic, record, partition)

    def flush(self, timeout_ms: int) -> None:
        self._appender.flush(timeout_ms)

    def close(self) -> None:
        """The log itself goes on."""


def undisturbed(p: list[Prediction], q: list[Label]) -> MemoryLog:
    log = topics(split(p), split(q))
    worker(log, config("calm", 9)).run()
    return log


def same(log: MemoryLog, namespace: str) -> None:
    assert finals(log, namespace) == finals(log, "calm")
    assert revisions(log, namespace) == revisions(log, "calm")
    assert alerts(log, namespace) == alerts(log, "calm")


@settings(max_examples=25, deadline=None)
@given(predictions, labels, st.lists(st.tuples(st.integers(1, 25), st.booleans()), min_size=1, max_size=4))
def test_a_crash_at_any_append_is_seen_nowhere(
    p: list[Prediction], q: list[Label], crashes: list[tuple[int, bool]]
) -> None:
    log = undisturbed(p, q)
    for at, landed in crashes:
        dying = worker(log, config("one", 4))
        dying.log = CrashingLog(log, at, landed=landed)  # type: ignore[assignment]
        try:
            dying.run()
        except Crash:
            log.clock.sleep_ms(5_000)  # its leases are free again
    worker(log, config("one", 4)).run()
    same(log, "one")


@settings(max_examples=25, deadline=None)
@given(predictions, labels, st.sampled_from(list(Landing)), st.integers(0, 12))
def test_an_append_without_an_acknowledgement_is_neither_lost_nor_repeated(
    p: list[Prediction], q: list[Label], landing: Landing, turns: int
) -> None:
    log = undisturbed(p, q)
    one = worker(log, config("one", 4))
    one.start()
    for turn in range(10_000):
        if turn == turns:
            log.fail_next(landing)
        if turn == turns + 6:
            log.land()
        if one.done():
            break
        one.turn()
    else:
        raise AssertionError("it never came to an end")
    one.close()
    same(log, "one")


@settings(max_examples=15, deadline=None)
@given(predictions, labels, st.randoms(use_true_random=False))
def test_a_zombie_that_wakes_up_changes_nothing(p: list[Prediction], q: list[Label], rng: random.Random) -> None:
    log = undisturbed(p, q)
    workers: list[Worker] = [worker(log, config("one", 3)) for _ in range(2)]
    for each in workers:
        each.start()
    for _ in range(rng.randint(0, 12)):
        rng.choice(workers).turn()
    asleep, awake = rng.sample(workers, 2)
    wakes = rng.randint(0, 60)
    for turn in range(2_000):
        if awake.done():
            break
        awake.turn()
        log.clock.sleep_ms(50)
        if turn == wakes:
            asleep.turn()
    else:
        raise AssertionError("it never came to an end")
    for _ in range(20):
        asleep.turn()
    same(log, "one")
