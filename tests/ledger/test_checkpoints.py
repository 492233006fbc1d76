"""The format of checkpoints: what was written stays readable, byte for byte, and damage is told by name."""

from __future__ import annotations

import msgspec
import pytest

from monitor.ledger.checkpoints import (
    NEWEST,
    PART_BYTES,
    CheckpointError,
    Fold,
    describe,
    format_of,
    join_parts,
    names_edition,
    open_manifest,
    parts_of,
    seal,
    unpack_body,
)
from monitor.saved import read_evaluation
from tests.ledger.checkpoints import (
    ADVISED,
    ADVISED_MANIFEST,
    BEGUN,
    BEGUN_MANIFEST,
    BODY,
    BOOKED,
    BUDGETED,
    BUDGETED_MANIFEST,
    CROSSED,
    CROSSED_MANIFEST,
    DENSE,
    EDITION_MANIFEST,
    EVALS_MANIFEST,
    EVALUATION,
    GROUPED,
    GROUPED_MANIFEST,
    HELD,
    HELD_MANIFEST,
    LATER,
    LEDGER_EDITION_MANIFEST,
    LEDGER_MANIFEST,
    LEDGER_SENSES_MANIFEST,
    LOST,
    OF_EDITIONS,
    PARTITION,
    SAVED,
    SCHEDULED,
    SCHEDULED_MANIFEST,
    SENSED,
    SENSED_MANIFEST,
    SWITCH_MANIFEST,
    golden,
)

MANIFESTS = {
    "ledger": LEDGER_MANIFEST,
    "evals": EVALS_MANIFEST,
    "evals-budget": BUDGETED_MANIFEST,
    "evals-switch": SWITCH_MANIFEST,
    "evals-schedule": SCHEDULED_MANIFEST,
    "evals-hold": HELD_MANIFEST,
    "evals-advice": ADVISED_MANIFEST,
    "evals-groups": GROUPED_MANIFEST,
    "evals-begun": BEGUN_MANIFEST,
    "evals-crossed": CROSSED_MANIFEST,
    "evals-senses": SENSED_MANIFEST,
}


def test_every_kind_of_record_is_kept() -> None:
    assert golden().keys() == SAVED.keys()


@pytest.mark.parametrize("name", SAVED)
def test_what_is_written_now_is_what_was_written_then(name: str) -> None:
    assert SAVED[name] == golden()[name]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_was_written_then_is_read(name: str) -> None:
    found = open_manifest(golden()[name], "the checkpoint")
    assert msgspec.structs.replace(found, check=b"") == MANIFESTS[name]


def test_a_body_that_was_written_then_is_read() -> None:
    assert read_evaluation(golden()["body"]) == EVALUATION
    assert read_evaluation(golden()["body-generation"]) == LATER
    assert read_evaluation(golden()["body-budget"]) == BUDGETED
    assert read_evaluation(golden()["body-estimates"]) == BOOKED
    assert read_evaluation(golden()["body-estimates-density"]) == DENSE
    assert read_evaluation(golden()["body-schedule"]) == SCHEDULED
    assert read_evaluation(golden()["body-hold"]) == HELD
    assert read_evaluation(golden()["body-losses"]) == LOST
    assert read_evaluation(golden()["body-advice"]) == ADVISED
    assert read_evaluation(golden()["body-groups"]) == GROUPED
    assert read_evaluation(golden()["body-begun"]) == BEGUN
    assert read_evaluation(golden()["body-crossed"]) == CROSSED
    assert read_evaluation(golden()["body-senses"]) == SENSED


def test_what_names_an_edition_is_read_and_told_apart() -> None:
    assert read_evaluation(golden()["body-edition"]) == OF_EDITIONS
    for name, manifest in (("ledger-edition", LEDGER_EDITION_MANIFEST), ("evals-edition", EDITION_MANIFEST)):
        found = open_manifest(golden()[name], "the checkpoint")
        assert msgspec.structs.replace(found, check=b"") == manifest
        assert names_edition(found.fold.state())
    assert not names_edition(PARTITION)


def test_the_ledger_of_a_model_that_means_something_else_now_is_read_and_told_apart() -> None:
    found = open_manifest(golden()["ledger-senses"], "the checkpoint")
    assert msgspec.structs.replace(found, check=b"") == LEDGER_SENSES_MANIFEST
    assert format_of(found.fold.state()) == found.format == 10
    assert format_of(PARTITION) == 1


def test_the_fold_state_comes_back_without_the_columns_of_its_commit() -> None:
    back = Fold.of(PARTITION).state()
    commit = PARTITION.commit
    assert commit is not None
    assert back.commit == msgspec.structs.replace(commit, groups=(), inputs=None, performance=None)
    assert (back.genesis, back.chain, back.lost_labels) == (PARTITION.genesis, PARTITION.chain, PARTITION.lost_labels)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_flipped_bit_anywhere_in_a_manifest_is_refused(name: str) -> None:
    raw = SAVED[name]
    for at in range(len(raw)):
        for bit in range(8):
            damaged = bytearray(raw)
            damaged[at] ^= 1 << bit
            with pytest.raises(CheckpointError, match=r"the checkpoint cannot be used: it (is damaged|has format)"):
                open_manifest(bytes(damaged), "the checkpoint")


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_was_cut_is_refused(name: str) -> None:
    for end in range(len(SAVED[name])):
        with pytest.raises(CheckpointError, match="damaged"):
            open_manifest(SAVED[name][:end], "the checkpoint")


def test_a_newer_format_is_refused() -> None:
    newer = seal(msgspec.structs.replace(LEDGER_MANIFEST, format=NEWEST + 1))
    with pytest.raises(CheckpointError, match=f"it has format {NEWEST + 1}, this version of Driftline reads up to"):
        open_manifest(newer, "the checkpoint")


def test_a_body_is_cut_into_parts_that_a_broker_takes_and_put_together_again() -> None:
    body = bytes(range(256)) * 10 + b"".join(i.to_bytes(8, "little") for i in range(1, 3_000_000, 7))
    parts = parts_of(body)
    assert len(parts) > 1
    assert max(map(len, parts)) <= PART_BYTES
    manifest = describe(EVALS_MANIFEST, body, parts)
    packed = join_parts(manifest, dict(enumerate(parts)), "the checkpoint")
    assert unpack_body(manifest, packed, "the checkpoint") == body
    for number in range(len(parts)):
        without = {n: part for n, part in enumerate(parts) if n != number}
        with pytest.raises(CheckpointError, match=f"part {number + 1} of {len(parts)} is missing"):
            join_parts(manifest, without, "the checkpoint")
        with pytest.raises(CheckpointError, match=f"part {number + 1} of {len(parts)} is damaged"):
            join_parts(manifest, {**without, number: b"\x00" + parts[number][1:]}, "the checkpoint")


def test_a_body_that_is_not_the_one_that_was_saved_is_refused() -> None:
    manifest = describe(EVALS_MANIFEST, BODY, parts_of(BODY))
    other = b"".join(parts_of(BODY + b"x"))
    with pytest.raises(CheckpointError, match="its body is damaged"):
        unpack_body(manifest, other, "the checkpoint")
    with pytest.raises(CheckpointError, match="its body is damaged"):
        unpack_body(manifest, b"no zlib", "the checkpoint")
