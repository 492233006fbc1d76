"""`driftline redact`: after it the ids are nowhere, before it nothing is changed, and what is not Driftline's is told."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from monitor.ingest.ids import hash_text
from pipelines.carrying import give, has_result, send
from pipelines.dataset.shelf import Shelf
from pipelines.rows import KIND
from registry.directory import DirectoryStore
from registry.object_store import ObjectStore
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline
from tests.registry.s3 import S3, Object


def _ids(deployment: Deployment) -> list[str]:
    return [json.loads(line)["id"] for line in deployment.predictions.read_text().splitlines()]


@dataclass
class Bench:
    """A deployment with a recording, a store with two datasets and the rows of a run, a snapshot and two outputs."""

    deployment: Deployment
    folder: Path
    ids: list[str]

    @property
    def where(self) -> tuple[object, ...]:
        return (
            *self.deployment.where, "--recording", self.folder / "recorded", "--store", self.folder / "store",
            "--set", f"state.snapshots={self.folder / 'snapshots'}", "--outputs", self.folder / "outputs",
            "--actor", "ada", "--reason", "request 7",
        )  # fmt: skip

    def redact(self, *options: object) -> Outcome:
        return driftline("redact", *self.where, *self.ids, *options)

    def files(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(self.folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("redact")
    where = deployment.where
    for command in (
        ("record", *where, "--to", folder / "recorded", "--decisions", "-q"),
        ("dataset", "create", *where, "--store", folder / "store", "--name", "plain", "--all"),
        ("dataset", "create", *where, "--store", folder / "store", "--name", "ids", "--until", "2013-01-02", "--ids"),
    ):
        done = driftline(*command)
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def bench(deployment: Deployment, made: Path, tmp_path: Path) -> Bench:
    folder = tmp_path / "bench"
    shutil.copytree(made, folder)
    ids = _ids(deployment)
    bench = Bench(deployment, folder, [ids[0], ids[700]])
    store = DirectoryStore(folder / "store")
    _rows_of_a_run(store, bench.ids[0])
    _rows_of_a_run(store, "somebody else")
    snapshots = folder / "snapshots" / "small" / "0"
    snapshots.mkdir(parents=True)
    (snapshots / "1.snapshot").write_bytes(b"DRIFTSNP...")
    (folder / "outputs").mkdir()
    (folder / "outputs" / "alerts.jsonl.gz").write_bytes(gzip.compress(f'{{"id": "{bench.ids[1]}"}}'.encode()))
    (folder / "outputs" / "report.html").write_text("<p>nobody</p>")
    return bench


def _rows_of_a_run(store: DirectoryStore | ObjectStore, id_text: str) -> None:
    first, second = hash_text(id_text)
    rows = json.dumps({"id_hash": f"{first:016x}{second:016x}", "label": 1}).encode() + b"\n"
    parts = [store.put_blob([each]).digest for each in (b"", rows)]
    document = {"format": 1, "kind": KIND, "train": parts[0], "test": parts[1]}
    store.put_blob([json.dumps(document).encode()])


def test_without_yes_it_counts_and_changes_nothing(bench: Bench) -> None:
    before = bench.files()
    shown = bench.redact("-o", "json")
    assert (shown.code, bench.files()) == (0, before), shown.err
    document = shown.json
    assert (document["done"], document["ids"]) == (False, 2)
    found = {(each["where"].removeprefix(str(bench.folder)), each["what"]): each["count"] for each in document["found"]}
    store, recorded = f"store {bench.folder / 'store'}", f"recording {bench.folder / 'recorded'}"
    assert found[recorded, "records of the ids, flights.predictions"] == 2
    assert found[recorded, "records of the ids, flights.labels"] >= 1
    assert found[store, "rows of dataset plain"] == 2
    assert found[store, "rows of dataset ids"] >= 1
    assert found[store, "blobs with rows of runs"] == 1
    assert found["/outputs/alerts.jsonl.gz", "a file that holds an id"] == 1
    topics = [each for each in document["found"] if each["where"].startswith("topic flights.predictions")]
    assert topics
    assert all(each["then"].startswith("yours: they go with retention") for each in topics)
    told = bench.redact()
    assert "nothing was changed; --yes does it" in told.err
    assert not any(each in told.out + told.err for each in bench.ids)


def test_afterwards_the_ids_are_nowhere_but_in_the_topics(bench: Bench) -> None:
    others = [each for each in _ids(bench.deployment) if each not in bench.ids]
    found = bench.redact("--search", "--no-topics", "-o", "json")
    assert (found.code, found.json["absent"]) == (1, False)
    held = "".join(each["where"] for each in found.json["found"])
    assert all(part in held for part in ("recorded", "store", "outputs"))
    done = bench.redact("--yes")
    assert done.code == 0, done.err
    proof = bench.redact("--search", "--no-topics", "-o", "json")
    assert (proof.code, proof.json) == (0, {"ids": 2, "absent": True, "found": [], "unsearched": []}), proof.out
    assert sorted(p.name for p in (bench.folder / "outputs").iterdir()) == ["report.html"]
    live = bench.redact("--search", "-o", "json")
    assert live.code == 1
    assert {each["where"].partition("[")[0] for each in live.json["found"]} == {
        "topic flights.predictions", "topic flights.labels",
    }  # fmt: skip
    # Everybody else is where he was.
    assert driftline("record", "verify", bench.folder / "recorded", "-q").code == 0
    assert driftline("registry", "fsck", "--store", bench.folder / "store").code == 0
    rows = driftline("dataset", "show", "plain", "--store", bench.folder / "store", "-o", "json").json["manifest"][
        "rows"
    ]
    assert rows == 1_785 - 2
    verified = driftline("dataset", "verify", "plain", *bench.deployment.where, "--store", bench.folder / "store")
    assert verified.code == 0, verified.out + verified.err
    one = driftline("redact", *bench.where, others[0], "--no-topics", "-o", "json").json["found"]
    assert {each["what"] for each in one} >= {"records of the ids, flights.predictions", "rows of dataset plain"}


def test_done_twice_it_does_nothing(bench: Bench) -> None:
    assert bench.redact("--yes").code == 0
    once = bench.files()
    again = bench.redact("--yes", "--no-topics")
    assert (again.code, bench.files()) == (0, once)
    assert "nothing of 2 ids is in: recording" in again.err


def test_a_new_dataset_of_the_topics_leaves_them_out(bench: Bench) -> None:
    assert bench.redact("--yes", "--no-topics").code == 0
    store = bench.folder / "store"
    again = driftline("dataset", "create", *bench.deployment.where, "--store", store, "--all", "-o", "json").json
    assert again["manifest"]["excluded"]["predictions"]["redacted"] == 2
    plain = driftline("dataset", "show", "plain", "--store", store, "-o", "json").json["manifest"]
    assert again["manifest"]["rows_digest"] == plain["rows_digest"]
    assert bench.redact("--search", "--no-topics").code == 0


def test_what_was_redacted_is_shown_and_a_replay_says_why_it_cannot_be_the_same(bench: Bench) -> None:
    assert bench.redact("--yes", "--no-topics").code == 0
    shown = driftline("record", "show", bench.folder / "recorded", "-o", "json").json["redactions"]
    assert [(each["actor"], each["reason"], each["ids"]) for each in shown] == [("ada", "request 7", 2)]
    replayed = driftline(
        "replay", "-c", bench.deployment.config, "--recording", bench.folder / "recorded", "--verify", "-q"
    )
    assert replayed.code == 3
    assert "were taken out of this recording for erasure requests" in replayed.err


def test_dead_letters_are_told_and_trimmed_where_that_is_asked(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shutil.copytree(bench.deployment.log, log)
    where = ("-c", bench.deployment.config, "--embedded", log, "b")
    told = {each["where"]: each for each in driftline("redact", *where, "-o", "json").json["found"]}
    letters = [place for place in told if place.startswith("topic flights.predictions.dlq")]
    assert letters
    assert all(told[place]["then"].startswith("left: --trim-dead-letters") for place in letters)
    assert driftline("redact", *where, "--trim-dead-letters", "--yes").code == 0
    left = driftline("redact", *where, "-o", "json").json["found"]
    assert not any(each["where"].startswith("topic flights.predictions.dlq") for each in left)
    assert any(each["where"].startswith("topic flights.predictions[") for each in left)


def test_ids_come_from_a_file_and_none_are_a_mistake(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(bench.ids) + "\n\n")
    shown = driftline("redact", *bench.where, "--ids-from", tmp_path / "ids.txt", "--no-topics", "-o", "json")
    assert shown.json["ids"] == 2
    assert driftline("redact", *bench.where).code == 2
    assert driftline("redact", *bench.where, "x", "--yes", "--search").code == 2


def _step(store: DirectoryStore | ObjectStore, folder: Path, name: str, rows: bytes, wrote: bytes) -> None:
    """A step elsewhere was sent rows, and gave something back."""
    for path, body in (("in/rows.jsonl", rows), ("out/scores.json", b"[1.0]"), ("out/notes.txt", wrote)):
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_bytes(body)
    send(store, folder / name)
    assert give(store, name, folder / name)


def test_what_steps_elsewhere_were_sent_and_gave_back_goes_too(bench: Bench, tmp_path: Path) -> None:
    store = DirectoryStore(bench.folder / "store")
    theirs = json.dumps({"id": bench.ids[0], "x": 1}).encode()
    _step(store, tmp_path, "score-1", theirs, f"looked at {bench.ids[1]}".encode())
    _step(store, tmp_path, "score-2", b'{"id": "somebody else", "x": 2}', b"nothing")
    found = bench.redact("--no-topics", "-o", "json").json["found"]
    assert [each["count"] for each in found if each["what"] == "blobs with rows of runs"] == [3]
    assert bench.redact("--yes", "--no-topics").code == 0
    assert bench.redact("--search", "--no-topics").code == 0
    kept = [b"".join(store.blob(each.digest)) for each in store.blobs()]
    assert b'{"id": "somebody else", "x": 2}' in kept
    assert b"nothing" in kept
    assert has_result(store, "score-2")
    assert has_result(store, "score-1") is None, "what it wrote is gone, which is known"
    assert driftline("registry", "fsck", "--store", bench.folder / "store").code == 0


def test_rows_without_ids_go_from_steps_where_they_go_from_runs(bench: Bench, tmp_path: Path) -> None:
    store = DirectoryStore(bench.folder / "store")
    source = driftline("dataset", "show", "plain", "--store", bench.folder / "store", "-o", "json").json["dataset"]
    parts = [store.put_blob([each]).digest for each in (b'{"x": 1, "y": 0}\n', b'{"x": 2, "y": 1}\n')]
    store.put_blob([json.dumps({"format": 1, "kind": KIND, "train": parts[0], "test": parts[1],
                                "source": source}).encode()])  # fmt: skip
    other = [store.put_blob([each]).digest for each in (b'{"x": 8}\n', b'{"x": 9}\n')]
    store.put_blob([json.dumps({"format": 1, "kind": KIND, "train": other[0], "test": other[1]}).encode()])
    _step(store, tmp_path, "score-1", b'{"x": 2}\n', b"nothing")
    _step(store, tmp_path, "train-1", b'{"x": 8}\n', b"nothing")  # the rows of a run that the version is not in
    assert bench.redact("--yes", "--no-topics").code == 0
    kept = [b"".join(store.blob(each.digest)) for each in store.blobs()]
    assert not {b'{"x": 1, "y": 0}\n', b'{"x": 2, "y": 1}\n', b'{"x": 2}\n'} & set(kept)
    assert b'{"x": 8}\n' in kept
    once = bench.files()
    assert bench.redact("--yes", "--no-topics").code == 0
    assert bench.files() == once


def _hours_ago(store: DirectoryStore, digest: str, hours: float) -> None:
    (path,) = Path(str(store.where)).rglob(digest.removeprefix("sha256:"))
    at = time.time() - hours * 3_600
    os.utime(path, (at, at))


def test_blobs_that_writers_left_who_were_killed_or_second_go_too(bench: Bench, tmp_path: Path) -> None:
    store = DirectoryStore(bench.folder / "store")
    theirs = json.dumps({"id": bench.ids[0], "x": 1}).encode()
    killed = store.put_blob([theirs]).digest  # before the list that names it
    packed = gzip.compress(f"looked at {bench.ids[1]}".encode())
    _step(store, tmp_path, "score-1", b"{}", b"first")
    for name, wrote in (("a", packed), ("b", b"nobody")):
        (tmp_path / name / "out").mkdir(parents=True)
        (tmp_path / name / "out/notes").write_bytes(wrote)
        assert not give(store, "score-1", tmp_path / name), "somebody else was first"
    second, other = (f"sha256:{hashlib.sha256(each).hexdigest()}" for each in (packed, b"nobody"))
    _hours_ago(store, second, 2)
    done = bench.redact("--yes", "--no-topics", "-o", "json")
    left = [each for each in done.json["found"] if each["what"] == "blobs that nothing names yet"]
    assert [each["count"] for each in left] == [1]
    assert left[0]["then"].startswith("left: whoever wrote them in this hour")
    assert [store.blob_size(each) is None for each in (killed, second, other)] == [False, True, False]
    assert bench.redact("--search", "--no-topics").code == 1
    _hours_ago(store, killed, 2)
    assert bench.redact("--yes", "--no-topics").code == 0
    assert bench.redact("--search", "--no-topics").code == 0
    assert store.blob_size(other) is not None
    once = bench.files()
    assert bench.redact("--yes", "--no-topics").code == 0
    assert bench.files() == once


def test_a_segment_that_nothing_names_goes_at_once(bench: Bench) -> None:
    store = DirectoryStore(bench.folder / "store")
    shelf = Shelf(store)
    manifest = shelf.version("plain").manifest
    column = shelf.table(manifest, manifest.segments[0])
    left = shelf.put_segment(column.take(np.arange(50)), 0, 0)
    assert bench.redact("--yes", "--no-topics").code == 0
    assert store.blob_size(left.digest) is None
    assert bench.redact("--search", "--no-topics").code == 0


def test_ids_that_are_nowhere_yet_do_not_come_either(bench: Bench) -> None:
    """Whoever is writing them cannot be seen: he is told by what the store remembers."""
    store, other = bench.folder / "store", _ids(bench.deployment)[5]
    shutil.rmtree(store)
    DirectoryStore(store).put_blob([b"nobody"])
    DirectoryStore(store).create_document("begun", b"{}")
    only = ("redact", *bench.deployment.where, "--store", store, "--no-topics", other, "-o", "json")
    assert driftline(*only, "--yes").json["found"] == []
    once = bench.files()
    assert driftline(*only, "--yes").json["found"] == []
    assert bench.files() == once
    made = driftline("dataset", "create", *bench.deployment.where, "--store", store, "--all", "-o", "json").json
    assert made["manifest"]["excluded"]["predictions"]["redacted"] == 1


def test_a_store_with_a_damaged_entry_still_forgets(bench: Bench) -> None:
    entry = bench.folder / "store" / "logs" / "runs" / "x" / "00000001.entry"
    assert DirectoryStore(bench.folder / "store").create_entry("runs/x", 1, b"{}")
    entry.write_bytes(entry.read_bytes()[:-1] + b"]")
    done = bench.redact("--yes", "--no-topics", "-o", "json").json["found"]
    assert [each["then"][:15] for each in done if each["what"] == "blobs that nothing names"] == ["not looked for:"]
    assert {each["what"] for each in done} >= {"rows of dataset plain"}
    assert bench.redact("--search", "--no-topics").code == 0


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with S3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_in_an_object_store_they_are_nowhere_too(deployment: Deployment, s3: S3, tmp_path: Path) -> None:
    ids = [_ids(deployment)[5]]
    store, snapshots = "s3://bucket/registry", "s3://bucket/snapshots"
    made = driftline("dataset", "create", *deployment.where, "--store", store, "--name", "plain", "--all")
    assert made.code == 0, made.err
    _rows_of_a_run(ObjectStore(store), ids[0])
    _step(ObjectStore(store), tmp_path, "score-1", json.dumps({"id": ids[0]}).encode(), b"nothing")
    s3.bucket.objects["snapshots/small/0/1.snapshot"] = Object(b"DRIFTSNP", {}, 1_700_000_000_000)
    where = (*deployment.where, "--no-topics", "--store", store, "--set", f"state.snapshots={snapshots}", *ids)
    found = driftline("redact", *where, "--search", "-o", "json").json
    assert {each["where"].partition(" ")[0] for each in found["found"]} == {"blob"}
    assert len(found["unsearched"]) == 1
    assert driftline("redact", *where, "--yes").code == 0
    assert driftline("redact", *where, "--search").code == 0
    assert not any(key.startswith("snapshots/") for key in s3.bucket.objects)
