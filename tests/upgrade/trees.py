"""The code of other releases than this tree's, in folders that processes run from."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.kafka.fixtures import unavailable

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("monitor", "pipelines", "registry")
EARLIER: Final = "9ec3ac36cdeff26970260340e5d2e384df815d33"
"""The commit of the release that is upgraded from: the last before editions, until there is a release with a tag. To be moved to
the tag of the last one with every release (CONTRIBUTING.md)."""
NEXT: Final = "9.9.0"
"""What the made-up later release is called."""

_EDITIONS = """

RELEASES = MappingProxyType({{**RELEASES, NEWEST + 1: "{release}"}})
NEWEST = max(RELEASES)
"""
_TASKS = """

from monitor.editions import NEWEST as _NUMBER
from monitor.metrics.made_up import with_surer as _with_surer

task_of = _with_surer(task_of, _NUMBER)
"""


def earlier_release(folder: Path) -> Path:
    """The code of the release before, out of the history of this repository. A failure in CI, else a skip, where the clone has no
    history or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "archive", EARLIER, "--", *PACKAGES], capture_output=True, check=False
        )
    except FileNotFoundError:
        unavailable("there is no git, which has the code of the earlier release")
    if done.returncode:
        unavailable(
            f"the earlier release {EARLIER} is not in the history of this clone ({done.stderr.decode().strip()}): fetch all of it"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def next_release(folder: Path) -> Path:
    """The code of this tree with one more edition."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "upgrade" / "made_up.py", folder / "monitor" / "metrics" / "made_up.py")
    for file, text in (("editions.py", _EDITIONS.format(release=NEXT)), ("metrics/tasks.py", _TASKS)):
        with (folder / "monitor" / file).open("a") as out:
            out.write(text)
    return folder
