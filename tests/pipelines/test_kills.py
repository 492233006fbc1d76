"""kill -9 of real processes on a real directory: nothing is there twice, the chain is linear, everything comes to its end."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from monitor.cli.registry_others import PipelineThings
from pipelines.book import Book
from pipelines.directory import DirectoryStore
from pipelines.local_models import LocalModels
from pipelines.states import State
from registry.directory import DirectoryStore as RegistryStore
from registry.fsck import Fault, fsck
from tests.pipelines import worker

ROOT = Path(__file__).parents[2]
WORKERS = 3
ADMISSIONS_MIN = 3


def start(store: Path, name: str, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.pipelines.worker", str(store), name, str(seed)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def kill_and_check(directory: Path, kills: int, seed: int) -> None:
    luck, started = random.Random(seed), WORKERS
    running = [start(directory, f"w{number}", seed) for number in range(WORKERS)]
    faults = []
    try:
        for _ in range(kills):
            time.sleep(luck.uniform(0.05, 0.8))
            place = luck.randrange(WORKERS)
            running[place].kill()
            faults.append(running[place].communicate()[1].decode())
            running[place] = start(directory, f"w{started}", seed)
            started += 1
        # A slow machine kills them before they get anywhere: they are left alone until there is something to check.
        deadline = time.monotonic() + 120
        while len(Book(DirectoryStore(directory)).admissions("fraud")) <= ADMISSIONS_MIN:
            assert time.monotonic() < deadline, "the workers do not get on"
            time.sleep(0.2)
    finally:
        for process in running:
            process.kill()
            faults.append(process.communicate()[1].decode())
    assert not any(faults), next(fault for fault in faults if fault)
    worker.finish(directory)
    check(directory)


def check(directory: Path) -> None:
    store = DirectoryStore(directory)
    book, models = Book(store), LocalModels(store)
    admissions = book.admissions("fraud")
    assert len(admissions) > ADMISSIONS_MIN
    assert max(Counter(a.run for a in admissions).values()) == 1
    assert max(Counter((c.fingerprint, c.episode) for a in admissions for c in a.causes).values()) == 1
    views = {a.run: book.journal(a.run).view for a in admissions}
    assert all(view.ended for view in views.values())
    versions, moves = models.versions("fraud"), models.moves("fraud")
    assert max(Counter(v.draft.run for v in versions).values()) == 1
    assert max(Counter((m.run, m.back) for m in moves).values()) == 1
    assert [m.replaces for m in moves] == [None, *(m.version for m in moves[:-1])]
    assert {v.draft.run for v in versions} == {run for run, view in views.items() if "version" in view.facts}
    promoted = {run for run, view in views.items() if State.PROBATION in dict(view.entered)}
    assert {m.run for m in moves if not m.back} == promoted
    found = {each.fault for each in fsck(RegistryStore(directory), others=PipelineThings())}
    assert found <= {Fault.UNREACHABLE, Fault.LEFTOVER}, found


def test_killed_workers_leave_a_whole_store_and_nothing_twice(tmp_path: Path) -> None:
    kill_and_check(tmp_path / "store", 15, 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_killed_workers_leave_nothing_twice(tmp_path: Path, seed: int) -> None:
    kill_and_check(tmp_path / "store", 100, seed)
