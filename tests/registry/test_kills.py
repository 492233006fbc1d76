"""kill -9 of real processes on a real directory: what was acknowledged is there, nothing is there twice, the chain is linear."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from registry.fold import Verdict
from registry.fsck import Fault, fsck
from registry.gc import collect, plan
from registry.moves import Promote
from tests.registry.test_aliases import linear

ROOT = Path(__file__).parents[2]
WORKERS = 3


class Workers:
    """Processes at work; `kill` ends one with SIGKILL and starts another at a run that may be under way."""

    def __init__(self, directory: Path) -> None:
        self.store, self.said = directory / "store", directory / "said"
        self.said.mkdir()
        self.number = 0
        self.running = [self._start(1) for _ in range(WORKERS)]

    def _start(self, first: int) -> subprocess.Popen[bytes]:
        self.number += 1
        command = [sys.executable, "-m", "tests.registry.worker", str(self.store), f"worker-{self.number}", str(first)]
        with (self.said / str(self.number)).open("wb") as out, (self.said / f"{self.number}.err").open("wb") as err:
            return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)

    def lines(self) -> list[list[str]]:
        """What was acknowledged so far; a line that was cut was not."""
        texts = [path.read_text() for path in self.said.iterdir() if path.suffix != ".err"]
        return [line.split() for text in texts for line in text.split("\n")[:-1]]

    def kill(self, luck: random.Random) -> None:
        place = luck.randrange(len(self.running))
        self.running[place].kill()
        self.running[place].wait()
        runs = [int(line[1]) for line in self.lines() if line[0] == "version"]
        self.running[place] = self._start(max(1, max(runs, default=1) - luck.randrange(3)))

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        faults = [text for path in self.said.glob("*.err") if (text := path.read_text())]
        assert not faults, faults[0]


def kill_and_check(tmp_path: Path, kills: int, seed: int) -> None:
    luck, workers = random.Random(seed), Workers(tmp_path)
    deadline = time.monotonic() + 30
    while not workers.lines() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        for _ in range(kills):
            time.sleep(luck.uniform(0.02, 0.6))
            workers.kill(luck)
    finally:
        workers.end()
    check(workers)


def check(workers: Workers) -> None:
    store = DirectoryStore(workers.store)
    catalog = Catalog(store)
    found = list(fsck(store))
    assert {each.fault for each in found} <= {Fault.UNREACHABLE, Fault.LEFTOVER}, found
    versions = catalog.versions("fraud")
    assert all(catalog.verify(version) == [] for version in versions)
    assert max(Counter(version.entry.run for version in versions).values()) == 1
    history = Aliases(catalog).history("fraud")
    linear(history)
    told = workers.lines()
    for run, number, digest in (line[1:] for line in told if line[0] == "version"):
        version = versions[int(number) - 1]
        assert (version.entry.run, version.digest) == (f"run-{run}", digest)
    for sequence, number in (line[1:] for line in told if line[0] == "promoted"):
        step = history[int(sequence) - 1]
        assert isinstance(step.move, Promote)
        assert (step.verdict, step.move.version) == (Verdict.ACCEPTED, int(number))
    causes = Counter(step.move.cause for step in history)
    assert not causes or max(causes.values()) == 1
    assert len(versions) > 3
    later_ms = time.time_ns() // 1_000_000 + 60_000
    collect(store, plan(store, later_ms), later_ms)
    assert list(fsck(store)) == []


def test_killed_processes_leave_a_whole_store(tmp_path: Path) -> None:
    kill_and_check(tmp_path, 20, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_killed_processes_leave_whole_stores(tmp_path: Path, seed: int) -> None:
    kill_and_check(tmp_path, 100, seed)
