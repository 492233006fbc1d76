"""`driftline demo`: where it may be kept, and how it ends when somebody has seen enough."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.driving import driftline


def test_a_directory_that_holds_a_demo_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    outcome = driftline("demo", "--keep", tmp_path)
    assert outcome.code == 2
    assert "already holds the log of a demo" in outcome.err


def test_a_directory_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = driftline("demo", "--keep", tmp_path / "file" / "below")
    assert outcome.code == 2
    assert "name another directory" in outcome.err


def test_ctrl_c_ends_the_demo_as_it_ends_any_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monitor.cli.app", "demo", "--no-retraining", "--keep", str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it plays
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    assert (process.returncode, "Traceback" in said) == (130, False), said
