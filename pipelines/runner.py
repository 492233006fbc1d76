"""The child's side of the contract: `python -m pipelines.runner module:function` in the directory of a job.

    in/spec.json      {"format": 1, "step": "train" | "score", "features": [...], "label": ..., "params": {...}, "seed": 1}
    in/rows.jsonl     the rows; those to score have no label
    in/model/...      to score: the files of a model
    out/model/...     of training: the files
    out/result.json   of training: what the code says of itself, free
    out/scores.json   of scoring: one number a row, in order
    out/timing.json   written here: how long the function took

A command of any language reads and writes the same files. Exit code 0 is done, 75 is "try again", all others are failed.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.tables import Row, parse_rows

FORMAT: Final = 1
TIMING: Final = "out/timing.json"


@dataclass(frozen=True, slots=True)
class Job:
    """What a function is given. `rows` are in order of time; `model` is where files are written (train) or read (score)."""

    step: str
    features: tuple[str, ...]
    label: str
    params: Mapping[str, Any]
    seed: int
    rows: Sequence[Row]
    model: Path


def read_job(directory: Path) -> Job:
    """The job in a directory."""
    spec = json.loads((directory / "in/spec.json").read_bytes())
    rows = parse_rows((directory / "in/rows.jsonl").read_bytes(), "in/rows.jsonl")
    model = directory / ("out/model" if spec["step"] == "train" else "in/model")
    return Job(spec["step"], tuple(spec["features"]), spec["label"], spec["params"], spec["seed"], rows, model)


def run(job: Job, function: Callable[[Job], Any], directory: Path) -> None:
    """Call the function and write what it gives."""
    out = directory / "out"
    (out / "model").mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    result = function(job)
    (directory / TIMING).write_text(json.dumps({"ms": (time.monotonic() - begun) * 1000}))
    if job.step == "train":
        (out / "result.json").write_text(json.dumps(dict(result or {})))
    else:
        (out / "scores.json").write_text(json.dumps([float(score) for score in result]))


def main() -> None:
    """The function that the command line names, on the job in this directory."""
    module, _, name = sys.argv[1].partition(":")
    run(read_job(Path.cwd()), getattr(importlib.import_module(module), name), Path.cwd())


if __name__ == "__main__":
    main()
