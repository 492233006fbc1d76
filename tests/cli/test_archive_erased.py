"""Ids leave an archive, whoever is killed where; and one of format 1, of which an id left, is read for good."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from monitor.ingest.ids import hash_text
from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset import redaction as r
from pipelines.dataset.erasing import affected, archived, erase, finish, left_to_finish
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.unpacking import windows
from registry.errors import StoreError
from tests.cli.test_archive_write import WHO, from_archive, label, log, steady, step
from tests.pipelines.dataset.test_erasing import StopsToo
from tests.registry.memory import MemoryStore


def hashes(*ids: int) -> np.ndarray:
    return np.array([hash_text(str(i)) for i in ids], np.uint64)


def forget(store: Any, *ids: int) -> None:
    shelf = Shelf(store)
    finish(shelf, store, WHO[2])
    found, panes = list(affected(shelf, hashes(*ids))), list(archived(store, hashes(*ids)))
    if found or panes:
        erase(shelf, store, hashes(*ids), found, (), WHO, b"k" * 16, panes)


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
