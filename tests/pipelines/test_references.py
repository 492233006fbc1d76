"""`driftline registry fsck` misses whatever the pipelines need: nothing that `gc` would keep can go without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli.registry_others import PipelineThings
from pipelines import rows
from pipelines.codec import digest_of, encode
from pipelines.dataset.shelf import Shelf
from pipelines.directory import DirectoryStore
from pipelines.errors import FormatError
from pipelines.journal import FORMAT, Noted
from pipelines.local_data import FileData
from pipelines.local_models import LocalModels
from pipelines.log import append
from pipelines.ports import Artifact, Draft, ModelFile
from pipelines.references import of_document, of_entry
from pipelines.switch import Switch, Turn
from registry.directory import DirectoryStore as RegistryStore
from registry.fsck import Fault, Found, fsck
from registry.gc import plan, reachable, references, roots
from tests.cli.driving import driftline
from tests.pipelines.dataset.golden import MANIFEST
from tests.pipelines.memory import policy
from tests.pipelines.test_carrying import GOLDEN as LISTING
from tests.pipelines.test_cli import Desk
from tests.pipelines.test_handoffs import GOLDEN as HANDED


def damage(store: Path) -> list[Found]:
    return [found for found in fsck(RegistryStore(store), others=PipelineThings()) if found.damage]


def removed_one_by_one(directory: Path) -> dict[str, list[Found]]:
    """What is found when each blob that `gc` keeps is gone, by its digest."""
    store = RegistryStore(directory)
    blobs = {blob.digest: blob for blob in store.blobs()}
    found = {}
    for digest in reachable(roots(store), references(store.blob, blobs)) & blobs.keys():
        path = next((directory / "blobs").rglob(digest.removeprefix("sha256:")))
        body = path.read_bytes()
        path.unlink()
        found[digest] = damage(directory)
        path.write_bytes(body)
    return found


def test_every_blob_of_a_run_that_is_gone_is_named_by_who_needs_it(tmp_path: Path) -> None:
    desk, store = Desk(tmp_path), tmp_path / "store"
    assert desk.round("run", "--once").code == 0
    (run,) = desk("list", "-o", "json").lines
    assert damage(store) == []
    gone = removed_one_by_one(store)
    assert len(gone) > 7
    for digest, found in gone.items():
        assert any(each.fault is Fault.MISSING and digest in each.what + each.detail for each in found), digest
        assert all(each.fault is Fault.MISSING for each in found)
    said = {each.what.split(" of ")[0] for found in gone.values() for each in found}
    assert {"dataset", "rows to train on", "rows to judge by", "gate report", "gate page", "file 'model.onnx'"} <= said
    train = json.loads(next(RegistryStore(store).blob(_dataset(store, run["run"]))))["train"]
    next((store / "blobs").rglob(train.removeprefix("sha256:"))).unlink()
    done = driftline("registry", "fsck", "--store", store, "-o", "json")
    assert (done.code, done.json["whole"]) == (1, False)
    assert any(each["what"].startswith("rows to train on of entry") for each in done.json["findings"])


def _dataset(store: Path, run: str) -> str:
    opened = RegistryStore(store)
    log = f"runs/{run}"
    records = [json.loads(opened.entry(log, n) or b"{}") for n in range(1, opened.last(log) + 1)]
    found: str = next(
        record["facts"]["dataset"]["digest"] for record in records if "dataset" in record.get("facts", {})
    )
    return found


def test_what_local_models_and_the_rows_of_a_run_need_is_named(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    source = digest_of(b"a dataset version that is elsewhere")
    dataset = rows.keep(store, [{"at_ms": 1}], [{"at_ms": 2}], 2, policy(), source)
    model, report = store.put_blob([b"{}"]), store.put_blob([b'{"outcome":"pass"}'])
    artifact = Artifact({"model.json": ModelFile(model.digest, model.size_bytes)}, {}, {})
    draft = Draft("fraud", "a", dataset.digest, artifact, {}, None, report.digest)
    LocalModels(store).register(draft, "w1", 5)
    (found,) = damage(tmp_path)
    whose = "dataset of entry 1 of 'retraining/fraud/versions'"
    assert (found.what, found.fault) == (f"dataset version of {whose}", Fault.MISSING)
    assert "no document 'datasets/versions/" in found.detail
    gone = removed_one_by_one(tmp_path)
    said = {each.what for each_found in gone.values() for each in each_found} - {found.what}
    version = "entry 1 of 'retraining/fraud/versions'"
    assert said == {
        whose, f"rows to train on of {whose}", f"rows to judge by of {whose}", f"file 'model.json' of {version}",
        f"gate report of {version}",
    }  # fmt: skip


def test_segments_and_versions_of_datasets_are_named(tmp_path: Path) -> None:
    store = RegistryStore(tmp_path)
    digest, _ = Shelf(store).add(MANIFEST)
    Shelf(store).name("monday", digest, "ada", 1)
    found = damage(tmp_path)
    assert {each.detail for each in found} == {f"there is no blob {s.digest}" for s in MANIFEST.segments}
    assert MANIFEST.rows_digest not in str(found), "a digest of rows is no blob"
    (tmp_path / "documents" / "datasets" / "versions" / f"{digest.removeprefix('sha256:')}.document").unlink()
    (gone,) = damage(tmp_path)
    assert gone.what == "dataset version of document 'datasets/names/monday'"


def test_a_record_of_a_newer_format_is_unreadable_and_not_whole(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    record = Noted(format=FORMAT + 1, previous=None, actor="w1", at_ms=1, fence=1, facts={})
    append(store, "runs/ab", [], encode(record))
    (found,) = damage(tmp_path)
    assert (found.what, found.fault) == ("entry 1 of 'runs/ab'", Fault.UNREADABLE)


def test_the_switch_needs_nothing_and_the_report_of_a_shadow_is_missed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    Switch(store).turn(Turn.STOP, None, "ada", "to look", 1)
    assert list(fsck(RegistryStore(tmp_path), others=PipelineThings())) == []
    facts = {"shadow": {"report": digest_of(b"report"), "page": digest_of(b"page")}}
    record = Noted(format=1, previous=None, actor="w1", at_ms=1, fence=1, facts=facts)
    append(store, "runs/ab", [], encode(record))
    found = damage(tmp_path)
    assert [each.what for each in found] == [f"shadow {part} of entry 1 of 'runs/ab'" for part in ("report", "page")]


@pytest.mark.parametrize("name", ["runs/a/b", "retraining/fraud/other", "elsewhere/1"])
def test_what_is_not_known_is_said_not_to_be_followed(tmp_path: Path, name: str) -> None:
    store = DirectoryStore(tmp_path)
    store.create_entry(name, 1, b'{"blob": "%s"}' % digest_of(b"x").encode())
    (note,) = fsck(RegistryStore(tmp_path), others=PipelineThings())
    assert (note.fault, note.damage) == (Fault.UNFOLLOWED, False)


def test_the_rows_that_a_probation_looked_at_are_left_for_gc(tmp_path: Path) -> None:
    lines = [{"at_ms": 5, "label": 1, "x": 0.5, "version": "2"}, {"at_ms": 6, "label": 0, "x": 0.1, "version": "1"}]
    (tmp_path / "joined.jsonl").write_text("\n".join(map(json.dumps, lines)))
    store = RegistryStore(tmp_path / "store")
    data = FileData(DirectoryStore(tmp_path / "store"), {"fraud": tmp_path / "joined.jsonl"})
    looked = data.watched(policy(), {"2"}, 0, 9, lambda: None)
    assert looked is not None
    found = list(fsck(store, others=PipelineThings()))
    assert {each.fault for each in found} == {Fault.UNREACHABLE}
    left = {looked.digest, looked.train, looked.test}
    assert {each.what for each in found} == {f"blob {digest}" for digest in left}
    assert {blob.digest for blob in plan(store, 2**60).removable} == left


def test_what_was_handed_on_and_what_came_back_is_known_and_keeps_nothing() -> None:
    for body in HANDED:
        assert of_entry("handoffs/flights/train-3f2a", body, "here") == []
    assert of_document("steps/train-3f2a", LISTING, "here") == []
    with pytest.raises(FormatError, match="has format 9"):
        of_entry("handoffs/flights/train-3f2a", HANDED[0].replace(b'"format":1', b'"format":9'), "here")
