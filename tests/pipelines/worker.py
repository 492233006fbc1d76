"""One process that retrains until it is killed, over a directory; time runs a thousand times faster than ours.

Run by tests/pipelines/test_kills.py: `python -m tests.pipelines.worker STORE NAME SEED`. Every process sees the same alerts at
the same time, so that all of them want to begin the same runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pipelines.book import Book
from pipelines.directory import DirectoryStore
from pipelines.errors import Refused
from pipelines.orchestrator import Orchestrator
from pipelines.policy import Brakes, Policy, Probation, Promotion, Trigger
from pipelines.ports import Alive, Artifact, Dataset
from pipelines.states import State
from tests.pipelines.memory import Fakes, alert, policy

LEASE_MS = 300_000
INCIDENT_MS = 400_000
POLICY: Policy = policy(
    promote=Promotion.AUTO,
    trigger=Trigger(versions="any", cooldown_ms=0, budget_runs=100_000),
    probation=Probation(least_ms=50_000),
    brakes=Brakes(rollbacks_in_row=0, rollbacks_in_window=0),
    run_ms=2**50,
    tries_max=10**6,
)


class FastClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000


class RealFakes(Fakes):
    """Steps that take a little while, over a store on a disk."""

    still = False

    def firing(self) -> Any:
        if self.still:
            return ()
        incident = self.clock.now_ms() // INCIDENT_MS
        self.live = -0.2 if incident % 5 == 0 else 0.1
        return (alert(episode=f"{incident:032x}"), alert(episode=f"{incident:032x}"))

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        made = super().train(policy, run, time.time_ns(), dataset, alive)
        time.sleep(0.02)
        alive()
        return made


def ports(directory: Path) -> RealFakes:
    return RealFakes(DirectoryStore(directory), FastClock())  # type: ignore[arg-type]


def approve(wired: RealFakes) -> None:
    """The first version needs a person."""
    book = Book(wired.store)
    for admission in book.active():
        if book.journal(admission.run).view.state is State.AWAITING_APPROVAL:
            try:
                book.approve(admission, "eve", "fine", wired.clock.now_ms())
            except Refused:
                continue


def finish(directory: Path) -> None:
    """No new incidents: what is under way comes to its end."""
    wired = ports(directory)
    wired.still, wired.live = True, 0.1
    last = Orchestrator(wired, [], "last", LEASE_MS)
    deadline = time.monotonic() + 60
    while Book(wired.store).active() and time.monotonic() < deadline:
        approve(wired)
        last.round()
        time.sleep(0.02)


def main() -> None:
    wired = ports(Path(sys.argv[1]))
    orchestrator = Orchestrator(wired, [POLICY], sys.argv[2], LEASE_MS)
    while True:
        orchestrator.round()
        approve(wired)


if __name__ == "__main__":
    main()
