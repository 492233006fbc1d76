"""The tools that check what is under deploy/."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.deploy.apiserver import apiserver

__all__ = ["apiserver"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def promtool() -> Run:
    """Runs promtool with arguments and, if given, `stdin`."""
    path = shutil.which("promtool")
    if path is None:
        said = "promtool is missing; it is in the Debian package `prometheus`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)

    return run
