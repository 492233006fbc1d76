"""docs/archive.md can be followed: the tutorial is run as it is printed."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.dataset.archive import Why
from tests.docs.following import followed
from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs" / "archive.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    done = followed(PAGE, tmp_path)
    written = [line for line in done.stderr.splitlines() if "segments with" in line]
    assert written[1].startswith("driftline: fraud: 1 segments with 60 rows written"), written
    counted = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert sum(window["seen"] for window in counted if window["segment"] == "all") == 180
    assert '{"label":"0","prediction":"1","rows":1}' in done.stdout
    assert "driftline: two-hours: " in done.stderr
    assert "every row of" in done.stderr


def test_it_names_what_a_segment_can_be_written_for() -> None:
    text = PAGE.read_text()
    assert [why for why in Why if f"**{why}**" not in text and why != Why.REDACTED] == []
