"""What a step reads and writes, wherever it runs: files in, files out (`pipelines.runner` has the contract).

`FileSteps` lays a job out in a directory, hands it to an executor, and takes what came of it. An executor runs one command there:
a process of this machine (`pipelines.subprocesses`), or whatever else can carry a directory to a place and back. Nothing that
the code writes is looked at but regular files below `out`.
"""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from msgspec import UNSET

from pipelines.codec import canonical_bytes, digest_of
from pipelines.errors import StepFailed
from pipelines.explanation import (
    EXPLAIN_ROWS,
    FEATURES_MOST,
    Explanation,
    Importance,
    dealt,
    differing,
    importances,
    sample,
)
from pipelines.gate import Paired
from pipelines.intake import NO_SOURCE, Groups
from pipelines.losses import Floats
from pipelines.meanwhile import meanwhile
from pipelines.policy import Policy
from pipelines.ports import Alive, Artifact, Dataset, Known, ModelFile, Scored, Serving, Store
from pipelines.runner import FORMAT, TIMING
from pipelines.tables import Row, numbers, parse_rows, write_rows

MODEL_BYTES_MAX: Final = 2 * 2**30
_NAME_HEX_DIGITS: Final = 16
_MS_MOST: Final = 1e12


@dataclass(frozen=True, slots=True)
class Work:
    """One step to be run. `name` is the same for the same work, whoever asks for it: who finds it under way may wait for it.
    `function`: `module:name` for the runner; else `command`. `directory` has `in/`, and gets `out/`."""

    name: str
    policy: Policy
    directory: Path
    function: str | None
    command: Sequence[str]


class Executor(Protocol):
    """Runs a step somewhere."""

    def execute(self, work: Work, alive: Alive) -> float | None:
        """Until it is done; the ms that the step itself took, None where nobody knows. Raises StepFailed; `alive` is called
        every second or so, and what it raises ends the step."""

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See `pipelines.ports.Trainer.clear`."""


class FileSteps:
    """`pipelines.ports.Trainer` and `Evaluator` over an executor. Jobs are laid out below `directory`."""

    def __init__(self, store: Store, directory: Path, executor: Executor) -> None:
        self._store, self._directory, self._executor = store, directory, executor

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        """See Trainer."""
        rows = meanwhile(lambda: b"".join(self._store.blob(dataset.train)), alive)
        function, command = _what(policy.train.function, policy.train.command, "pipelines.trainer:train")
        name = f"train-{run[:12]}-{attempt}"
        with self._job(policy, name, "train", rows) as job:
            self._executor.execute(Work(f"train-{run[:12]}", policy, job, function, command), alive)
            files = meanwhile(lambda: self._kept(job / "out/model"), alive)
            said = _result(job / "out/result.json")
        return Artifact(files, _environment(), said)

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Trainer."""
        self._executor.clear(policy, alive)

    def losses(
        self,
        policy: Policy,
        dataset: Dataset,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
        known: Known | None = None,
    ) -> Paired:
        """See Evaluator."""
        known = Known(champion=policy.data.score) if known is None else known
        rows = self._rows(dataset.test, "the held-out rows", alive)
        labels = numbers(rows, policy.data.label)
        taken: float | None = None
        if known.challenger is not None:
            new = numbers(rows, known.challenger)
        else:
            new, taken = self._scores(policy, rows, challenger.files, alive)
        if champion is None:
            trained_on = numbers(self._rows(dataset.train, "the rows", alive), policy.data.label)
            old = np.full(len(rows), float(trained_on.mean()) if trained_on.size else np.nan)
        elif known.champion is not None:
            old = numbers(rows, known.champion)
        else:
            old, _ = self._scores(policy, rows, champion.files, alive)
        loss = policy.gate.loss
        there = (name for name in policy.gate.segments if any(row.get(name) is not None for row in rows))
        segments = {
            name: np.array([str(row.get(name)) for row in rows]) for name in there
        }  # no value: the gate says so
        served = None if champion is None else old
        return Paired(loss.of(labels, old), loss.of(labels, new), segments, labels, served, new, taken)

    def scored(
        self, policy: Policy, rows: str, model: Serving | None, alive: Alive, known: str | None = None
    ) -> Scored:
        """See Evaluator."""
        found = self._rows(rows, "the rows", alive)
        scores = None
        if known is not None:
            scores = numbers(found, known)
        elif model is not None:
            scores, _ = self._scores(policy, found, model.files, alive)
        return Scored(numbers(found, policy.data.label), scores, _groups(policy, found))

    def explained(
        self,
        policy: Policy,
        dataset: Dataset,
        paired: Paired,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
    ) -> Explanation:
        """See Evaluator. A champion that is known by a column of scores cannot be asked for others."""
        asked = EXPLAIN_ROWS if policy.gate.explain_rows is UNSET else policy.gate.explain_rows
        features = policy.data.features[:FEATURES_MOST]
        rows = [
            row
            for row in self._rows(dataset.test, "the held-out rows", alive)
            if row.get(policy.data.label) is not None
        ]
        chosen = sample(rows, asked)
        importance: tuple[Importance, ...] = ()
        if chosen:
            labels, many = numbers(chosen, policy.data.label), dealt(chosen, features)

            def leans(files: Mapping[str, ModelFile]) -> list[float]:
                scores, _ = self._scores(policy, many, files, alive)
                if not np.isfinite(scores).all():
                    why = "has scores that are no numbers where a feature's values are dealt out anew"
                    raise StepFailed("the explanation", why, "Score whatever values a feature has.")
                return importances(labels, scores, policy.gate.loss, features)

            new = leans(challenger.files)
            old: Sequence[float | None] = [None] * len(features)
            if champion is not None and policy.data.score is None:
                old = leans(champion.files)
            found = (Importance(*each) for each in zip(features, old, new, strict=True))
            importance = tuple(sorted(found, key=lambda each: -each.challenger))
        of_all, one, other = paired.labels, paired.champion_scores, paired.challenger_scores
        apart = () if of_all is None or one is None or other is None else differing(of_all, one, other)
        return Explanation(len(chosen), importance, len(policy.data.features) - len(features), apart, dataset.test)

    # ------------------------------------------------------------------------------------------------------- within

    def _rows(self, digest: str, what: str, alive: Alive) -> list[Row]:
        return meanwhile(lambda: parse_rows(b"".join(self._store.blob(digest)), what), alive)

    def _scores(
        self, policy: Policy, rows: Sequence[Row], files: Mapping[str, ModelFile], alive: Alive
    ) -> tuple[Floats, float | None]:
        """The scores, and the ms for 1,000 rows."""
        hidden = {policy.data.label, policy.data.score}
        seen = ({key: value for key, value in row.items() if key not in hidden} for row in rows)
        shown = meanwhile(lambda: write_rows(seen), alive)
        function, command = _what(policy.train.score_function, policy.train.score_command, "pipelines.trainer:score")
        of_what = [policy.digest, digest_of(shown), *sorted(file.digest for file in files.values())]
        name = f"score-{digest_of(canonical_bytes(of_what)).removeprefix('sha256:')[:_NAME_HEX_DIGITS]}"
        with self._job(policy, name, "score", shown) as job:
            meanwhile(lambda: self._lay_out(files, job / "in/model"), alive)
            taken_ms = self._executor.execute(Work(name, policy, job, function, command), alive)
            try:
                found = json.loads((job / "out/scores.json").read_bytes())
                scores = np.array([np.nan if value is None else float(value) for value in found], dtype=np.float64)
            except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise StepFailed("scoring", f"left no list of numbers: {error}", "Write out/scores.json.") from None
            if function is not None:  # without the start of a Python; of a command all of it counts
                taken_ms = _timed(job / TIMING)
        if scores.size != len(rows):
            raise StepFailed(
                "scoring", f"gave {scores.size:,} scores for {len(rows):,} rows", "Give one for each, in order."
            )
        return scores, None if taken_ms is None else taken_ms / max(1, len(rows)) * 1000

    @contextlib.contextmanager
    def _job(self, policy: Policy, name: str, step: str, rows: bytes) -> Iterator[Path]:
        self._directory.mkdir(parents=True, exist_ok=True)
        job = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._directory.resolve()))
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

    def _kept(self, folder: Path) -> dict[str, ModelFile]:
        """The files of a model that was trained, as blobs."""
        found = {path: self._store.put_blob([(folder / path).read_bytes()]) for path in _files(folder)}
        return {path: ModelFile(blob.digest, blob.size_bytes) for path, blob in found.items()}

    def _lay_out(self, files: Mapping[str, ModelFile], folder: Path) -> None:
        for path, file in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(self._store.blob(file.digest)))


def _what(function: str | None, command: Sequence[str], default: str) -> tuple[str | None, Sequence[str]]:
    return (None, command) if command else (function or default, ())


def _groups(policy: Policy, rows: Sequence[Row]) -> Groups:
    names = [name for name in policy.gate.segments if any(row.get(name) is not None for row in rows)]
    if policy.intake is not UNSET and policy.intake.source is not None:
        names.append(policy.intake.source)
    return {
        name: np.array([NO_SOURCE if row.get(name) is None else str(row[name]) for row in rows], dtype=object)
        for name in names
    }


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
    except (ValueError, RecursionError) as error:
        raise StepFailed("out/result.json", f"cannot be kept: {error}", "Write one JSON object without NaN.") from None
    return said if isinstance(said, dict) else {"said": said}


def _timed(path: Path) -> float | None:
    """The ms that a function took, None where nobody says: whoever runs steps elsewhere need not use our runner."""
    try:
        said = json.loads(path.read_bytes())["ms"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return float(said) if isinstance(said, int | float) and 0 <= said < _MS_MOST else None


def _environment() -> dict[str, str]:
    import importlib.metadata

    made = {"python": platform.python_version(), "machine": platform.machine(), "threads": "1"}
    for name in ("numpy", "scipy", "scikit-learn", "onnx"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            made[name] = importlib.metadata.version(name)
    return made
