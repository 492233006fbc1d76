"""Ids leave an archive, whoever is killed where; and one of format 1, of which an id left, is read for good."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from monitor.cli.archive_write import Asked, write
from monitor.cli.dataset_make import make
from monitor.cli.registry_others import PipelineThings
from monitor.ingest.ids import hash_text
from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset import redaction as r
from pipelines.dataset.erasing import Erasing, affected, archived, finish, left_to_finish
from pipelines.dataset.errors import READINGS_MAX, Overtaken
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.unpacking import windows
from registry.errors import StoreError
from registry.fsck import fsck
from tests.cli.test_archive_write import CONFIG, PANE_MS, WHO, from_archive, label, log, steady, step
from tests.pipelines.dataset.test_erasing import StopsToo
from tests.registry.memory import MemoryStore


def hashes(*ids: int) -> np.ndarray:
    return np.array([hash_text(str(i)) for i in ids], np.uint64)


def forget(store: Any, *ids: int) -> None:
    shelf = Shelf(store)
    finish(shelf, store, WHO[2])
    assert all(done for _, done in Erasing(shelf, store, hashes(*ids)).rounds(lambda: WHO, b"k" * 16))


def held(store: Any) -> list[int]:
    """Every blob that holds one of the first three ids."""
    raw = [hashes(i).tobytes() for i in (0, 1, 2)]
    return [1 for body, _ in store.kept.values() if any(each in _plain(body) for each in raw)]


def _plain(body: bytes) -> bytes:
    found = pq.ParquetFile(io.BytesIO(body)).read()
    return b"".join(found.column("id_hash").to_pylist())


def test_ids_leave_an_archive_with_all_that_was_replaced_and_do_not_come_back() -> None:
    predictions, labels = steady()
    topics, store = log((predictions[:30], labels[:15])), MemoryStore()
    step(topics, store)
    topics.topics["q"][0].append(label(2, 39, 0))
    step(topics, store)
    assert [(each.rows, len(each.blobs)) for each in archived(store, hashes(0, 1, 2))] == [(3, 2)]
    before = from_archive(store)
    Shelf(store).add(before)
    forget(store, 0, 1, 2)
    assert held(store) == []
    assert list(archived(store, hashes(0, 1, 2))) == []
    ((_, _, segment),) = a.Archive(store, "one").state().current.values()
    assert (segment.why, segment.rows) == ("redacted", 12)
    assert from_archive(store).rows == before.rows - 3
    once = dict(store.entries), dict(store.named), dict(store.kept)
    forget(store, 0, 1, 2)
    assert (store.entries, store.named, store.kept) == once
    assert step(topics, store) == []
    topics.topics = {"p": [predictions], "q": [labels]}
    step(topics, store, ended=True)
    assert held(store) == []
    assert from_archive(store).rows == 57
    assert sum(each.seen for each in _windows(store) if each.segment == "all") == 57


def _windows(store: Any) -> list[Any]:
    archive = a.Archive(store, "one")
    return windows(archive, archive.state(), m.Selection(), 30_000, r.erased(store))


def test_killed_at_any_step_of_a_redaction_the_next_one_finishes() -> None:
    def made(store: Any) -> Any:
        topics = log(steady(), steady(40))
        step(topics, store)
        Shelf(store).add(from_archive(store))
        return store

    writes = 0
    while True:
        store = made(StopsToo(1_000))
        store.writes = writes
        try:
            forget(store, 0, 1, 2)
            break
        except KeyboardInterrupt:
            store.writes = 1_000
        state = a.Archive(store, "one").state()
        assert list(a.Archive(store, "one").check(state, (StoreError,))) == []
        forget(store, 0, 1, 2)
        assert (held(store), left_to_finish(Shelf(store), store)) == ([], 0)
        assert from_archive(store).rows == _rows_without()
        writes += 1
    assert writes > 8


class Meets(MemoryStore):
    """Somebody else does something, whole, before its nth step: a write, a removal, or a look at what was erased."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1_000_000
        self.meanwhile: Callable[[], object] = lambda: None

    def meet(self, steps: int, meanwhile: Callable[[], object]) -> None:
        self.left, self.meanwhile = steps, meanwhile

    def _step(self) -> None:
        self.left -= 1
        if self.left == -1:
            self.meanwhile()

    def documents(self, prefix: str = "") -> list[str]:
        if prefix == r.REDACTIONS:
            self._step()
        return super().documents(prefix)

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        self._step()
        return super().create_entry(log, number, body)

    def create_document(self, name: str, body: bytes) -> bool:
        self._step()
        return super().create_document(name, body)

    def put_blob(self, chunks: Any, expected: str | None = None) -> Any:
        self._step()
        return super().put_blob(chunks, expected)

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        self._step()
        return super().remove_blob(digest, before_ms)


def test_rows_that_are_erased_while_an_archive_is_written_are_not_written_again() -> None:
    store, other = MemoryStore(), steady(40)
    writing = write(
        CONFIG, log(steady(), other), a.Archive(store, "one"), store, Asked(PANE_MS, False, False, "ada", 5)
    )
    assert next(writing).partition == 0
    forget(store, 0, 1, 2)
    assert [[segment.rows for segment in each.segments] for each in writing] == [[12]]
    assert held(store) == []
    assert list(archived(store, hashes(0, 1, 2))) == []


def test_whenever_an_erasure_comes_in_between_no_row_of_it_is_in_the_archive() -> None:
    steps = 0
    while True:
        store, topics = Meets(), log(steady(), steady(40))
        store.meet(steps, partial(forget, store, 0, 1, 2))
        done = step(topics, store)
        if store.left >= 0:
            break
        assert [each.rows for each in archived(store, hashes(0, 1, 2))] in ([], [0])
        assert held(store) == [] or any(each.crossed for each in done), steps
        state = a.Archive(store, "one").state()
        assert list(a.Archive(store, "one").check(state, (StoreError,))) == []
        assert step(topics, store) == []
        assert from_archive(store).rows == _rows_without()
        steps += 1
    assert steps > 10


def test_what_a_writer_adds_while_an_erasure_is_under_way_goes_too() -> None:
    """The pane is revised before each step of it, by one who knows of what was kept by then."""
    predictions, labels = steady()
    steps, revised = 0, set()
    while True:
        store, topics = Meets(), log((predictions[:30], labels[:15]))
        step(topics, store)
        topics.topics["q"][0].append(label(2, 39, 0))
        store.meet(steps, partial(step, topics, store))
        forget(store, 0, 1, 2)
        if store.left >= 0:
            break
        assert (held(store), list(archived(store, hashes(0, 1, 2)))) == ([], []), steps
        assert left_to_finish(Shelf(store), store) == 0
        state = a.Archive(store, "one").state()
        assert list(a.Archive(store, "one").check(state, (StoreError,))) == []
        assert [found for found in fsck(store, others=PipelineThings()) if found.damage] == []
        revised.add(len(state.blobs))
        steps += 1
    assert steps > 5
    assert len(revised) > 1, "with the id and without"


def test_a_writer_from_before_an_erasure_that_was_killed_is_told_that_he_was_second() -> None:
    """The erasure kept its ids, for a dataset, and was killed before it came to the archive, which had no such row yet."""
    store, topics = MemoryStore(), log((steady()[0][:20], steady()[1][:20]))
    step(topics, store)
    stale = a.Archive(store, "one").state()
    r.add(store, r.Redaction(1, *WHO[::2], "request 7", r.keyed(hashes(0), r.key_of(store, b"k" * 16)), (), ()))
    finish(Shelf(store), store, WHO[2] + 5)
    assert not a.Archive(store, "one").commit(stale, a.Commit(1, 5, 0, (), ()))
    once = dict(store.entries)
    finish(Shelf(store), store, WHO[2] + 6)
    assert store.entries == once


def test_a_dataset_is_made_again_when_ids_of_it_are_erased_while_it_is_made() -> None:
    makings: tuple[Callable[[Any, Any], m.Manifest], ...] = (
        lambda store, topics: make(CONFIG, topics, Shelf(store), m.Selection(from_ms=0, until_ms=1 << 50, ended=True)),
        lambda store, _: from_archive(store),
    )
    for making in makings:
        rows = set()
        for steps in range(100):
            store, topics = Meets(), log(steady(), steady(40))
            step(topics, store, ended=True)
            store.meet(steps, partial(forget, store, 0, 1, 2))
            made = making(store, topics)
            if store.left >= 0:
                break  # it did not come in between
            shelf = Shelf(store)
            shelf.add(made)
            rows.add(sum(version.manifest.rows for version in shelf.versions()))
            assert list(affected(shelf, hashes(0, 1, 2))) == []
        assert steps > 3
        assert rows == {94}


class Unending(MemoryStore):
    """Others erase an id whenever somebody has looked at what was erased."""

    def __init__(self) -> None:
        super().__init__()
        self.erases, self.looks = False, 0

    def documents(self, prefix: str = "") -> list[str]:
        found = super().documents(prefix)
        if prefix == r.REDACTIONS and self.erases:
            self.looks += 1
            key = r.keyed(hashes(1_000 + self.looks), r.key_of(self, b"k" * 16))
            r.add(self, r.Redaction(1, *WHO[::2], f"request {self.looks}", key, (), ()))
        return found


@pytest.mark.parametrize("kind", ["topics", "archive", "writing"])
def test_erasures_without_end_are_told_of_and_not_waited_for(kind: str) -> None:
    store, topics = Unending(), log(steady(), steady(40))
    if kind != "writing":
        step(topics, store, ended=True)
    store.erases = True
    selection = m.Selection(from_ms=0, until_ms=1 << 50, ended=True)
    ask: dict[str, Callable[[], object]] = {
        "topics": lambda: make(CONFIG, topics, Shelf(store), selection),
        "archive": lambda: from_archive(store),
        "writing": lambda: step(topics, store),
    }
    with pytest.raises(Overtaken, match=r"was begun 10 times, and each time ids were erased") as raised:
        ask[kind]()
    assert raised.value.again, "a run of retraining tries again"
    assert READINGS_MAX <= store.looks <= 6 * READINGS_MAX
    store.erases = False
    assert step(topics, store, ended=True) or kind != "writing"
    assert from_archive(store).rows == 100


def _rows_without() -> int:
    store = MemoryStore()
    step(log(steady(), steady(40)), store)
    return from_archive(store).rows - 6


GOLDEN = Path(__file__).parents[1] / "golden" / "archive-v1.json"


def golden_store() -> MemoryStore:
    """What a deployment of two partitions archived in two runs, and then had to forget one id of."""
    store = MemoryStore()
    predictions, labels = steady()
    topics = log((predictions[:30], labels[:15]), steady(40))
    step(topics, store, ids=True)
    topics.topics["q"][0].append(label(3, 39, 0))
    step(topics, store, ids=True)
    forget(store, 5)
    return store


def test_an_archive_of_format_1_is_read() -> None:
    document = json.loads(GOLDEN.read_text())
    store = MemoryStore()
    for log_, number, body in document["entries"]:
        assert store.create_entry(log_, number, body.encode())
    for name, body in document["documents"].items():
        store.create_document(name, body.encode())
    for body in document["blobs"]:
        store.put_blob([bytes.fromhex(body)])
    archive = a.Archive(store, "one")
    state = archive.state()
    assert list(archive.check(state, (StoreError,))) == []
    now = a.Archive(golden_store(), "one").state()
    told = [
        {key: (s.why, s.rows, s.rows_digest, s.final) for key, (_, _, s) in each.current.items()}
        for each in (state, now)
    ]
    assert told[0] == told[1]
    assert from_archive(store).rows_digest == document["rows_digest"]


def write_golden() -> None:
    """`python -m tests.cli.test_archive_erased`: for a new format only, under a new name."""
    store = golden_store()
    entries = [[log_, n, (store.entry(log_, n) or b"").decode()] for log_, n in store.entries]
    documents = {name: (store.document(name) or b"").decode() for name in store.named}
    blobs = [body.hex() for body, _ in store.kept.values()]
    document = {
        "entries": entries,
        "documents": documents,
        "blobs": blobs,
        "rows_digest": from_archive(store).rows_digest,
    }
    GOLDEN.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
