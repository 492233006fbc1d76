"""Training and scoring in processes of their own: files in, files out (`pipelines.runner` has the contract).

A job has its own directory and process group, an environment of a few plain variables (no credentials unless the policy
names them), one thread for the libraries of linear algebra, and a limit of time. When the run is cancelled or taken over by
somebody else the whole group is killed before anything else happens. Nothing that the code writes is looked at but regular files
below `out`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.codec import canonical_bytes
from pipelines.errors import StepFailed
from pipelines.gate import Paired
from pipelines.losses import Floats
from pipelines.policy import Policy
from pipelines.ports import Alive, Artifact, Dataset, ModelFile, Serving, Store
from pipelines.runner import FORMAT
from pipelines.tables import Row, numbers, parse_rows, write_rows

TRY_AGAIN: Final = 75
MODEL_BYTES_MAX: Final = 2 * 2**30
_POLL_S: Final = 0.05
_ALIVE_EVERY_S: Final = 1.0
_TAIL_BYTES: Final = 2000
_PLAIN: Final = {
    "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8",
}  # fmt: skip


class Subprocesses:
    """`pipelines.ports.Trainer` and `Evaluator`. `project` is where the user's modules and commands are."""

    def __init__(self, store: Store, directory: Path, project: Path) -> None:
        self._store, self._directory, self._project = store, directory, project

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        """See Trainer."""
        rows = b"".join(self._store.blob(dataset.train))
        command = self._command(policy.train.function, policy.train.command, "pipelines.trainer:train")
        with self._job(policy, f"train-{run[:12]}-{attempt}-", "train", rows) as job:
            self._execute(policy, job, command, alive)
            files = {path: self._keep(job / "out/model" / path) for path in _files(job / "out/model")}
            said = _result(job / "out/result.json")
        return Artifact(files, _environment(), said)

    def losses(
        self, policy: Policy, dataset: Dataset, challenger: Artifact, champion: Serving | None, alive: Alive
    ) -> Paired:
        """See Evaluator."""
        rows = parse_rows(b"".join(self._store.blob(dataset.test)), "the held-out rows")
        labels = numbers(rows, policy.data.label)
        new = self._scores(policy, rows, challenger.files, alive)
        if champion is None:
            known = numbers(parse_rows(b"".join(self._store.blob(dataset.train)), "the rows"), policy.data.label)
            old = np.full(len(rows), float(known.mean()))
        elif policy.data.score is not None:
            old = numbers(rows, policy.data.score)
        else:
            old = self._scores(policy, rows, champion.files, alive)
        loss = policy.gate.loss
        there = (name for name in policy.gate.segments if any(row.get(name) is not None for row in rows))
        segments = {
            name: np.array([str(row.get(name)) for row in rows]) for name in there
        }  # no value: the gate says so
        return Paired(loss.of(labels, old), loss.of(labels, new), segments)

    def _scores(self, policy: Policy, rows: Sequence[Row], files: Mapping[str, ModelFile], alive: Alive) -> Floats:
        hidden = {policy.data.label, policy.data.score}
        shown = write_rows({key: value for key, value in row.items() if key not in hidden} for row in rows)
        command = self._command(policy.train.score_function, policy.train.score_command, "pipelines.trainer:score")
        with self._job(policy, "score-", "score", shown) as job:
            for path, file in files.items():
                target = job / "in/model" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(b"".join(self._store.blob(file.digest)))
            self._execute(policy, job, command, alive)
            try:
                found = json.loads((job / "out/scores.json").read_bytes())
                scores = np.array([np.nan if value is None else float(value) for value in found], dtype=np.float64)
            except (OSError, ValueError, TypeError) as error:
                raise StepFailed("scoring", f"left no list of numbers: {error}", "Write out/scores.json.") from None
        if scores.size != len(rows):
            raise StepFailed(
                "scoring", f"gave {scores.size:,} scores for {len(rows):,} rows", "Give one for each, in order."
            )
        return scores

    # ------------------------------------------------------------------------------------------------------- within

    def _command(self, function: str | None, command: Sequence[str], default: str) -> list[str]:
        if not command:
            return [sys.executable, "-W", "ignore::FutureWarning", "-m", "pipelines.runner", function or default]
        first = str(self._project / command[0]) if "/" in command[0] else command[0]
        return [first, *command[1:]]

    @contextlib.contextmanager
    def _job(self, policy: Policy, prefix: str, step: str, rows: bytes) -> Any:
        self._directory.mkdir(parents=True, exist_ok=True)
        job = Path(tempfile.mkdtemp(prefix=prefix, dir=self._directory.resolve()))
        for folder in ("in/model", "out/model", "tmp"):
            (job / folder).mkdir(parents=True)
        spec = {
            "format": FORMAT, "step": step, "features": list(policy.data.features), "label": policy.data.label,
            "params": policy.train.params, "seed": policy.train.seed,
        }  # fmt: skip
        (job / "in/spec.json").write_bytes(canonical_bytes(spec))
        (job / "in/rows.jsonl").write_bytes(rows)
        yield job
        shutil.rmtree(job)  # only after success: what failed can be looked at

    def _execute(self, policy: Policy, job: Path, command: list[str], alive: Alive) -> None:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "TMPDIR": str(job / "tmp"),
            "HOME": str(job),
            **_PLAIN,
        }
        environment |= {"DRIFTLINE_PROJECT": str(self._project)}
        if command[0] == sys.executable:  # the runner; a command may be of another Python
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

    def _keep(self, path: Path) -> ModelFile:
        blob = self._store.put_blob([path.read_bytes()])
        return ModelFile(blob.digest, blob.size_bytes)


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


def _files(folder: Path) -> list[str]:
    """Paths of the regular files below. Raises StepFailed when there are none, or something else is."""
    found, size = [], 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StepFailed(f"out/model/{path.name}", "is no regular file", "Write the files themselves.")
        if path.is_file():
            found.append(path.relative_to(folder).as_posix())
            size += path.stat().st_size
    if not found:
        raise StepFailed("training", "left no file in out/model", "Write the model there.")
    if size > MODEL_BYTES_MAX:
        raise StepFailed("the model", f"has {size:,} bytes, more than {MODEL_BYTES_MAX:,}", "Write a smaller one.")
    return found


def _result(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_bytes())
        canonical_bytes(said)
    except ValueError as error:
        raise StepFailed("out/result.json", f"cannot be kept: {error}", "Write one JSON object without NaN.") from None
    return said if isinstance(said, dict) else {"said": said}


def _environment() -> dict[str, str]:
    import importlib.metadata

    made = {"python": platform.python_version(), "machine": platform.machine(), "threads": "1"}
    for name in ("numpy", "scipy", "scikit-learn", "onnx"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            made[name] = importlib.metadata.version(name)
    return made
