"""Contracts: every store is the same store, every registry the same registry, alone and wired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.cli.retrain_registry import RegistryModels
from pipelines.carrying import give, take
from pipelines.codec import digest_of
from pipelines.directory import DirectoryStore
from pipelines.errors import StepFailed, StoreError
from pipelines.local_models import LocalModels
from pipelines.log import append, read_log
from pipelines.ports import Artifact, Draft, ModelFile, Models, Move, Store
from registry import chained
from registry.aliases import Aliases, By
from registry.catalog import Catalog
from registry.directory import DirectoryStore as RegistryStore
from registry.errors import Damaged
from registry.fsck import fsck
from tests.pipelines.memory import MemoryStore, policy

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "directory": DirectoryStore,
    "registry": RegistryStore,
}
POLICY = policy()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path / "store")


def test_an_entry_is_created_once_and_read_as_it_was(store: Store) -> None:
    assert (store.last("runs/a"), store.entry("runs/a", 1), store.logs()) == (0, None, [])
    assert store.create_entry("runs/a", 1, b"one")
    assert not store.create_entry("runs/a", 1, b"other")
    assert store.create_entry("runs/a", 2, b"")
    assert store.create_entry("runs/ab", 1, b"\0\xff")
    assert (store.entry("runs/a", 1), store.entry("runs/a", 2), store.entry("runs/ab", 1)) == (b"one", b"", b"\0\xff")
    assert store.last("runs/a") == 2
    assert store.logs() == ["runs/a", "runs/ab"] == store.logs("runs")
    assert store.logs("run") == []


def test_documents_and_blobs_are_what_was_put(store: Store) -> None:
    assert store.document("receipts/x") is None
    assert store.create_document("receipts/x", b"1")
    assert not store.create_document("receipts/x", b"2")
    assert store.document("receipts/x") == b"1"
    put = store.put_blob([b"ab", b"", b"c"])
    assert (put.digest, put.size_bytes) == (digest_of(b"abc"), 3)
    assert (store.blob_size(put.digest), store.blob_size(digest_of(b"abcd"))) == (3, None)
    assert store.put_blob([b"abc"]).digest == put.digest
    assert b"".join(store.blob(put.digest)) == b"abc"


def test_a_log_has_receipts_and_a_lost_race_changes_nothing(store: Store) -> None:
    assert append(store, "runs/a", [], b"one")
    assert not append(store, "runs/a", [], b"other")
    assert append(store, "runs/a", [b"one"], b"two")
    assert read_log(store, "runs/a") == [b"one", b"two"]
    assert read_log(store, "runs/a", 1) == [b"two"]
    assert store.document("receipts/runs/a/2") == digest_of(b"two").encode()


class Late(MemoryStore):
    """A store that tells of a document, and does not show it yet."""

    late = False

    def document(self, name: str) -> bytes | None:
        return None if self.late else super().document(name)


def test_a_receipt_that_is_not_seen_yet_is_none_for_another_entry() -> None:
    store = Late()
    assert append(store, "runs/a", [], b"one")
    store.late = True
    assert append(store, "runs/a", [b"one"], b"two")
    assert chained.append(store, "models/a", chained.read_log(store, "models/a"), b"one")  # type: ignore[arg-type]
    assert chained.append(store, "models/a", [b"one"], b"two")  # type: ignore[arg-type]
    store.late = False
    with pytest.raises(StoreError, match="entry 2 of 'runs/a' is not the one that its receipt is for"):
        append(store, "runs/a", [b"one", b"other"], b"three")


def test_a_result_that_is_not_seen_yet_is_asked_for_again(tmp_path: Path) -> None:
    store = Late()
    (tmp_path / "job/out").mkdir(parents=True)
    assert give(store, "n", tmp_path / "job")
    store.late = True
    with pytest.raises(StepFailed, match="the result 'n' is not seen yet") as caught:
        take(store, "n", tmp_path / "job")
    assert caught.value.again


def test_one_directory_is_a_store_of_the_pipelines_and_of_the_registry(tmp_path: Path) -> None:
    mine = DirectoryStore(tmp_path)
    append(mine, "runs/a", [], b"one")
    theirs = RegistryStore(tmp_path)
    assert append(theirs, "runs/a", read_log(theirs, "runs/a"), b"two")
    blob = theirs.put_blob([b"abc"]).digest
    assert (read_log(DirectoryStore(tmp_path), "runs/a"), b"".join(mine.blob(blob))) == ([b"one", b"two"], b"abc")
    assert [found.fault for found in fsck(theirs)] == ["unfollowed", "unreachable"]


@pytest.mark.parametrize(
    "where", ["logs/runs/a/00000001.entry", "documents/receipts/runs/a/1.document", "driftline-store"]
)
def test_one_flipped_byte_is_refused_by_name(tmp_path: Path, where: str) -> None:
    append(DirectoryStore(tmp_path), "runs/a", [], b"one")
    path = tmp_path / where
    raw = path.read_bytes()
    for place in (0, 20, len(raw) - 1):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(StoreError, match=f"{path.name}.*is damaged"):
            read_all(DirectoryStore, tmp_path)
        with pytest.raises(Damaged):
            read_all(RegistryStore, tmp_path)


def read_all(kind: Callable[[Path], Store], directory: Path) -> None:
    store = kind(directory)
    store.entry("runs/a", 1)
    store.document("receipts/runs/a/1")


def test_a_directory_that_holds_something_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"holds 'thesis.tex'"):
        DirectoryStore(tmp_path)


def test_a_damaged_blob_is_never_handed_out(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    digest = store.put_blob([b"abc"]).digest
    next((tmp_path / "blobs").rglob(digest.removeprefix("sha256:"))).write_bytes(b"abd")
    with pytest.raises(StoreError, match="is damaged"):
        b"".join(store.blob(digest))


# ------------------------------------------------------------------------------------------------------------ models


@pytest.fixture(params=["local", "registry"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Models]:
    store = RegistryStore(tmp_path / "store")
    if request.param == "local":
        return store, LocalModels(store)
    catalog = Catalog(store)
    return store, RegistryModels(catalog, Aliases(catalog))


def register(kept: tuple[Store, Models], run: str, weight: float) -> int:
    store, models = kept
    blob = store.put_blob([b'{"weights":[%f]}' % weight])
    artifact = Artifact({"model.json": ModelFile(blob.digest, blob.size_bytes)}, {"python": "3.11"}, {})
    report = store.put_blob([b'{"outcome":"pass"}']).digest
    return models.register(Draft("fraud", run, digest_of(b"rows"), artifact, {}, None, report), "w1", 5)


def test_a_run_has_one_version_and_moves_the_alias_once_each_way(kept: tuple[Store, Models]) -> None:
    models = kept[1]
    assert models.serving(POLICY) is None
    assert [register(kept, "a", 1), register(kept, "b", 2), register(kept, "a", 3)] == [1, 2, 1]
    eve = {"eve": "fine"}
    assert models.promote(POLICY, "a", 1, None, eve, "w1", 6).move is Move.MOVED
    assert models.promote(POLICY, "a", 1, None, eve, "w1", 6).move is Move.ALREADY
    conflict = models.promote(POLICY, "b", 2, None, eve, "w1", 7)
    assert (conflict.move, conflict.detail) == (Move.CONFLICT, f"{POLICY.alias} points at 1, not at None")
    assert models.promote(POLICY, "b", 2, 1, eve, "w1", 8).move is Move.MOVED
    serving = models.serving(POLICY)
    assert serving is not None
    assert serving.version == 2
    assert serving.names[:3] == ("2", "v2", "fraud@2")
    assert {"2", "fraud@2"} <= set(serving.names)
    assert models.version(POLICY, 1).files["model.json"].digest == digest_of(b'{"weights":[1.000000]}')
    assert models.rollback(POLICY, "b", 2, 1, "w1", 9).move is Move.MOVED
    assert models.rollback(POLICY, "b", 2, 1, "w1", 9).move is Move.ALREADY
    # The alias stands where run b believes it to; it has moved it before all the same.
    assert models.promote(POLICY, "b", 2, 1, eve, "zombie", 10).move is Move.ALREADY
    after = models.serving(POLICY)
    assert after is not None
    assert after.version == 1


def test_a_run_may_move_one_alias_after_another(kept: tuple[Store, Models]) -> None:
    models, beside = kept[1], policy(alias="challenger")
    assert [register(kept, "a", 1), register(kept, "b", 2)] == [1, 2]
    assert models.promote(POLICY, "a", 1, None, {}, "w1", 6).move is Move.MOVED
    assert models.promote(beside, "b", 2, None, {}, "w1", 7).move is Move.MOVED
    assert models.promote(POLICY, "b", 2, 1, {}, "w1", 8).move is Move.MOVED
    assert models.promote(beside, "b", 2, 2, {}, "w1", 9).move is Move.ALREADY
    assert [serving.version for each in (POLICY, beside) if (serving := models.serving(each))] == [2, 2]


def test_what_a_rule_of_the_registry_forbids_is_refused_with_its_reason(tmp_path: Path) -> None:
    store = RegistryStore(tmp_path)
    catalog = Catalog(store)
    models = RegistryModels(catalog, Aliases(catalog))
    register((store, models), "a", 1)
    done = models.promote(policy(approvals=2), "a", 1, None, {"eve": "fine"}, "w1", 6)
    assert (done.move, done.detail) == (Move.REFUSED, "the registry says not_approved")


def test_an_alias_that_a_person_froze_moves_when_it_is_unfrozen(tmp_path: Path) -> None:
    store = RegistryStore(tmp_path)
    catalog = Catalog(store)
    aliases = Aliases(catalog)
    models = RegistryModels(catalog, aliases)
    for number, run in enumerate("ab", 1):
        register((store, models), run, number)
        models.promote(POLICY, run, number, number - 1 or None, {}, "w1", 6)
    aliases.freeze("fraud", POLICY.alias, By("ada", "holiday", 7))
    held = models.rollback(POLICY, "b", 2, 1, "w1", 8)
    assert (held.move, held.detail) == (Move.FROZEN, f"{POLICY.alias} is frozen")
    aliases.unfreeze("fraud", POLICY.alias, By("ada", "back", 9))
    assert models.rollback(POLICY, "b", 2, 1, "w1", 10).move is Move.MOVED
