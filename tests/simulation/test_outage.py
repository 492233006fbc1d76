"""What is said of an outage in the log of the process: a few lines for each, however long it is and however often it is asked."""

from __future__ import annotations

from itertools import pairwise

import pytest

from monitor.daemon.outage import CALM_MS, LONGEST_MS, Outage
from tests.simulation.test_contact import LABELS, PREDICTIONS, start, steps
from tests.simulation.test_contact import Outage as World
from tests.simulation.world import topics

SECOND = 1_000


def said_in(outage: Outage, seconds: int, every: int = 2) -> list[tuple[int, str]]:
    """(second, line) of an outage that is noticed every so many seconds."""
    lines = [(at, outage.failed("nobody answers", at * SECOND)) for at in range(0, seconds, every)]
    return [(at, line) for at, line in lines if line is not None]


def test_an_outage_is_said_at_once_and_then_ever_more_rarely_with_how_long_it_is() -> None:
    lines = said_in(Outage(), 500)
    assert lines[0] == (0, "nobody answers; trying again")
    assert [at for at, _ in lines] == [0, 30, 90, 210, 450]
    assert lines[-1][1] == "no answer for 7m30s: nobody answers; trying again"


def test_of_a_week_a_line_an_hour_is_left() -> None:
    lines = said_in(Outage(), 7 * 86_400, every=60)
    assert max(b - a for (a, _), (b, _) in pairwise(lines)) * SECOND == LONGEST_MS
    assert len(lines) < 7 * 24 + 10


def test_its_end_is_said_once_with_how_long_it_was() -> None:
    outage = Outage()
    assert outage.answered(0) is None, "nothing was missing"
    outage.failed("nobody answers", SECOND)
    assert outage.answered(52 * SECOND) == "answers come again, after 51s without"
    assert outage.answered(54 * SECOND) is None


def test_brokers_that_come_and_go_are_one_outage_until_they_are_calm() -> None:
    outage, lines = Outage(), []
    for at in range(0, 60_000, 4_000):
        lines.append(outage.failed("nobody answers", at))
        lines.append(outage.answered(at + 2_000))
    assert [line for line in lines if line] == [
        "nobody answers; trying again",
        "answers come again, after 2s without",
        "nobody answers; trying again",
        "answers come again, after 2s without",
    ]
    assert outage.failed("nobody answers", 60_000 + CALM_MS) is not None, "after a calm it is news again"


def test_a_worker_says_that_its_log_is_gone_and_that_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    log = topics(PREDICTIONS, LABELS, World())
    worker, _ = start(log)
    steps(log, worker)
    caplog.set_level("INFO", "driftline.contact")
    log.down = True
    for _ in range(5):
        steps(log, worker)
    log.down = False
    steps(log, worker)
    lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "driftline.contact"]
    assert lines == [
        ("WARNING", "no broker answers; trying again"),
        ("INFO", lines[-1][1]),
    ]
    assert lines[-1][1].startswith("answers come again, after ")
    worker.close()
