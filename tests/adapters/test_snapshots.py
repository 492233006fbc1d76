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


def test_all_of_a_namespace_can_be_removed_and_no_other(tmp_path: Path) -> None:
    one, other = SnapshotDirectory(tmp_path, "one"), SnapshotDirectory(tmp_path, "other")
    for store in (one, other):
        for partition in (0, 7):
            store.write(partition, "01-a", b"header", [])
    (tmp_path / "one" / "7" / "02-b.9.unfinished").write_bytes(b"half")
    assert (len(one.all()), one.clear(), one.all(), one.clear()) == (3, 3, [], 0)
    assert len(other.paths(0)) == len(other.paths(7)) == 1
