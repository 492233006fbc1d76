"""Snapshots in an object store: whole or none, two of each partition, and no store that fails stops anything."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.adapters.snapshot_objects import ObjectsRefused, SnapshotObjects
from monitor.ledger.snapshots import SnapshotError
from tests.registry.s3 import S3, Fault

COLUMNS: dict[str, NDArray[Any]] = {
    "first": np.arange(7, dtype=np.int64),
    "second": np.zeros((0,), np.uint8),
    "third": np.eye(3),
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with S3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def make() -> SnapshotObjects:
    return SnapshotObjects("s3://bucket/kept/", "one")


def test_what_was_written_is_read_by_whoever_asks_and_the_newest_two_are_kept(s3: S3) -> None:
    size = 0
    for sequence in range(4):
        size = make().write(3, f"{sequence:02d}-a", b"header %d" % sequence, COLUMNS.values())
    make().write(30, "00-b", b"of another partition", COLUMNS.values())
    found = make().paths(3)
    assert found == ["s3://bucket/kept/one/3/03-a.snapshot", "s3://bucket/kept/one/3/02-a.snapshot"]
    assert len(s3.bucket.objects["kept/one/3/03-a.snapshot"].content) == size
    opened = make().open(found[0])
    assert (opened.where, opened.header) == (found[0], b"header 3")
    for column in COLUMNS.values():
        np.testing.assert_array_equal(opened.column(column.dtype.str, column.shape), column)


def test_a_damaged_one_is_refused_by_its_address(s3: S3) -> None:
    make().write(0, "00-a", b"header", COLUMNS.values())
    kept = s3.bucket.objects["kept/one/0/00-a.snapshot"]
    kept.content = kept.content[:-1] + b"?"
    with pytest.raises(SnapshotError, match=r"s3://bucket/kept/one/0/00-a.snapshot cannot be used: its digest is not"):
        make().open(make().paths(0)[0])


def test_one_that_was_removed_meanwhile_is_not_there(s3: S3) -> None:
    with pytest.raises(SnapshotError, match="it is not there any more"):
        make().open("s3://bucket/kept/one/0/00-a.snapshot")


def test_a_store_that_fails_costs_the_snapshot_and_no_more(s3: S3, caplog: pytest.LogCaptureFixture) -> None:
    store = make()
    s3.bucket.fault = lambda _: Fault.LOST
    with pytest.raises(SnapshotError, match="the object store cannot be read or written"):
        store.write(0, "00-a", b"header", COLUMNS.values())
    with caplog.at_level(logging.WARNING, "driftline.snapshots"):
        assert store.paths(0) == []
    assert "the object store cannot be read or written" in caplog.text
    assert "cannot be read or written" in (store.problem() or "")
    s3.bucket.fault = lambda _: Fault.NONE
    assert store.problem() is None
    assert store.paths(0) == []
    assert s3.bucket.objects == {}


@pytest.mark.parametrize("address", ["s3://", "ftp://bucket/x", "s3://key:secret@bucket/x", "az://account/"])
def test_what_is_no_address_is_refused_without_repeating_secrets(address: str) -> None:
    with pytest.raises(ObjectsRefused, match="is no address of an object store") as refused:
        SnapshotObjects(address, "one")
    assert "secret" not in str(refused.value)
