"""`driftline run`: what it says at its start."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


def test_snapshots_that_cannot_be_written_are_said_at_the_start_and_stop_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    log = shutil.copytree(deployment.log, tmp_path / "log")
    (tmp_path / "kept").write_text("a file is in the way")
    settings = ("--set", f"state.snapshots={tmp_path}/kept", "--until-end", "--no-http", "-q")
    ran = driftline("run", "-c", deployment.config, "--embedded", log, *settings)
    assert ran.code == 0
    assert (
        f"no snapshot can be written (state.snapshots): {tmp_path}/kept/small: Not a directory. Make it a place"
        in ran.err
    )
