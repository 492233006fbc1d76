"""docs/erasure.md can be followed: the tutorial is run as it is printed, and it names every place and option."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from monitor.adapters import absence
from monitor.cli.redact import command
from tests.docs.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "erasure.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    (script,) = blocks(PAGE, "sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was changed; --yes does it" in done.stderr
    assert "none of 1 ids is anywhere that was searched" in done.stderr
    (shown,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"dataset"')]
    assert (shown["names"], shown["manifest"]["rows"], shown["manifest"]["redacted"]["rows"]) == (["january"], 2, 1)
    assert "the same, bit for bit" in done.stdout


def test_it_tells_every_option_and_all_that_is_opened() -> None:
    text = PAGE.read_text()
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    untold = {"--config", "--set", "--embedded", "--output", "--reason", "--actor"}
    assert [name for name in sorted(options - untold) if name not in text] == []
    openers = {opener.__name__.strip("_") for _, opener in absence._PACKED}
    told = {"arrow_file": "Arrow", "recording": "segments of recordings", "parquet": "Parquet", "sqlite": "SQLite"}
    assert [name for name in openers if told.get(name, name) not in text] == []
