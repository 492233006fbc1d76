"""The directory store when its process ends at any step, by a kill or by a loss of power."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry.digest import digest_of
from registry.directory import DirectoryStore
from registry.errors import FormatError, StoreError
from registry.store import Store, seal
from tests.registry.disk import Disk, SimulatedFiles, Stopped

WRITERS = 2
BLOBS = [b"weights " * 200, b"probe " * 50, b""]


@dataclass
class Told:
    """What writers were told is there: it must be there ever after."""

    entries: dict[tuple[str, int], bytes] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    processes: int = 0


def work(store: Store, told: Told) -> Iterator[None]:
    """One writer: blobs, then an entry that refers to them, then a document; three rounds. Yields between steps."""
    told.processes += 1
    process = told.processes
    for turn in range(3):
        for body in BLOBS[: turn + 1]:
            blob = store.put_blob([body[:7], body[7:]])
            told.blobs[blob.digest] = body
            yield
        mine = b"process %d turn %d" % (process, turn)
        created = False
        while not created:
            number = store.last("models/m/versions") + 1
            created = store.create_entry("models/m/versions", number, mine)
            if created:
                told.entries["models/m/versions", number] = mine
            yield
        if store.create_document(f"doc-{turn}", mine):
            told.documents[f"doc-{turn}"] = mine
        yield


def check(store: Store, told: Told) -> None:
    """Everything that was told is there; what else is there is whole; no number is missing, none is there twice."""
    last = store.last("models/m/versions")
    bodies = [store.entry("models/m/versions", number) for number in range(1, last + 1)]
    assert None not in bodies
    assert len(set(bodies)) == len(bodies)
    for (log, number), body in told.entries.items():
        assert store.entry(log, number) == body
    for name in store.documents():
        assert store.document(name) is not None
    for name, body in told.documents.items():
        assert store.document(name) == body
    for stored in store.blobs():
        assert digest_of(b"".join(store.blob(stored.digest))) == stored.digest
    for digest, body in told.blobs.items():
        assert b"".join(store.blob(digest)) == body
    assert store.strays() == []


def run(disk: Disk, told: Told, luck: random.Random, stop_at: int | None, *, after: bool) -> int:
    """Writers that take turns as luck has it; the first of them stops. Returns its steps."""
    files = [SimulatedFiles(disk, stop_at, after=after), *(SimulatedFiles(disk) for _ in range(WRITERS - 1))]
    alive: list[Iterator[None]] = []
    try:
        stores = [DirectoryStore("simulated", each) for each in files]
        alive = [work(store, told) for store in stores]
        while alive:
            one = luck.choice(alive)
            if next(one, StopIteration) is StopIteration:
                alive.remove(one)
    except Stopped:
        pass
    return files[0].steps


def crashes(disk: Disk, luck: random.Random, kind: str) -> None:
    if kind == "power":
        disk.lose_power(luck)


@pytest.mark.parametrize("kind", ["kill", "power"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "within"])
def test_a_writer_may_end_at_any_step(kind: str, after: bool) -> None:
    cases = 0
    for seed in range(8):
        steps = run(Disk(), Told(), random.Random(seed), None, after=False)
        for stop_at in range(1, steps + 1):
            disk, told, luck = Disk(), Told(), random.Random(seed)
            run(disk, told, luck, stop_at, after=after)
            crashes(disk, random.Random(f"{seed} {stop_at}"), kind)
            check(DirectoryStore("simulated", SimulatedFiles(disk)), told)
            run(disk, told, luck, None, after=False)  # the next processes go on where these stopped
            store = DirectoryStore("simulated", SimulatedFiles(disk))
            check(store, told)
            assert store.last("models/m/versions") >= 6
            cases += 1
    assert cases > 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_writer_may_end_again_and_again(seed: int) -> None:
    for case in range(500):
        luck = random.Random(f"{seed} {case}")
        disk, told = Disk(), Told()
        for _ in range(luck.randrange(2, 6)):
            run(disk, told, luck, luck.randrange(1, 90), after=luck.random() < 0.5)
            crashes(disk, luck, luck.choice(["kill", "power"]))
            if disk.root.cached:
                check(DirectoryStore("simulated", SimulatedFiles(disk)), told)


class Forgetful(SimulatedFiles):
    """A disk whose file system forgets one kind of step: the test above must notice."""

    def __init__(self, disk: Disk, forgotten: str) -> None:
        super().__init__(disk)
        setattr(self, forgotten, lambda *_: None)


@pytest.mark.parametrize("forgotten", ["sync", "sync_folder"])
def test_a_forgotten_sync_is_noticed(forgotten: str) -> None:
    def noticed(seed: int) -> bool:
        disk, told = Disk(), Told()
        for _ in work(DirectoryStore("simulated", Forgetful(disk, forgotten)), told):
            pass
        disk.lose_power(random.Random(seed))
        try:
            check(DirectoryStore("simulated", SimulatedFiles(disk)), told)
        except (AssertionError, StoreError):
            return True
        return False

    assert all(noticed(seed) for seed in range(20))


# ---------------------------------------------------------------------------------------------------- a removal


HOUR = 3_600_000


@pytest.mark.parametrize("after", [False, True], ids=["before", "within"])
def test_a_removal_may_end_at_any_step(after: bool) -> None:
    for stop_at in range(1, 12):
        disk = Disk()
        store = DirectoryStore("simulated", SimulatedFiles(disk))
        gone, kept = (store.put_blob([body]).digest for body in (b"gone", b"kept"))
        disk.now_ms += 2 * HOUR
        with suppress(Stopped):
            DirectoryStore("simulated", SimulatedFiles(disk, stop_at, after=after)).remove_blob(
                gone, disk.now_ms - HOUR
            )
        again = DirectoryStore("simulated", SimulatedFiles(disk))
        again.remove_leftovers(disk.now_ms - HOUR)
        assert again.leftovers() == []
        assert again.blob_size(kept) == 4
        assert again.remove_blob(gone, disk.now_ms - HOUR)
        assert [blob.digest for blob in again.blobs()] == [kept]


def test_a_blob_that_is_renewed_while_it_is_being_removed_stays() -> None:
    disk = Disk()
    writer = DirectoryStore("simulated", SimulatedFiles(disk))
    digest = writer.put_blob([b"x"]).digest
    disk.now_ms += 2 * HOUR

    class Interleaved(SimulatedFiles):
        def move(self, source: str, target: str) -> None:
            writer.put_blob([b"x"])  # after the remover looked, before it acts
            super().move(source, target)

    assert not DirectoryStore("simulated", Interleaved(disk)).remove_blob(digest, disk.now_ms - HOUR)
    assert b"".join(writer.blob(digest)) == b"x"
    assert writer.leftovers() == []


# -------------------------------------------------------------------------------------------------- what is no store


def test_reading_makes_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "none")
    assert (store.logs(), store.documents(), store.last("a"), store.exists) == ([], [], 0, False)
    assert not (tmp_path / "none").exists()


def test_a_directory_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"is no registry: it holds 'thesis.tex'"):
        DirectoryStore(tmp_path)


def test_a_store_of_a_newer_format_is_refused_with_advice(tmp_path: Path) -> None:
    newer = seal("driftline-store", b"{}")
    body = newer.partition(b"\n")[2]
    from hashlib import sha256

    digest = sha256(b"2\ndriftline-store\n" + body).hexdigest().encode()
    (tmp_path / "driftline-store").write_bytes(b"driftline-sealed 2 sha256:" + digest + b"\n" + body)
    with pytest.raises(FormatError, match=r"has format 2, this version of Driftline reads up to 1. Run the version"):
        DirectoryStore(tmp_path)


def test_what_lies_around_is_named(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.create_entry("log", 1, b"")
    for path in ("notes.txt", "logs/log/2.entry", "blobs/ab/cd", "documents/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "logs" / "log" / "00000002.entry").symlink_to("00000001.entry")
    assert store.strays() == ["blobs/ab/cd", "documents/x", "logs/log/00000002.entry", "logs/log/2.entry", "notes.txt"]


def _failing(method: str, error: OSError) -> Callable[[], DirectoryStore]:
    def make() -> DirectoryStore:
        files = SimulatedFiles(Disk())

        def fail(*_: object) -> None:
            raise error

        setattr(files, method, fail)
        return DirectoryStore("simulated", files)

    return make


@pytest.mark.parametrize(
    ("method", "number", "sentence"),
    [
        ("link", 1, "must have hard links"),
        ("write", 28, "its free space"),
        ("sync", 5, "its free space"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_sentence(method: str, number: int, sentence: str) -> None:
    store = _failing(method, OSError(number, "strerror"))()
    with pytest.raises(StoreError, match=rf"'simulated' cannot be read or written: strerror.*{sentence}"):
        store.create_entry("log", 1, b"")
