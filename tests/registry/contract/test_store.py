"""What every store does: the twin in memory, the directory on a simulated disk, the directory, and the object store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.digest import digest_of
from registry.errors import BadName, Damaged, Missing, NotDense, StoreError
from registry.store import ENTRY_BYTES_MAX, Blob, read_blob
from tests.registry.contract.worlds import BucketWorld, DirectoryWorld, World

HOUR = 3_600_000


# ------------------------------------------------------------------------------------------------------------- logs


def test_an_empty_store_holds_nothing(world: World) -> None:
    store = world.store
    assert (store.last("a/log"), store.entry("a/log", 1), store.document("a"), store.logs()) == (0, None, None, [])
    assert (list(store.blobs()), store.documents(), store.strays(), store.leftovers()) == ([], [], [], [])
    assert store.blob_size(digest_of(b"")) is None


def test_entries_come_back_by_number(world: World) -> None:
    bodies = [b"one", b"", b"\x00\xff\n" * 100]
    for number, body in enumerate(bodies, 1):
        assert world.store.create_entry("models/fraud/moves", number, body)
    other = world.another()
    assert other.last("models/fraud/moves") == 3
    assert [other.entry("models/fraud/moves", n) for n in (1, 2, 3, 4)] == [*bodies, None]


def test_the_first_who_creates_an_entry_has_it(world: World) -> None:
    assert world.store.create_entry("log", 1, b"mine")
    assert not world.another().create_entry("log", 1, b"yours")
    assert not world.store.create_entry("log", 1, b"mine")
    assert world.another().entry("log", 1) == b"mine"


def test_no_number_is_left_out(world: World) -> None:
    with pytest.raises(NotDense, match="entry 2 of 'log' cannot be created: entry 1 does not exist") as refused:
        world.store.create_entry("log", 2, b"early")
    assert (refused.value.log, refused.value.number) == ("log", 2)
    assert world.store.last("log") == 0


def test_among_many_writers_each_number_has_one(world: World) -> None:
    def write(writer: int) -> list[int]:
        store, won = world.another(), []
        while (number := store.last("race") + 1) <= 40:
            if store.create_entry("race", number, b"%d" % writer):
                won.append(number)
        return won

    workers = 8 if isinstance(world, DirectoryWorld | BucketWorld) else 1  # the others are for one thread
    with ThreadPoolExecutor(workers) as pool:
        won = list(pool.map(write, range(workers)))
    assert sorted(number for numbers in won for number in numbers) == list(range(1, 41))
    for writer, numbers in enumerate(won):
        assert all(world.store.entry("race", number) == b"%d" % writer for number in numbers)


def test_logs_are_found_by_whole_parts_of_their_name(world: World) -> None:
    for log in ("models/a/moves", "models/a/versions", "models/ab/moves", "runs/1"):
        world.store.create_entry(log, 1, b"")
    assert world.store.logs("models/a") == ["models/a/moves", "models/a/versions"]
    assert world.store.logs() == ["models/a/moves", "models/a/versions", "models/ab/moves", "runs/1"]


def test_logs_and_documents_may_stand_within_each_other(world: World) -> None:
    for name in ("a", "a/b", "a/00000001", "a/b/c"):
        assert world.store.create_entry(name, 1, name.encode())
        assert world.store.create_document(name, name.encode())
    assert world.store.logs() == world.store.documents() == ["a", "a/00000001", "a/b", "a/b/c"]
    for prefix, names in (
        ("a", ["a", "a/00000001", "a/b", "a/b/c"]),
        ("a/", ["a/00000001", "a/b", "a/b/c"]),
        ("a/b", ["a/b", "a/b/c"]),
        ("a/b/c", ["a/b/c"]),
        ("a/b/c/d", []),
        ("b", []),
    ):
        assert world.store.logs(prefix) == world.store.documents(prefix) == names, prefix
    assert world.store.last("a") == 1


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        ".a",
        "a.entry",
        "a.document/b",
        "a b",
        "a\n",
        "é",
        "a" * 200,
        "a/" * 201 + "a",
    ],
)
def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    with pytest.raises(BadName):
        world.store.create_entry(key, 1, b"")
    with pytest.raises(BadName):
        world.store.document(key)


def test_what_is_large_does_not_go_into_an_entry(world: World) -> None:
    with pytest.raises(StoreError, match="Put it in a blob"):
        world.store.create_document("large", b"x" * (ENTRY_BYTES_MAX + 1))


# -------------------------------------------------------------------------------------------------------- documents


def test_a_document_is_created_once(world: World) -> None:
    assert world.store.create_document("datasets/x", b"first")
    assert not world.another().create_document("datasets/x", b"second")
    assert world.another().document("datasets/x") == b"first"
    assert world.store.documents("datasets") == ["datasets/x"]


# ------------------------------------------------------------------------------------------------------------ blobs


def test_a_blob_is_named_by_its_bytes_wherever_they_were_cut(world: World) -> None:
    put = world.store.put_blob([b"ab", b"", b"cd"])
    assert put == world.another().put_blob([b"abcd"]) == Blob(digest_of(b"abcd"), 4)
    assert b"".join(world.another().blob(put.digest)) == b"abcd"
    assert [(b.digest, b.size_bytes) for b in world.store.blobs()] == [(put.digest, 4)]


def test_an_empty_blob_is_a_blob(world: World) -> None:
    put = world.store.put_blob([])
    assert (put.size_bytes, b"".join(world.store.blob(put.digest))) == (0, b"")


def test_a_large_blob_comes_back_whole(world: World) -> None:
    body = bytes(range(256)) * 20_000
    put = world.store.put_blob(body[i : i + 100_003] for i in range(0, len(body), 100_003))
    assert read_blob(world.another(), put.digest, len(body)) == body


def test_an_expected_blob_that_is_there_is_not_read_again(world: World) -> None:
    put = world.store.put_blob([b"abcd"])

    def never() -> Iterator[bytes]:
        yield b"read"
        raise AssertionError("read")

    assert world.another().put_blob(never(), put.digest) == put


def test_a_source_that_changed_is_not_kept(world: World) -> None:
    with pytest.raises(StoreError, match="changed while it was read"):
        world.store.put_blob([b"now"], digest_of(b"then"))
    assert (list(world.store.blobs()), world.store.leftovers()) == ([], [])


def test_a_source_that_fails_leaves_nothing(world: World) -> None:
    def failing() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.store.put_blob(failing())
    assert (list(world.store.blobs()), world.store.leftovers()) == ([], [])


def test_a_missing_blob_is_missing_before_anything_is_read(world: World) -> None:
    with pytest.raises(Missing, match=digest_of(b"?")):
        world.store.blob(digest_of(b"?"))


def test_a_blob_that_is_larger_than_it_may_be_is_not_read(world: World) -> None:
    put = world.store.put_blob([b"x" * 100])
    with pytest.raises(Damaged, match="100 bytes where at most 99"):
        read_blob(world.store, put.digest, 99)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "../" * 22, "a" * 64])
def test_a_digest_that_is_none_is_refused(world: World, digest: str) -> None:
    with pytest.raises(BadName):
        world.store.blob(digest)
    with pytest.raises(BadName):
        world.store.remove_blob(digest, 0)


# ----------------------------------------------------------------------------------------------------------- damage


def test_a_flipped_bit_is_refused_by_name(world: World) -> None:
    store = world.store
    store.create_entry("log", 1, b"entry")
    store.create_document("doc", b"document")
    blob = store.put_blob([b"blob"]).digest
    for what in ("log#1", "doc", blob):
        world.flip(what)
    with pytest.raises(Damaged, match="log"):
        store.entry("log", 1)
    with pytest.raises(Damaged, match="doc"):
        store.document("doc")
    with pytest.raises(Damaged, match=blob):
        list(store.blob(blob))


# ---------------------------------------------------------------------------------------------------------- removal


def test_only_what_is_old_is_removed(world: World) -> None:
    put = world.store.put_blob([b"x"])
    before_ms = world.now_ms() - HOUR
    assert not world.store.remove_blob(put.digest, before_ms)
    world.pass_time(2 * HOUR)
    assert world.another().remove_blob(put.digest, world.now_ms() - HOUR)
    assert list(world.store.blobs()) == []
    assert world.store.leftovers() == []


def test_putting_a_blob_again_makes_it_young(world: World) -> None:
    put = world.store.put_blob([b"x"])
    world.pass_time(2 * HOUR)
    world.another().put_blob([b"x"])
    assert not world.store.remove_blob(put.digest, world.now_ms() - HOUR)
    world.pass_time(2 * HOUR)
    world.another().put_blob([], put.digest)
    assert not world.store.remove_blob(put.digest, world.now_ms() - HOUR)
    assert b"".join(world.store.blob(put.digest)) == b"x"


def test_removing_what_is_not_there_is_fine(world: World) -> None:
    assert world.store.remove_blob(digest_of(b"?"), 0)
