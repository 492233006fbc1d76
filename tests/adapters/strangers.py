"""A user who may look at a directory and write nothing into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def lent(directory: Path, *beside: Path) -> Iterator[Path]:
    """A copy of a directory, with other files beside it, where everybody can see it; nobody may write into it while the
    block lasts, and the superuser, whom rights do not bind, is somebody else meanwhile."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        copy = Path(shutil.copytree(directory, Path(parent) / "lent"))
        for file in beside:
            shutil.copy(file, parent)
        with looked_at(copy):
            yield copy


@contextmanager
def looked_at(directory: Path) -> Iterator[None]:
    """Nobody may write into the directory while the block lasts."""
    directory.parent.chmod(0o755)
    for path in directory.iterdir():
        path.chmod(0o444)
    directory.chmod(0o555)
    mighty = os.geteuid() == 0
    if mighty:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if mighty:
            os.seteuid(0)
        directory.chmod(0o755)
        for path in directory.iterdir():
            path.chmod(0o644)
