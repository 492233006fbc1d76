"""The image is built and runs as a pod would run it, on a base made of Debian's packages (tests/tools/image)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kafka.fixtures import unavailable

ROOT = Path(__file__).parents[2]
HOLDS = (
    "a base image without a registry",
    "deploy/Dockerfile builds",
    "starts as 65532:65532 driftline run",
    "no compiler and no pip in it",
    "its root is read-only, it is 65532",
    "driftline check",
    "driftline demo",
)
PATIENCE_S = 1_500


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_image_builds_and_runs_without_root_and_without_a_root_that_can_be_written_to(tmp_path: Path) -> None:
    if os.geteuid() or shutil.which("apt-get") is None:
        unavailable("an image without a container engine needs root and apt, to make a base of Debian's packages")
    command = ["bash", "tests/tools/image", "--demo", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode == 69:
        unavailable(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3_000:]
    said = [line.removeprefix("ok: ") for line in done.stdout.splitlines() if line.startswith("ok: ")]
    assert [line for line in said if not line.startswith("driftline 0")] == list(HOLDS)
    assert any(line.startswith("driftline 0") for line in said), "its version"
