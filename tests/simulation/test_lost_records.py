"""Checkpoints that cannot be used, logs that lost records, and what trimming leaves."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import msgspec
import pytest

from monitor.daemon.checkpoints import Found, of_ledger
from monitor.errors import LedgerError
from monitor.ledger.checkpoints import NEWEST, describe, parts_of, seal
from monitor.ports import OutRecord
from tests.adapters.memory import MemoryLog
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import PARTITIONS
from tests.simulation.saving import (
    a_run_with_checkpoints,
    assert_the_same,
    run_to_the_end,
    saving,
    undisturbed,
    whole,
)
from tests.simulation.test_crashes import a_history, pace
from tests.simulation.world import worker


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    """Each worker collects garbage once; what pytest holds is not its business."""
    gc.freeze()
    yield
    gc.unfreeze()


# -- one that cannot be used ---------------------------------------------------------------------------------------


def overwrite(log: MemoryLog, found: Found, key: bytes, value: bytes) -> None:
    assert key in found.keys
    log.appender().append("saved.checkpoints", PARTITIONS, OutRecord(value, key))


def values(log: MemoryLog, found: Found) -> dict[bytes, bytes]:
    records = [stored.record for stored in log.records("saved.checkpoints", PARTITIONS)]
    pairs = ((record.key or b"", record.value) for record in records)
    return {key: value for key, value in pairs if key in found.keys and value is not None}


def finish(log: FragileWorld) -> None:
    run_to_the_end(log, worker(log, saving("saved", 3, rows=4)))
    assert_the_same(log)


def test_any_flipped_byte_is_told_and_the_one_before_is_used(caplog: pytest.LogCaptureFixture) -> None:
    log = a_run_with_checkpoints()
    newest, older = whole(log)
    for key, value in values(log, newest).items():
        for at in range(0, len(value), 1 + len(value) // 150):
            for bit in (0x01, 0x80):
                damaged = bytes([*value[:at], value[at] ^ bit, *value[at + 1 :]])
                overwrite(log, newest, key, damaged)
                caplog.clear()
                assert [f.manifest for f in whole(log)] == [older.manifest], (key, at)
                assert "cannot be used: " in caplog.text
        overwrite(log, newest, key, value)
    assert [f.manifest for f in whole(log)] == [newest.manifest, older.manifest]
    key = next(key for key in newest.keys if key.endswith(b"/part/0"))
    overwrite(log, newest, key, b"\x00" + values(log, newest)[key][1:])
    caplog.clear()
    finish(log)
    assert f"checkpoint {key.rpartition(b'/part')[0].decode()} at saved.checkpoints[2]" in caplog.text
    assert "part 1 of 1 is damaged" in caplog.text


def test_with_all_of_them_damaged_it_begins_at_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    log = a_run_with_checkpoints()
    for found in whole(log):
        for key in found.keys:
            overwrite(log, found, key, b"rubbish")
    finish(log)
    assert caplog.text.count("it is damaged") >= 2


def test_one_of_a_newer_format_is_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    log = a_run_with_checkpoints()
    newest, older = whole(log)
    key = min(newest.keys, key=len)
    overwrite(log, newest, key, msgspec.msgpack.encode({"format": NEWEST + 1, "of": "evals"}))
    assert [f.manifest for f in whole(log)] == [older.manifest]
    assert f"it has format {NEWEST + 1}, this version of Driftline reads up to {NEWEST}" in caplog.text
    finish(log)


def test_one_that_is_not_what_was_decided_is_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    """As another version of Driftline might have written it: whole, and of another state."""
    log = a_run_with_checkpoints()
    newest, older = whole(log)

    body = older.body()
    parts = parts_of(body)
    key = min(newest.keys, key=len)
    for number, part in enumerate(parts):
        overwrite(log, newest, key + b"/part/%d" % number, part)
    overwrite(log, newest, key, seal(describe(newest.manifest, body, parts)))
    finish(log)
    assert "cannot be used: it is not what was decided there" in caplog.text


# -- a log that lost records ---------------------------------------------------------------------------------------


def refusal(log: FragileWorld, match: str) -> None:
    process = worker(log, saving("saved", 3, rows=4))
    with pytest.raises(LedgerError, match=match) as refused:
        run_to_the_end(log, process)
    assert "Choose another `namespace`" in str(refused.value)


def test_evals_without_their_tail_are_refused() -> None:
    log = a_run_with_checkpoints()
    end = log.end_offsets("saved.evals")[0]
    log.cut("saved.evals", 0, whole(log)[0].manifest.place.at)
    refusal(log, r"saved.evals\[0\] ends at offset \d+, checkpoint evals/1/. at .* to \d+.*records that were ack")
    assert log.end_offsets("saved.evals")[0] < end


def test_evals_with_another_tail_are_refused() -> None:
    log = a_run_with_checkpoints()
    at = whole(log)[0].manifest.place.at
    log.cut("saved.evals", 0, at)
    first = log.records("saved.evals")[0].record
    for _ in range(3):
        log.appender().append("saved.evals", 0, first)
    refusal(log, rf"saved.evals\[0\] has another record at offset {at} than when checkpoint evals/1/. .* was made")


def test_a_ledger_without_its_tail_is_refused_with_and_without_a_checkpoint() -> None:
    for checkpoints in (True, False):
        log = a_run_with_checkpoints()
        if not checkpoints:
            log.truncate("saved.checkpoints", PARTITIONS, 10_000)
        for partition in range(PARTITIONS):
            log.cut("saved.ledger", partition, 3)
        refusal(log, r"saved.ledger\[\d\] ends at offset \d, .* records that were acknowledged are lost")


def test_a_ledger_that_was_made_again_is_refused() -> None:
    log = a_run_with_checkpoints()
    log.delete("saved.ledger")
    refusal(log, r"saved.ledger\[0\] ends at offset \d, .*or the topic was made again")


@pytest.mark.parametrize("topic", ["ledger", "evals"])
def test_a_log_without_its_beginning_and_without_a_checkpoint_is_refused(topic: str) -> None:
    log = a_run_with_checkpoints()
    for partition in range(PARTITIONS + 1):
        log.truncate("saved.checkpoints", partition, 10_000)
    log.truncate(f"saved.{topic}", 0, 2)
    refusal(log, rf"saved.{topic}\[0\] begins at offset 2 and no checkpoint .* can be used")


# -- trimming ------------------------------------------------------------------------------------------------------


def test_nothing_is_trimmed_unless_asked() -> None:
    log = a_run_with_checkpoints()
    assert log.begin_offsets("saved.evals") == [0]
    assert log.begin_offsets("saved.ledger") == [0] * PARTITIONS


def test_what_the_older_checkpoint_needs_is_kept() -> None:
    log = a_run_with_checkpoints(trim=True)
    newest, older = (found.manifest for found in whole(log))
    assert log.begin_offsets("saved.evals") == [older.place.at]
    for partition in range(PARTITIONS):
        own = of_ledger(log, "saved.checkpoints", partition).look()
        begin = log.begin_offsets("saved.ledger")[partition]
        assert 0 < begin <= min(older.ledger[partition].at, newest.ledger[partition].at, own[-1].manifest.place.at)
    damaged = whole(log)[0]
    for key in damaged.keys:
        overwrite(log, damaged, key, b"rubbish")
    finish(log)


def test_the_topic_of_checkpoints_does_not_grow() -> None:
    log = undisturbed(*a_history())
    pace(log, 3)
    run_to_the_end(log, worker(log, saving("saved", 1, rows=3)))
    for partition in range(PARTITIONS + 1):
        live = [s for s in log.records("saved.checkpoints", partition) if s.record.value is not None]
        assert 0 < len(live) <= 4, "two checkpoints of a part and a manifest, or of a manifest alone"
