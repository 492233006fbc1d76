"""The directory of a replay: what it is of is kept in a durable format, and nothing is overwritten or mixed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from monitor.adapters.replay_files import FORMAT, WORK, ReplayDirectoryError, Spec, begin, resumed

GOLDEN = Path(__file__).parents[1] / "golden" / "replay-spec-v1.json"
RANGED = GOLDEN.with_name("replay-spec-v1-ranged.json")
SPEC = Spec(
    format=1,
    cluster_id="kRaftClusterIdOfTests0",
    config="sha256:" + "ab" * 32,
    meaning="sha256:" + "cd" * 32,
    topic_ids={"labels": "Zk1oJYbWQNqv7t8s9u0pBg", "predictions": "wQ3f9nEFQLOZq0v1l2m3nA"},
    spans={"labels": ((0, 7), (4, 4)), "predictions": ((17, 1_023), (0, 0))},
)


def unfinished(folder: Path, raw: bytes) -> Path:
    (folder / WORK).mkdir(parents=True)
    (folder / WORK / "spec.json").write_bytes(raw)
    return folder


def test_what_was_written_in_format_1_is_read_and_written_so(tmp_path: Path) -> None:
    assert resumed(unfinished(tmp_path / "kept", GOLDEN.read_bytes())) == SPEC
    begin(tmp_path / "new", SPEC)
    assert (tmp_path / "new" / WORK / "spec.json").read_bytes() == GOLDEN.read_bytes()
    assert resumed(tmp_path / "new") == SPEC


def test_the_bounds_that_were_given_are_kept_beside_it(tmp_path: Path) -> None:
    ranged = msgspec.structs.replace(SPEC, asked={"from": ("2013-01-07",), "until": ("labels=7", "predictions:0=1023")})
    begin(tmp_path / "new", ranged)
    assert (tmp_path / "new" / WORK / "spec.json").read_bytes() == RANGED.read_bytes()
    assert resumed(tmp_path / "new") == ranged


def test_a_newer_format_is_refused_with_advice(tmp_path: Path) -> None:
    newer = msgspec.json.encode({"format": FORMAT + 1, "unheard": 1})
    with pytest.raises(ReplayDirectoryError, match=rf"its format is {FORMAT + 1}.*Use the version that wrote it"):
        resumed(unfinished(tmp_path / "r", newer))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'{"format": 1}', b'{"format": "one"}', b"\xff"])
def test_a_damaged_one_is_named(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(ReplayDirectoryError, match=r"spec\.json is damaged"):
        resumed(unfinished(tmp_path / "r", raw))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ReplayDirectoryError, match=r"is not empty\. Choose another directory"):
        begin(tmp_path, SPEC)
    with pytest.raises(ReplayDirectoryError, match="no replay was begun here"):
        resumed(tmp_path)
