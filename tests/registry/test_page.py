"""The tables of docs/registry.md name what exists."""

from __future__ import annotations

import re
from pathlib import Path

from registry import mlflow_import
from registry.formats.finding import BUNDLE_BYTES_MAX, FILES_MAX, RATIO_MAX, Refusal
from registry.reader import Outcome
from registry.reproduce import Level, Obstacle
from registry.state_topic import Standing

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "registry.md"


def _names(heading: str) -> set[str]:
    """Code in the first column of the table under a header row."""
    table = PAGE.read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_the_tables_name_every_reason_and_outcome() -> None:
    reasons = {str(refusal).replace("_", " ") for refusal in Refusal} - {"empty"}
    assert _names("reason") == reasons
    assert _names("level") == {str(level) for level in Level}
    assert [obstacle for obstacle in Obstacle if f"`{obstacle}`" not in PAGE.read_text()] == []
    assert _names("standing") >= {str(standing) for standing in Standing}
    assert _names("is") == {str(outcome) for outcome in mlflow_import.Outcome}
    assert f"at most {mlflow_import.BYTES_MAX >> 30} GiB a version" in PAGE.read_text()
    assert _names("outcome") == {str(outcome) for outcome in Outcome}


def test_the_limits_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    assert f"more than {RATIO_MAX} times its size unpacked, {BUNDLE_BYTES_MAX >> 30} GiB, {FILES_MAX:,} files" in text
