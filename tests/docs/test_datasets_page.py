"""docs/datasets.md can be followed: the tutorial is run as it is printed, and its tables name what exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from monitor.cli.dataset_join import _FATES, _USES
from pipelines.dataset.redaction import REDACTED
from pipelines.dataset.selection import BLOCK_OFFSETS
from tests.docs.following import run_in
from tests.docs.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "datasets.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    (script,), (program,) = blocks(PAGE, "sh"), blocks(PAGE, "python")
    done = run_in(tmp_path, "bash", "-eu", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "monday: 3 rows, 1 of them without a label in 1 segments" in done.stderr
    assert done.stdout.count("the same, bit for bit") == 2
    assert re.search(r"changed +label corrected +1", done.stdout)
    read = run_in(tmp_path, sys.executable, "-c", program)
    assert read.stdout == "[0.9 0.2 0.4] [ 1.  0. nan] ['DE', 'FR', None]\n", read.stderr


def _names(heading: str) -> set[str]:
    """Code in the first column of the table under a header row."""
    table = PAGE.read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_the_tables_name_every_reason() -> None:
    assert _names("predictions") == {"rejected_…", REDACTED, *_FATES.values()}
    assert _names("labels") == {"rejected_…", "after_cutoff", REDACTED, *_USES.values()}


def test_the_block_is_that_of_the_code() -> None:
    assert f"cut at every {BLOCK_OFFSETS:,}nd offset" in PAGE.read_text()
