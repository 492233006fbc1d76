"""What is taken as a model, and that nothing hostile is: every bundle of the corpus is refused for its reason."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.catalog import Catalog, Draft, MemoryBundle
from registry.errors import BundleRefused
from registry.formats.bundle import Inspection, inspect
from registry.formats.finding import Refusal
from registry.formats.pickles import pickled
from registry.local_bundle import LocalBundle
from registry.manifest import ModelFormat
from tests.registry import models
from tests.registry.hostile import Trap, corpus
from tests.registry.memory import MemoryStore

SPRUNG = Path("the-trap-was-sprung")
CORPUS = corpus(SPRUNG)


def look(files: dict[str, bytes]) -> Inspection:
    return inspect({path: memoryview(body) for path, body in files.items()})


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_bundle_is_refused_for_its_reason_and_nothing_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files, reason = CORPUS[name]
    store = MemoryStore()
    with pytest.raises(BundleRefused) as refused:
        Catalog(store).add(Draft("m", MemoryBundle(files), dataset="sha256:" + "d" * 64), "mallory", 0)
    assert reason in {finding.refusal for finding in refused.value.findings}
    assert str(reason).replace("_", " ") in str(refused.value)
    assert str(refused.value).isprintable() or "\n" in str(refused.value)
    assert list(store.blobs()) == []
    assert list(tmp_path.iterdir()) == []


def test_the_trap_of_the_corpus_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap(SPRUNG)))
    assert SPRUNG.exists()


def test_the_corpus_has_every_reason_that_bytes_can_give() -> None:
    assert {reason for _, reason in CORPUS.values()} == set(Refusal) - {Refusal.TOO_LARGE}


@pytest.mark.parametrize(
    ("files", "formats"),
    [
        ({"model.onnx": models.linear([1, 2])}, {ModelFormat.ONNX}),
        ({"a/m.onnx": models.with_outside_data("w.bin"), "a/w.bin": b"\0" * 24}, {ModelFormat.ONNX, ModelFormat.ONNX_DATA}),
        ({"m.safetensors": models.weights(), "config.json": b"{}"}, {ModelFormat.SAFETENSORS, ModelFormat.JSON}),
        ({"m.json": models.json_model(1)}, {ModelFormat.JSON}),
        ({"m.json": models.recipe()}, {ModelFormat.RIVER}),
        ({"m.safetensors": models.safetensors({})}, {ModelFormat.SAFETENSORS}),
    ],
)  # fmt: skip
def test_what_is_a_model_is_taken(files: dict[str, bytes], formats: set[ModelFormat]) -> None:
    found = look(files)
    assert found.findings == ()
    assert set(found.formats.values()) == formats
    assert found.formats.keys() == files.keys()


def test_an_operator_that_the_model_defines_itself_needs_no_library() -> None:
    function = models.part(1, "Twice") + models.part(7, models.node("Add", ["x", "x"], ["y"])) + models.part(10, "acme")
    body = models.graph([models.node("Twice", ["x"], ["y"], "acme")], [])
    assert look({"m.onnx": models.model(body, rest=models.part(25, function))}).findings == ()


def test_a_model_that_scikit_learn_users_export_is_taken() -> None:
    body = models.graph([models.node("TreeEnsembleClassifier", ["x"], ["y"], "ai.onnx.ml")], [])
    assert look({"m.onnx": models.model(body, domains={"ai.onnx.ml": 3})}).findings == ()


@given(st.binary(max_size=300), st.sampled_from(["m.onnx", "m.json", "m.safetensors", "m.bin", "m"]))
def test_no_bytes_are_too_odd_to_be_looked_at(body: bytes, path: str) -> None:
    found = look({path: body})
    assert found.findings or found.formats


@given(st.data(), st.sampled_from(["onnx", "safetensors"]))
def test_no_damage_is_too_odd_to_be_looked_at(data: st.DataObject, suffix: str) -> None:
    whole = models.linear([1, 2]) if suffix == "onnx" else models.weights()
    at = data.draw(st.integers(0, len(whole) - 1))
    body = whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + data.draw(st.integers(0, 12)) :]
    look({f"m.{suffix}": body})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.integers(0, 5))
def test_every_pickle_is_seen(value: object, protocol: int) -> None:
    assert pickled(memoryview(pickle.dumps(value, protocol))) is not None


def test_weights_are_not_taken_for_pickles() -> None:
    numbers = np.random.default_rng(7)
    for _ in range(300):
        body = numbers.normal(size=500).astype(np.float32).tobytes()
        assert pickled(memoryview(body), data=True) is None
        assert pickled(memoryview(numbers.bytes(2000)), data=True) is None


# ------------------------------------------------------------------------------------------------- files on the disk


def test_a_directory_is_a_bundle_and_links_in_it_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "m.json").write_bytes(b"{}")
    (tmp_path / "m" / "sub" / "n.json").write_bytes(b"{}")
    (tmp_path / "m" / "link.json").symlink_to("/etc/passwd")
    (tmp_path / "m" / "folder").symlink_to("/etc")
    with LocalBundle([tmp_path / "m"]) as bundle:
        assert set(bundle.files) == {"m.json", "sub/n.json"}
        assert {(f.path, f.refusal) for f in bundle.findings} == {
            ("link.json", Refusal.SYMLINK),
            ("folder", Refusal.SYMLINK),
        }


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.json")
    with LocalBundle([tmp_path]) as bundle:
        assert [(f.path, f.refusal) for f in bundle.findings] == [("pipe.json", Refusal.SPECIAL_FILE)]


def test_a_link_that_is_named_by_hand_is_followed(tmp_path: Path) -> None:
    (tmp_path / "v3.json").write_bytes(b"{}")
    (tmp_path / "model.json").symlink_to("v3.json")
    with LocalBundle([tmp_path / "model.json"]) as bundle:
        assert {path: bytes(view) for path, view in bundle.files.items()} == {"model.json": b"{}"}
        assert bundle.findings == ()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.json").write_bytes(b"{}")
    with LocalBundle([tmp_path / "a", tmp_path / "b"]) as bundle:
        assert [f.refusal for f in bundle.findings] == [Refusal.PATH]
