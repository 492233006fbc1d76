"""Versions in a store: whole or not there, named once, and nothing that was changed is taken for what it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import pytest

from pipelines.dataset import manifest as m
from pipelines.dataset.errors import BadDataset, NameTaken, UnknownDataset, UnreadableDataset
from pipelines.dataset.row_digest import digest_of_rows
from pipelines.dataset.selection import BLOCK_OFFSETS, blocks, checked, chosen
from pipelines.dataset.shelf import Integrity, Shelf
from registry.errors import StoreError
from registry.store import Blob
from tests.pipelines.dataset.golden import MANIFEST
from tests.pipelines.dataset.rows import Row, table
from tests.registry.memory import MemoryStore

ROWS: list[Row] = [(n, 1_000 + n, n / 7, "abc"[n % 3]) for n in range(30)]


def made(shelf: Shelf, rows: list[Row] = ROWS) -> m.Manifest:
    """A version of two segments."""
    parts = table(rows[:20]), table(rows[20:])
    return msgspec.structs.replace(
        MANIFEST,
        schema=parts[0].schema,
        segments=tuple(shelf.put_segment(part, 0, n) for n, part in enumerate(parts)),
        rows=len(rows),
        rows_digest=digest_of_rows(parts[0].schema, parts),
    )


def last(found: Iterator[Integrity]) -> Integrity:
    *_, one = found
    return one


def test_what_was_kept_is_read_back_whole() -> None:
    shelf = Shelf(MemoryStore())
    manifest = made(shelf)
    digest, new = shelf.add(manifest, "x")
    assert (shelf.name("x", digest, "ada", 5), new) == (True, True)
    version = shelf.version("x")
    assert (version.manifest, version.digest, str(version)) == (manifest, digest, "x")
    assert last(shelf.check(manifest, (StoreError,))) == Integrity(30, manifest.rows_digest, [])
    assert shelf.add(manifest) == (digest, False)
    assert [v.digest for v in shelf.versions()] == [digest]


class Stops(MemoryStore):
    """Dies before its nth write."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    def create_document(self, name: str, body: bytes) -> bool:
        self._one()
        return super().create_document(name, body)

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        self._one()
        return super().put_blob(chunks, expected)

    def _one(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("writes", range(4))
def test_a_maker_that_is_killed_has_made_nothing_or_a_whole_version(writes: int) -> None:
    store = Stops(writes)
    shelf = Shelf(store)

    def make() -> str:
        digest, _ = shelf.add(made(shelf), "x")
        shelf.name("x", digest, "ada", 5)
        return digest

    with pytest.raises(KeyboardInterrupt):
        make()
    store.writes = 99
    for version in shelf.versions():
        assert last(shelf.check(version.manifest, (StoreError,))).faults == []
    assert len(shelf.versions()) == (writes > 2)
    assert shelf.version(make()).names
    assert len(shelf.versions()) == 1


def test_a_name_is_given_once_and_nothing_is_kept_for_one_that_is_taken() -> None:
    shelf = Shelf(MemoryStore())
    digest, _ = shelf.add(made(shelf), "x")
    shelf.name("x", digest, "ada", 5)
    assert shelf.name("x", digest, "bob", 6) is False
    with pytest.raises(NameTaken, match=r"is the name of sha256:.* Names do not move"):
        shelf.add(made(shelf, ROWS[1:]), "x")
    with pytest.raises(NameTaken):
        shelf.name("x", "sha256:" + "00" * 32, "bob", 6)
    assert len(shelf.versions()) == 1


@pytest.mark.parametrize("name", ["", ".x", "a/b", "../x", "x.entry", "é", "x" * 101])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadDataset):
        Shelf(MemoryStore()).naming(name)


def test_a_prefix_that_fits_two_versions_is_no_name() -> None:
    store = MemoryStore()
    shelf = Shelf(store)
    for n in range(3):
        shelf.add(made(shelf, ROWS[n:]))
    digests = [v.digest for v in shelf.versions()]
    assert [shelf.version(d[:17]).digest for d in digests] == digests
    with pytest.raises(UnknownDataset, match="is not in this store"):
        shelf.version(digests[0][7:12])  # five digits are too few


def test_a_segment_that_was_swapped_for_another_is_named() -> None:
    store = MemoryStore()
    shelf = Shelf(store)
    manifest = made(shelf)
    first, second = manifest.segments
    shorter = shelf.put_segment(table(ROWS[:19]), 0, 0)
    other = shelf.put_segment(table([*ROWS[:19], (99, 1_019, 0.0, "a")]), 0, 0)
    for digest, said in (
        (shorter.digest, "segment 0 of partition 0: it has 19 rows instead of 20"),
        (other.digest, "the rows are sha256:"),
        (store.put_blob([b"no parquet"]).digest, "segment 0 of partition 0: segment 0 of partition 0 cannot be read"),
    ):
        swapped = msgspec.structs.replace(first, digest=digest)
        found = last(shelf.check(msgspec.structs.replace(manifest, segments=(swapped, second)), (StoreError,)))
        assert found.faults[0].startswith(said)


def test_a_manifest_under_another_digest_is_refused() -> None:
    store = MemoryStore()
    shelf = Shelf(store)
    digest = "sha256:" + "12" * 32
    store.create_document("datasets/versions/" + "12" * 32, m.encode(made(shelf)))
    with pytest.raises(UnreadableDataset, match="holds a manifest that is sha256:"):
        shelf.version(digest)


def test_segments_are_cut_at_multiples_of_a_block() -> None:
    offsets = np.array([5, BLOCK_OFFSETS - 1, BLOCK_OFFSETS, 3 * BLOCK_OFFSETS + 1], np.int64)
    assert [(n, places.tolist()) for n, places in blocks(offsets)] == [(0, [0, 1]), (1, [2]), (3, [3])]
    assert list(blocks(offsets[:0])) == []


def test_a_selection_is_half_open_and_all_of_it_holds() -> None:
    at, offsets = np.array([10, 20, 30, 30], np.int64), np.arange(4)
    model, names = np.array([0, 1, 0, 1], np.int32), ["a", "b"]

    def rows(selection: m.Selection) -> list[int]:
        return np.flatnonzero(chosen(selection, 0, at, offsets, model, names)).tolist()

    assert rows(m.Selection()) == [0, 1, 2, 3]
    assert rows(m.Selection(from_ms=20, until_ms=30)) == [1]
    assert rows(m.Selection(offsets=(m.Offsets(0, 1, 2), m.Offsets(0, 3, 4), m.Offsets(1, 0, 4)))) == [1, 3]
    assert rows(m.Selection(models=("b",), from_ms=30)) == [3]
    assert rows(m.Selection(models=("c",))) == []
    with pytest.raises(BadDataset):
        checked(m.Selection(from_ms=5, until_ms=5))
