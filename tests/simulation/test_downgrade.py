"""An earlier release finds what a later one wrote: it says so, and which release is needed, and leaves everything as it is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import orjson
import pytest

from monitor import editions
from monitor.daemon.checkpoints import Checkpoints
from monitor.editions import Edition
from monitor.errors import LedgerError, NewerVersion
from monitor.ledger.checkpoints import NEWEST, Manifest, open_manifest, seal
from monitor.ledger.records import EvalCommit, decode, digest_of, encode
from monitor.ports import OutRecord
from tests.simulation.fragile import FragileWorld
from tests.simulation.saving import a_run_with_checkpoints, saving
from tests.simulation.world import worker

Change = Callable[[Manifest], Manifest]
LATER = Edition(editions.NEWEST + 1, "0.2.0")


def newer(manifest: Manifest) -> Manifest:
    return msgspec.structs.replace(manifest, format=NEWEST + 1)


def newer_with_its_edition(manifest: Manifest) -> Manifest:
    commit = manifest.fold.commit
    if commit is None:
        return newer(manifest)
    fold = msgspec.structs.replace(manifest.fold, commit=msgspec.structs.replace(commit, edition=LATER))
    return msgspec.structs.replace(newer(manifest), fold=fold)


def change_checkpoints(log: FragileWorld, change: Change) -> None:
    """Every manifest on the topic becomes another one."""
    appender = log.appender()
    for partition in range(len(log.end_offsets("saved.checkpoints"))):
        for stored in list(log.records("saved.checkpoints", partition)):
            key, value = stored.record.key, stored.record.value
            if key is not None and value is not None and b"/part/" not in key:
                changed = seal(change(open_manifest(value, "the checkpoint")))
                appender.append("saved.checkpoints", partition, OutRecord(changed, key))


def begin(log: FragileWorld) -> None:
    process = worker(log, saving("saved", 3, trim=True, rows=4))
    process.start()
    for _ in range(5):
        process.turn()


@pytest.mark.parametrize(
    ("change", "release"),
    [
        (newer, "the version that wrote it, or a newer one"),
        (newer_with_its_edition, "Driftline 0.2.0 or a newer one"),
    ],
)
def test_a_trimmed_ledger_under_checkpoints_of_a_later_release_is_refused_with_the_release(
    change: Change, release: str
) -> None:
    log = a_run_with_checkpoints(trim=True)
    change_checkpoints(log, change)
    before = {name: log.end_offsets(name) for name in ("saved.ledger", "saved.evals", "saved.checkpoints")}
    with pytest.raises(NewerVersion) as refused:
        begin(log)
    assert f"it has format {NEWEST + 1}, this version of Driftline reads up to {NEWEST}" in str(refused.value)
    assert f"Run {release}" in str(refused.value)
    assert before == {name: log.end_offsets(name) for name in before}


def test_without_trimming_they_are_left_aside_and_the_ledger_itself_is_read() -> None:
    log = a_run_with_checkpoints()
    change_checkpoints(log, newer)
    begin(log)


def test_damage_is_no_later_release() -> None:
    log = a_run_with_checkpoints(trim=True)
    for partition in range(3):
        assert Checkpoints(log, "saved.checkpoints", "evals", partition).newer is None
    appender = log.appender()
    for partition in range(3):
        for stored in list(log.records("saved.checkpoints", partition)):
            if stored.record.key is not None and stored.record.value is not None:
                appender.append("saved.checkpoints", partition, OutRecord(b"\x00", stored.record.key))
    with pytest.raises(LedgerError, match="no checkpoint on the topic of checkpoints can be used") as refused:
        begin(log)
    assert not isinstance(refused.value, NewerVersion)


def test_a_configuration_with_keys_that_are_not_known_is_refused_with_the_key() -> None:
    log = a_run_with_checkpoints()
    document = orjson.loads(log.records("saved.configs")[0].record.value or b"")
    document["state"]["hindsight"] = "1h"
    text = orjson.dumps(document)
    digest = "sha256:" + "0" * 64
    log.appender().append("saved.configs", 0, OutRecord(text, digest.encode()))
    last = log.records("saved.evals")[-1].record.value or b""
    evaluation = decode(last, "evals")
    assert isinstance(evaluation, EvalCommit)
    again = msgspec.structs.replace(
        evaluation, rules=digest, sequence=evaluation.sequence + 1, previous=digest_of(last)
    )
    log.appender().append("saved.evals", 0, OutRecord(encode(again)))
    with pytest.raises(NewerVersion, match=r"does not know \(the recorded configuration:.*hindsight"):
        begin(log)
