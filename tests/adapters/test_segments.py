"""Segments on disk: what was kept comes back, what crashed goes, and a full disk is a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.adapters.segments import SegmentDirectory, unwritable
from monitor.errors import SpillRefused

COLUMNS: dict[str, NDArray[Any]] = {
    "first": np.arange(1_000, dtype=np.uint64),
    "bins": np.arange(3_000, dtype=np.uint8).reshape(1_000, 3),
    "empty": np.zeros((1_000, 0), np.uint8),
    "late": np.full(1_000, 7, np.uint16),
}


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*.columns"))


def test_columns_come_back_as_they_were_and_cannot_be_written_to(tmp_path: Path) -> None:
    store = SegmentDirectory(tmp_path / "deep" / "down")
    kept = [store.keep(COLUMNS), store.keep({"at_ms": np.array([5])})]
    for name, column in COLUMNS.items():
        found = kept[0].columns[name]
        assert found.dtype == column.dtype
        assert found.shape == column.shape
        assert (found == column).all()
        assert not found.flags.writeable
    on_disk = files(tmp_path / "deep" / "down")
    assert [file.stat().st_size for file in on_disk] == [one.nbytes for one in kept]
    kept[0].drop()
    assert files(tmp_path / "deep" / "down") == on_disk[1:]
    store.close()
    assert list((tmp_path / "deep" / "down").iterdir()) == []


def test_an_array_outlives_its_file(tmp_path: Path) -> None:
    kept = SegmentDirectory(tmp_path).keep(COLUMNS)
    column = kept.columns["first"]
    kept.drop()
    assert int(column.sum()) == 499_500


def test_who_starts_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    living = SegmentDirectory(tmp_path)
    living.keep(COLUMNS)
    (tmp_path / "mine.txt").write_text("not of these")
    code = (
        "import os, numpy as np, pathlib, sys\n"
        "from monitor.adapters.segments import SegmentDirectory\n"
        "SegmentDirectory(pathlib.Path(sys.argv[1])).keep({'at_ms': np.arange(10)})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert len(files(tmp_path)) == 2, "a crash leaves its file"
    other = SegmentDirectory(tmp_path)
    assert len(files(tmp_path)) == 1
    assert (tmp_path / "mine.txt").exists()
    other.close()
    living.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_refuses_with_a_sentence_and_leaves_no_file(tmp_path: Path) -> None:
    store = SegmentDirectory(tmp_path)
    folder = next(tmp_path.iterdir())
    (folder / "00000001.columns").symlink_to("/dev/full")
    with pytest.raises(SpillRefused, match=f"aside in '{tmp_path}' .state.directory.: file exists"):
        store.keep(COLUMNS)
    assert files(tmp_path) == []
    store.close()


def test_a_limit_of_the_system_refuses_with_a_sentence_and_leaves_no_file(tmp_path: Path) -> None:
    code = (
        "import numpy as np, pathlib, resource, signal, sys\n"
        "from monitor.adapters.segments import SegmentDirectory\n"
        "from monitor.errors import SpillRefused\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = SegmentDirectory(pathlib.Path(sys.argv[1]))\n"
        "store.keep({'at_ms': np.arange(100)})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    store.keep({'at_ms': np.arange(10_000)})\n"
        "except SpillRefused as refused:\n"
        "    print(refused)\n"
        "print(len(list(pathlib.Path(sys.argv[1]).glob('*/*.columns'))))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    said, files_left = ran.stdout.splitlines()
    assert said == (
        f"rows of the join cannot be put aside in '{tmp_path}' (state.directory): file too large. Make room there; until "
        "then predictions wait."
    )
    assert files_left == "1"


def test_a_directory_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpillRefused, match="not a directory"):
        SegmentDirectory(tmp_path / "file" / "below")


def test_a_file_in_the_place_of_the_directory_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SpillRefused, match=r"taken.*file exists"):
        SegmentDirectory(tmp_path / "taken")


def test_whether_a_directory_can_be_written_is_seen_by_looking(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert unwritable(tmp_path / "new" / "below") is None
    assert unwritable(tmp_path / "file" / "below") == f"{tmp_path / 'file'} is no directory"
    assert unwritable(tmp_path / "file") == f"{tmp_path / 'file'} is no directory"
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing is left behind"


def test_a_file_system_that_takes_no_files_cannot_be_written_not_even_by_root() -> None:
    assert (unwritable(Path("/proc/driftline")) or "").startswith(
        ("/proc takes no files (", "no permission to write to /proc")
    )


def test_a_directory_of_somebody_else_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        assert (unwritable(tmp_path / "new") or "").startswith("no permission to write to ")
    finally:
        os.seteuid(was)
        tmp_path.chmod(0o700)
