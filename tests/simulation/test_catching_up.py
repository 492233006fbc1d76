"""A worker that is behind commits less often, and at its usual pace when it has caught up."""

from __future__ import annotations

from itertools import pairwise

from monitor.adapters import dead_letters
from monitor.config import loads
from monitor.daemon.intake import CHUNK
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.oracle.join import Prediction
from tests.simulation.histories import START
from tests.simulation.world import CONFIG, topics

INTERVAL_MS = 100
TURN_MS = 20


def test_commits_are_put_off_eight_intervals_at_most_while_there_is_more_to_read_and_then_no_more() -> None:
    records: list[Prediction] = [
        {"id": f"p{i}", "model": "m", "version": "1", "at": START + i, "score": 0.9, "prediction": 1}
        for i in range(120 * CHUNK)
    ]
    log = topics([records], [[]])
    text = CONFIG.format(namespace="one", rows=1_000_000, lateness=60).replace("1ms", f"{INTERVAL_MS}ms")
    configuration = loads(text)
    worker = Worker(log, configuration, plan_of(configuration), log.clock, dead_letters, WorkerOptions())
    worker.start()
    behind: list[int] = []  # when commits were made, while there was more to read
    while not worker.tasks or worker.tasks[0].engine.next_offsets[0] < len(records):
        before = worker.commits
        worker.turn()
        if worker.commits > before:
            behind.append(log.clock.monotonic_ms())
        log.clock.advance(TURN_MS)
    assert len(behind) >= 3
    assert {after - at for at, after in pairwise(behind[1:])} == {8 * INTERVAL_MS}
    at, before = log.clock.monotonic_ms(), worker.commits
    while worker.commits == before:
        worker.turn()
        log.clock.advance(TURN_MS)
    assert log.clock.monotonic_ms() - at <= INTERVAL_MS + TURN_MS
    worker.close()
