"""`driftline run`: what it says at its start."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from pathlib import Path

from tests.cli.conftest import Deployment
from tests.cli.driving import driftline

DEFAULT_PORT = 9187


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


def test_a_run_to_the_end_does_not_need_the_port_that_a_daemon_beside_it_has(
    deployment: Deployment, tmp_path: Path
) -> None:
    log = shutil.copytree(deployment.log, tmp_path / "log")
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # whoever has it already serves as well
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        ran = driftline("run", "-c", deployment.config, "--embedded", log, "--until-end", "-q")
    assert ran.code == 0, ran.err
    found = re.search(r"driftline: metrics and probes on http://127\.0\.0\.1:(\d+)", ran.err)
    assert found is not None
    assert int(found[1]) not in (0, DEFAULT_PORT)


def test_a_port_that_the_configuration_names_is_the_one(deployment: Deployment, tmp_path: Path) -> None:
    log = shutil.copytree(deployment.log, tmp_path / "log")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        named = ("--set", f"http.port={taken.getsockname()[1]}")
        ran = driftline("run", "-c", deployment.config, "--embedded", log, "--until-end", "-q", *named)
    assert ran.code != 0
    assert f"cannot listen on 127.0.0.1:{named[1].partition('=')[2]}" in ran.err
