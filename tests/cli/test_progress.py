"""The ETA of a run to the end knows that evaluating takes time too."""

from __future__ import annotations

import re

import pytest

from monitor.adapters import dead_letters
from monitor.cli.progress import PARTITIONS_MAX, Pace, RunProgress, done, line, partition_lines
from monitor.daemon.headway import Headway, PartitionHeadway, headway, ticks_closed
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.oracle.join import Prediction
from tests.simulation.test_long_evaluation import TICKS, history
from tests.simulation.world import config, topics

START_MS = 1_700_000_000_000
START = Headway(0, 1_000, 0, 0)


def pace(reading_s: float, evaluating_s: float) -> Pace:
    made = Pace(START)
    made.spent(reading_s, evaluating=False)
    made.spent(evaluating_s, evaluating=True)
    return made


def test_what_is_left_is_the_rest_of_both_at_their_own_pace() -> None:
    #          read  left  closed  to close
    at = Headway(500, 500, 10, 40)
    #  500 records took 5 s, so 5 s more; 10 ticks took 2 s, 40 wait and 50 more come with what is not read: 18 s
    assert pace(5, 2).left_s(at) == pytest.approx(5 + 18)
    assert pace(5, 2).share(at) == pytest.approx(7 / 30)


def test_everything_read_is_not_everything_done() -> None:
    at = Headway(1_000, 0, 10, 90)
    assert pace(10, 1).left_s(at) == pytest.approx(9)
    assert line(pace(10, 1), at) == ("driftline: 1,000 of 1,000 records read, 10 of 100 ticks closed (55 %), ETA 9 s")


def test_without_a_pace_nothing_is_promised() -> None:
    assert pace(0, 0).left_s(START) is None
    assert pace(10, 0).left_s(Headway(1_000, 0, 0, 90)) is None
    assert "ETA unknown" in line(pace(10, 0), Headway(1_000, 0, 0, 90))


def test_where_another_worker_evaluates_only_reading_counts() -> None:
    assert pace(5, 0).left_s(Headway(500, 500, 0, 0)) == pytest.approx(5)
    assert line(pace(5, 0), Headway(500, 500, 0, 0)) == "driftline: 500 of 1,000 records read (50 %), ETA 5 s"


def test_each_partition_is_told_with_its_event_time_rate_and_eta() -> None:
    made = Pace(Headway(100, 900, 0, 0, (PartitionHeadway(0, 100, 400, None), PartitionHeadway(1, 0, 500, None))))
    made.spent(4, evaluating=False)
    made.spent(1, evaluating=True)
    at = Headway(350, 650, 1, 9, (PartitionHeadway(0, 350, 150, 1_360_404_065_000), PartitionHeadway(1, 0, 500, None)))
    assert partition_lines(made, at) == [
        "driftline:   partition 0 at 2013-02-09 10:01: 350 of 500 records, 50/s, ETA 3 s",
        "driftline:   partition 1: 0 of 500 records, 0/s, ETA unknown",
    ]
    done = Headway(500, 0, 1, 9, (PartitionHeadway(0, 500, 0, None), PartitionHeadway(1, 0, 0, None)))
    made.spent(100, evaluating=True)
    assert partition_lines(made, done) == [
        "driftline:   partition 0: 500 of 500 records, read",
        "driftline:   partition 1: 0 of 0 records, read",
    ], "time that goes by after it was read is none of its rate"


def test_the_first_moments_give_no_eta() -> None:
    at = Headway(10, 990, 1, 99)
    assert line(pace(0.9, 1.0), at).endswith(", ETA unknown")
    assert not line(pace(0.9, 1.2), at).endswith(", ETA unknown")


def test_of_many_partitions_those_with_most_to_read_are_told() -> None:
    at = Headway(0, 0, 0, 0, tuple(PartitionHeadway(p, 10, p, 0) for p in range(30)))
    told = partition_lines(pace(1, 1), at)
    assert [int(each.split()[2]) for each in told[:-1]] == list(range(30 - PARTITIONS_MAX, 30))
    assert told[-1] == "driftline:   and 22 partitions with less to read"


def test_what_is_said_at_the_end_are_the_numbers_of_the_progress_before() -> None:
    assert done(Headway(900, 0, 9, 0), 900, "2.0 s") == "900 records read in 2.0 s"
    assert (
        done(Headway(900, 0, 9, 0), 200, "2.0 s", 700) == "200 records read in 2.0 s, after 700 that were read before"
    )
    assert done(Headway(800, 100, 9, 0), 100, "2.0 s", 700) == "100 records read in 2.0 s; 800 of 900 are done"


def test_of_a_run_that_was_settled_everything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Prediction(id=f"p{i}", model="m", version="1", at=START_MS + 10 * i, score=0.9, prediction=1.0)
        for i in range(9)
    ]
    log, setting = topics([rows[:5], rows[5:]], [[], []]), config("one")
    for sentence in (
        "driftline: 9 records read in SECONDS s\n",
        "driftline: nothing to read: all of it was read, and settled, before\n",
    ):
        bar = RunProgress()
        worker = Worker(
            log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True), None, bar.show
        )
        worker.run()
        bar.close(worker)
        assert re.sub(r"\d+\.\d", "SECONDS", capsys.readouterr().err) == sentence


def test_markers_of_the_log_itself_are_not_told_as_records_read_before(capsys: pytest.CaptureFixture[str]) -> None:
    """A transaction's marker takes an offset and is no record."""
    rows = [Prediction(id=f"p{i}", model="m", version="1", at=START_MS, score=0.9, prediction=1.0) for i in range(5)]
    log, setting = topics([rows], [[]]), config("one")
    worker = Worker(log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions())
    worker.start()
    while worker.statistics.consumed.total() < 5:
        worker.turn()
    worker.tasks[0].engine.skip_to(0, worker.tasks[0].engine.next_offsets[0] + 2)
    bar = RunProgress()
    bar.show(worker)
    bar.close(worker)
    assert re.sub(r"\d+\.\d", "SECONDS", capsys.readouterr().err) == "driftline: 5 records read in SECONDS s\n"


def test_the_estimate_of_a_slow_evaluation_holds_from_its_first_ticks_on() -> None:
    log, setting = history(), config("one")
    estimates: list[tuple[float, float]] = []  # at, what is left
    made: list[Pace] = []
    seen = [log.clock.monotonic_ms(), 0]

    def tell(worker: Worker) -> None:
        if not worker.tasks:
            return
        now, closed = log.clock.monotonic_ms(), ticks_closed(worker)
        if not made:
            made.append(Pace(headway(worker)))
        made[0].spent((now - seen[0]) / 1000, evaluating=closed != seen[1])
        seen[:] = now, closed
        left_s = made[0].left_s(headway(worker))
        if left_s is not None and headway(worker).closed > TICKS // 20:
            estimates.append((now / 1000, left_s))

    worker = Worker(
        log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True),
        lambda _: log.clock.advance(1_000), tell,
    )  # fmt: skip
    worker.run()
    end = log.clock.monotonic_ms() / 1000
    assert len(estimates) > TICKS
    assert end - estimates[0][0] > TICKS, "there was nothing to wait for"
    for at, left_s in estimates:
        assert left_s == pytest.approx(end - at, rel=0.25, abs=20)
    assert headway(worker).to_close == 0


def test_headway_says_how_far_each_partition_is() -> None:
    rows = [
        Prediction(id=f"p{i}", model="m", version="1", at=START_MS + 10 * i, score=0.9, prediction=1.0)
        for i in range(3_500)
    ]
    log, setting = topics([rows[::2], rows[1::2]], [[], []]), config("one")
    seen: list[Headway] = []
    worker = Worker(
        log, setting, plan_of(setting), log.clock, dead_letters, WorkerOptions(until_end=True),
        None, lambda w: seen.append(headway(w)) if w.tasks else None,
    )  # fmt: skip
    worker.run()
    sizes = [sum(log.end_offsets(name)[p] for name in worker.sources.names) for p in range(len(worker.finish[0]))]
    for at in seen:
        assert [own.read + own.to_read for own in at.partitions] == sizes
        assert (sum(own.read for own in at.partitions), sum(own.to_read for own in at.partitions)) == (
            at.read,
            at.to_read,
        )
    times = [own.at_ms for at in seen for own in at.partitions if own.partition == 1 and own.at_ms is not None]
    assert times == sorted(times)
    assert START_MS < times[0] < times[-1] <= START_MS + 35_000
