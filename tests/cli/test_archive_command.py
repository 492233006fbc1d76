"""`driftline archive`: what it holds is what the daemon published, and it is there when the topics are not."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.cli.archive import _told
from monitor.cli.archive_write import Written
from monitor.cli.common import open_embedded
from pipelines.dataset.archive import names
from registry.directory import DirectoryStore
from registry.object_store import ObjectStore
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline
from tests.registry.s3 import S3

COUNTS = {"tp": ("1", "1"), "fp": ("0", "1"), "fn": ("1", "0"), "tn": ("0", "0")}


def succeed(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def counted(lines: list[dict[str, object]]) -> dict[tuple[object, object], dict[str, object]]:
    """(start, segment) -> the counts of a published window."""
    found: dict[tuple[object, object], dict[str, object]] = {}
    for line in lines:
        cells = {(c["label"], c["prediction"]): c["rows"] for c in line["cells"]}  # type: ignore[attr-defined]
        counts = {name: cells.get(cell, 0) for name, cell in COUNTS.items()}
        found[line["start_ms"], line["segment"]] = {"seen": line["seen"], "labelled": line["labelled"], **counts}
    return found


def published(deployment: Deployment) -> dict[tuple[object, object], dict[str, object]]:
    windows = [
        window
        for more in ((), ("--segment", "each"))
        for window in driftline("windows", *deployment.where, "--final", *more, "-o", "json").json["windows"]
    ]
    return {
        (w["start_ms"], w["segment"]): {name: w["counts"][name] for name in ("seen", "labelled", *COUNTS)}
        for w in windows
    }


@pytest.fixture(scope="module")
def store(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archive") / "store"
    succeed(driftline("archive", "write", *deployment.where, "--store", made, "--pane", "6h", "--until-end"))
    return made


def test_windows_counted_again_are_those_that_were_published(deployment: Deployment, store: Path) -> None:
    told = counted(driftline("archive", "count", "small", "--store", store, "--window", "1d").lines)
    assert told == published(deployment)
    assert len(told) == 8


def test_a_dataset_of_the_archive_has_the_rows_of_one_of_the_topics(
    deployment: Deployment, store: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(store, own)
    store = own
    days = ("--from", "2013-01-01T05:00", "--until", "2013-01-02T13:00")
    made = ("--store", store, "--name")
    succeed(driftline("archive", "dataset", "small", *days, *made, "archived"))
    succeed(driftline("dataset", "create", *deployment.where, *days, "--until-end", *made, "direct"))
    archived, direct = (
        driftline("dataset", "show", n, "--store", store, "-o", "json").json for n in ("archived", "direct")
    )
    assert archived["manifest"]["rows_digest"] == direct["manifest"]["rows_digest"]
    assert [s["digest"] for s in archived["manifest"]["segments"]] == [
        s["digest"] for s in direct["manifest"]["segments"]
    ]
    assert driftline("dataset", "verify", "archived", "--store", store).code == 0
    assert driftline("dataset", "verify", "archived", *deployment.where, "--store", store).code == 0


def test_show_lists_panes_and_verify_names_one_that_was_changed(store: Path, tmp_path: Path) -> None:
    shown = driftline("archive", "show", "small", "--store", store, "-o", "json").json
    assert (shown["archive"], shown["topic"], shown["lost_offsets"]) == ("small", "flights.predictions", {})
    assert {pane["final"] for pane in shown["panes"]} == {True}
    assert sum(pane["rows"] for pane in shown["panes"]) == 1_785
    assert driftline("archive", "show", "--store", store).out == "small\n"
    assert "final, closed" in driftline("archive", "show", "small", "--store", store).out
    assert driftline("archive", "verify", "small", "--store", store).code == 0
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    victim = max((path for path in (copy / "blobs").rglob("*") if path.is_file()), key=lambda path: path.name)
    victim.write_bytes(victim.read_bytes()[:-9] + b"xxxxxxxxx")
    found = driftline("archive", "verify", "small", "--store", copy)
    assert found.code == 1
    assert "driftline: pane" in found.err
    assert driftline("registry", "fsck", "--store", copy).code == 1
    assert driftline("registry", "fsck", "--store", store).code == 0


def test_it_is_written_bit_by_bit_while_the_topics_are_cut(deployment: Deployment, store: Path, tmp_path: Path) -> None:
    """The topics grow day by day, and everything that the archive no longer needs is deleted."""
    from pipelines.dataset.archive import Archive

    log, own = tmp_path / "log", tmp_path / "store"
    for topic, path in (("predictions", deployment.predictions), ("labels", deployment.labels)):
        (tmp_path / f"{topic}.jsonl").write_text(path.read_text())
    where = ("-c", deployment.config, "--set", "time.lateness=2h", "--embedded", log)
    days = [1_357_000_000_000 + hours * 3_600_000 for hours in (0, 30, 60, 90, 10_000)]
    for since, until in pairwise(days):
        for topic in ("predictions", "labels"):
            lines = (tmp_path / f"{topic}.jsonl").read_text().splitlines(keepends=True)
            part = tmp_path / f"{topic}-part.jsonl"
            part.write_text("".join(line for line in lines if since <= _at(line) < until))
            if part.stat().st_size:
                succeed(driftline("produce", f"flights.{topic}", part, "--embedded", log, "--partitions", 2, "-q"))
        succeed(driftline("archive", "write", *where, "--store", own, "--pane", "6h"))
        _cut(log, Archive(DirectoryStore(own), "small"))
    succeed(driftline("archive", "write", *where, "--store", own, "--pane", "6h", "--until-end"))
    assert _begins(log) > 1_000, "most of the predictions have left the topic"
    for name, place in (("whole", store), ("cut", own)):
        succeed(driftline("archive", "dataset", "small", "--store", place, "--name", name))
    digests = [
        driftline("dataset", "show", name, "--store", place, "-o", "json").json["manifest"]["rows_digest"]
        for name, place in (("whole", store), ("cut", own))
    ]
    assert digests[0] == digests[1]
    assert counted(driftline("archive", "count", "small", "--store", own).lines) == published(deployment)


def _at(line: str) -> int:
    found = json.loads(line)["at"]
    assert isinstance(found, int)
    return found


def _cut(log: Path, archive: object) -> None:
    opened = open_embedded(log)
    for partition, reached in archive.state().reached.items():  # type: ignore[attr-defined]
        opened.delete_records("flights.predictions", partition, reached.predictions.offset)
        opened.delete_records("flights.labels", partition, reached.labels.offset)
    opened.close()


def _begins(log: Path) -> int:
    opened = open_embedded(log, read_only=True)
    begins = sum(opened.begin_offsets("flights.predictions"))
    opened.close()
    return begins


def test_a_recording_can_be_archived_and_another_deployment_not_into_the_same(
    deployment: Deployment, store: Path, tmp_path: Path
) -> None:
    succeed(driftline("record", *deployment.where, "--to", tmp_path / "recorded", "-q"))
    recorded = ("-c", deployment.config, "--recording", tmp_path / "recorded", "--store", tmp_path / "own")
    succeed(driftline("archive", "write", *recorded, "--name", "monday", "--pane", "6h", "--until-end"))
    panes = [
        [
            {**pane, "commit": 0}
            for pane in driftline("archive", "show", name, "--store", at, "-o", "json").json["panes"]
        ]
        for name, at in (("monday", tmp_path / "own"), ("small", store))
    ]
    assert panes[0] == panes[1]
    refused = driftline("archive", "write", *deployment.where, "--store", store, "--pane", "1d")
    assert refused.code == 2
    assert "archive 'small' is of other pane_ms than what is asked for" in refused.err
    assert driftline("archive", "write", *recorded, "--embedded", deployment.log).code == 2
    assert driftline("archive", "write", *recorded, "--pane", "soon").code == 2


def test_a_redacted_id_is_nowhere_in_the_archive_and_stays_out(
    deployment: Deployment, store: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(store, own)
    one = json.loads(deployment.predictions.read_text().splitlines()[3])["id"]
    where = (*deployment.where, "--no-topics", "--store", own, one)
    assert driftline("redact", *where, "--search").code == 1
    told = driftline("redact", *where, "-o", "json").json["found"]
    assert ("rows of archive small", 1) in [(line["what"], line["count"]) for line in told]
    succeed(driftline("redact", *where, "--yes"))
    assert driftline("redact", *where, "--search").code == 0
    succeed(driftline("archive", "write", *deployment.where, "--store", own, "--pane", "6h", "--until-end"))
    assert driftline("redact", *where, "--search").code == 0
    assert sum(line["seen"] for line in driftline("archive", "count", "small", "--store", own).lines
               if line["segment"] == "all") == 1_784  # fmt: skip
    assert driftline("registry", "fsck", "--store", own).code == 0
    assert driftline("archive", "verify", "small", "--store", own).code == 0


def test_an_archive_lies_in_an_object_store_too(
    deployment: Deployment, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        where = ("--store", "s3://bucket/archive")
        for _ in range(2):
            succeed(driftline("archive", "write", *deployment.where, *where, "--pane", "6h", "--until-end"))
        assert names(ObjectStore("s3://bucket/archive")) == ["small"]
        both = [driftline("archive", "count", "small", "--store", at).out for at in ("s3://bucket/archive", store)]
        assert both[0] == both[1]


def test_who_wrote_while_ids_were_erased_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = "run that `driftline redact` once more"
    _told("one", "here", [Written(0, (), (0, 0), crossed=True)], "text")
    assert told in capsys.readouterr().err
    _told("one", "here", [Written(0, (), (0, 0), crossed=True)], "json")
    assert json.loads(capsys.readouterr().out)["crossed_erasure"] is True
    _told("one", "here", [Written(0, (), (0, 0))], "text")
    assert told not in capsys.readouterr().err
