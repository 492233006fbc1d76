"""Source records that left their topic: refused by name, and gone on without them where an operator says so."""

from __future__ import annotations

import orjson
import pytest

from monitor.daemon.gaps import Missing, missing, record
from monitor.daemon.worker import Worker
from monitor.daemon.writer import LostOwnership
from monitor.errors import OffsetLost
from monitor.ledger.audit import Audit
from monitor.ledger.records import Commit, Gap, decode
from tests.oracle.join import Label, Prediction
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import PARTITIONS, START
from tests.simulation.saving import run_to_the_end, saving, take_a_turn
from tests.simulation.test_crashes import pace
from tests.simulation.world import topics, worker

CONFIG = saving("gone", 3, rows=5)


def story() -> tuple[list[list[Prediction]], list[list[Label]]]:
    """Sixty predictions in each partition, labelled 90 s later, so that some always wait."""
    p: list[list[Prediction]] = [[] for _ in range(PARTITIONS)]
    q: list[list[Label]] = [[] for _ in range(PARTITIONS)]
    for i in range(60):
        for partition in range(PARTITIONS):
            at, id_ = START + i * 6_000, f"{partition}-{i}"
            prediction = Prediction(id=id_, model="m", version="1", at=at, score=0.9, prediction=1.0)
            p[partition].append({**prediction, "segments": {"hue": "red"}})
            q[partition].append(Label(id=id_, at=at + 90_000, label=1.0))
    return p, q


def stopped_in_the_middle() -> FragileWorld:
    """A deployment that has read a part of both topics, and was killed."""
    log = topics(*story(), FragileWorld())
    pace(log, 5)
    process = worker(log, CONFIG)
    process.start()
    while min((task.engine.next_offsets[0] for task in process.tasks.values()), default=0) < 30:
        take_a_turn(log, process)
    log.crashed(process)
    return log


def committed(log: FragileWorld, partition: int) -> Commit:
    """The last commit of a partition."""
    return next(
        found
        for stored in reversed(log.records("gone.ledger", partition))
        if isinstance(found := decode(stored.record.value or b"", "ledger"), Commit)
    )


def audits(log: FragileWorld) -> list[Audit]:
    found = []
    for partition in range(PARTITIONS):
        one = Audit(partition)
        for stored in log.records("gone.ledger", partition):
            value = stored.record.value or b""
            one.feed(stored.offset, decode(value, "ledger"), value)
        found.append(one)
    return found


def refused(log: FragileWorld, topic: str) -> None:
    with pytest.raises(OffsetLost, match=rf"topic '{topic}' partition 0: offset \d+ is needed .*driftline ledger gap"):
        run_to_the_end(log, worker(log, CONFIG))
    log.clock.advance(log.session_ms + 1)


def decide(log: FragileWorld) -> list[Missing]:
    """Record whatever is missing; what it was."""
    found = list(missing(log, CONFIG))
    for one in found:
        record(log, log.appender(), CONFIG, one, "ada", "the disk was too small")
    assert list(missing(log, CONFIG)) == []
    return found


def test_nothing_is_missing_where_everything_is_held() -> None:
    assert list(missing(stopped_in_the_middle(), CONFIG)) == []


@pytest.mark.parametrize("stream", [0, 1])
def test_records_that_were_never_read_count_as_lost_and_the_rest_goes_on(stream: int) -> None:
    log = stopped_in_the_middle()
    name = ("predictions", "labels")[stream]
    before = committed(log, 0)
    next_ = (before.predictions[1], before.labels[1])[stream]
    log.truncate(name, 0, next_ + 4)
    refused(log, name)
    (found,) = decide(log)
    assert (found.stream, found.partition, found.start, found.end, found.unread) == (name, 0, next_, next_ + 4, 4)
    assert (found.pending, found.waiting) == (before.prediction_outcomes["pending"], before.label_outcomes["waiting"])
    assert found.pending > 0
    run_to_the_end(log, worker(log, CONFIG))
    after, other = audits(log)
    assert after.violations == other.violations == []
    assert (after.state.lost_predictions, after.state.lost_labels) == ((4, 0), (0, 4))[stream]
    assert after.state.commit is not None
    assert after.state.commit.prediction_outcomes["shed"] == found.pending, "what waited is given up, and counted"
    assert after.read == ((56, 60), (60, 56))[stream]
    assert other.read == (60, 60)
    assert other.state.commit is not None
    assert other.state.commit.prediction_outcomes["matched"] == 60
    windows = [orjson.loads(s.record.value) for s in log.records("gone.windows") if s.record.value is not None]
    assert any(window["final"] for window in windows)


def test_rows_that_cannot_be_rebuilt_are_given_up_though_nothing_was_unread() -> None:
    log = stopped_in_the_middle()
    before = committed(log, 0)
    floor, next_ = before.prediction_floor.offset, before.predictions[1]
    assert floor < next_
    log.truncate("predictions", 0, floor + 1)
    refused(log, "predictions")
    (found,) = decide(log)
    assert (found.unread, found.floor, found.begin) == (0, floor, floor + 1)
    gap = decode(log.records("gone.ledger", 0)[-1].record.value or b"", "ledger")
    assert isinstance(gap, Gap)
    assert (gap.format, gap.who, gap.why) == (2, "ada", "the disk was too small")
    run_to_the_end(log, worker(log, CONFIG))
    after = audits(log)[0]
    assert after.violations == []
    assert after.read == (60, 60)
    assert (after.state.lost_predictions, after.state.lost_labels) == (0, 0)


def test_who_dies_after_a_gap_goes_on_from_it_again() -> None:
    log = stopped_in_the_middle()
    log.truncate("predictions", 0, committed(log, 0).predictions[1] + 2)
    decide(log)
    for turns in (1, 4, 9, 14):
        process = worker(log, CONFIG)
        process.start()
        for _ in range(turns):
            take_a_turn(log, process)
        log.crashed(process)
    run_to_the_end(log, worker(log, CONFIG))
    assert [one.violations for one in audits(log)] == [[], []]
    assert audits(log)[0].state.lost_predictions == 2


def test_an_owner_that_lives_and_did_not_see_the_gap_stops() -> None:
    log = topics(*story(), FragileWorld())
    pace(log, 5)
    process = worker(log, CONFIG)
    process.start()
    while not process.tasks or not committed_any(process):
        take_a_turn(log, process)
    task = process.tasks[0]
    one = Missing(0, "predictions", "predictions", task.writer.follower.state.next_prediction, 59, 0, 59, 0, 0)
    record(log, log.appender(), CONFIG, one, "ada", "a test")
    with pytest.raises(LostOwnership, match="wrong_range"):
        task.commit(task.flags)


def committed_any(process: Worker) -> bool:
    return all(task.writer.follower.state.commit is not None for task in process.tasks.values())
