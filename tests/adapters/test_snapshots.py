"""Snapshots in a folder: what is said of one where nothing can be written."""

from __future__ import annotations

from pathlib import Path

from monitor.adapters.snapshots import SnapshotDirectory


def test_a_folder_that_can_be_made_has_no_problem_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert SnapshotDirectory(tmp_path / "kept", "one").problem() is None
    assert list((tmp_path / "kept" / "one").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file is in the way")
    assert SnapshotDirectory(tmp_path / "kept", "one").problem() == f"{tmp_path}/kept/one: Not a directory"
