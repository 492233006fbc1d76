"""The executor of one machine: a step is a process of its own (`pipelines.filesteps` has what it reads and writes).

A job has its own directory and process group, an environment of a few plain variables (no credentials unless the policy
names them), one thread for the libraries of linear algebra, and a limit of time. When the run is cancelled or taken over by
somebody else the whole group is killed before anything else happens.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from pipelines.errors import StepFailed
from pipelines.filesteps import FileSteps, Work
from pipelines.policy import Policy
from pipelines.ports import Alive, Store

TRY_AGAIN: Final = 75
_POLL_S: Final = 0.05
_ALIVE_EVERY_S: Final = 1.0
_TAIL_BYTES: Final = 2000
_PLAIN: Final = {
    "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8",
}  # fmt: skip


class Processes:
    """`pipelines.filesteps.Executor`. `project` is where the user's modules and commands are."""

    def __init__(self, project: Path) -> None:
        self._project = project

    def execute(self, work: Work, alive: Alive) -> float | None:
        """See Executor."""
        begun = time.monotonic()
        policy, job, command = work.policy, work.directory, self._command(work)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(job / "tmp"),
            "HOME": str(job),
            **_PLAIN,
        }
        environment |= {"DRIFTLINE_PROJECT": str(self._project)}
        if work.function is not None:  # the runner; a command may be of another Python
            environment["PYTHONPATH"] = os.pathsep.join([str(self._project), str(Path(__file__).resolve().parents[1])])
        environment |= {name: os.environ[name] for name in policy.train.environment if name in os.environ}
        deadline = time.monotonic() + policy.train.timeout_ms / 1000
        with (job / "log.txt").open("wb") as log:
            try:
                process = subprocess.Popen(  # noqa: S603  # running the user's command is what it is for
                    command, cwd=job, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise StepFailed(
                    f"command {command[0]!r}", f"cannot be started: {error}", "Look at the policy."
                ) from None
            try:
                code = _wait(process, deadline, alive)
            finally:
                _end(process)
        if code is None:
            why = f"took longer than {policy.train.timeout_ms / 1000:.0f} s and was killed"
            raise StepFailed("the step", why, f"Its output is in {str(job)!r}.", timed_out=True)
        if code != 0:
            tail = (job / "log.txt").read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
            meant = ", which asks for another try" if code == TRY_AGAIN else ""
            why = f"ended with code {code}{meant}: {tail.splitlines()[-1] if tail else 'no output'}"
            raise StepFailed("the step", why, f"Its output is in {str(job)!r}.", again=code == TRY_AGAIN)
        return (time.monotonic() - begun) * 1000

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Executor. What outlives a worker that was killed is not known here, and has nobody to give its result to."""

    def _command(self, work: Work) -> list[str]:
        if work.function is not None:
            return [sys.executable, "-W", "ignore::FutureWarning", "-m", "pipelines.runner", work.function]
        first = str(self._project / work.command[0]) if "/" in work.command[0] else work.command[0]
        return [first, *work.command[1:]]


class Subprocesses(FileSteps):
    """`pipelines.ports.Trainer` and `Evaluator` on this machine."""

    def __init__(self, store: Store, directory: Path, project: Path) -> None:
        super().__init__(store, directory, Processes(project))


def _wait(process: subprocess.Popen[bytes], deadline: float, alive: Alive) -> int | None:
    due = time.monotonic() + _ALIVE_EVERY_S
    while (code := process.poll()) is None:
        now = time.monotonic()
        if now > deadline:
            return None
        if now > due:
            alive()
            due = now + _ALIVE_EVERY_S
        time.sleep(_POLL_S)
    return code


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the group is left, whatever the command started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
