"""Model versions: numbered densely, written last, added once, read verified."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry.card import model_card
from registry.catalog import Catalog, Draft, MemoryBundle
from registry.directory import DirectoryStore
from registry.errors import BadName, BundleRefused, Damaged, FormatError, Missing, NotFound
from registry.manifest import Card, ModelFormat
from tests.registry import models
from tests.registry.disk import Disk, SimulatedFiles, Stopped
from tests.registry.memory import MemoryStore
from tests.registry.stories import BORN_MS, add

FILES = {"model.onnx": models.with_outside_data("w.bin"), "w.bin": b"\0" * 24}
PROBE = json.dumps({
    "format": 1,
    "inputs": {"x": {"dtype": "float32", "shape": [1], "values": [1.5]}},
    "outputs": {"y": {"dtype": "float32", "shape": [1], "values": [0.25]}},
}).encode()  # fmt: skip
DRAFT = Draft(
    "fraud",
    MemoryBundle(FILES),
    dataset="sha256:" + "d" * 64,
    run="run-7",
    code_revision="abc123",
    environment={"python": "3.11.7"},
    params={"depth": 3, "rate": 0.1, "features": ["a", "b"]},
    probe=PROBE,
    reference=b'{"bins": []}',
    gate_reports=(b'{"verdict": "pass"}',),
    card=Card(owner="team-fraud", description="Scores *payments*", intended_use="Cards | only"),
)


def test_a_version_comes_back_as_it_was_added() -> None:
    catalog = Catalog(MemoryStore())
    version, new = catalog.add(DRAFT, "ada", BORN_MS)
    assert (new, str(version), version.entry.registered_by, version.entry.at_ms) == (True, "fraud@1", "ada", BORN_MS)
    assert catalog.models() == ["fraud"]
    manifest = catalog.manifest(catalog.version("fraud", 1))
    assert [(f.path, f.size_bytes, f.format) for f in manifest.files] == [
        ("model.onnx", len(FILES["model.onnx"]), ModelFormat.ONNX),
        ("w.bin", 24, ModelFormat.ONNX_DATA),
    ]
    assert (manifest.dataset, manifest.run, manifest.code_revision) == (DRAFT.dataset, "run-7", "abc123")
    assert (manifest.params, manifest.environment, manifest.card) == (DRAFT.params, DRAFT.environment, DRAFT.card)
    assert manifest.reference is not None
    assert catalog.attachment(manifest.reference) == DRAFT.reference
    assert catalog.probe(manifest) is not None
    assert catalog.verify(version) == []


def test_the_same_content_again_is_the_same_version() -> None:
    catalog = Catalog(MemoryStore())
    first, _ = catalog.add(DRAFT, "ada", BORN_MS)
    again, new = catalog.add(DRAFT, "bob", BORN_MS + 5)
    assert (again, new) == (first, False)


def test_a_run_has_one_version_however_often_it_tries() -> None:
    store = MemoryStore()
    first = add(store, "fraud", 1, run="run-1")
    assert add(store, "fraud", 2, run="run-1") == first
    assert add(store, "fraud", 2, run="run-2").number == 2


def test_numbers_are_per_model_and_dense() -> None:
    store = MemoryStore()
    assert [add(store, name, weight).number for name, weight in (("a", 1), ("b", 1), ("a", 2), ("a", 3))] == [
        1,
        1,
        2,
        3,
    ]


def test_many_who_add_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    def some(writer: int) -> list[int]:
        store = DirectoryStore(tmp_path / "store")
        return [add(store, "fraud", writer, turn).number for turn in range(8)]

    with ThreadPoolExecutor(6) as pool:
        numbers = [number for mine in pool.map(some, range(6)) for number in mine]
    assert sorted(numbers) == list(range(1, 49))


@pytest.mark.parametrize("after", [False, True], ids=["before", "within"])
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power"])
def test_adding_may_end_at_any_step(after: bool, power: bool) -> None:
    import random

    disk = Disk()
    steps = SimulatedFiles(disk)
    Catalog(DirectoryStore("simulated", steps)).add(DRAFT, "ada", BORN_MS)
    for stop_at in range(1, steps.steps + 1):
        disk = Disk()
        add(DirectoryStore("simulated", SimulatedFiles(disk)), "fraud", 1)
        try:
            Catalog(DirectoryStore("simulated", SimulatedFiles(disk, stop_at, after=after))).add(DRAFT, "ada", BORN_MS)
        except Stopped:
            if power:
                disk.lose_power(random.Random(stop_at))
        catalog = Catalog(DirectoryStore("simulated", SimulatedFiles(disk)))
        seen = catalog.versions("fraud")
        assert [catalog.verify(version) for version in seen] == [[]] * len(seen)  # whole, or not there
        version, _ = catalog.add(DRAFT, "ada", BORN_MS)
        assert (version.number, len(catalog.versions("fraud"))) == (2, 2)


def test_a_manifest_whose_files_are_not_there_gets_no_number() -> None:
    there, here = MemoryStore(), MemoryStore()
    manifest = Catalog(there).manifest(Catalog(there).add(DRAFT, "ada", BORN_MS)[0])
    with pytest.raises(Missing, match="is not in the store"):
        Catalog(here).register(manifest, "ada", BORN_MS)
    assert Catalog(here).models() == []


def test_what_does_not_exist_is_said_with_what_does() -> None:
    store = MemoryStore()
    add(store, "fraud", 1)
    with pytest.raises(NotFound, match=r"model 'frad' is not in this registry. Did you mean 'fraud'\?"):
        Catalog(store).versions("frad")
    with pytest.raises(NotFound, match=r"version fraud@2 is not in this registry. It has versions 1 to 1"):
        Catalog(store).version("fraud", 2)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".a", "a b", "a\n", "x" * 101])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="model"):
        Catalog(MemoryStore()).add(Draft(name, MemoryBundle(FILES)), "ada", BORN_MS)


def test_a_probe_set_that_is_none_is_refused_before_anything_is_put() -> None:
    store = MemoryStore()
    with pytest.raises(FormatError, match="the probe set"):
        Catalog(store).add(Draft("fraud", MemoryBundle(FILES), probe=b'{"format": 1}'), "ada", BORN_MS)
    assert list(store.blobs()) == []


def test_a_recipe_without_its_dataset_is_no_model() -> None:
    bundle = MemoryBundle({"model.json": models.recipe()})
    with pytest.raises(BundleRefused, match="name its digest"):
        Catalog(MemoryStore()).add(Draft("fraud", bundle), "ada", BORN_MS)


def test_verify_names_the_file_that_is_damaged() -> None:
    store = MemoryStore()
    catalog = Catalog(store)
    version, _ = catalog.add(DRAFT, "ada", BORN_MS)
    digest = catalog.manifest(version).files[1].digest
    store.kept[digest] = (b"\1" * 24, 0)
    (error,) = catalog.verify(version)
    assert isinstance(error, Damaged)
    assert str(error).startswith(f"fraud@1: w.bin: blob {digest} is damaged")


def test_the_card_says_what_the_manifest_says_and_no_markup_comes_through() -> None:
    catalog = Catalog(MemoryStore())
    version, _ = catalog.add(DRAFT, "ada", BORN_MS)
    card = model_card(version, catalog.manifest(version))
    assert card.startswith("# fraud, version 1\n\nScores \\*payments\\*\n")
    for fact in (
        version.digest,
        DRAFT.dataset,
        "run-7",
        "abc123",
        "team\\-fraud",
        "Cards \\| only",
        "`w.bin`",
        '`["a", "b"]`',
    ):
        assert str(fact) in card
    assert card == model_card(version, catalog.manifest(version))
