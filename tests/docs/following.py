"""Running the tutorial of a page as it is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.test_docs import ROOT, blocks


def run_in(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a directory, with this checkout and what is installed beside this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


def followed(page: Path, where: Path) -> subprocess.CompletedProcess[str]:
    """The one script of a page, run to its end without a mistake."""
    (script,) = blocks(page, "sh")
    done = run_in(where, "bash", "-eu", "-c", script)
    assert done.returncode == 0, done.stderr
    return done
