"""A replay that several processes share tells what one tells, and none of them outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.cli.backtest_run import _typed
from monitor.cli.replay_processes import MUCH, Helpers, Origin
from monitor.daemon.replay.sharing import Share, shares, too_far
from monitor.errors import MonitorError
from monitor.frontier import PartitionClock
from monitor.ingest.clocks import FOREVER, NEVER
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline
from tests.cli.test_replay_command import SLOW, SMALL, commits


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_many_processes_leave_the_bytes_that_one_leaves(deployment: Deployment, tmp_path: Path) -> None:
    files = (deployment.predictions, deployment.labels, deployment.log.parent / "bad.jsonl")
    records = sum(len(path.read_text().splitlines()) for path in files)
    said = []
    for name, processes in (("one", 1), ("two", 2), ("more", 7)):
        options = ("--processes", processes, "--sweep", "rules.too-good.threshold=0.5,0.99")
        done = driftline("backtest", *deployment.where, *options, "--to", tmp_path / name)
        assert done.code == 0, done.err
        assert f"{records:,} records read in" in done.err
        said.append([line for line in done.err.splitlines() if "flights.predictions" in line])
    assert said[0] == said[1] == said[2] != [], "each process meets some of what cannot be used"
    one, two, more = (contents(tmp_path / name / "first") for name in ("one", "two", "more"))
    assert one == two == more
    assert len(one) == 5


def test_a_replay_into_files_is_shared_likewise(deployment: Deployment, tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        to = ("--to", tmp_path / name, "--processes", processes)
        assert driftline("replay", *deployment.where, *SMALL, *to, "-q").code == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("options", [("--verify",), ("--to-topics", "--namespace", "other")])
def test_other_replays_are_not_shared(deployment: Deployment, options: tuple[str, ...]) -> None:
    done = driftline("replay", *deployment.where, *options, "--processes", 2)
    assert done.code == 2
    assert "--processes is for a replay into files" in done.err


@contextmanager
def running(deployment: Deployment, to: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A backtest in two processes, in its middle, and the other one of the two."""
    arguments = ["backtest", *map(str, deployment.where), *SMALL, "--processes", "2", "--to", str(to), "-q"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while commits(to / "first") < 6:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield process, list(map(int, children))
    finally:
        process.kill()
        process.communicate()


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":  # nobody asked how it ended
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_cut_short_leaves_no_process_and_is_resumed_with_any_number(
    deployment: Deployment, tmp_path: Path, how: signal.Signals
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert driftline("backtest", *deployment.where, *SMALL, "--to", whole, "-q").code == 0
    with running(deployment, cut) as (process, others):
        assert len(others) == 1
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (-how if how is signal.SIGKILL else 128 + how)
        assert ("--resume goes on" in err) is (how is not signal.SIGKILL)
        assert gone(others[0])
    resumed = driftline("backtest", *deployment.where, *SMALL, "--to", cut, "--resume", "--processes", 1, "-q")
    assert resumed.code == 0, resumed.err
    assert contents(whole / "first") == contents(cut / "first")


def test_one_that_ends_before_its_work_ends_all(deployment: Deployment, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    with running(deployment, cut) as (process, others):
        os.kill(others[0], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
    assert "the process that read partitions 1 ended with -9 before its end" in err
    assert "--processes 1 does without" in err
    resumed = driftline("backtest", *deployment.where, *SMALL, "--to", cut, "--resume", "-q")
    assert resumed.code == 0, resumed.err


def test_files_that_changed_meanwhile_are_noticed(
    deployment: Deployment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    origin = Origin((deployment.config,), (), "embedded", deployment.log)
    spans = {"flights.predictions": [(0, 1), (0, 1)], "flights.labels": [(0, 1), (0, 1)]}
    share = Share(frozenset({1}), evaluates=False)
    with (
        Helpers(origin, "sha256:another", tmp_path, spans, [share]) as helpers,
        pytest.raises(MonitorError, match="the process that read partitions 1 ended with 1"),
    ):
        helpers.wait()
    assert "the files of the configuration changed while the replay began" in capfd.readouterr().err


def test_little_is_read_by_one() -> None:
    origin = Origin((), (), "kafka")
    assert origin.wanted(MUCH - 1, 64) == 1
    assert origin.wanted(MUCH, 64) == len(os.sched_getaffinity(0))
    assert origin.wanted(MUCH, 1) == 1
    assert Origin((), (), "kafka", processes=3).wanted(1, 64) == 3


def test_how_many_there_were_is_no_part_of_what_was_asked() -> None:
    words = ["backtest", "-c", "a.yaml", "--processes", "3", "--to", "out", "--processes=2", "--resume", "-q"]
    assert _typed(words) == ["backtest", "-c", "a.yaml", "--to", "out", "-q"]


@pytest.mark.parametrize(("partitions", "processes", "sizes"), [(1, 4, [1]), (5, 2, [2, 3]), (6, 4, [1, 2, 2, 1])])
def test_partitions_are_dealt_and_who_evaluates_has_fewest(partitions: int, processes: int, sizes: list[int]) -> None:
    dealt = shares(partitions, processes)
    assert sorted(p for share in dealt for p in share.partitions) == list(range(partitions))
    assert sorted(len(share.partitions) for share in dealt) == sorted(sizes)
    assert len(dealt[0].partitions) == min(sizes)
    assert [share.evaluates for share in dealt] == [True] + [False] * (len(dealt) - 1)


def test_what_is_far_ahead_of_the_slowest_waits_in_the_ledger() -> None:
    def clocks(*at_ms: tuple[int, int]) -> list[PartitionClock]:
        return [PartitionClock(prediction_ms, label_ms) for prediction_ms, label_ms in at_ms]

    apart = clocks((100, 90), (160, 300), (150, 141), (FOREVER, FOREVER))
    assert too_far(apart, 50, labels=True) == [1, 2, 3]
    assert too_far(apart, 50, labels=False) == [1, 3]
    unbegun = clocks((NEVER, NEVER), (5, 5), (5, NEVER))
    assert too_far(unbegun, 50, labels=True) == [1]
    assert too_far(unbegun, 50, labels=False) == [1, 2]
    assert too_far(clocks((FOREVER, FOREVER), (FOREVER, FOREVER)), 50, labels=True) == []
