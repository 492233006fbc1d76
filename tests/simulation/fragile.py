"""A world in which appends go wrong where a test wants it, and processes die or sleep."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from monitor.daemon.worker import Worker
from monitor.ports import OutRecord
from tests.adapters.memory import Landing, MemoryLeases, Stored
from tests.simulation.world import World

TURNS_MAX = 20_000
LATE_BY = 7
"""Appends after which a record lands that was held back: other records have come between."""


class Crash(Exception):
    """The process is gone."""


class Fault(Enum):
    """What happens at an append."""

    CRASH_BEFORE = "the process dies, the record is not in the log"
    CRASH_AFTER = "the process dies, the record is in the log"
    LANDED = "no acknowledgement, the record is in the log"
    LOST = "no acknowledgement, the record is not in the log"
    LATER = "no acknowledgement, the record comes when others have come"
    AGAIN = "acknowledged, and a record of the ledger comes once more when others have come"


_LANDINGS = {Fault.LANDED: Landing.LANDED, Fault.LOST: Landing.LOST, Fault.LATER: Landing.LATER}


class FragileWorld(World):
    """`faults`: what happens at the n-th append, counted from `arm` on; whatever is published is an append too. What leaves the
    log is remembered, for oracles."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.happened: list[Fault] = []
        self._faults: dict[int, Fault] = {}
        self._lands_at: list[int] = []
        self._left: dict[tuple[str, int], list[Stored]] = {}

    def whole(self, topic: str, partition: int) -> list[Stored]:
        """Every record that the partition ever held."""
        return [*self._left.get((topic, partition), []), *self.records(topic, partition)]

    def truncate(self, topic: str, partition: int, begin: int) -> None:
        gone = [stored for stored in self.records(topic, partition) if stored.offset < begin]
        self._left.setdefault((topic, partition), []).extend(gone)
        super().truncate(topic, partition, begin)

    def arm(self, faults: Iterable[tuple[int, Fault]]) -> None:
        """Plan faults, each so many appends after the one before."""
        self.appends = at = 0
        for gap, fault in faults:
            at += gap
            self._faults[at] = fault

    def _append(self, topic: str, partition: int, record: OutRecord) -> int:
        self.appends += 1
        if self._lands_at and self.appends >= self._lands_at[0]:
            self._lands_at.clear()
            self.land()
        fault = self._faults.pop(self.appends, None)
        if fault is None:
            return super()._append(topic, partition, record)
        self.happened.append(fault)
        if fault is Fault.AGAIN:
            if topic.endswith((".ledger", ".evals")):  # elsewhere an idempotent producer is relied on
                self._lands_at.append(self.appends + LATE_BY)
                self._in_flight.append((topic, partition, record))
            return super()._append(topic, partition, record)
        if fault in _LANDINGS:
            if fault is Fault.LATER:
                self._lands_at.append(self.appends + LATE_BY)
            self.fail_next(_LANDINGS[fault])
            return super()._append(topic, partition, record)
        if fault is Fault.CRASH_AFTER:
            super()._append(topic, partition, record)
        raise Crash

    def crashed(self, worker: Worker, *, wait: bool = True) -> None:
        """The process of `worker` is no more: it gives nothing back. `wait`: until its sessions have run out."""
        for leases in (worker._task_leases, worker._judge_leases.leases):
            if leases is not None:
                assert isinstance(leases, MemoryLeases)
                leases.kill()
        if wait:
            self.clock.advance(self.session_ms + 1)


def run_to_the_end(worker: Worker) -> None:
    """As `Worker.run`, but a crash gives nothing back."""
    worker.start()
    for _ in range(TURNS_MAX):
        if worker.done():
            worker.close()
            return
        worker.turn()
    raise AssertionError("it never came to an end")
