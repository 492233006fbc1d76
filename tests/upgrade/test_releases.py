"""What releases left behind (`tests.upgrade.left`) is read, proved and ended by this code as they would have ended it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import orjson
import pytest

from monitor.alerts import cloudevents
from monitor.config.canonical import digest_bytes
from monitor.daemon.begun import documents
from monitor.daemon.checkpoints import of_evals
from monitor.windows import payload
from tests.replay.proving import prove, sentences
from tests.simulation.world import World
from tests.upgrade import left
from tests.upgrade.left import GOLDEN, NAMESPACE, RELEASES, ended, process_of, restore

FOLDERS = sorted(path for path in RELEASES.iterdir() if path.is_dir())
LEFT = [
    pytest.param(path, id=f"{path.parent.name}-{path.name.split('.')[0]}")
    for path in sorted(RELEASES.glob("*/*.jsonl.gz"))
]


def outputs(log: World, topic: str) -> Iterator[bytes]:
    return (one.record.value for one in log.records(f"{NAMESPACE}.{topic}") if one.record.value is not None)


@pytest.mark.parametrize("path", LEFT)
def test_it_goes_on_and_ends_as_the_release_would_have_ended_it(path: Path, tmp_path: Path) -> None:
    log, kind = restore(path.read_bytes())
    process_of(log, kind.config(tmp_path)).run()
    expected = orjson.loads(path.with_name(path.name.replace(".jsonl.gz", ".ended.json")).read_bytes())
    found = ended(log)
    assert len(expected["windows"]) > 10
    assert found["windows"] == expected["windows"]
    assert found["alerts"] == expected["alerts"]


@pytest.mark.parametrize("path", LEFT)
def test_what_it_had_decided_is_proved(path: Path, tmp_path: Path) -> None:
    log, kind = restore(path.read_bytes())
    proved = prove(log, kind.config(tmp_path))
    assert sentences(proved.differences) == []
    assert proved.evaluations >= 2
    assert proved.commits > 3


@pytest.mark.parametrize("path", LEFT)
def test_what_it_published_is_read(path: Path, tmp_path: Path) -> None:
    log, _ = restore(path.read_bytes())
    windows = [payload.parse(value) for value in outputs(log, "windows")]
    assert len(windows) > 10
    for topic in ("alerts", "alerts.state"):
        for value in outputs(log, topic):
            assert cloudevents.encode(cloudevents.parse(value)) == value


@pytest.mark.parametrize("path", LEFT)
def test_its_configuration_is_the_same_document_so_workers_of_both_go_by_one_generation(
    path: Path, tmp_path: Path
) -> None:
    log, kind = restore(path.read_bytes())
    document = kind.config(tmp_path).document().encode()
    assert documents(log, f"{NAMESPACE}.configs")[digest_bytes(document).encode()] == document


@pytest.mark.parametrize("path", [one for one in LEFT if "flights" in str(one.id)])
def test_its_checkpoints_are_gone_on_from_where_the_ledger_is_trimmed(path: Path) -> None:
    log, _ = restore(path.read_bytes())
    assert log.begin_offsets(f"{NAMESPACE}.evals") > [0]
    assert of_evals(log, f"{NAMESPACE}.checkpoints", 2).look()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_golden_file_lost_anything_that_a_release_came_with(folder: Path) -> None:
    for name, then in orjson.loads((folder / "formats.json").read_bytes()).items():
        raw = (GOLDEN / name).read_bytes()
        kept = raw if then["lines"] is None else b"".join(raw.splitlines(keepends=True)[: then["lines"]])
        assert left._digest(kept) == then["sha256"], name


def test_there_is_a_folder_of_each_release_with_a_namespace_of_each_kind_of_model() -> None:
    assert FOLDERS
    for folder in FOLDERS:
        assert {path.name.split(".")[0] for path in folder.glob("*.jsonl.gz")} == {"flights", "classes", "numbers"}


def test_a_folder_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        left.write(FOLDERS[0].name, tmp_path, GOLDEN)


def test_a_file_is_the_log_that_it_was_made_of(tmp_path: Path) -> None:
    raw = (RELEASES / FOLDERS[0].name / "classes.jsonl.gz").read_bytes()
    log, _ = restore(raw)
    again = left.dump(log, "classes")
    one, other = restore(again)[0], restore(raw)[0]
    assert one._topics == other._topics
    assert msgspec.json.encode(sorted(one._topics)) == msgspec.json.encode(sorted(other._topics))
