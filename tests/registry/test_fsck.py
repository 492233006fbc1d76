"""`fsck` names whatever is wrong; `gc` removes only what nobody can reach."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import codec
from registry.catalog import Catalog
from registry.digest import digest_of
from registry.directory import DirectoryStore
from registry.errors import RegistryError
from registry.fsck import NOTES, Fault, Found, fsck
from registry.gc import collect, plan, reachable
from registry.manifest import decode_entry, versions_log
from registry.moves import decode_move, moves_log
from registry.others import Reference
from registry.publication import current_state
from registry.store import Store
from tests.registry.memory import MemoryStore
from tests.registry.stories import BORN_MS, by, three
from tests.registry.test_catalog import DRAFT

HOUR = 3_600_000


def story(store: Store) -> None:
    """Four versions, one of them with everything; moves; a log and a document of other packages."""
    aliases = three(store)
    Catalog(store).add(DRAFT, "ada", BORN_MS)
    aliases.promote("fraud", "champion", 1, by())
    aliases.approve("fraud", "champion", 4, by("bob"))
    aliases.promote("fraud", "champion", 4, by(), required=1)
    aliases.retire("fraud", 2, by())
    segment = store.put_blob([b"segment"])
    dataset = store.put_blob([b'{"segments": ["%s"]}' % segment.digest.encode()])
    store.create_document("datasets/x", b'{"rows": "%s"}' % dataset.digest.encode())
    store.create_entry("runs/1", 1, b"{}")
    store.create_entry("runs/1", 2, b"{}")


class Known:
    """What the other packages of the story need."""

    def entry(self, log: str, body: bytes, where: str) -> list[Reference] | None:
        return [] if log == "runs/1" else None

    def document(self, name: str, body: bytes, where: str) -> list[Reference] | None:
        return [Reference("rows", json.loads(body)["rows"], opens=True)] if name == "datasets/x" else None

    def blob(self, body: bytes, where: str) -> list[Reference]:
        return [Reference("segment", digest) for digest in json.loads(body)["segments"]]

    def removed(self, name: str, body: bytes, where: str) -> list[str]:
        return []


def damage(store: Store) -> list[Found]:
    return [found for found in fsck(store, others=Known()) if found.damage]


def test_a_whole_store_has_no_findings(tmp_path: Path) -> None:
    for store in (MemoryStore(), DirectoryStore(tmp_path / "store")):
        assert list(fsck(store)) == []
        story(store)
        assert list(fsck(store, others=Known())) == []


def test_one_flipped_bit_in_any_file_is_named(tmp_path: Path) -> None:
    root = tmp_path / "store"
    story(DirectoryStore(root))
    luck = random.Random(5)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    assert len(files) > 30
    for path in files:
        whole = path.read_bytes()
        places = {0, len(whole) - 1, *(luck.randrange(len(whole)) for _ in range(6))}
        for at in places:
            path.chmod(0o644)
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << luck.randrange(8)]) + whole[at + 1 :])
            if path.name == "driftline-store":
                with pytest.raises(RegistryError, match="driftline-store"):
                    DirectoryStore(root)
                continue
            found = damage(DirectoryStore(root))
            assert any(_names(each.what, path.relative_to(root)) for each in found), (path, at, found)
        path.write_bytes(whole)
    assert damage(DirectoryStore(root)) == []


def test_any_file_that_was_removed_is_named(tmp_path: Path) -> None:
    root = tmp_path / "store"
    story(DirectoryStore(root))
    last_receipts = {"receipts/models/fraud/versions/4.document", "receipts/models/fraud/moves/4.document"}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        whole, name = path.read_bytes(), path.relative_to(root)
        path.unlink()
        if path.name == "driftline-store":
            with pytest.raises(RegistryError, match="driftline-store"):
                DirectoryStore(root)
        elif name.as_posix() == "logs/runs/1/00000002.entry" or "datasets" in path.parts:
            pass  # nothing refers to these
        elif name.as_posix().removeprefix("documents/") not in last_receipts:
            found = damage(DirectoryStore(root))
            assert any(_names(each.what, name) or _names(each.detail, name) for each in found), (path, found)
        path.write_bytes(whole)


def _names(what: str, path: Path) -> bool:
    """Whether a finding is about a file: by digest, by log and number, by document."""
    parts = path.parts
    if parts[0] == "blobs":
        return parts[-1] in what
    if parts[0] == "logs":
        return f"entry {int(parts[-1].removesuffix('.entry'))} of '{'/'.join(parts[1:-1])}'" in what
    return "/".join(parts[1:]).removesuffix(".document") in what


def test_a_forged_entry_is_a_broken_chain() -> None:
    store = MemoryStore()
    story(store)
    log = versions_log("fraud")
    body = store.entry(log, 2)
    assert body is not None
    del store.entries[log, 2]
    store.create_entry(log, 2, codec.encode(msgspec.structs.replace(decode_entry(body, ""), registered_by="mallory")))
    faults = {(found.what, found.fault) for found in damage(store)}
    assert (f"entry 3 of '{log}'", Fault.BROKEN_CHAIN) in faults
    assert (f"entry 2 of '{log}'", Fault.CONTRADICTION) in faults  # its receipt is for another


def test_a_move_that_does_not_count_is_named() -> None:
    store = MemoryStore()
    story(store)
    log = moves_log("fraud")
    last = store.entry(log, 4)
    assert last is not None
    again = msgspec.structs.replace(decode_move(last, ""), sequence=5, previous=digest_of(last))
    store.create_entry(log, 5, codec.encode(again))
    (found,) = damage(store)
    assert (found.what, found.fault) == (f"entry 5 of '{log}'", Fault.NOT_COUNTED)


def test_a_published_state_is_a_witness() -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    aliases.promote("fraud", "champion", 2, by())
    state = current_state(aliases, Catalog(store), "fraud", "champion")
    assert state is not None
    assert [f for f in fsck(store, (state,)) if f.damage] == []
    del store.entries[moves_log("fraud"), 2]
    del store.named["receipts/models/fraud/moves/2"]  # whoever removed it was thorough
    assert damage(store) == []
    (found,) = [f for f in fsck(store, (state,)) if f.damage]
    assert (found.what, found.fault) == ("entry 2 of 'models/fraud/moves'", Fault.MISSING)


def test_what_a_thing_of_another_package_needs_is_named_by_who_needs_it() -> None:
    store = MemoryStore()
    story(store)
    segment, dataset = digest_of(b"segment"), digest_of(b'{"segments": ["%s"]}' % digest_of(b"segment").encode())
    kept = store.kept.pop(segment)
    (found,) = damage(store)
    assert (found.what, found.fault) == ("segment of rows of document 'datasets/x'", Fault.MISSING)
    assert found.detail == f"there is no blob {segment}"
    store.kept[segment] = kept
    del store.kept[dataset]
    (found,) = damage(store)
    assert (found.what, found.detail) == ("rows of document 'datasets/x'", f"there is no blob {dataset}")


def test_what_lies_around_is_a_note(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    story(store)
    orphan = store.put_blob([b"orphan"])
    (tmp_path / "store" / "staging" / "1-abc").write_bytes(b"half")
    (tmp_path / "store" / "notes.txt").touch()
    store.create_document("strange/thing", b"{}")
    found = list(fsck(store, others=Known()))
    assert {(f.what, f.fault) for f in found} == {
        ("1 entries and documents of other packages", Fault.UNFOLLOWED),
        (f"blob {orphan.digest}", Fault.UNREACHABLE),
        ("staging/1-abc", Fault.LEFTOVER),
        ("notes.txt", Fault.STRAY),
    }
    assert {f.fault for f in found} == NOTES


# ---------------------------------------------------------------------------------------------------------------- gc


def test_gc_keeps_what_anybody_refers_to_and_removes_the_rest() -> None:
    store = MemoryStore()
    story(store)
    orphan = store.put_blob([b"orphan"])
    before = set(store.kept)
    store.now_ms += 2 * HOUR
    young = store.put_blob([b"young"])
    before_ms = store.now_ms - HOUR
    planned = plan(store, before_ms)
    assert ([b.digest for b in planned.removable], [b.digest for b in planned.young]) == (
        [orphan.digest],
        [young.digest],
    )
    assert set(store.kept) == before | {young.digest}  # a plan changes nothing
    removed = collect(store, planned, before_ms)
    assert (removed.blobs, removed.blob_bytes, removed.spared) == (1, 6, 0)
    assert damage(store) == []
    assert plan(store, before_ms).removable == ()


def test_gc_spares_what_was_renewed_since_it_was_planned() -> None:
    store = MemoryStore()
    story(store)
    store.put_blob([b"orphan"])
    store.now_ms += 2 * HOUR
    planned = plan(store, store.now_ms - HOUR)
    store.put_blob([b"orphan"])
    assert collect(store, planned, store.now_ms - HOUR).spared == 1


def test_gc_refuses_while_it_cannot_know_what_is_referred_to() -> None:
    store = MemoryStore()
    story(store)
    digest = Catalog(store).version("fraud", 4).digest
    store.kept[digest] = (b"{" + store.kept[digest][0][1:-1] + b" ", 0)
    with pytest.raises(RegistryError, match="is damaged"):
        plan(store, store.now_ms)


def test_gc_removes_what_an_interrupted_writer_left(tmp_path: Path) -> None:
    import os

    store = DirectoryStore(tmp_path / "store")
    story(store)
    left = tmp_path / "store" / "staging" / "1-abc"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    planned = plan(store, BORN_MS)
    assert (planned.leftovers, planned.leftover_bytes) == (1, 4)
    assert collect(store, planned, BORN_MS).leftover_bytes == 4
    assert not left.exists()


@given(
    st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3), max_size=10),
    st.sets(st.integers(0, 9), max_size=3),
)
def test_what_is_reachable_is_closed_and_no_more_than_that(edges: dict[int, list[int]], start: set[int]) -> None:
    found = reachable(map(str, start), lambda node: [str(n) for n in edges.get(int(node), [])])
    closed = set(start)
    while more := {n for node in closed for n in edges.get(node, [])} - closed:
        closed |= more
    assert found == {str(n) for n in closed}


def test_a_digest_across_two_chunks_is_seen() -> None:
    from registry.gc import references

    digest = digest_of(b"x")
    body = b'{"a": "' + digest.encode() + b'"}'
    for cut in range(1, len(body)):
        refers = references(lambda _, cut=cut: iter([body[:cut], body[cut:]]), {"b": None})  # type: ignore[dict-item, misc]
        assert refers("b") == {digest}
