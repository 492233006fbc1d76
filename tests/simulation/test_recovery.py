"""How long a new owner would need: rows to read again at the measured rate, announced, followed, and then true."""

from __future__ import annotations

import logging

import pytest

from monitor.adapters import dead_letters
from monitor.adapters.exposition import Exposer
from monitor.cli.observer import Observer, base_view
from monitor.daemon.recovery import ASSUMED_ROWS_PER_SECOND, LEAST_ROWS, MEMORY_ROWS, Recovery
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.events import RecordBatch
from monitor.plan import plan_of
from monitor.readiness import readiness
from monitor.telemetry import TaskState
from monitor.view import View
from tests.adapters.memory import ManualClock
from tests.oracle.join import Label, Prediction
from tests.simulation.world import PacedReader, World, config, topics

START = 1_700_000_000_000
ROWS = 12_000
US_A_RECORD = 500


class Slow(World):
    """A log whose readers need half a millisecond for a record of a source."""

    def reader(self, *, keys: bool = True, headers: bool = True) -> PacedReader:
        return SlowReader(self, keys=keys, headers=headers)


class SlowReader(PacedReader):
    _log: Slow

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        batches = super().poll(max_records, timeout_ms)
        self._log.clock.advance(
            sum(len(b) for b in batches if b.topic in ("predictions", "labels")) * US_A_RECORD // 1_000
        )
        return batches


def start(log: World, seen: list[View]) -> tuple[Worker, Observer]:
    """A worker with one turn behind it: its partition is open. `seen` gets every view that was told meanwhile."""
    settings = config("one", 20_000)
    observer = Observer(plan_of(settings), base_view(settings, "1", START), log.clock)

    def tell(worker: Worker) -> None:
        observer.refresh(worker)
        seen.append(observer.view)

    worker = Worker(log, settings, plan_of(settings), log.clock, dead_letters, WorkerOptions(), tell=tell)
    worker.start()
    for _ in range(12):
        worker.turn()
    return worker, observer


def test_a_rebuild_is_announced_followed_and_measured(caplog: pytest.LogCaptureFixture) -> None:
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0) for i in range(ROWS)
    ]
    labels = [Label(id=f"p{i}", at=START + i + 5, label=1.0) for i in range(10)]
    log = topics([predictions], [labels], Slow())
    first, observer = start(log, [])
    (status,) = observer.view.partitions
    assert status.recovery_rows == ROWS + len(labels), "nothing has expired: both streams are read from the beginning"
    assert status.recovery_ms == first.recovery.estimate_ms(status.recovery_rows)
    first.close()

    seen: list[View] = []
    caplog.set_level(logging.INFO, "driftline.recovery")
    second, observer = start(log, seen)
    announced, *followed = [r.getMessage() for r in caplog.records if r.name == "driftline.recovery"]
    assert announced == (
        f"partition 0: {ROWS + 10} records are read again to rebuild the join, about 0.2 s at {ASSUMED_ROWS_PER_SECOND} "
        "records a second (assumed)"
    )
    assert followed == ["partition 0: 10000 of 12010 records read again, about 1 s left"], "after five seconds"
    rebuilds = [view for view in seen if view.rebuild is not None]
    assert [view.rebuild.done for view in rebuilds if view.rebuild] == [0, 5_000, 10_000, 12_000]
    assert [check.ok for check in readiness(rebuilds[1]) if check.name == "partitions"] == [False]
    text = Exposer().render(rebuilds[1]).text.decode()
    assert 'driftline_recovery_rows{driftline_namespace="one",partition="0"} 7010' in text
    assert 'driftline_recovery_estimate_seconds{driftline_namespace="one",partition="0"} 3.505' in text, "what is left"
    assert f'driftline_partitions{{driftline_namespace="one",state="{TaskState.REBUILDING}"}} 1' in text
    assert second.recovery.measured
    assert second.recovery.rows_per_second == pytest.approx(1_000_000 / US_A_RECORD, rel=0.01)
    assert observer.view.rebuild is None
    assert observer.view.partitions[0].recovery_ms == pytest.approx(6_005, rel=0.01), "now from what was measured"


def test_the_newest_measurements_count_most_and_small_ones_nothing() -> None:
    recovery = Recovery(ManualClock())
    recovery.took(LEAST_ROWS - 1, 1_000)
    assert recovery.rows_per_second == ASSUMED_ROWS_PER_SECOND
    recovery.took(MEMORY_ROWS + 1, 4_000)
    recovery.took(MEMORY_ROWS + 1, 400_000)
    assert recovery.rows_per_second < 16_000
