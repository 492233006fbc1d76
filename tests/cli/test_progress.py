"""The ETA of a run to the end knows that evaluating takes time too."""

from __future__ import annotations

import pytest

from monitor.adapters import dead_letters
from monitor.cli.progress import Pace, line
from monitor.daemon.headway import Headway, headway, ticks_closed
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.simulation.test_long_evaluation import TICKS, history
from tests.simulation.world import config

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
