"""Deployments whose configuration file becomes another one while they run."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.counted import counted
from monitor.daemon.reload import Reloads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.simulation.fragile import TURNS_MAX, Crash, Fault, FragileWorld


class Files:
    """The configuration of a deployment, as one file that every worker reads."""

    def __init__(self, content: str) -> None:
        self.content = content

    def fingerprint(self) -> bytes:
        return self.content.encode()

    def read(self) -> Config:
        return loads(self.content)


def start(log: FragileWorld, files: Files, *, until_end: bool = True) -> Worker:
    """A worker of the deployment, as the command starts it."""
    own, options = files.read(), WorkerOptions(until_end=until_end)
    by, reloads = counted(log, own, plan_of(own)), Reloads(files, files.fingerprint(), log.clock)
    process = Worker(log, own, by.plan, log.clock, dead_letters, options, reloads=reloads, counted=by)
    process.start()
    return process


def run(
    log: FragileWorld, faults: Sequence[tuple[int, Fault]], files: Files, changes: Sequence[tuple[int, str]]
) -> None:
    """Run a deployment to its end. After so many turns of all its processes the file becomes another one."""
    log.arm(faults)
    left, turns, process = list(changes), 0, None
    while turns < TURNS_MAX:
        try:
            process = process or start(log, files)
            while not process.done():
                turns += 1
                if left and turns >= left[0][0]:
                    files.content = left.pop(0)[1]
                    assert process.reloads is not None
                    process.reloads.ask()
                log.clock.advance(5)
                process.turn()
            process.close()
            break
        except Crash:
            if process is not None:
                log.crashed(process)
            else:
                log.clock.advance(log.session_ms + 1)
            process = None
    log.land()
