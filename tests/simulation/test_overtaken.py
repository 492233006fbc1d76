"""A checkpoint of the last step, saved by one that slept while another began to publish that step again, and died."""

from __future__ import annotations

import orjson
import pytest
from msgspec import structs

from monitor.daemon.checkpoints import Found, follow, of_evals
from monitor.daemon.ends import settled
from monitor.daemon.publishing import EPOCH_HEADER, SEQUENCE_HEADER
from monitor.daemon.writer import LedgerWriter
from monitor.errors import LedgerError, OffsetLost
from monitor.ports import OutRecord
from tests.adapters.memory import Stored
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import PARTITIONS
from tests.simulation.saving import (
    a_run_with_checkpoints,
    assert_the_same,
    run_to_the_end,
    saving,
    take_a_turn,
    undisturbed,
    whole,
)
from tests.simulation.test_crashes import a_history, pace
from tests.simulation.world import worker


def _revised_and_final(published: list[Stored]) -> OutRecord | None:
    """The first revision, in what one step published, of a window that the step made final."""
    first: dict[bytes | None, OutRecord] = {}
    for stored in published:
        record = stored.record
        if orjson.loads(record.value or b"{}").get("final"):
            if record.key in first:
                return first[record.key]
        else:
            first.setdefault(record.key, record)
    return None


def a_step(log: FragileWorld) -> tuple[int, OutRecord]:
    """The epoch, and the first revision of a window that the last evaluation revised and made final, once that evaluation is in
    the newest checkpoint."""
    process = worker(log, saving("saved", 1, rows=40))
    process.start()
    for _ in range(400):
        take_a_turn(log, process)
        judge, found = process.judge, whole(log)
        if judge is None or not found:
            continue
        state = judge.writer.follower.state
        last = found[0].manifest.fold.evaluation
        published = [s for s in log.records("saved.windows") if _header(s, SEQUENCE_HEADER) == state.sequence]
        if last and state.evaluation and last.sequence == state.sequence and (first := _revised_and_final(published)):
            log.crashed(process)
            return state.epoch, first
    raise AssertionError("there was no such step")


def _header(stored: Stored, name: str) -> int:
    return int(dict(stored.record.headers)[name] or b"")


def test_a_step_that_was_half_published_again_is_published_again() -> None:
    log = undisturbed(*a_history(), rows=40)
    pace(log, 40)
    epoch, half = a_step(log)
    evals, _ = follow(log, "saved.evals", 0, of_evals(log, "saved.checkpoints", PARTITIONS))
    other = LedgerWriter(log, log.appender(), evals, "another")
    other.fence()
    headers = [(name, b"%d" % (epoch + 1) if name == EPOCH_HEADER else value) for name, value in half.headers]
    log.appender().append("saved.windows", 0, OutRecord(half.value, half.key, tuple(headers)))
    run_to_the_end(log, worker(log, saving("saved", 1, rows=40)))
    assert_the_same(log)


def test_what_is_saved_and_trimmed_between_two_looks_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    log = a_run_with_checkpoints(trim=True)
    assert log.begin_offsets("saved.evals") > [0]
    checkpoints, looks = of_evals(log, "saved.checkpoints", PARTITIONS), list[int]()
    real, begins = checkpoints.look, log.begin_offsets

    def look() -> list[Found]:
        looks.append(1)
        return real() if len(looks) > 1 else []

    monkeypatch.setattr(checkpoints, "look", look)
    monkeypatch.setattr(log, "begin_offsets", lambda topic: begins(topic) if looks else [0])
    follower, found = follow(log, "saved.evals", 0, checkpoints)
    assert found is not None
    assert follower.next_offset >= begins("saved.evals")[0]
    assert len(looks) == 2


def test_what_is_saved_while_the_checkpoints_are_read_is_read_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before it may be superseded by then, and what it stood for trimmed."""
    log = a_run_with_checkpoints(trim=True)
    ends, asked = log.end_offsets, list[int]()

    log.paces["saved.checkpoints"] = 1

    def earlier(topic: str) -> list[int]:
        asked.extend([1] * (topic == "saved.checkpoints"))
        return [begin + 1 for begin in log.begin_offsets(topic)] if len(asked) == 1 else ends(topic)

    monkeypatch.setattr(log, "end_offsets", earlier)
    follower, found = follow(log, "saved.evals", 0, of_evals(log, "saved.checkpoints", PARTITIONS))
    assert found is not None
    assert follower.next_offset >= log.begin_offsets("saved.evals")[0]
    assert len(asked) == 3, "until nothing more has come"


def test_without_a_checkpoint_a_beginning_that_is_gone_is_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    log = a_run_with_checkpoints(trim=True)
    checkpoints = of_evals(log, "saved.checkpoints", PARTITIONS)
    monkeypatch.setattr(checkpoints, "look", list)
    with pytest.raises(LedgerError, match="no checkpoint on the topic of checkpoints can be used"):
        follow(log, "saved.evals", 0, checkpoints)


def test_what_is_trimmed_while_one_looks_whether_all_is_settled_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = a_run_with_checkpoints(trim=True)

    def lost(*_: object) -> None:
        raise OffsetLost("saved.evals", 0, 1, 4, 9)

    monkeypatch.setattr("monitor.daemon.ends.follow", lost)
    assert settled(log, saving("saved", 3).topics(), PARTITIONS) is False


def test_who_slept_deletes_nothing_that_others_saved_meanwhile() -> None:
    """Where the log is trimmed below those, there would be no beginning left."""
    log = a_run_with_checkpoints(trim=True)
    newest, older = whole(log)
    manifest = older.manifest
    sleeper = of_evals(log, "saved.checkpoints", PARTITIONS)  # it has not looked since
    earlier = structs.replace(
        manifest,
        fold=structs.replace(manifest.fold, epoch=manifest.fold.epoch - 1),
        place=structs.replace(manifest.place, at=0, next_offset=1),
    )
    assert sleeper.write(earlier, older.body())
    assert [one.manifest for one in whole(log)][:2] == [newest.manifest, manifest]
    run_to_the_end(log, worker(log, saving("saved", 3, trim=True, rows=4)))
    assert_the_same(log)
