"""The report is made of figures that parts left, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify import report


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(report, "REPORT", tmp_path / "report.md")


def test_a_part_that_ran_is_in_it_with_command_commit_date_and_figures() -> None:
    figures = {"states": 1_234_567, "of these": {"crash": 2, "paused": 1}}
    report.keep("model", "python -m tests.verify model", 61.4, figures, [("rule", "what noticed"), ("a", "b")])
    text = report.write().read_text()
    assert "## Two writers of a ledger, exhaustively" in text
    assert f"`python -m tests.verify model`, {report.COMMIT}" not in text
    assert f"commit {report.COMMIT}, 61 s." in text
    assert "- states: 1,234,567" in text
    assert "- of these: crash 2, paused 1" in text
    assert "| a | b |" in text
    assert "## Fuzzing" not in text


def test_the_committed_report_has_the_form_that_is_written() -> None:
    committed = (Path(report.__file__).parent / "report.md").read_text()
    assert committed.startswith(report.HEAD)
    assert set(report.titles(committed)) <= set(report.PARTS.values())
