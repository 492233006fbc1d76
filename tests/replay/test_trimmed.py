"""The proof of a ledger that was trimmed: from the oldest checkpoint on everything is identical, or it is said what is not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from msgspec import structs

from monitor.config import Config
from monitor.daemon.checkpoints import of_evals
from monitor.daemon.publishing import SEQUENCE_HEADER
from monitor.daemon.replay.verify import Verified
from monitor.errors import LedgerError
from monitor.ledger.checkpoints import encode_body
from monitor.saved import read_evaluation
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import PARTITIONS
from tests.simulation.saving import run_through, saving, undisturbed, whole
from tests.simulation.test_crashes import a_history

SAVED = saving("saved", 3, trim=True, rows=4)


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def log() -> FragileWorld:
    """A run to the end with a crash and a lost acknowledgement, trimmed below its checkpoints."""
    made = undisturbed(*a_history())
    made.paces = {"predictions": 4, "labels": 4}
    run_through(made, [(19, Fault.CRASH_AFTER), (31, Fault.LOST)], SAVED)
    return made


def proved(log: FragileWorld, config: Config = SAVED) -> Verified:
    done = prove(log, config)
    assert done.begin is not None
    return done


def test_a_trimmed_ledger_is_proved_from_the_oldest_checkpoint_on(log: FragileWorld) -> None:
    assert log.begin_offsets("saved.evals")[0] > 0
    assert any(log.begin_offsets("saved.ledger"))
    done = proved(log)
    assert sentences(done.differences) == []
    assert done.begin is not None
    oldest = whole(log)[-1].manifest.fold.evaluation
    assert oldest is not None
    assert done.begin.evaluation.sequence == oldest.sequence
    assert done.evaluations > 0 < done.commits
    held = log.begin_offsets("saved.ledger")
    assert all(begin > at for begin, at in zip(done.begins, held, strict=True) if at), (
        "where nothing is gone, from the start"
    )
    assert sum(each.records for each in done.published) > 0


def test_a_window_published_after_the_checkpoint_that_nobody_decided_is_found(log: FragileWorld) -> None:
    first = sequence_at_begin(proved(log))
    assert spoil(log, "saved.windows", above=first)
    (difference, *_) = proved(log).differences
    assert "window" in difference.sentence()


def test_what_was_published_before_the_checkpoint_is_not_compared(log: FragileWorld) -> None:
    first = sequence_at_begin(proved(log))
    assert spoil(log, "saved.windows", above=0, up_to=first)
    assert sentences(proved(log).differences) == []


def test_a_source_record_that_changed_after_the_checkpoint_is_found(log: FragileWorld) -> None:
    partition = next(p for p, begin in enumerate(log.begin_offsets("saved.ledger")) if begin)
    records = log._of("predictions").partitions[partition].records
    before = records[-1].record.value or b""
    value = before.replace(b'"score":0.', b'"score":0.00')
    assert value != before
    records[-1] = replace(records[-1], record=replace(records[-1].record, value=value))
    assert [d for d in prove(log, SAVED).differences if d.sentence().startswith("commit ")]


def test_without_a_checkpoint_nothing_can_be_proved(log: FragileWorld) -> None:
    log.delete("saved.checkpoints")
    with pytest.raises(LedgerError, match=r"no topic|no checkpoint can be used: what it began with is gone"):
        prove(log, SAVED)


def test_a_checkpoint_that_is_not_what_was_decided_proves_nothing(log: FragileWorld) -> None:
    checkpoints = of_evals(log, "saved.checkpoints", PARTITIONS)
    for found in checkpoints.look()[::-1]:
        saved = read_evaluation(found.body())
        chains = {kind: bytes(len(chain)) for kind, chain in saved.evaluator.chains.items()}
        forged = structs.replace(saved, evaluator=structs.replace(saved.evaluator, chains=chains))
        assert checkpoints.write(found.manifest, encode_body(forged))
    with pytest.raises(LedgerError, match=r"checkpoint evals/.* cannot be used: it is not what was decided there"):
        prove(log, SAVED)


def sequence_at_begin(done: Verified) -> int:
    assert done.begin is not None
    return done.begin.evaluation.sequence


def spoil(log: FragileWorld, topic: str, *, above: int, up_to: int = 1 << 40) -> bool:
    """Change one published value whose evaluation is in (above, up_to]."""
    for partition in log._of(topic).partitions:
        for at, stored in enumerate(partition.records):
            sequence = next(int(v or b"0") for k, v in stored.record.headers if k == SEQUENCE_HEADER)
            if above < sequence <= up_to and stored.record.value is not None:
                value = stored.record.value.replace(b'"final":', b'"finas":')
                partition.records[at] = replace(stored, record=replace(stored.record, value=value))
                return True
    return False
