"""A server follows an alias: it swaps without a gap to what it could verify, and keeps what it has otherwise."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog, Draft, MemoryBundle, Version
from registry.errors import (
    BundleRefused,
    Conflict,
    Damaged,
    FormatError,
    Missing,
    NotFound,
    ProbeMismatch,
    RegistryError,
)
from registry.manifest import Manifest
from registry.onnx_models import OnnxScorer, load_onnx
from registry.probe import Arrays, decode_probe, differences, probe_of
from registry.publication import current_state, current_states, decode_state, state_record
from registry.reader import ModelReader, Outcome
from tests.registry import models
from tests.registry.memory import MemoryStore
from tests.registry.stories import BORN_MS, add, by, three

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


class Constant:
    """A scorer that says the first weight of its JSON model, times a factor."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def score(self, inputs: Arrays) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"score": np.full(len(inputs["x"]), self.weight, np.float64)}


def load(manifest: Manifest, files: Mapping[str, Path]) -> Constant:
    return Constant(json.loads(files["model.json"].read_bytes())["weights"][0])


def add_probed(store: MemoryStore, weight: float, says: float | None = None) -> Version:
    """A version whose probe set says that the score is `says`; its own weight unless that is given."""
    probe = probe_of({"x": np.zeros(3)}, {"score": np.full(3, weight if says is None else says)})
    bundle = MemoryBundle({"model.json": models.json_model(weight)})
    return Catalog(store).add(Draft("fraud", bundle, probe=codec.encode(probe)), "ada", BORN_MS)[0]


def reader(store: MemoryStore, tmp_path: Path, **options: Any) -> ModelReader:
    return ModelReader(store, "fraud", "champion", load, tmp_path / "cache", **options)


def record(store: MemoryStore) -> bytes:
    state = current_state(Aliases(Catalog(store)), Catalog(store), "fraud", "champion")
    assert state is not None
    return state_record(state).value


def test_a_reader_follows_the_alias_through_promotion_and_rollback(tmp_path: Path) -> None:
    store = MemoryStore()
    add_probed(store, 1)
    add_probed(store, 2)
    aliases, follower = Aliases(Catalog(store)), reader(store, tmp_path)
    assert (follower.poll().outcome, follower.serving) == (Outcome.NOTHING, None)
    seen = []
    moves: list[Callable[[], object]] = [
        lambda: aliases.promote("fraud", "champion", 1, by()),
        lambda: aliases.promote("fraud", "champion", 2, by()),
        lambda: aliases.freeze("fraud", "champion", by()),
        lambda: aliases.rollback("fraud", "champion", by()),
    ]
    for move in moves:
        move()
        taken = follower.offer(record(store))
        assert follower.serving is not None
        seen.append((taken.outcome, follower.serving.version, follower.serving.scorer.score({"x": ROWS})["score"][0]))
    assert seen == [
        (Outcome.SWAPPED, 1, 1.0),
        (Outcome.SWAPPED, 2, 2.0),
        (Outcome.SAME_VERSION, 2, 2.0),
        (Outcome.SWAPPED, 1, 1.0),
    ]
    assert follower.poll().outcome is Outcome.SAME_VERSION


def test_an_old_record_is_not_taken(tmp_path: Path) -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    old = record(store)
    aliases.promote("fraud", "champion", 2, by())
    fresh = reader(store, tmp_path)
    assert fresh.offer(old).outcome is Outcome.OLDER  # the store knows better
    assert fresh.offer(record(store)).outcome is Outcome.SWAPPED
    assert fresh.offer(old).outcome is Outcome.OLDER


def test_whatever_fails_the_old_version_stays(tmp_path: Path) -> None:
    store = MemoryStore()
    add_probed(store, 1)
    add_probed(store, 2, says=2.5)
    bad_manifest = add(store, "fraud", 3)
    aliases, follower = Aliases(Catalog(store)), reader(store, tmp_path)
    aliases.promote("fraud", "champion", 1, by())
    assert follower.poll().outcome is Outcome.SWAPPED

    def refused(kind: type[Exception], *words: str) -> None:
        taken = follower.poll()
        assert (taken.outcome, type(taken.error)) == (Outcome.REFUSED, kind)
        assert all(word in taken.detail for word in words), taken.detail
        assert follower.serving is not None
        assert follower.serving.version == 1

    aliases.promote("fraud", "champion", 2, by())
    refused(
        ProbeMismatch,
        "output 'score': 3 of 3 values differ",
        "2.5 was registered, 2.0 came out",
        "version 1 is served on",
    )
    aliases.promote("fraud", "champion", 3, by())
    (file,) = Catalog(store).manifest(bad_manifest).files
    whole = store.kept[file.digest]
    store.kept[file.digest] = (whole[0][:-1] + b" ", 0)
    refused(Damaged, file.digest)
    del store.kept[file.digest]
    refused(Missing, file.digest)
    store.kept[file.digest] = whole
    assert follower.poll().outcome is Outcome.SWAPPED


def test_a_loader_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())

    def fail(manifest: Manifest, files: Mapping[str, Path]) -> Constant:
        raise ZeroDivisionError("out of memory")

    taken = ModelReader(store, "fraud", "champion", fail, tmp_path).poll()
    assert (taken.outcome, taken.detail) == (Outcome.REFUSED, "out of memory (nothing is served)")


def test_a_version_without_a_probe_set_is_refused_where_one_is_required(tmp_path: Path) -> None:
    store = MemoryStore()
    three(store).promote("fraud", "champion", 1, by())
    taken = reader(store, tmp_path, probe_required=True).poll()
    assert isinstance(taken.error, ProbeMismatch)
    assert reader(store, tmp_path).poll().outcome is Outcome.SWAPPED


def test_a_forged_record_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    follower = reader(store, tmp_path)
    true = decode_state(record(store))
    forged = {
        "another version": (msgspec.structs.replace(true, version=2), Damaged),
        "another manifest": (
            msgspec.structs.replace(true, manifest=Catalog(store).version("fraud", 2).digest),
            Damaged,
        ),
        "a move that is not there": (msgspec.structs.replace(true, sequence=9), NotFound),
        "a version that is not there": (msgspec.structs.replace(true, version=9), NotFound),
    }
    for state, kind in forged.values():
        taken = follower.offer(codec.encode(state))
        assert (taken.outcome, type(taken.error)) == (Outcome.REFUSED, kind)
    assert follower.offer(codec.encode(msgspec.structs.replace(true, alias="other"))).outcome is Outcome.REFUSED
    assert isinstance(follower.offer(b"{}").error, FormatError)
    assert follower.serving is None


def test_a_retired_version_is_not_served_by_an_old_record(tmp_path: Path) -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    old = record(store)
    aliases.promote("fraud", "champion", 2, by())
    aliases.retire("fraud", 1, by(reason="leaks"))
    taken = reader(store, tmp_path).offer(old)
    assert isinstance(taken.error, Conflict)
    assert "was retired: 'leaks'" in taken.detail


def test_a_cache_that_was_changed_is_fetched_again(tmp_path: Path) -> None:
    store = MemoryStore()
    three(store).promote("fraud", "champion", 1, by())
    reader(store, tmp_path).poll()
    (cached,) = (tmp_path / "cache").rglob("model.json")
    cached.write_bytes(models.json_model(666))
    follower = reader(store, tmp_path)
    assert follower.poll().outcome is Outcome.SWAPPED
    assert follower.serving is not None
    assert follower.serving.scorer.score({"x": ROWS})["score"][0] == 1.0
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cached.parent.name]


def test_a_bundle_that_got_past_the_registry_is_looked_at_again(tmp_path: Path) -> None:
    import pickle

    store = MemoryStore()
    three(store)
    catalog = Catalog(store)
    body = pickle.dumps([1])
    manifest = catalog.manifest(catalog.version("fraud", 1))
    file = msgspec.structs.replace(manifest.files[0], digest=store.put_blob([body]).digest, size_bytes=len(body))
    catalog.register(msgspec.structs.replace(manifest, files=(file,)), "mallory", BORN_MS)
    Aliases(catalog).promote("fraud", "champion", 4, by())
    assert isinstance(reader(store, tmp_path).poll().error, BundleRefused)


def test_who_asks_while_it_swaps_is_never_without_a_model(tmp_path: Path) -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    follower = reader(store, tmp_path)
    follower.poll()
    stop, gaps = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            serving = follower.serving
            if serving is None or serving.scorer.score({"x": ROWS})["score"][0] != serving.version:
                gaps.append(serving)

    asking = threading.Thread(target=ask)
    asking.start()
    luck = random.Random(3)
    for _ in range(60):
        current = aliases.state("fraud").alias("champion").version
        aliases.promote("fraud", "champion", luck.choice([v for v in (1, 2, 3) if v != current]), by())
        assert follower.poll().outcome is Outcome.SWAPPED
    stop.set()
    asking.join()
    assert gaps == []


def test_a_topic_that_was_lost_can_be_written_again() -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    aliases.freeze("fraud", "challenger", by())
    states = current_states(aliases, Catalog(store))
    assert [(state.key, state.version, state.frozen) for state in states] == [
        ("fraud/challenger", None, True),
        ("fraud/champion", 1, False),
    ]
    record = state_record(states[1], epoch=4)
    assert (record.key, dict(record.headers)) == (
        b"fraud/champion",
        {"driftline-epoch": b"4", "driftline-sequence": b"1"},
    )
    assert decode_state(record.value) == states[1]


# ------------------------------------------------------------------------------------------------------------- ONNX


def test_an_onnx_model_is_served_and_its_probe_set_holds_to_the_bit(tmp_path: Path) -> None:
    store = MemoryStore()
    catalog = Catalog(store)
    path = tmp_path / "m.onnx"
    path.write_bytes(models.linear([0.1, 0.2], 0.3))
    outputs = OnnxScorer(path).score({"features": ROWS})
    np.testing.assert_allclose(outputs["score"].reshape(-1), [0.8, 1.4], rtol=1e-6)
    probe = codec.encode(probe_of({"features": ROWS}, outputs))
    bundle = MemoryBundle({"model.onnx": path.read_bytes()})
    catalog.add(Draft("fraud", bundle, probe=probe), "ada", BORN_MS)
    Aliases(catalog).promote("fraud", "champion", 1, by())
    follower = ModelReader(store, "fraud", "champion", load_onnx, tmp_path / "cache", probe_required=True)
    assert follower.poll().outcome is Outcome.SWAPPED, follower.poll().detail
    assert follower.serving is not None
    np.testing.assert_array_equal(follower.serving.scorer.score({"features": ROWS})["score"], outputs["score"])


def test_onnx_that_cannot_be_loaded_or_fed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(models.model(models.graph([models.node("NoSuchOperator", ["x"], ["y"])], [])))
    with pytest.raises(RegistryError, match="cannot be loaded"):
        OnnxScorer(path)
    path.write_bytes(models.linear([1, 2]))
    with pytest.raises(RegistryError, match="It takes features"):
        OnnxScorer(path).score({"x": ROWS})


# ------------------------------------------------------------------------------------------------------------ probes


def test_a_probe_comes_back_as_it_was_whatever_its_values() -> None:
    inputs: dict[str, np.ndarray[Any, Any]] = {
        "f": np.array([[0.1, np.nan], [np.inf, -np.inf]], np.float32),
        "i": np.array([2**53 + 1, -1], np.int64),
        "b": np.array([True, False]),
        "s": np.array(["a", "NaN"], dtype=object),
    }
    probe = decode_probe(codec.encode(probe_of(inputs, inputs)), "it")
    for name, array in inputs.items():
        np.testing.assert_array_equal(probe.inputs[name].array(), array)
        assert probe.inputs[name].array().dtype == array.dtype
    assert list(differences(probe, inputs)) == []


def test_a_probe_is_exact_unless_it_states_a_tolerance() -> None:
    expected, near = {"y": np.array([1.0, 2.0])}, {"y": np.array([1.0, 2.0 + 1e-12])}
    assert list(differences(probe_of(expected, expected), near)) != []
    assert list(differences(probe_of(expected, expected, relative=1e-9), near)) == []
    assert list(differences(probe_of(expected, expected), {})) == ["output 'y' is not among none"]
    (shape,) = differences(probe_of(expected, expected), {"y": np.zeros((2, 1))})
    assert shape == "output 'y' has shape [2, 1] instead of [2]"
    labels = {"l": np.array(["yes", "no"])}
    (wrong,) = differences(probe_of(expected, labels), {"l": np.array(["yes", "yes"])})
    assert wrong == "output 'l': 1 of 2 values differ; at 1 no was registered, yes came out"


@pytest.mark.parametrize(
    "column",
    [
        {"dtype": "float32", "shape": [2], "values": [1]},
        {"dtype": "object", "shape": [1], "values": [1]},
        {"dtype": "float32", "shape": [1], "values": ["x"]},
        {"dtype": "string", "shape": [1], "values": [1]},
        {"dtype": "int8", "shape": [1], "values": [1000]},
        {"dtype": "float32", "shape": [-1, -1], "values": [1]},
    ],
)
def test_a_probe_of_values_that_are_none_is_refused(column: dict[str, Any]) -> None:
    raw = json.dumps({"format": 1, "inputs": {"x": column}, "outputs": {"x": column}}).encode()
    with pytest.raises(FormatError, match="the probe"):
        decode_probe(raw, "the probe")
