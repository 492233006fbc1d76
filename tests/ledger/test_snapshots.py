"""The format of snapshots: what was written stays readable, byte for byte, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from monitor.adapters.snapshots import SnapshotFile
from monitor.daemon.snapshots import restored
from monitor.ledger.snapshots import FORMAT, SnapshotError, decode_header, encode_header
from tests.ledger.snapshots import FIRST, GOLDEN, engine, fill, restamp, written


def test_what_is_written_now_is_what_was_written_then() -> None:
    assert written() == GOLDEN.read_bytes()


@pytest.mark.parametrize(("path", "version"), [(FIRST, 1), (GOLDEN, 2)])
def test_a_snapshot_of_each_format_comes_back_as_it_was(path: Path, version: int) -> None:
    kept = SnapshotFile(path)
    snapshot = decode_header(kept.header, kept.where)
    assert snapshot.format == version
    full = engine()
    fill(full)
    if version > 1:
        restamp(full)
    found = restored(engine().shared, snapshot, kept)
    one, other = full.join, found.join
    assert other.held == one.held
    assert other.digest == one.digest
    assert other.prediction_outcomes.pending == one.prediction_outcomes.pending
    assert other.label_outcomes.waiting == one.label_outcomes.waiting
    assert [history for _, history in other.revise.histories()] == [history for _, history in one.revise.histories()]
    assert sorted(other.revise.cancelled.values()) == sorted(one.revise.cancelled.values())
    for name in ("flags", "predicted"):
        assert sorted(getattr(other.predictions, name)[other.predictions.used()].tolist()) == sorted(
            getattr(one.predictions, name)[one.predictions.used()].tolist()
        )
    assert np.array_equal(
        np.sort(other.labels.status[other.labels.used()]), np.sort(one.labels.status[one.labels.used()])
    )
    assert [floors.marks for floors in found.floors] == [floors.marks for floors in full.floors]
    assert sorted(map(repr, found.restamped.spans)) == sorted(map(repr, full.restamped.spans))
    assert (found.next_offsets, found.clocks) == (full.next_offsets, full.clocks)


def test_a_newer_format_and_what_is_no_header_are_refused_by_name(tmp_path: Path) -> None:
    snapshot = decode_header(SnapshotFile(GOLDEN).header, "one")
    newer = encode_header(msgspec.structs.replace(snapshot, format=FORMAT + 1))
    with pytest.raises(
        SnapshotError, match="snapshot here cannot be used: it has format 3, this version reads up to 2"
    ):
        decode_header(newer, "here")
    with pytest.raises(SnapshotError, match="its header is damaged"):
        decode_header(b"\x81", "here")
    other = msgspec.structs.replace(snapshot, columns=snapshot.columns[:3])
    with pytest.raises(SnapshotError, match="its columns do not fit this version"):
        restored(engine().shared, other, SnapshotFile(GOLDEN))
