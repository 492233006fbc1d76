"""Rows of ids leave every version of a store: those and no others, whoever dies where, and they do not come back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from monitor.cli.registry_others import PipelineThings
from pipelines.dataset import manifest as m
from pipelines.dataset import redaction as r
from pipelines.dataset.digest import PREFIX
from pipelines.dataset.erasing import affected, erase, finish, left_to_finish
from pipelines.dataset.errors import UnknownDataset, UnreadableDataset
from pipelines.dataset.row_digest import digest_of_rows
from pipelines.dataset.shelf import VERSIONS, Integrity, Shelf
from registry.errors import StoreError
from registry.fsck import fsck
from tests.pipelines.dataset.rows import Row, table
from tests.pipelines.dataset.test_shelf import Stops, last, made
from tests.registry.memory import MemoryStore

WHO = ("ada", "request 7", 1_800_000_000_000)
KEY = b"k" * r.KEY_BYTES
ROWS: list[Row] = [(n, 1_000 + n, n / 7, "abc"[n % 3]) for n in range(30)]
GOLDEN = Path(__file__).parents[2] / "golden" / "redaction-v1.json"


def hashes(*ids: int) -> np.ndarray:
    return np.array([[i >> 64, i & (2**64 - 1)] for i in ids], np.uint64).reshape(-1, 2)


def rows_of(shelf: Shelf, spec: str) -> list[int]:
    """The ids of the rows of a version, in order."""
    found = []
    for part in shelf.tables(shelf.version(spec).manifest):
        column = part.columns["id_hash"]
        found += [int(high) << 64 | int(low) for high, low in column.values.tolist()]  # type: ignore[union-attr]
    return found


def do(store: MemoryStore, *ids: int, others: tuple[str, ...] = ()) -> None:
    """What the command does."""
    shelf = Shelf(store)
    finish(shelf, store, WHO[2])
    found = list(affected(shelf, hashes(*ids)))
    if found or others:
        erase(shelf, store, hashes(*ids), found, others, WHO, KEY)


def two(store: MemoryStore) -> tuple[str, str]:
    """Two versions that share a segment: all of 30 rows, and the first 20."""
    shelf = Shelf(store)
    whole = shelf.add(made(shelf), "whole")[0]
    shelf.name("whole", whole, "ada", 5)
    first = m.Manifest(**{
        **{name: getattr(shelf.version(whole).manifest, name) for name in m.Manifest.__struct_fields__},
        "segments": shelf.version(whole).manifest.segments[:1],
        "rows": 20,
        "rows_digest": digest_of_rows(table(ROWS[:20]).schema, [table(ROWS[:20])]),
    })  # fmt: skip
    return whole, shelf.add(first)[0]


def test_rows_leave_every_version_that_has_them_and_its_name_and_digest_give_the_successor() -> None:
    store = MemoryStore()
    whole, first = two(store)
    shelf = Shelf(store)
    old = shelf.version("whole").manifest
    assert [(each.version.digest, each.rows, each.segments) for each in affected(shelf, hashes(3, 25))] == [
        (whole, 2, (0, 1)), (first, 1, (0,)),
    ]  # fmt: skip
    do(store, 3, 25)
    assert rows_of(shelf, "whole") == rows_of(shelf, whole) == [n for n in range(30) if n not in (3, 25)]
    assert rows_of(shelf, first[:20]) == [n for n in range(20) if n != 3]
    version = shelf.version("whole")
    assert version.manifest.redacted == m.Redacted(whole, 2)
    assert (version.manifest.format, version.manifest.rows) == (m.REDACTED_FORMAT, 28)
    assert version.manifest.excluded.predictions == {**old.excluded.predictions, "redacted": 2}
    assert [name for name, _ in version.names] == ["whole"]
    assert last(shelf.check(version.manifest, (StoreError,))) == Integrity(28, version.manifest.rows_digest, [])
    assert len(shelf.versions()) == 2
    assert not {segment.digest for segment in old.segments} & set(store.kept)


def test_a_version_whose_rows_have_all_gone_says_so_and_is_in_no_list() -> None:
    store = MemoryStore()
    two(store)
    do(store, *range(20))
    shelf = Shelf(store)
    assert [version.manifest.rows for version in shelf.versions()] == [10]
    do(store, *range(20, 30))
    assert shelf.versions() == []
    with pytest.raises(UnknownDataset, match="has no row left: all 30 were taken out for erasure requests"):
        shelf.version("whole")


def test_done_twice_it_does_nothing_and_done_for_others_it_goes_on_from_there() -> None:
    store = MemoryStore()
    two(store)
    do(store, 3)
    once = dict(store.named), dict(store.kept)
    do(store, 3)
    assert (store.named, store.kept) == once
    do(store, 4, 29)
    shelf = Shelf(store)
    assert rows_of(shelf, "whole") == [n for n in range(30) if n not in (3, 4, 29)]
    assert shelf.version("whole").manifest.redacted is not UNSET
    assert shelf.version("whole").manifest.redacted.rows == 3  # type: ignore[union-attr]
    assert shelf.erased().among(hashes(3, 4, 5, 29)).tolist() == [True, True, False, True]


@settings(max_examples=30)
@given(st.sets(st.integers(0, 29), min_size=1), st.sets(st.integers(0, 40), max_size=4))
def test_whatever_was_asked_in_whatever_parts_the_rows_are_the_same(first: set[int], second: set[int]) -> None:
    apart, together = MemoryStore(), MemoryStore()
    for store in (apart, together):
        two(store)
    do(apart, *sorted(first))
    do(apart, *sorted(second))
    do(together, *sorted(first | second))
    left = [n for n in range(30) if n not in first | second]
    for store in (apart, together):
        shelf = Shelf(store)
        assert (rows_of(shelf, "whole") if left else []) == left
        held = {segment.digest for version in shelf.versions() for segment in version.manifest.segments}
        assert set(store.kept) == held


class StopsToo(Stops):
    """Dies before its nth write, entry or removal."""

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        self.writes -= 1
        if self.writes < 0:
            raise KeyboardInterrupt
        return super().create_entry(log, number, body)

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        self.writes -= 1
        if self.writes < 0:
            raise KeyboardInterrupt
        return super().remove_blob(digest, before_ms)


def test_killed_before_any_step_the_versions_are_whole_and_the_next_call_finishes() -> None:
    whole = MemoryStore()
    two(whole)
    do(whole, 3, 25)
    writes, seen = 0, set[bool]()
    while True:
        store = StopsToo(1_000)
        _, first = two(store)
        store.writes = writes
        try:
            do(store, 3, 25)
            break
        except KeyboardInterrupt:
            store.writes = 1_000
        shelf = Shelf(store)
        redacted = bool(r.redactions(store))
        for name, rows in (("whole", 28 if redacted else 30), (first, 19 if redacted else 20)):
            version = shelf.version(name)
            assert last(shelf.check(version.manifest, (StoreError,))) == Integrity(
                rows, version.manifest.rows_digest, []
            )
        seen.add(redacted)
        do(store, 3, 25)
        assert rows_of(Shelf(store), "whole") == [n for n in range(30) if n not in (3, 25)]
        assert left_to_finish(Shelf(store), store) == 0
        assert set(store.kept) == set(whole.kept)
        writes += 1
    assert seen == {True, False}
    assert writes > 6


def test_what_was_written_again_meanwhile_is_spared_and_said() -> None:
    store = MemoryStore()
    two(store)
    shelf = Shelf(store)
    found = list(affected(shelf, hashes(3)))
    store.now_ms = WHO[2] + 1
    shelf.put_segment(table(ROWS[:20]), 0, 0)  # somebody makes the same version just now
    done = erase(shelf, store, hashes(3), found, (), WHO, KEY)
    assert (done.removed, done.spared) == (0, 1)
    assert left_to_finish(shelf, store) == 1
    assert finish(shelf, store, WHO[2] + 1_000) == (1, 0)


def test_fsck_misses_nothing_that_was_removed_on_purpose_and_everything_else() -> None:
    store = MemoryStore()
    two(store)
    do(store, 3)
    assert [found for found in fsck(store, others=PipelineThings()) if found.damage] == []
    (other,) = [s for s in Shelf(store).version("whole").manifest.segments if s.block == 1]
    del store.kept[other.digest]
    assert {found.fault for found in fsck(store, others=PipelineThings()) if found.damage} == {"missing"}


def test_no_digest_of_a_removed_blob_is_a_reference() -> None:
    store = MemoryStore()
    whole, _ = two(store)
    gone = Shelf(store).version(whole).manifest.segments[0].digest
    do(store, 3)
    bodies = [store.document(name) or b"" for name in store.documents(r.REDACTIONS)]
    assert all(gone.encode() not in body for body in bodies)
    assert any(gone.removeprefix(PREFIX).encode() in body for body in bodies)


def test_the_documents_of_format_1_are_read() -> None:
    golden = json.loads(GOLDEN.read_text())
    redaction = r.decode(golden["redaction"].encode(), "golden")
    assert redaction == r.Redaction(
        1, "ada", 1_700_000_000_000, "request 7", r.keyed(hashes(5, 2**127 + 1), bytes.fromhex(golden["key"])),
        (r.Replaced("sha256:" + "ab" * 32, "sha256:" + "cd" * 32, 3), r.Replaced("sha256:" + "ef" * 32, None, 1)),
        ("12" * 32,),
    )  # fmt: skip
    manifest = m.decode_manifest(golden["manifest"].encode(), "golden")
    assert (manifest.format, manifest.redacted) == (2, m.Redacted("sha256:" + "ab" * 32, 3))
    assert m.encode(manifest).decode() == golden["manifest"]
    store = MemoryStore()
    assert store.document(r.add(store, redaction)) == golden["redaction"].encode()
    erased = r.Erased(bytes.fromhex(golden["key"]), frozenset(redaction.digests))
    assert erased.among(hashes(5, 6, 2**127 + 1)).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{}", "is no redaction that can be read"),
        (b'{"format": 9}', "has format 9, this version of Driftline reads up to 1"),
        (b"\xff", "is no redaction that can be read"),
    ],
)
def test_what_is_no_redaction_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(UnreadableDataset, match=why):
        r.decode(raw, "here")
    store = MemoryStore()
    store.create_document(f"{r.REDACTIONS}/x", raw)
    assert {found.fault for found in fsck(store, others=PipelineThings()) if found.damage} == {"unreadable"}
    assert not any(name.startswith(VERSIONS) for name in store.documents())


def write_golden() -> None:
    """`python -m tests.pipelines.dataset.test_erasing`: for a new format only, under a new name."""
    from msgspec import structs

    from tests.pipelines.dataset.golden import MANIFEST

    key = bytes(range(16))
    redaction = r.Redaction(
        1, "ada", 1_700_000_000_000, "request 7", r.keyed(hashes(5, 2**127 + 1), key),
        (r.Replaced("sha256:" + "ab" * 32, "sha256:" + "cd" * 32, 3), r.Replaced("sha256:" + "ef" * 32, None, 1)),
        ("12" * 32,),
    )  # fmt: skip
    store = MemoryStore()
    body = (store.document(r.add(store, redaction)) or b"").decode()
    manifest = structs.replace(MANIFEST, format=2, redacted=m.Redacted("sha256:" + "ab" * 32, 3))
    document = {"key": key.hex(), "redaction": body, "manifest": m.encode(manifest).decode()}
    GOLDEN.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
